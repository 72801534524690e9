/**
 * StatefulSet: pods with names that last, `NAME-0`, `NAME-1`, …, made and ended in order (kube-controller-manager
 * pkg/controller/statefulset). Volumes of their own they do not get: that is said by an event.
 */
import { isDeepStrictEqual } from 'node:util';
import { ApiError } from '../api-error.ts';
import { type ApiObject, fieldAt } from '../api-object.ts';
import { listAt, numberAt, textAt } from '../kinds/fields.ts';
import { ControllerRevisions, templateIn } from './controller-revisions.ts';
import type { Controller, ControllerParts } from './controller-set.ts';
import type { Informer } from './informer.ts';
import { keyOf, splitKey } from './object-key.ts';
import { OwnedObjects } from './owned-objects.ts';
import { availableInMs, hasEnded, isReady } from './pod-state.ts';
import { createPod, deletePod, podOf, templateOf } from './pod-template.ts';
import { firstFailure } from './slow-start.ts';
import { type Member, type StatefulGoal, statefulStep } from './stateful-plan.ts';
import { WorkQueue } from './work-queue.ts';

const COMPONENT = 'statefulset-controller';
const PARALLEL = 8;
const REVISION_LABEL = 'controller-revision-hash';
const NAME_LABEL = 'statefulset.kubernetes.io/pod-name';
const INDEX_LABEL = 'apps.kubernetes.io/pod-index';

interface Revisions {
  /** Names of ControllerRevisions. */
  current: string;
  update: string;
}

export class StatefulSetController implements Controller {
  readonly name = 'statefulset';
  readonly #parts: ControllerParts;
  readonly #sets: Informer;
  readonly #pods: Informer;
  readonly #owned: OwnedObjects;
  readonly #revisions: ControllerRevisions;
  readonly #queue: WorkQueue;

  constructor(parts: ControllerParts) {
    const { table, informers, clock, log, objects } = parts;
    this.#parts = parts;
    this.#sets = informers.of(table.known('apps', 'v1', 'statefulsets'));
    this.#pods = informers.of(table.known('', 'v1', 'pods'));
    const fits = (set: ApiObject, pod: ApiObject) => ordinalOf(set, pod) !== undefined;
    this.#owned = new OwnedObjects({ objects, owners: this.#sets, owned: this.#pods, fits });
    this.#revisions = new ControllerRevisions(parts, this.#sets);
    this.#queue = new WorkQueue({
      name: 'StatefulSet',
      clock,
      log,
      parallel: PARALLEL,
      work: (key) => this.#sync(key),
    });
    this.#owned.onChange((set) => this.#queue.add(set));
    // A name that comes free, whoever had it: the next try may be half a minute away.
    this.#pods.onChange((pod, after) => {
      if (!pod || after) return;
      for (const set of this.#sets.list(pod.metadata.namespace)) {
        if (ordinalOf(set, pod) !== undefined) this.#queue.add(keyOf(set));
      }
    });
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
    // While it is being deleted its pods and revisions are the garbage collector's.
    if (!set || set.metadata.deletionTimestamp !== undefined) return;
    const own = await this.#owned.claim(set);
    const { metadata } = await this.#revision(set);
    const revisions = { update: metadata.name, current: textAt(set, 'status', 'currentRevision') || metadata.name };
    const failure = await this.#advance(set, own, revisions);
    await this.#writeStatus(set, this.#owned.of(set), revisions);
    if (failure !== undefined) throw failure;
  }

  /** A name that somebody else has taken is left to them. */
  async #revision(set: ApiObject): Promise<ApiObject> {
    const collisions = numberAt(set, 'status', 'collisionCount');
    try {
      return await this.#revisions.current(set, collisions);
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error;
      const written = await this.#update(set, (status) => ({ ...status, collisionCount: collisions + 1 }));
      await this.#sets.reached(Number(written?.metadata.resourceVersion ?? 0));
      throw error;
    }
  }

  /** One step; resolves, when the informer has heard of it, with what went wrong. */
  async #advance(set: ApiObject, own: readonly ApiObject[], revisions: Revisions): Promise<Error | undefined> {
    const goal = goalOf(set, revisions.update);
    const nowMs = this.#parts.clock.nowMs();
    const pods = new Map(own.map((pod) => [pod.metadata.name, pod]));
    const members = own.map((pod) => memberOf(set, pod, nowMs));
    const { create, remove } = statefulStep(goal, members);
    let newest = 0;
    const done = await Promise.allSettled([
      ...create.map(async (ordinal) => {
        const pod = this.#podAt(set, ordinal, revisions, goal);
        const made = await createPod(this.#parts, set, pod, COMPONENT);
        newest = Math.max(newest, Number(made.metadata.resourceVersion));
      }),
      ...remove.map(async ({ name }) => {
        const revision = await deletePod(this.#parts, set, pods.get(name) as ApiObject, COMPONENT);
        newest = Math.max(newest, revision);
      }),
    ]);
    await this.#pods.reached(newest);
    this.#sayVolumes(set);
    return firstFailure(done);
  }

  #podAt(set: ApiObject, ordinal: number, revisions: Revisions, { update }: StatefulGoal): ApiObject {
    const name = `${set.metadata.name}-${ordinal}`;
    // Below the partition they stay what they were.
    const kept = update && ordinal < update.from ? this.#revisions.of(set).find(isNamed(revisions.current)) : undefined;
    const pod = podOf(set, kept ? templateIn(kept) : templateOf(set), name);
    pod.metadata.labels = {
      ...pod.metadata.labels,
      [REVISION_LABEL]: kept ? revisions.current : revisions.update,
      [NAME_LABEL]: name,
      [INDEX_LABEL]: `${ordinal}`,
    };
    const subdomain = textAt(set, 'spec', 'serviceName');
    pod.spec = { ...pod.spec, ...volumesOf(set, pod), hostname: name, ...(subdomain ? { subdomain } : {}) };
    return pod;
  }

  #sayVolumes(set: ApiObject): void {
    const known = numberAt(set, 'status', 'observedGeneration') >= (set.metadata.generation ?? 0);
    if (known || listAt(set, 'spec', 'volumeClaimTemplates').length === 0) return;
    const message = 'volumeClaimTemplates are not carried out: pods run without those volumes';
    this.#parts.events.record(set, COMPONENT, 'Warning', 'VolumesNotServed', message);
  }

  async #writeStatus(set: ApiObject, pods: readonly ApiObject[], { current, update }: Revisions): Promise<void> {
    const minReady = numberAt(set, 'spec', 'minReadySeconds');
    const nowMs = this.#parts.clock.nowMs();
    const there = pods.filter((pod) => !hasEnded(pod));
    const waits = there.map((pod) => availableInMs(pod, minReady, nowMs));
    const of = (name: string) =>
      there.filter((pod) => revisionOf(pod) === name && pod.metadata.deletionTimestamp === undefined).length;
    const replicas = numberAt(set, 'spec', 'replicas');
    const numbers = {
      observedGeneration: set.metadata.generation ?? 0,
      replicas: there.length,
      readyReplicas: there.filter(isReady).length,
      availableReplicas: waits.filter((ms) => ms === 0).length,
      updatedReplicas: of(update),
    };
    const rolling = textAt(set, 'spec', 'updateStrategy', 'type') !== 'OnDelete';
    const complete =
      numbers.updatedReplicas === replicas && numbers.readyReplicas === replicas && numbers.replicas === replicas;
    const currentRevision = rolling && complete ? update : current;
    const revisions = { currentRevision, updateRevision: update, currentReplicas: of(currentRevision) };
    await this.#update(set, (status) => ({ collisionCount: 0, ...status, ...numbers, ...revisions }));
    const next = Math.min(...waits.filter((ms) => ms > 0));
    if (Number.isFinite(next)) this.#queue.addAfter(keyOf(set), next);
    const used = new Set([currentRevision, update, ...pods.map(revisionOf)]);
    await this.#revisions.forget(set, used, numberAt(set, 'spec', 'revisionHistoryLimit'));
  }

  /** Undefined where the set is gone. */
  async #update(
    set: ApiObject,
    change: (status: Record<string, unknown>) => Record<string, unknown>,
  ): Promise<ApiObject | undefined> {
    const { namespace, name, uid } = set.metadata;
    const place = { resource: this.#sets.resource, namespace, name };
    const same = (current: ApiObject) => {
      if (current.metadata.uid !== uid) throw new ApiError('NotFound', 'it is another by now');
      const status = change(current.status ?? {});
      return isDeepStrictEqual(status, current.status) ? current : { ...current, status };
    };
    try {
      const written = await this.#parts.objects.update(place, same, { subresource: 'status' });
      await this.#sets.reached(Number(written.metadata.resourceVersion));
      return written;
    } catch (error) {
      if (error instanceof ApiError && error.reason === 'NotFound') return undefined;
      throw error;
    }
  }
}

