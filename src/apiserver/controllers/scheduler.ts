/**
 * Gives pods without a node one (kube-scheduler in small): of the nodes that may run a pod the one that has the fewest
 * of its owner's pods, then the fewest at all. A pod that fits nowhere says why, and is tried again when nodes or pods
 * change.
 */
import { ApiError } from '../api-error.ts';
import { type ApiObject, fieldAt, timestamp } from '../api-object.ts';
import { listAt, textAt } from '../kinds/fields.ts';
import { withCondition } from './conditions.ts';
import type { Controller, ControllerParts } from './controller-set.ts';
import type { Informer } from './informer.ts';
import { dislikes, misfits, preference } from './node-fit.ts';
import { ClusterLoad, requestsOf } from './node-load.ts';
import { controllerOf, keyOf, splitKey } from './object-key.ts';
import { PodSpread } from './pod-spread.ts';
import { WorkQueue } from './work-queue.ts';

const COMPONENT = 'default-scheduler';
/** Pods whose nodes are being written at a time; who gets which is decided one after the other. */
const PARALLEL = 32;
/** Pods that fitted nowhere are tried again no more often. */
const AGAIN_MS = 500;

export class Scheduler implements Controller {
  readonly name = 'scheduler';
  readonly #parts: ControllerParts;
  readonly #pods: Informer;
  readonly #nodes: Informer;
  readonly #load = new ClusterLoad();
  readonly #queue: WorkQueue;
  /** Keys of pods that fitted nowhere. */
  readonly #unfit = new Set<string>();
  /** When those were tried again, or will be. */
  #triedMs = Number.NEGATIVE_INFINITY;

