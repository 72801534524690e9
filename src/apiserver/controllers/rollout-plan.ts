/**
 * How large each ReplicaSet of a Deployment has to be next (kube-controller-manager pkg/controller/deployment rolling.go,
 * sync.go). Pure: sizes in, sizes out; the caller writes them, and asks again when pods have followed.
 */

/** A ReplicaSet, as far as a plan needs it. */
export interface SetSize {
  name: string;
  /** spec.replicas */
  wanted: number;
  /** status.availableReplicas; never counted as more than `wanted`. */
  available: number;
  /** status.replicas: more than `wanted` while some still have to be deleted. */
  pods: number;
  createdMs: number;
  /** Of the annotation that says how large the Deployment, with its surge, was when this was sized. */
  mostBefore: number;
}

export interface RolloutGoal {
  replicas: number;
  /** Pods above and available pods below `replicas`. */
  maxSurge: number;
  maxUnavailable: number;
}

/** Sizes by name, of those that change. */
export type Sizes = Map<string, number>;

/** maxSurge and maxUnavailable as numbers: a share of surge is rounded up, of unavailability down. */
export function resolveGoal(replicas: number, maxSurge: unknown, maxUnavailable: unknown): RolloutGoal {
  const surge = resolve(maxSurge, replicas, Math.ceil);
  const unavailable = resolve(maxUnavailable, replicas, Math.floor);
  // Both nothing: it could never begin.
  const atLeast = surge === 0 && unavailable === 0 ? 1 : unavailable;
  return { replicas, maxSurge: surge, maxUnavailable: Math.min(atLeast, replicas) };
}

function resolve(value: unknown, total: number, round: (n: number) => number): number {
  if (typeof value === 'number') return value;
  const percent = /^(\d+)%$/.exec(String(value))?.[1];
  return percent === undefined ? 0 : round((Number(percent) * total) / 100);
}

/** The next step of a rolling update. */
export function rollingStep(goal: RolloutGoal, newest: SetSize, old: readonly SetSize[]): Sizes {
  const grown = growNewest(goal, newest, old);
  if (grown !== newest.wanted) return new Map([[newest.name, grown]]);
  return shrinkOld(goal, newest, old);
}

function growNewest({ replicas, maxSurge }: RolloutGoal, newest: SetSize, old: readonly SetSize[]): number {
  if (newest.wanted >= replicas) return replicas;
  const room = replicas + maxSurge - sum([newest, ...old], ({ wanted, pods }) => Math.max(wanted, pods));
  return newest.wanted + Math.max(0, Math.min(room, replicas - newest.wanted));
}

function shrinkOld({ replicas, maxUnavailable }: RolloutGoal, newest: SetSize, old: readonly SetSize[]): Sizes {
  const sizes: Sizes = new Map();
  const least = replicas - maxUnavailable;
  const all = [newest, ...old];
  // What the newest still has to bring up may not be missing elsewhere.
  const most = sum(all, ({ wanted }) => wanted) - least - Math.max(0, newest.wanted - availableOf(newest));
  let left = most;
  const shrink = (set: SetSize, by: number) => {
    if (by <= 0) return;
    sizes.set(set.name, (sizes.get(set.name) ?? set.wanted) - by);
    left -= by;
  };
  const oldest = [...old].sort(byAge);
  // First what serves nobody.
  for (const set of oldest) shrink(set, Math.min(left, set.wanted - availableOf(set)));
  let spare = Math.min(left, sum(all, availableOf) - least);
  for (const set of oldest) {
    const now = sizes.get(set.name) ?? set.wanted;
    const by = Math.min(spare, now, left);
    shrink(set, by);
    spare -= Math.max(0, by);
  }
  return sizes;
}

/**
 * The sizes after the Deployment's own size changed: of one set that one, of several each in proportion, so that a
 * rollout that is going on keeps its course.
 */
export function scaledSizes(
  goal: RolloutGoal,
  newest: SetSize | undefined,
  old: readonly SetSize[],
  rolling: boolean,
): Sizes {
  const all = newest ? [newest, ...old] : [...old];
  const active = all.filter(({ wanted }) => wanted > 0);
  const only =
    active.length === 1 ? active[0] : active.length === 0 ? (newest ?? [...old].sort(byAge).at(-1)) : undefined;
  if (only) return only.wanted === goal.replicas ? new Map() : new Map([[only.name, goal.replicas]]);
  if (newest && newest.wanted === goal.replicas && newest.available >= goal.replicas) {
    return new Map(old.filter(({ wanted }) => wanted > 0).map(({ name }) => [name, 0]));
  }
  return rolling ? proportionalSizes(goal, active) : new Map();
}

function proportionalSizes({ replicas, maxSurge }: RolloutGoal, active: readonly SetSize[]): Sizes {
  const allowed = replicas > 0 ? replicas + maxSurge : 0;
  const total = sum(active, ({ wanted }) => wanted);
  const missing = allowed - total;
  // To grow, the youngest of the largest comes first; to shrink, the oldest.
  const order = [...active].sort(
    (a, b) => b.wanted - a.wanted || (missing > 0 ? b.createdMs - a.createdMs : a.createdMs - b.createdMs),
  );
  const sizes: Sizes = new Map();
  let left = missing;
  for (const set of order) {
    const before = set.mostBefore > 0 ? set.mostBefore : total;
    const share = Math.round((set.wanted * allowed) / before) - set.wanted;
    const by = missing > 0 ? Math.max(0, Math.min(share, left)) : Math.min(0, Math.max(share, left));
    sizes.set(set.name, set.wanted + by);
    left -= by;
  }
  const first = order[0];
  if (first && left !== 0) sizes.set(first.name, Math.max(0, (sizes.get(first.name) ?? 0) + left));
  for (const { name, wanted } of active) if (sizes.get(name) === wanted) sizes.delete(name);
  return sizes;
}

/** A status may be from before its set was made smaller. */
const availableOf = ({ available, wanted }: SetSize): number => Math.min(available, wanted);

const byAge = (a: SetSize, b: SetSize): number => a.createdMs - b.createdMs || (a.name < b.name ? -1 : 1);

function sum<T>(all: readonly T[], of: (one: T) => number): number {
  return all.reduce((total, one) => total + of(one), 0);
}
