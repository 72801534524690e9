/** What a pod's status says to who made it: whether it counts, is ready, has been for long enough, and which goes first. */
import { type ApiObject, fieldAt } from '../api-object.ts';
import { listAt, numberAt, textAt } from '../kinds/fields.ts';
import { conditionOf } from './conditions.ts';

const COST = 'controller.kubernetes.io/pod-deletion-cost';

/** It counts: neither ended nor ending. */
export function isActive(pod: ApiObject): boolean {
  return pod.metadata.deletionTimestamp === undefined && !hasEnded(pod);
}

/** All its containers have, and will not be started again. */
export function hasEnded(pod: ApiObject): boolean {
  const phase = fieldAt(pod, ['status', 'phase']);
  return phase === 'Succeeded' || phase === 'Failed';
}

export function isReady(pod: ApiObject): boolean {
  return conditionOf(pod.status, 'Ready')?.status === 'True';
}

/** Milliseconds until it has been ready for so many seconds; 0: it is available; Infinity: it is not ready. */
export function availableInMs(pod: ApiObject, minReadySeconds: number, nowMs: number): number {
  if (!isReady(pod)) return Number.POSITIVE_INFINITY;
  if (minReadySeconds === 0) return 0;
  const since = readySinceMs(pod);
  return Number.isNaN(since) ? 0 : Math.max(0, since + minReadySeconds * 1000 - nowMs);
}

function readySinceMs(pod: ApiObject): number {
  return Date.parse(conditionOf(pod.status, 'Ready')?.lastTransitionTime ?? '');
}

/** Those to delete first come first (pkg/controller ActivePodsWithRanks). */
export function byDeletion(pods: readonly ApiObject[]): ApiObject[] {
  const onNode = new Map<string, number>();
  for (const pod of pods) {
    const node = textAt(pod, 'spec', 'nodeName');
    onNode.set(node, (onNode.get(node) ?? 0) + 1);
  }
  const ranked = pods.map((pod) => ({ pod, rank: deletionRank(pod, onNode) }));
  ranked.sort((a, b) => {
    for (let i = 0; i < a.rank.length; i++) {
      const difference = (a.rank[i] as number) - (b.rank[i] as number);
      if (difference !== 0) return difference;
    }
    return a.pod.metadata.name < b.pod.metadata.name ? 1 : -1;
  });
  return ranked.map(({ pod }) => pod);
}

/** Less goes first. */
function deletionRank(pod: ApiObject, onNode: ReadonlyMap<string, number>): number[] {
  const node = textAt(pod, 'spec', 'nodeName');
  const phases = ['Pending', 'Unknown', 'Running'];
  const ready = isReady(pod);
  const restarts = listAt(pod, 'status', 'containerStatuses').map((c) => numberAt(c as never, 'restartCount'));
  return [
    node === '' ? 0 : 1,
    phases.indexOf(textAt(pod, 'status', 'phase')),
    ready ? 1 : 0,
    Number(pod.metadata.annotations?.[COST] ?? 0) || 0,
    -(onNode.get(node) ?? 0),
    // Ready since shortly goes before ready since long.
    ready ? -(readySinceMs(pod) || 0) : 0,
    -Math.max(0, ...restarts),
    -Date.parse(pod.metadata.creationTimestamp),
  ];
}
