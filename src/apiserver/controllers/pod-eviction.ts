/**
 * Pods that cannot stay where they are: a taint NoExecute that they do not tolerate, or no longer (k8s.io/kubernetes
 * pkg/controller/tainteviction), and those of nodes that are no more (pkg/controller/podgc). While no node at all is
 * ready, nobody is sent away: then it is the way to them that is broken.
 */
import type { Taint } from 'kubernetes-types/core/v1.js';
import type { Node } from '../../kube/objects.ts';
import { ApiError } from '../api-error.ts';
import { type ApiObject, fieldAt } from '../api-object.ts';
import { conditionOf } from './conditions.ts';
import type { Controller, ControllerParts } from './controller-set.ts';
import type { Informer } from './informer.ts';
import { isTolerated, specOf } from './node-fit.ts';
import { NOT_READY, UNREACHABLE } from './node-lifecycle.ts';
import { ObjectIndex } from './object-index.ts';
import { keyOf, splitKey } from './object-key.ts';
import { WorkQueue } from './work-queue.ts';

const COMPONENT = 'taint-eviction-controller';
/** How long pods that say nothing of it wait for a node that is not ready or not to be reached. */
const USUAL_SECONDS = 300;
/** A node that was deleted may be about to come back. */
const QUARANTINE_MS = 40_000;
/** No node is ready: looked at again after so long. */
const HOLD_MS = 10_000;

export class PodEviction implements Controller {
  readonly name = 'PodEviction';
  readonly #parts: ControllerParts;
  readonly #nodes: Informer;
  readonly #pods: Informer;
  readonly #podsOn: ObjectIndex;
  readonly #queue: WorkQueue;
  /** Nodes that pods are on and that are not there, since when. */
  readonly #missing = new Map<string, number>();

  constructor(parts: ControllerParts) {
    const { clock, log, informers, table } = parts;
    this.#parts = parts;
    this.#queue = new WorkQueue({ name: this.name, clock, log, work: (key) => this.#look(key) });
    this.#nodes = informers.of(table.known('', 'v1', 'nodes'));
    this.#pods = informers.of(table.known('', 'v1', 'pods'));
    this.#podsOn = new ObjectIndex(this.#pods, (pod) => (nodeOf(pod) ? [nodeOf(pod)] : []));
    this.#pods.onChange((before, after) => {
      if (!after) {
        if (before && this.#podsOn.size(nodeOf(before)) === 0) this.#missing.delete(nodeOf(before));
        return;
      }
      const same = before?.metadata.uid === after.metadata.uid && specKey(before) === specKey(after);
      if (!same && nodeOf(after) !== '') this.#queue.add(keyOf(after));
    });
    this.#nodes.onChange((before, after) => {
      const { name } = ((after ?? before) as ApiObject).metadata;
      if (after) this.#missing.delete(name);
      if (after && before && evictors(after).length === 0 && evictors(before).length === 0) return;
      for (const pod of this.#podsOn.get(name)) this.#queue.add(keyOf(pod));
    });
  }

  start(): void {
    this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  async #look(key: string): Promise<void> {
    const { namespace, name } = splitKey(key);
    const pod = this.#pods.get(namespace, name);
    if (!pod || nodeOf(pod) === '') return;
    const { clock } = this.#parts;
    const node = this.#nodes.get(undefined, nodeOf(pod));
    if (!node) {
      const since = this.#missing.get(nodeOf(pod)) ?? clock.monotonicMs();
      this.#missing.set(nodeOf(pod), since);
      const leftMs = since + QUARANTINE_MS - clock.monotonicMs();
      if (leftMs > 0) this.#queue.addAfter(key, leftMs);
      else await this.#delete(pod, 0);
      return;
    }
    if (pod.metadata.deletionTimestamp) return;
    const now = clock.nowMs();
    const dueMs = leavesAt(pod, node, now);
    if (dueMs === undefined) return;
    if (dueMs > now) {
      this.#queue.addAfter(key, dueMs - now);
      return;
    }
    if (![...this.#nodes.list()].some(isReady)) {
      this.#queue.addAfter(key, HOLD_MS);
      return;
    }
    const message = `Marking for deletion Pod ${key}`;
    this.#parts.events.record(pod, COMPONENT, 'Normal', 'TaintManagerEviction', message);
    await this.#delete(pod);
  }

  async #delete(pod: ApiObject, gracePeriodSeconds?: number): Promise<void> {
    const { namespace, name, uid } = pod.metadata;
    const place = { resource: this.#pods.resource, namespace, name };
    const grace = gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds };
    try {
      await this.#parts.objects.delete(place, { preconditions: { uid }, ...grace });
    } catch (error) {
      // It went, or another came in its place.
      if (!(error instanceof ApiError) || (error.reason !== 'NotFound' && error.reason !== 'Conflict')) throw error;
    }
  }
}

/** When the pod has to go; undefined: it may stay. */
function leavesAt(pod: ApiObject, node: ApiObject, now: number): number | undefined {
  const { tolerations = [] } = specOf(pod);
  let due: number | undefined;
  for (const taint of evictors(node)) {
    const tolerating = tolerations.filter((one) => isTolerated(taint, [one]));
    const seconds = tolerating.map(({ tolerationSeconds }) => tolerationSeconds ?? Number.POSITIVE_INFINITY);
    const usual = taint.key === UNREACHABLE || taint.key === NOT_READY ? USUAL_SECONDS : 0;
    const wait = seconds.length === 0 ? usual : Math.max(0, Math.min(...seconds));
    if (wait === Number.POSITIVE_INFINITY) continue;
    const since = taint.timeAdded === undefined ? now : Date.parse(taint.timeAdded);
    due = Math.min(due ?? Number.POSITIVE_INFINITY, (Number.isFinite(since) ? since : now) + wait * 1000);
  }
  return due;
}

function evictors(node: ApiObject): Taint[] {
  return ((node as unknown as Node).spec?.taints ?? []).filter(({ effect }) => effect === 'NoExecute');
}

function isReady(node: ApiObject): boolean {
  return conditionOf(node.status, 'Ready')?.status === 'True';
}

/** What of a pod says where it is, and for how long it may be there. */
function specKey(pod: ApiObject): string {
  return JSON.stringify([nodeOf(pod), specOf(pod).tolerations]);
}

function nodeOf(pod: ApiObject): string {
  const name = fieldAt(pod, ['spec', 'nodeName']);
  return typeof name === 'string' ? name : '';
}