  constructor(parts: ControllerParts) {
    const { table, informers, clock, log } = parts;
    this.#parts = parts;
    this.#pods = informers.of(table.known('', 'v1', 'pods'));
    this.#nodes = informers.of(table.known('', 'v1', 'nodes'));
    this.#queue = new WorkQueue({ name: 'scheduler', clock, log, parallel: PARALLEL, work: (key) => this.#place(key) });
    this.#pods.onChange((before, after) => this.#heardPod(before, after));
    this.#nodes.onChange((before, after) => {
      if (fitText(before) !== fitText(after)) this.#tryAgain();
    });
  }

  start(): void {
    this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  #heardPod(before: ApiObject | undefined, after: ApiObject | undefined): void {
    if (after && !hasEnded(after)) {
      const node = textAt(after, 'spec', 'nodeName');
      if (node !== '') {
        this.#load.place(after, node);
        this.#unfit.delete(keyOf(after));
      } else if (isWaiting(after)) this.#queue.add(keyOf(after));
      return;
    }
    const gone = (after ?? before) as ApiObject;
    this.#unfit.delete(keyOf(gone));
    // There is room for others where it was.
    if (this.#load.remove(gone.metadata.uid)) this.#tryAgain();
  }

  /** After the first change at once, after those that follow soon together: each pod is held against every node. */
  #tryAgain(): void {
    if (this.#unfit.size === 0) return;
    const nowMs = this.#parts.clock.monotonicMs();
    const atMs = this.#triedMs > nowMs ? this.#triedMs : Math.max(nowMs, this.#triedMs + AGAIN_MS);
    for (const key of this.#unfit) this.#queue.addAfter(key, atMs - nowMs);
    this.#unfit.clear();
    this.#triedMs = atMs;
  }

  async #place(key: string): Promise<void> {
    const { namespace, name } = splitKey(key);
    const pod = this.#pods.get(namespace, name);
    if (!pod || !isWaiting(pod) || this.#load.has(pod.metadata.uid)) return;
    const nodes = new Map([...this.#nodes.list()].map((node) => [node.metadata.name, node]));
    const found = this.#choose(pod, nodes);
    if (found.node === undefined) {
      this.#unfit.add(key);
      await this.#sayUnfit(pod, found.message);
      return;
    }
    const { node } = found;
    this.#load.place(pod, node);
    try {
      await this.#bind(pod, node);
    } catch (error) {
      // Unless it has one by now, of somebody else or of the write that we believe to have failed.
      const now = this.#pods.get(namespace, name);
      const isPlaced = now?.metadata.uid === pod.metadata.uid && textAt(now, 'spec', 'nodeName') !== '';
      if (!isPlaced) this.#load.remove(pod.metadata.uid);
      if (error instanceof ApiError && error.reason === 'NotFound') return;
      throw error;
    }
    const message = `Successfully assigned ${key} to ${node}`;
    this.#parts.events.record(pod, COMPONENT, 'Normal', 'Scheduled', message);
  }

  #choose(pod: ApiObject, nodes: ReadonlyMap<string, ApiObject>): { node?: string; message: string } {
    const spread = new PodSpread(pod, nodes, this.#load);
    const requests = requestsOf(pod);
    const refused = new Map<string, number>();
    let best: { name: string; score: readonly number[] } | undefined;
    for (const [name, node] of nodes) {
      const reasons = misfits(pod, requests, node, this.#load.of(name));
      if (reasons.length === 0) {
        const refusal = spread.refusal(node);
        if (refusal !== undefined) reasons.push(refusal);
      }
      for (const reason of reasons) refused.set(reason, (refused.get(reason) ?? 0) + 1);
      if (reasons.length > 0) continue;
      const score = this.#score(pod, node, spread);
      if (!best || isLess(score, best.score) || (!isLess(best.score, score) && name < best.name))
        best = { name, score };
    }
    if (best) return { node: best.name, message: '' };
    if (nodes.size === 0) return { message: 'no nodes available to schedule pods' };
    const why = [...refused].map(([reason, count]) => `${count} ${reason}`).sort();
    return { message: `0/${nodes.size} nodes are available: ${why.join(', ')}.` };
  }

  /** Less is better; earlier numbers count before later ones. */
  #score(pod: ApiObject, node: ApiObject, spread: PodSpread): number[] {
    const load = this.#load.of(node.metadata.name);
    const owner = controllerOf(pod)?.uid;
    const siblings = owner === undefined ? 0 : load.ownedBy(owner);
    return [dislikes(pod, node), -preference(pod, node), spread.reluctance(node), siblings, load.pods.size];
  }

  /** Node and condition in one step. Throws ApiError NotFound where the pod is not that pod any more. */
  async #bind(pod: ApiObject, node: string): Promise<void> {
    const { objects, clock } = this.#parts;
    const { namespace, name, uid } = pod.metadata;
    const now = timestamp(new Date(clock.nowMs()));
    const change = (current: ApiObject) => {
      if (current.metadata.uid !== uid || !isWaiting(current)) throw new ApiError('NotFound', 'it has a node by now');
      const scheduled = { type: 'PodScheduled', status: 'True' } as const;
      return {
        ...current,
        spec: { ...current.spec, nodeName: node },
        status: withCondition(current.status, scheduled, now),
      };
    };
    await objects.update({ resource: this.#pods.resource, namespace, name }, change, { whole: true });
  }

  async #sayUnfit(pod: ApiObject, message: string): Promise<void> {
    const { objects, clock, events } = this.#parts;
    const { namespace, name, uid } = pod.metadata;
    const known = listAt(pod, 'status', 'conditions').find(({ type }) => type === 'PodScheduled');
    if (known?.message === message) return;
    const now = timestamp(new Date(clock.nowMs()));
    const unfit = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message } as const;
    const change = (current: ApiObject) => {
      if (current.metadata.uid !== uid || !isWaiting(current)) throw new ApiError('NotFound', 'it has a node by now');
      return { ...current, status: withCondition(current.status, unfit, now) };
    };
    try {
      await objects.update({ resource: this.#pods.resource, namespace, name }, change, { subresource: 'status' });
    } catch (error) {
      if (error instanceof ApiError && error.reason === 'NotFound') return;
      throw error;
    }
    events.record(pod, COMPONENT, 'Warning', 'FailedScheduling', message);
  }
}

/** For us to be placed. */
function isWaiting(pod: ApiObject): boolean {
  if (pod.metadata.deletionTimestamp !== undefined || hasEnded(pod)) return false;
  const scheduler = textAt(pod, 'spec', 'schedulerName');
  return (
    textAt(pod, 'spec', 'nodeName') === '' &&
    (scheduler === '' || scheduler === COMPONENT) &&
    listAt(pod, 'spec', 'schedulingGates').length === 0
  );
}

function hasEnded(pod: ApiObject): boolean {
  const phase = fieldAt(pod, ['status', 'phase']);
  return phase === 'Succeeded' || phase === 'Failed';
}

/** What of a node decides whether pods fit: all but its heartbeats. */
function fitText(node: ApiObject | undefined): string {
  if (!node) return '';
  const ready = listAt(node, 'status', 'conditions').find(({ type }) => type === 'Ready')?.status;
  const { unschedulable, taints } = node.spec ?? {};
  const { allocatable, capacity } = node.status ?? {};
  return JSON.stringify([node.metadata.labels, unschedulable, taints, ready, allocatable, capacity]);
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
