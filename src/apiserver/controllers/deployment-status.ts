/** A Deployment's status, of its ReplicaSets' (pkg/controller/deployment progress.go): numbers, and two conditions. */
import { type ApiObject, timestamp } from '../api-object.ts';
import { numberAt } from '../kinds/fields.ts';
import { type Condition, conditionOf, withCondition, withoutCondition } from './conditions.ts';

const AVAILABLE = 'NewReplicaSetAvailable';
const PROGRESSING = 'Progressing';
const FAILURE = 'ReplicaFailure';
const LATE = 'ProgressDeadlineExceeded';

type Known = ReturnType<typeof conditionOf>;

export interface DeploymentView {
  deployment: ApiObject;
  newest: ApiObject | undefined;
  /** The newest among them. */
  sets: readonly ApiObject[];
  /** Available pods that there must be. */
  least: number;
  nowMs: number;
  /** Something happened in this round, and went well or not: `NewReplicaSetCreated`. */
  news?: Condition | undefined;
}

export interface StatusAnswer {
  status: Record<string, unknown>;
  /** When it is too late, if nothing moves until then. */
  deadlineMs: number | undefined;
}

/** What its status has to be. */
export function deploymentStatus(view: DeploymentView): StatusAnswer {
  const { deployment, newest, sets, least, nowMs } = view;
  const before = deployment.status ?? {};
  const total = (field: string) => sets.reduce((sum, set) => sum + numberAt(set, 'status', field), 0);
  const available = total('availableReplicas');
  const wanted = sets.reduce((sum, set) => sum + numberAt(set, 'spec', 'replicas'), 0);
  const numbers = {
    observedGeneration: deployment.metadata.generation ?? 0,
    replicas: total('replicas'),
    updatedReplicas: newest ? numberAt(newest, 'status', 'replicas') : 0,
    readyReplicas: total('readyReplicas'),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, wanted - available),
  };
  let status: Record<string, unknown> = { ...before, ...numbers };
  const now = timestamp(new Date(nowMs));
  const set = (condition: Condition) => {
    const known = conditionOf(status, condition.type);
    const same = known?.status === condition.status && known.reason === condition.reason;
    if (same && known.message === condition.message) return;
    status = dated(withCondition(status, condition, now), condition.type, now);
  };
  const enough = available >= least;
  set({
    type: 'Available',
    status: enough ? 'True' : 'False',
    reason: enough ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
    message: enough ? 'Deployment has minimum availability.' : 'Deployment does not have minimum availability.',
  });
  // Why pods are missing: the newest set's reason before others'.
  const failure = sets.map((one) => conditionOf(one.status, FAILURE)).find((known) => known !== undefined);
  if (failure) set(failure);
  else status = { ...withoutCondition(status, FAILURE) };
  if (view.news) set(view.news);
  const { condition, moved, deadlineMs } = progress(view, numbers, conditionOf(status, PROGRESSING));
  if (condition) set(condition);
  if (moved) status = dated(status, PROGRESSING, now);
  return { status, deadlineMs };
}

type Numbers = Record<'replicas' | 'updatedReplicas' | 'readyReplicas' | 'availableReplicas', number>;

interface Progress {
  condition?: Condition;
  /** There was a step: from now on the time counts anew. */
  moved?: boolean;
  /** When it will be too late. */
  deadlineMs: number | undefined;
}

function progress({ deployment, newest, nowMs }: DeploymentView, numbers: Numbers, known: Known): Progress {
  const nothing = { deadlineMs: undefined };
  const seconds = deployment.spec?.progressDeadlineSeconds;
  if (typeof seconds !== 'number' || deployment.spec?.paused === true) return nothing;
  const before = (field: string) => numberAt(deployment, 'status', field);
  const wanted = numberAt(deployment, 'spec', 'replicas');
  const { replicas, updatedReplicas, readyReplicas, availableReplicas } = numbers;
  // Later failures of pods are no matter of the rollout that once went well.
  if (known?.reason === AVAILABLE && replicas === updatedReplicas) return nothing;
  const named = newest ? `ReplicaSet "${newest.metadata.name}"` : `Deployment "${deployment.metadata.name}"`;
  const say = (status: Condition['status'], reason: string, message: string): Condition => {
    return { type: PROGRESSING, status, reason, message: `${named} ${message}` };
  };
  if (updatedReplicas === wanted && replicas === wanted && availableReplicas === wanted) {
    return { condition: say('True', AVAILABLE, 'has successfully progressed.'), ...nothing };
  }
  const moved =
    updatedReplicas > before('updatedReplicas') ||
    replicas - updatedReplicas < before('replicas') - before('updatedReplicas') ||
    readyReplicas > before('readyReplicas') ||
    availableReplicas > before('availableReplicas');
  const since = Date.parse(String(known?.lastUpdateTime ?? ''));
  if (moved || known?.reason === AVAILABLE || Number.isNaN(since)) {
    const condition = say('True', 'ReplicaSetUpdated', 'is progressing.');
    return { condition, moved: true, deadlineMs: nowMs + seconds * 1000 };
  }
  const deadlineMs = since + seconds * 1000;
  if (nowMs < deadlineMs) return { deadlineMs };
  return { condition: say('False', LATE, 'has timed out progressing.'), ...nothing };
}

function dated(status: Record<string, unknown>, type: string, now: string): Record<string, unknown> {
  const conditions = (status.conditions as Record<string, unknown>[]).map((c) =>
    c.type === type ? { ...c, lastUpdateTime: now } : c,
  );
  return { ...status, conditions };
}
