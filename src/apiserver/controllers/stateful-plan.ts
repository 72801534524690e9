/**
 * What a StatefulSet has to do next with its pods (kube-controller-manager pkg/controller/statefulset): in the order of
 * their ordinals, each only when those before it are well; updates from the highest down. Pure.
 */

/** A pod of the set, or what is left of it. */
export interface Member {
  ordinal: number;
  name: string;
  /** Of the template that it was made of. */
  revision: string;
  /** Succeeded or Failed: it is made anew. */
  ended: boolean;
  /** It is being deleted. */
  ending: boolean;
  /** Running, and ready for long enough. */
  healthy: boolean;
}

export interface StatefulGoal {
  /** The first ordinal. */
  start: number;
  replicas: number;
  /** OrderedReady; else all at once. */
  ordered: boolean;
  /** Where pods are brought to a revision by deleting them: those from the ordinal on. */
  update: { revision: string; from: number } | undefined;
}

export interface StatefulStep {
  create: number[];
  remove: Member[];
}

/** Pods made in one step; the rest follows. */
const BURST = 500;

export function statefulStep(goal: StatefulGoal, members: readonly Member[]): StatefulStep {
  const { start, replicas, ordered, update } = goal;
  const end = start + replicas;
  const byOrdinal = new Map(members.map((member) => [member.ordinal, member]));
  const step: StatefulStep = { create: [], remove: [] };
  // One is on its way already: nobody else is taken down.
  let unsettled = members.some((m) => m.ending || (m.revision === update?.revision && !isWell(m)));
  for (let ordinal = start; ordinal < end && step.create.length < BURST; ordinal++) {
    const member = byOrdinal.get(ordinal);
    if (!member) step.create.push(ordinal);
    else if (member.ended && !member.ending) step.remove.push(member);
    else if (isWell(member)) continue;
    // What is unwell and would be replaced anyway is replaced now: a way back from a template that does not come up.
    else if (update && !unsettled && ordinal >= update.from && member.revision !== update.revision) {
      step.remove.push(member);
      unsettled = true;
    }
    // Who keeps an order waits for each.
    if (ordered) return step;
  }
  const condemned = members.filter(({ ordinal }) => ordinal < start || ordinal >= end);
  condemned.sort((a, b) => b.ordinal - a.ordinal);
  const firstUnwell = condemned.findLast((member) => !isWell(member));
  for (const member of condemned) {
    if (!member.ending) {
      // Not while another one is unwell: that may be what it needs it for.
      if (ordered && !isWell(member) && member !== firstUnwell) return step;
      step.remove.push(member);
    }
    if (ordered) return step;
  }
  if (!update || step.remove.length > 0) return step;
  for (let ordinal = end - 1; ordinal >= Math.max(start, update.from); ordinal--) {
    const member = byOrdinal.get(ordinal);
    if (member && member.revision !== update.revision && !member.ending && !member.ended) {
      step.remove.push(member);
      return step;
    }
    if (!member || !isWell(member)) return step;
  }
  return step;
}

function isWell({ healthy, ending, ended }: Member): boolean {
  return healthy && !ending && !ended;
}
