/**
 * What becomes of nodes that fall silent (k8s.io/kubernetes pkg/controller/nodelifecycle): when an agent has not renewed
 * its Lease for the grace period, nobody knows how its node is: its conditions become Unknown, it is tainted, its pods
 * are not ready, and so leave the endpoints of their services. The agent's next status undoes the first and the last,
 * the taints follow the Ready condition. A node that never had a Lease is left alone: somebody wrote it by hand.
 *
 * Where many fall silent at once it is rather us who hear too late, and to give them all up would make that worse: each
 * costs dozens of writes that everybody is told of. The first few are given up after the grace period, the others at a
 * pace, or when they have been silent for as long as Kubernetes waits.
 */

import { isDeepStrictEqual } from 'node:util';
import type { Taint } from 'kubernetes-types/core/v1.js';
import type { Node } from '../../kube/objects.ts';
import { ApiError } from '../api-error.ts';
import { type ApiObject, timestamp } from '../api-object.ts';
import { type Condition, conditionOf, withCondition } from './conditions.ts';
import type { Controller, ControllerParts } from './controller-set.ts';
import { Heartbeats } from './heartbeats.ts';
import type { Informer } from './informer.ts';
import { ObjectIndex } from './object-index.ts';
import { WorkQueue } from './work-queue.ts';

export const UNREACHABLE = 'node.kubernetes.io/unreachable';
export const NOT_READY = 'node.kubernetes.io/not-ready';
const LEASE_NAMESPACE = 'kube-node-lease';
const COMPONENT = 'node-controller';
const UNKNOWN = { reason: 'NodeStatusUnknown', message: 'The agent stopped renewing its Lease.' } as const;
/** Looks in a grace period. */
const LOOKS = 8;
const LONGEST_INTERVAL_MS = 1000;
/** Nodes that may be given up at once; then one more in each of these, as Kubernetes empties nodes. */
const AT_ONCE = 10;
const ONE_MORE_MS = 10_000;
/** Whoever is silent for longer is given up whatever becomes of the others. */
const MOST_PATIENCE_MS = 40_000;
/** Pods that are written at a time. */
const PODS_AT_ONCE = 32;

export class NodeLifecycle implements Controller {
  readonly name = 'NodeLifecycle';
  readonly #parts: ControllerParts;
  readonly #graceMs: number;
  readonly #intervalMs: number;
  readonly #nodes: Informer;
  readonly #leases: Informer;
  readonly #pods: Informer;
  readonly #podsOn: ObjectIndex;
  readonly #heartbeats: Heartbeats;
  readonly #queue: WorkQueue;
  /** Given up, and silent still. */
  #silent: ReadonlySet<string> = new Set();
  /** Nodes that may be given up now. */
  #allowance = AT_ONCE;
  #cancel: () => void = () => {};
  #stopped = false;

