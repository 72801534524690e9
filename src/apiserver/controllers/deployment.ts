/**
 * Deployment: a ReplicaSet for each version of a template, and the way from one to the next (kube-controller-manager
 * pkg/controller/deployment). Everything it knows stands in the objects: who takes over in the middle goes on.
 */
import { isDeepStrictEqual } from 'node:util';
import { ApiError } from '../api-error.ts';
import type { ApiObject } from '../api-object.ts';
import { fieldAt } from '../api-object.ts';
import { numberAt, textAt } from '../kinds/fields.ts';
import { type Condition, conditionOf } from './conditions.ts';
import type { Controller, ControllerParts } from './controller-set.ts';
import {
  desiredOf,
  findNewest,
  HASH_LABEL,
  mostOf,
  REVISION,
  revisionOf,
  setAnnotations,
  sizeAnnotations,
} from './deployment-revisions.ts';
import { deploymentStatus } from './deployment-status.ts';
import type { Informer } from './informer.ts';
import { ObjectIndex } from './object-index.ts';
import { controllerOf, controllerReference, keyOf, splitKey } from './object-key.ts';
import { OwnedObjects, selectorOf } from './owned-objects.ts';
import { hasEnded } from './pod-state.ts';
import { contentHash, templateOf } from './pod-template.ts';
import { type RolloutGoal, resolveGoal, rollingStep, type SetSize, type Sizes, scaledSizes } from './rollout-plan.ts';
import { WorkQueue } from './work-queue.ts';

const COMPONENT = 'deployment-controller';
const PARALLEL = 8;

/** One round: what there is, and what happened in it. */
interface Round {
  deployment: ApiObject;
  newest: ApiObject | undefined;
  old: ApiObject[];
  goal: RolloutGoal;
  rolling: boolean;
  news?: Condition;
}

export class DeploymentController implements Controller {
  readonly name = 'deployment';
  readonly #parts: ControllerParts;
  readonly #deployments: Informer;
  readonly #sets: Informer;
  readonly #owned: OwnedObjects;
  /** By the uid of their set. */
  readonly #pods: ObjectIndex;
  readonly #queue: WorkQueue;

  constructor(parts: ControllerParts) {
    const { table, informers, clock, log, objects } = parts;
    this.#parts = parts;
    this.#deployments = informers.of(table.known('apps', 'v1', 'deployments'));
    this.#sets = informers.of(table.known('apps', 'v1', 'replicasets'));
    const pods = informers.of(table.known('', 'v1', 'pods'));
    this.#owned = new OwnedObjects({ objects, owners: this.#deployments, owned: this.#sets });
    this.#pods = new ObjectIndex(pods, (pod) => [controllerOf(pod)?.uid ?? '']);
    this.#queue = new WorkQueue({ name: 'Deployment', clock, log, parallel: PARALLEL, work: (key) => this.#sync(key) });
    this.#owned.onChange((deployment) => this.#queue.add(deployment));
    pods.onChange((before, after) => {
      if (before && (!after || hasEnded(after))) this.#heardEnd(before);
    });
  }

  start(): void {
    this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  /** Who recreates waits until the last old pod has gone. */
  #heardEnd(pod: ApiObject): void {
    const set = controllerOf(pod);
    if (set?.kind !== 'ReplicaSet') return;
    const found = this.#sets.get(pod.metadata.namespace, set.name);
    if (found) for (const deployment of this.#owned.concerned(found)) this.#queue.add(deployment);
  }

  async #sync(key: string): Promise<void> {
    const { namespace, name } = splitKey(key);
    const deployment = this.#deployments.get(namespace, name);
    if (!deployment) return;
    const sets = await this.#owned.claim(deployment);
    const live = sets.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    const strategy = fieldAt(deployment, ['spec', 'strategy']);
    const rolling = textAt(deployment, 'spec', 'strategy', 'type') !== 'Recreate';
    const at = (field: string) => fieldAt(strategy, ['rollingUpdate', field]);
    const replicas = numberAt(deployment, 'spec', 'replicas');
    const newest = findNewest(deployment, live);
    const round: Round = {
      deployment,
      newest,
      old: live.filter((set) => set !== newest),
      goal: rolling
        ? resolveGoal(replicas, at('maxSurge'), at('maxUnavailable'))
        : { replicas, maxSurge: 0, maxUnavailable: 0 },
      rolling,
    };
    if (deployment.metadata.deletionTimestamp === undefined) await this.#advance(round);
    await this.#writeStatus(round);
  }

