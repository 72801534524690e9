/**
 * A pod in a row, as kubectl's users know it (k8s.io/kubernetes pkg/printers/internalversion, printPod): `Init:0/2`,
 * `CrashLoopBackOff`, `2 (5s ago)`.
 */
import { type ApiObject, fieldAt } from '../api-object.ts';
import { age, column, listAt, textAt } from './fields.ts';

type Status = Record<string, unknown>;

const textIn = (status: Status, ...path: string[]): string => {
  const value = fieldAt(status, path);
  return typeof value === 'string' ? value : '';
};
const hasState = (status: Status, state: string): boolean => fieldAt(status, ['state', state]) !== undefined;

export const POD_COLUMNS = [
  column('Ready', 'Containers that are ready, of all', readyText),
  column('Status', 'What it is doing', podStatus),
  column('Restarts', 'Of all its containers', restartsText),
] as const;

function isSidecar(pod: ApiObject, name: unknown): boolean {
  return listAt(pod, 'spec', 'initContainers').some((c) => c.name === name && c.restartPolicy === 'Always');
}

/** Of containers and sidecars. */
function lasting(pod: ApiObject): Status[] {
  const sidecars = listAt(pod, 'status', 'initContainerStatuses').filter((status) => isSidecar(pod, status.name));
  return [...sidecars, ...listAt(pod, 'status', 'containerStatuses')];
}

function readyText(pod: ApiObject): string {
  const sidecars = listAt(pod, 'spec', 'initContainers').filter((c) => c.restartPolicy === 'Always');
  const ready = lasting(pod).filter((status) => status.ready === true && hasState(status, 'running'));
  return `${ready.length}/${listAt(pod, 'spec', 'containers').length + sidecars.length}`;
}

function restartsText(pod: ApiObject): string {
  const initialized = initializing(pod) === '' || holds(pod, 'Initialized');
  const counted = initialized ? lasting(pod) : listAt(pod, 'status', 'initContainerStatuses');
  const sum = counted.reduce((total, status) => total + (Number(status.restartCount) || 0), 0);
  const ends = counted.map((status) => textIn(status, 'lastState', 'terminated', 'finishedAt')).sort();
  const last = ends.at(-1) ?? '';
  return sum > 0 && last !== '' ? `${sum} (${age(last)} ago)` : `${sum}`;
}

export function podStatus(pod: ApiObject): string {
  const phase = textAt(pod, 'status', 'phase');
  const isOver = phase === 'Succeeded' || phase === 'Failed';
  if (pod.metadata.deletionTimestamp && !isOver) return 'Terminating';
  const [init, main] = [initializing(pod), containerReason(pod)];
  // A sidecar that ends later does not speak for its pod.
  const reason = holds(pod, 'Initialized') ? main || init : init || main;
  return reason || textAt(pod, 'status', 'reason') || phase || 'Unknown';
}

function holds(pod: ApiObject, type: string): boolean {
  return listAt(pod, 'status', 'conditions').some((each) => each.type === type && each.status === 'True');
}

/** The first init container's that has not done its work, or sidecar's that is not well; '' where there is none. */
function initializing(pod: ApiObject): string {
  const statuses = listAt(pod, 'status', 'initContainerStatuses');
  for (const [i, status] of statuses.entries()) {
    if (fieldAt(status, ['state', 'terminated', 'exitCode']) === 0) continue;
    if (isSidecar(pod, status.name) && status.started === true) continue;
    if (hasState(status, 'terminated')) return `Init:${endReason(status)}`;
    const waiting = textIn(status, 'state', 'waiting', 'reason');
    if (waiting !== '' && waiting !== 'PodInitializing' && waiting !== 'ContainerCreating') return `Init:${waiting}`;
    return `Init:${i}/${listAt(pod, 'spec', 'initContainers').length}`;
  }
  return '';
}

/** The first container's that is not well; '' where all are. */
function containerReason(pod: ApiObject): string {
  const statuses = listAt(pod, 'status', 'containerStatuses');
  const reasons = statuses.flatMap((status) => {
    const waiting = textIn(status, 'state', 'waiting', 'reason');
    if (waiting !== '') return [waiting];
    return hasState(status, 'terminated') ? [endReason(status)] : [];
  });
  const [first = ''] = reasons;
  const runs = statuses.some((status) => status.ready === true && hasState(status, 'running'));
  if (first !== 'Completed' || !runs) return first;
  return holds(pod, 'Ready') ? 'Running' : 'NotReady';
}

function endReason(status: Status): string {
  const { reason, signal, exitCode } = fieldAt(status, ['state', 'terminated']) as Record<string, unknown>;
  if (typeof reason === 'string' && reason !== '') return reason;
  return signal ? `Signal:${String(signal)}` : `ExitCode:${String(exitCode)}`;
}
