/**
 * What runs on each node, as the scheduler counts it: pods, what they ask for, their ports and owners. A pod that was
 * just given a node counts at once, before the informer has heard of it.
 */
import type { PodSpec } from 'kubernetes-types/core/v1.js';
import { parseQuantity } from '../../kube/quantity.ts';
import type { ApiObject } from '../api-object.ts';
import { controllerOf } from './object-key.ts';

/** What a pod takes of a node: `cpu` in cores, `memory` in bytes, others by their names. */
export type Amounts = ReadonlyMap<string, number>;

interface Placed {
  pod: ApiObject;
  node: string;
  requests: Amounts;
}

export interface NodeLoad {
  readonly pods: ReadonlyMap<string, ApiObject>;
  readonly amounts: Amounts;
  /** Pods of this owner that are not ending. */
  ownedBy(uid: string): number;
}

class Load implements NodeLoad {
  readonly pods = new Map<string, ApiObject>();
  readonly amounts = new Map<string, number>();
  readonly #owners = new Map<string, number>();

  ownedBy(uid: string): number {
    return this.#owners.get(uid) ?? 0;
  }

  add({ pod, requests }: Placed, sign: 1 | -1): void {
    if (sign > 0) this.pods.set(pod.metadata.uid, pod);
    else this.pods.delete(pod.metadata.uid);
    const owner = pod.metadata.deletionTimestamp === undefined ? controllerOf(pod)?.uid : undefined;
    if (owner !== undefined) {
      const count = this.ownedBy(owner) + sign;
      if (count > 0) this.#owners.set(owner, count);
      else this.#owners.delete(owner);
    }
    for (const [name, amount] of requests) {
      const sum = (this.amounts.get(name) ?? 0) + sign * amount;
      // Sums of fractions: nothing is left of what is nothing.
      if (this.pods.size === 0 || Math.abs(sum) < 1e-9) this.amounts.delete(name);
      else this.amounts.set(name, sum);
    }
  }
}

const NOTHING: NodeLoad = new Load();

export class ClusterLoad {
  readonly #nodes = new Map<string, Load>();
  /** By uid. */
  readonly #placed = new Map<string, Placed>();
  /** Those of them that want others to stay away. */
  readonly #exclusive = new Map<string, Placed>();

  of(node: string): NodeLoad {
    return this.#nodes.get(node) ?? NOTHING;
  }

  /** Whether this pod was given a node, known to others or not. */
  has(uid: string): boolean {
    return this.#placed.has(uid);
  }

  place(pod: ApiObject, node: string): void {
    this.remove(pod.metadata.uid);
    let load = this.#nodes.get(node);
    if (!load) {
      load = new Load();
      this.#nodes.set(node, load);
    }
    const placed = { pod, node, requests: requestsOf(pod) };
    load.add(placed, 1);
    this.#placed.set(pod.metadata.uid, placed);
    const { affinity } = pod.spec as unknown as PodSpec;
    if (affinity?.podAntiAffinity) this.#exclusive.set(pod.metadata.uid, placed);
  }

  /** Whether there was something to remove. */
  remove(uid: string): boolean {
    const placed = this.#placed.get(uid);
    if (!placed) return false;
    const load = this.#nodes.get(placed.node);
    load?.add(placed, -1);
    if (load?.pods.size === 0) this.#nodes.delete(placed.node);
    this.#exclusive.delete(uid);
    return this.#placed.delete(uid);
  }

  /** Pods that have a node, with it. */
  *placed(): Iterable<Placed> {
    yield* this.#placed.values();
  }

  *exclusive(): Iterable<Placed> {
    yield* this.#exclusive.values();
  }
}

/** By node: objects do not change, and every pod is held against every node. */
const capacities = new WeakMap<ApiObject, Amounts>();

/** What a node has, of what it says. */
export function capacityOf(node: ApiObject): Amounts {
  let amounts = capacities.get(node);
  if (!amounts) {
    const { allocatable, capacity } = (node.status ?? {}) as Record<string, Record<string, string> | undefined>;
    const parsed = Object.entries({ ...capacity, ...allocatable }).flatMap(([name, quantity]) => {
      const amount = parseQuantity(quantity);
      return amount === undefined ? [] : [[name, amount] as const];
    });
    capacities.set(node, (amounts = new Map(parsed)));
  }
  return amounts;
}

/** What the containers ask for together; init containers run before them, one at a time, unless they stay. */
export function requestsOf(pod: ApiObject): Amounts {
  const spec = pod.spec as unknown as PodSpec;
  const sums = new Map<string, number>();
  const most = new Map<string, number>();
  for (const container of spec.initContainers ?? []) {
    const stays = (container as { restartPolicy?: string }).restartPolicy === 'Always';
    for (const [name, amount] of amountsOf(container)) {
      if (stays) sums.set(name, (sums.get(name) ?? 0) + amount);
      else most.set(name, Math.max(most.get(name) ?? 0, (sums.get(name) ?? 0) + amount));
    }
  }
  for (const container of spec.containers ?? []) {
    for (const [name, amount] of amountsOf(container)) sums.set(name, (sums.get(name) ?? 0) + amount);
  }
  for (const [name, amount] of most) sums.set(name, Math.max(sums.get(name) ?? 0, amount));
  return sums;
}

function* amountsOf({ resources }: PodSpec['containers'][number]): Iterable<[string, number]> {
  // A limit alone is a request as well.
  for (const [name, quantity] of Object.entries({ ...resources?.limits, ...resources?.requests })) {
    yield [name, parseQuantity(quantity) ?? 0];
  }
}