  async #advance(round: Round): Promise<void> {
    const { deployment, old, newest, goal } = round;
    const paused = deployment.spec?.paused === true;
    const said = conditionOf(deployment.status, 'Progressing')?.reason;
    if (paused && said !== 'DeploymentPaused') round.news = progressing('DeploymentPaused', 'Deployment is paused');
    if (!paused && said === 'DeploymentPaused') round.news = progressing('DeploymentResumed', 'Deployment is resumed');
    const sized = [...(newest ? [newest] : []), ...old].filter((set) => numberAt(set, 'spec', 'replicas') > 0);
    const scaled = sized.some((set) => (desiredOf(set) ?? goal.replicas) !== goal.replicas);
    if (paused || scaled) {
      const sizes = scaledSizes(goal, newest && sizeOf(newest), old.map(sizeOf), round.rolling);
      // Those that stay as they are learn of the new size all the same.
      for (const set of sized) {
        if (!sizes.has(set.metadata.name)) sizes.set(set.metadata.name, numberAt(set, 'spec', 'replicas'));
      }
      return this.#resize(round, sizes);
    }
    return round.rolling ? this.#roll(round) : this.#recreate(round);
  }

  async #roll(round: Round): Promise<void> {
    const { old, goal } = round;
    const newest = await this.#ensureNewest(round);
    await this.#resize(round, rollingStep(goal, sizeOf(newest), old.map(sizeOf)));
  }

  async #recreate(round: Round): Promise<void> {
    const { old, goal } = round;
    const active = old.filter((set) => numberAt(set, 'spec', 'replicas') > 0);
    if (active.length > 0) return this.#resize(round, new Map(active.map((set) => [set.metadata.name, 0])));
    const running = old.some((set) => [...this.#pods.get(set.metadata.uid)].some((pod) => !hasEnded(pod)));
    if (running) return;
    const newest = await this.#ensureNewest(round);
    if (numberAt(newest, 'spec', 'replicas') === goal.replicas) return;
    await this.#resize(round, new Map([[newest.metadata.name, goal.replicas]]));
  }

  /** The set of the current template, made where there is none; it has the highest revision, and the Deployment too. */
  async #ensureNewest(round: Round): Promise<ApiObject> {
    const { deployment, old } = round;
    const revision = Math.max(0, ...old.map(revisionOf)) + 1;
    const { newest } = round;
    const annotations = setAnnotations(deployment, newest, revision);
    const set = newest
      ? await this.#changeSet(newest, (current) => ({
          ...current,
          metadata: { ...current.metadata, annotations: { ...current.metadata.annotations, ...annotations } },
          spec: { ...current.spec, ...minReadyOf(deployment) },
        }))
      : await this.#createSet(round, annotations);
    round.newest = set;
    if (!newest) {
      const { name } = set.metadata;
      round.news = progressing('NewReplicaSetCreated', `Created new replica set "${name}"`, 'True');
      const size = numberAt(set, 'spec', 'replicas');
      if (size > 0) this.#sayScaled(deployment, name, 0, size);
    }
    const own = annotations[REVISION];
    if (deployment.metadata.annotations?.[REVISION] !== own) {
      const { namespace, name, uid } = deployment.metadata;
      await this.#parts.objects.update({ resource: this.#deployments.resource, namespace, name }, (current) => {
        if (current.metadata.uid !== uid) throw new ApiError('NotFound', 'it is another by now');
        const { metadata } = current;
        return {
          ...current,
          metadata: { ...metadata, annotations: { ...metadata.annotations, [REVISION]: own ?? '' } },
        };
      });
    }
    await this.#sets.reached(Number(set.metadata.resourceVersion));
    return set;
  }

  async #createSet({ deployment, old, goal, rolling }: Round, annotations: Record<string, string>): Promise<ApiObject> {
    const { objects } = this.#parts;
    const { namespace, name, uid } = deployment.metadata;
    const template = templateOf(deployment);
    const collisions = numberAt(deployment, 'status', 'collisionCount');
    const hash = contentHash(template, collisions > 0 ? `${collisions}` : '');
    const label = { [HASH_LABEL]: hash };
    const labels = { ...template.metadata?.labels, ...label };
    const selector = selectorOf(deployment);
    const empty: SetSize = { name: '', wanted: 0, available: 0, pods: 0, createdMs: 0, mostBefore: 0 };
    const size = rolling ? (rollingStep(goal, empty, old.map(sizeOf)).get('') ?? 0) : goal.replicas;
    const wanted: ApiObject = {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name: `${name}-${hash}`,
        uid: '',
        resourceVersion: '',
        creationTimestamp: '',
        labels,
        annotations: { ...annotations, ...sizeAnnotations(goal.replicas, goal.maxSurge) },
        ownerReferences: [controllerReference(deployment)],
      },
      spec: {
        replicas: size,
        ...minReadyOf(deployment),
        selector: { ...selector, matchLabels: { ...selector.matchLabels, ...label } },
        template: { ...structuredClone(template), metadata: { ...template.metadata, labels } },
      },
    };
    try {
      return await objects.create(this.#sets.resource, namespace, wanted);
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error;
      const place = { resource: this.#sets.resource, namespace, name: `${name}-${hash}` };
      const found = await objects.get(place);
      if (controllerOf(found)?.uid === uid && findNewest(deployment, [found])) return found;
      // Somebody else's: the next one is called otherwise.
      const count = { collisionCount: collisions + 1 };
      const own = { resource: this.#deployments.resource, namespace, name };
      const raise = (current: ApiObject) => ({ ...current, status: { ...current.status, ...count } });
      const raised = await objects.update(own, raise, { subresource: 'status' });
      await this.#deployments.reached(Number(raised.metadata.resourceVersion));
      throw error;
    }
  }

  /** Writes sizes, and that they are of this goal; resolves when the informer has heard. */
  async #resize(round: Round, sizes: Sizes): Promise<void> {
    const { deployment, goal } = round;
    const annotations = sizeAnnotations(goal.replicas, goal.maxSurge);
    const all = [...(round.newest ? [round.newest] : []), ...round.old];
    for (const set of all) {
      const size = sizes.get(set.metadata.name);
      if (size === undefined) continue;
      const before = numberAt(set, 'spec', 'replicas');
      await this.#changeSet(set, (current) => ({
        ...current,
        metadata: { ...current.metadata, annotations: { ...current.metadata.annotations, ...annotations } },
        spec: { ...current.spec, replicas: size },
      }));
      if (size !== before) this.#sayScaled(deployment, set.metadata.name, before, size);
    }
  }

  async #changeSet(set: ApiObject, change: (current: ApiObject) => ApiObject): Promise<ApiObject> {
    const { namespace, name, uid } = set.metadata;
    const changed = await this.#parts.objects.update({ resource: this.#sets.resource, namespace, name }, (current) => {
      if (current.metadata.uid !== uid) throw new ApiError('NotFound', 'it is another by now');
      return change(current);
    });
    await this.#sets.reached(Number(changed.metadata.resourceVersion));
    return changed;
  }

  #sayScaled(deployment: ApiObject, set: string, from: number, to: number): void {
    const way = to > from ? 'up' : 'down';
    const message = `Scaled ${way} replica set ${set} from ${from} to ${to}`;
    this.#parts.events.record(deployment, COMPONENT, 'Normal', 'ScalingReplicaSet', message);
  }

  async #writeStatus(round: Round): Promise<void> {
    const { objects, clock } = this.#parts;
    const { deployment, goal, news } = round;
    const { namespace, name, uid } = deployment.metadata;
    // As they are after this round.
    const now = (set: ApiObject) => this.#sets.get(namespace, set.metadata.name) ?? set;
    const newest = round.newest && now(round.newest);
    const old = round.old.map(now);
    const nowMs = clock.nowMs();
    const view = {
      deployment,
      newest,
      sets: newest ? [newest, ...old] : old,
      least: goal.replicas - goal.maxUnavailable,
      nowMs,
      news,
    };
    const { status, deadlineMs } = deploymentStatus(view);
    if (!isDeepStrictEqual(status, deployment.status)) {
      const change = (current: ApiObject) => {
        if (current.metadata.uid !== uid) throw new ApiError('NotFound', 'it is another by now');
        return { ...current, status };
      };
      const place = { resource: this.#deployments.resource, namespace, name };
      try {
        const written = await objects.update(place, change, { subresource: 'status' });
        await this.#deployments.reached(Number(written.metadata.resourceVersion));
      } catch (error) {
        if (!(error instanceof ApiError) || error.reason !== 'NotFound') throw error;
      }
    }
    if (deadlineMs !== undefined) this.#queue.addAfter(keyOf(deployment), deadlineMs - nowMs);
    if (conditionOf(status, 'Progressing')?.reason === 'NewReplicaSetAvailable') await this.#forget(deployment, old);
  }

  /** The oldest revisions go that nobody may want to go back to. */
  async #forget(deployment: ApiObject, old: readonly ApiObject[]): Promise<void> {
    const limit = numberAt(deployment, 'spec', 'revisionHistoryLimit');
    const empty = old.filter((set) => {
      const observed = numberAt(set, 'status', 'observedGeneration') >= (set.metadata.generation ?? 0);
      return numberAt(set, 'spec', 'replicas') === 0 && numberAt(set, 'status', 'replicas') === 0 && observed;
    });
    empty.sort((a, b) => revisionOf(a) - revisionOf(b));
    for (const { metadata } of empty.slice(0, Math.max(0, empty.length - limit))) {
      const { namespace, name, uid } = metadata;
      try {
        const place = { resource: this.#sets.resource, namespace, name };
        await this.#parts.objects.delete(place, { preconditions: { uid } });
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
      }
    }
  }
}

function sizeOf(set: ApiObject): SetSize {
  return {
    name: set.metadata.name,
    wanted: numberAt(set, 'spec', 'replicas'),
    available: numberAt(set, 'status', 'availableReplicas'),
    pods: numberAt(set, 'status', 'replicas'),
    createdMs: Date.parse(set.metadata.creationTimestamp),
    mostBefore: mostOf(set),
  };
}

function minReadyOf(deployment: ApiObject): { minReadySeconds: number } {
  return { minReadySeconds: numberAt(deployment, 'spec', 'minReadySeconds') };
}

function progressing(reason: string, message: string, status: Condition['status'] = 'Unknown'): Condition {
  return { type: 'Progressing', status, reason, message };
}