  constructor(parts: ControllerParts, settings: { graceMs: number }) {
    const { clock, log, informers, table } = parts;
    this.#parts = parts;
    this.#graceMs = settings.graceMs;
    this.#intervalMs = Math.min(LONGEST_INTERVAL_MS, settings.graceMs / LOOKS);
    this.#heartbeats = new Heartbeats(clock, this.#intervalMs);
    this.#queue = new WorkQueue({ name: this.name, clock, log, work: (name) => this.#look(name) });
    this.#nodes = informers.of(table.known('', 'v1', 'nodes'));
    this.#leases = informers.of(table.known('coordination.k8s.io', 'v1', 'leases'));
    this.#pods = informers.of(table.known('', 'v1', 'pods'));
    this.#podsOn = new ObjectIndex(this.#pods, ({ spec }) => (spec?.nodeName ? [spec.nodeName as string] : []));
    this.#leases.onChange((before, after) => {
      const { namespace, name, resourceVersion } = ((after ?? before) as ApiObject).metadata;
      if (namespace !== LEASE_NAMESPACE) return;
      if (!after) {
        if (!this.#nodes.get(undefined, name)) this.#heartbeats.forget(name);
        return;
      }
      if (!this.#heartbeats.knows(name)) this.#queue.add(name);
      this.#heartbeats.heard(name, `${after.spec?.renewTime ?? resourceVersion}`);
    });
    this.#pods.onChange((_, after) => {
      const node = after && (after.spec?.nodeName as string | undefined);
      // Written by its agent in its last moment.
      if (node && this.#silent.has(node) && isReady(after)) this.#queue.add(node);
    });
    this.#nodes.onChange((before, after) => {
      const { name } = ((after ?? before) as ApiObject).metadata;
      if (!after) this.#heartbeats.forget(name);
      else if (!isDeepStrictEqual(taintsFor(after), taintsOf(after).filter(isOurs).map(idOf))) this.#queue.add(name);
    });
  }

  start(): void {
    this.#queue.start();
    this.#heartbeats.begin();
    this.#lookSoon();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#queue.stop();
  }

  #lookSoon(): void {
    this.#cancel = this.#parts.clock.after(this.#intervalMs, () => {
      if (this.#stopped) return;
      const silent = this.#givenUp();
      for (const name of silent) {
        const node = this.#nodes.get(undefined, name);
        const known = conditionOf(node?.status, 'Ready')?.status === 'Unknown' && this.#silent.has(name);
        if (node && !known) this.#queue.add(name);
      }
      this.#silent = silent;
      this.#lookSoon();
    });
  }

  /** Of those that are silent now; who has been for longest comes first. */
  #givenUp(): Set<string> {
    this.#allowance = Math.min(AT_ONCE, this.#allowance + this.#intervalMs / ONE_MORE_MS);
    const longest = [...this.#heartbeats.silent(this.#graceMs)].sort(([, a], [, b]) => b - a);
    const out = new Set<string>();
    for (const [name, ms] of longest) {
      const isOld = this.#silent.has(name) || ms > Math.max(MOST_PATIENCE_MS, this.#graceMs);
      if (!isOld && this.#allowance < 1) continue;
      if (!isOld) this.#allowance--;
      out.add(name);
    }
    return out;
  }

  async #look(name: string): Promise<void> {
    const node = this.#nodes.get(undefined, name);
    if (!node) return;
    // It may have been heard of since.
    if (this.#silent.has(name) && this.#heartbeats.isSilent(name, this.#graceMs)) await this.#giveUp(node);
    await this.#taint(name);
  }

  /** Nobody knows of the node any more. */
  async #giveUp(node: ApiObject): Promise<void> {
    const { objects, clock, events } = this.#parts;
    const { name } = node.metadata;
    const was = conditionOf(node.status, 'Ready')?.status;
    const now = timestamp(new Date(clock.nowMs()));
    await ignoreGone(
      objects.update(
        { resource: this.#nodes.resource, namespace: undefined, name },
        (current) => ({ ...current, status: unknownStatus(current, now) }),
        { subresource: 'status' },
      ),
    );
    if (was !== 'Unknown') {
      this.#parts.log(`node ${name} is Unknown: its Lease was not renewed for ${this.#graceMs / 1000} s`);
      events.record(node, COMPONENT, 'Warning', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`);
    }
    const ready = [...this.#podsOn.get(name)].filter(isReady);
    for (let i = 0; i < ready.length; i += PODS_AT_ONCE) {
      await Promise.all(ready.slice(i, i + PODS_AT_ONCE).map((pod) => this.#unready(pod, now)));
    }
  }

  #unready({ metadata }: ApiObject, now: string): Promise<void> {
    const { namespace, name, uid } = metadata;
    const condition: Condition = { type: 'Ready', status: 'False', reason: 'NodeNotReady', message: UNKNOWN.message };
    const change = (current: ApiObject): ApiObject => {
      return current.metadata.uid === uid && isReady(current)
        ? { ...current, status: withCondition(current.status, condition, now) }
        : current;
    };
    const place = { resource: this.#pods.resource, namespace, name };
    return ignoreGone(this.#parts.objects.update(place, change, { subresource: 'status' }));
  }

  /** Taints say what the Ready condition says. */
  async #taint(name: string): Promise<void> {
    // Whoever wrote it by hand wrote its taints too.
    if (!this.#heartbeats.knows(name)) return;
    const now = timestamp(new Date(this.#parts.clock.nowMs()));
    const change = (current: ApiObject): ApiObject => {
      const wanted = new Set(taintsFor(current));
      const stays = taintsOf(current).filter((taint) => !isOurs(taint) || wanted.delete(idOf(taint)));
      if (wanted.size === 0 && stays.length === taintsOf(current).length) return current;
      const added = [...wanted].map((id) => ({ key: id.split(' ')[0], effect: id.split(' ')[1], timeAdded: now }));
      return { ...current, spec: { ...current.spec, taints: [...stays, ...added] } };
    };
    await ignoreGone(
      this.#parts.objects.update({ resource: this.#nodes.resource, namespace: undefined, name }, change),
    );
  }
}

/** What stays of a status that nobody vouches for. */
function unknownStatus(node: ApiObject, now: string): Record<string, unknown> {
  const conditions = (node as unknown as Node).status?.conditions ?? [];
  const types = new Set([
    'Ready',
    ...conditions.map(({ type }) => type).filter((type) => type !== 'NetworkUnavailable'),
  ]);
  let status = node.status;
  for (const type of types) status = withCondition(status, { type, status: 'Unknown', ...UNKNOWN }, now);
  return status ?? {};
}

function isReady({ status }: ApiObject): boolean {
  return conditionOf(status, 'Ready')?.status === 'True';
}

function taintsOf(node: ApiObject): readonly Taint[] {
  return (node as unknown as Node).spec?.taints ?? [];
}

/** `KEY EFFECT`, in order. A node that never said how it is has none. */
function taintsFor(node: ApiObject): string[] {
  const ready = conditionOf(node.status, 'Ready')?.status;
  if (ready === undefined || ready === 'True') return [];
  const key = ready === 'Unknown' ? UNREACHABLE : NOT_READY;
  return ['NoSchedule', 'NoExecute'].map((effect) => `${key} ${effect}`);
}

function isOurs({ key }: Taint): boolean {
  return key === UNREACHABLE || key === NOT_READY;
}

function idOf({ key, effect }: Taint): string {
  return `${key} ${effect}`;
}

/** What is no more needs nothing more. */
async function ignoreGone(change: Promise<unknown>): Promise<void> {
  try {
    await change;
  } catch (error) {
    if (!(error instanceof ApiError) || error.reason !== 'NotFound') throw error;
  }
}
