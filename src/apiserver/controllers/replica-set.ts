/** ReplicaSet: so many pods of a template as it says (kube-controller-manager pkg/controller/replicaset). */

import { isDeepStrictEqual } from 'node:util';
import { selects } from '../../kube/selector.ts';
import { ApiError } from '../api-error.ts';
import { type ApiObject, timestamp } from '../api-object.ts';
import { numberAt } from '../kinds/fields.ts';
import { conditionOf, withCondition, withoutCondition } from './conditions.ts';
import type { Controller, ControllerParts } from './controller-set.ts';
import type { Informer } from './informer.ts';
import { keyOf, splitKey } from './object-key.ts';
import { OwnedObjects } from './owned-objects.ts';
import { availableInMs, byDeletion, isActive, isReady } from './pod-state.ts';
import { createPod, deletePod, podOf, templateOf } from './pod-template.ts';
import { firstFailure, slowStart } from './slow-start.ts';
import { WorkQueue } from './work-queue.ts';

const COMPONENT = 'replicaset-controller';
const PARALLEL = 16;
/** Pods made or deleted in one go; the rest follows. */
const BURST = 500;

export class ReplicaSetController implements Controller {
  readonly name = 'replicaset';
  readonly #parts: ControllerParts;
  readonly #sets: Informer;
  readonly #pods: Informer;
  readonly #owned: OwnedObjects;
  readonly #queue: WorkQueue;

  constructor(parts: ControllerParts) {
    const { table, informers, clock, log, objects } = parts;
    this.#parts = parts;
    this.#sets = informers.of(table.known('apps', 'v1', 'replicasets'));
    this.#pods = informers.of(table.known('', 'v1', 'pods'));
    this.#owned = new OwnedObjects({ objects, owners: this.#sets, owned: this.#pods });
    this.#queue = new WorkQueue({ name: 'ReplicaSet', clock, log, parallel: PARALLEL, work: (key) => this.#sync(key) });
    this.#owned.onChange((set) => this.#queue.add(set));
  }

  start(): void {
    this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  async #sync(key: string): Promise<void> {
    const { namespace, name } = splitKey(key);
    const set = this.#sets.get(namespace, name);
    if (!set) return;
    const own = (await this.#owned.claim(set)).filter(isActive);
    let failure: Error | undefined;
    if (set.metadata.deletionTimestamp === undefined) failure = await this.#manage(set, own);
    await this.#writeStatus(set, this.#owned.of(set).filter(isActive), failure);
    if (failure !== undefined) throw failure;
  }

  /** Makes or deletes what is wanted; resolves, when the informer has heard of it, with what went wrong. */
  async #manage(set: ApiObject, own: readonly ApiObject[]): Promise<Error | undefined> {
    const wanted = numberAt(set, 'spec', 'replicas');
    let newest = 0;
    let failure: Error | undefined;
    const note = (revision: number) => {
      newest = Math.max(newest, revision);
    };
    if (own.length < wanted) {
      const pod = podOf(set, templateOf(set));
      failure = await slowStart(Math.min(wanted - own.length, BURST), async () => {
        note(Number((await createPod(this.#parts, set, pod, COMPONENT)).metadata.resourceVersion));
      });
    } else if (own.length > wanted) {
      const going = byDeletion(own).slice(0, Math.min(own.length - wanted, BURST));
      const done = await Promise.allSettled(
        going.map(async (pod) => note(await deletePod(this.#parts, set, pod, COMPONENT))),
      );
      failure = firstFailure(done);
    }
    await this.#pods.reached(newest);
    if (Math.abs(wanted - own.length) > BURST) this.#queue.add(keyOf(set));
    return failure;
  }

  async #writeStatus(set: ApiObject, pods: readonly ApiObject[], failure: Error | undefined): Promise<void> {
    const { objects, clock } = this.#parts;
    const nowMs = clock.nowMs();
    const minReady = numberAt(set, 'spec', 'minReadySeconds');
    const waits = pods.map((pod) => availableInMs(pod, minReady, nowMs));
    const labels = templateOf(set).metadata?.labels ?? {};
    const count = (is: (pod: ApiObject) => boolean) => pods.filter(is).length;
    const numbers = {
      replicas: pods.length,
      fullyLabeledReplicas: count((pod) => selects({ matchLabels: labels }, pod.metadata.labels ?? {})),
      readyReplicas: count(isReady),
      availableReplicas: waits.filter((ms) => ms === 0).length,
      observedGeneration: set.metadata.generation ?? 0,
    };
    const now = timestamp(new Date(nowMs));
    const { namespace, name, uid } = set.metadata;
    await objects
      .update(
        { resource: this.#sets.resource, namespace, name },
        (current) => {
          if (current.metadata.uid !== uid) throw new ApiError('NotFound', 'it is another by now');
          let status: Record<string, unknown> | undefined = { ...current.status, ...numbers };
          if (failure === undefined) status = withoutCondition(status, 'ReplicaFailure');
          else {
            const reason = pods.length < numberAt(set, 'spec', 'replicas') ? 'FailedCreate' : 'FailedDelete';
            const { message } = failure;
            const known = conditionOf(current.status, 'ReplicaFailure');
            if (known?.reason !== reason || known.message !== message)
              status = withCondition(status, { type: 'ReplicaFailure', status: 'True', reason, message }, now);
          }
          return isDeepStrictEqual(status, current.status) ? current : { ...current, ...(status ? { status } : {}) };
        },
        { subresource: 'status' },
      )
      .catch((error) => {
        if (!(error instanceof ApiError) || error.reason !== 'NotFound') throw error;
      });
    const next = Math.min(...waits.filter((ms) => ms > 0));
    if (Number.isFinite(next)) this.#queue.addAfter(keyOf(set), next);
  }
}