const revisionOf = ({ metadata }: ApiObject): string => metadata.labels?.[REVISION_LABEL] ?? '';

const isNamed =
  (name: string) =>
  ({ metadata }: ApiObject): boolean =>
    metadata.name === name;

/** Undefined where its name is none of the set's. */
function ordinalOf({ metadata }: ApiObject, pod: ApiObject): number | undefined {
  const prefix = `${metadata.name}-`;
  const { name } = pod.metadata;
  const digits = name.startsWith(prefix) ? name.slice(prefix.length) : '';
  return /^(0|[1-9]\d{0,8})$/.test(digits) ? Number(digits) : undefined;
}

function memberOf(set: ApiObject, pod: ApiObject, nowMs: number): Member {
  return {
    ordinal: ordinalOf(set, pod) ?? 0,
    name: pod.metadata.name,
    revision: revisionOf(pod),
    ended: hasEnded(pod),
    ending: pod.metadata.deletionTimestamp !== undefined,
    healthy: availableInMs(pod, numberAt(set, 'spec', 'minReadySeconds'), nowMs) === 0,
  };
}

function goalOf(set: ApiObject, revision: string): StatefulGoal {
  const start = numberAt(set, 'spec', 'ordinals', 'start');
  const strategy = fieldAt(set, ['spec', 'updateStrategy']);
  const rolling = fieldAt(strategy, ['type']) !== 'OnDelete';
  const partition = fieldAt(strategy, ['rollingUpdate', 'partition']);
  return {
    start,
    replicas: numberAt(set, 'spec', 'replicas'),
    ordered: textAt(set, 'spec', 'podManagementPolicy') !== 'Parallel',
    update: rolling ? { revision, from: start + (typeof partition === 'number' ? partition : 0) } : undefined,
  };
}

/** A pod's own and, before them, one for each claim, as its mounts name them. */
function volumesOf(set: ApiObject, pod: ApiObject): { volumes?: object[] } {
  const claims = listAt(set, 'spec', 'volumeClaimTemplates')
    .map((claim) => fieldAt(claim, ['metadata', 'name']))
    .filter((name) => typeof name === 'string');
  if (claims.length === 0) return {};
  const named = claims.map((name) => {
    return { name, persistentVolumeClaim: { claimName: `${name}-${pod.metadata.name}` } };
  });
  const own = listAt(pod, 'spec', 'volumes').filter(({ name }) => !claims.includes(name as string));
  return { volumes: [...named, ...own] };
}
