/** Whether a container's log can be read, or a command run in it, by its pod's status; said as kubelet says it. */
import type { ContainerStatus, PodStatus } from 'kubernetes-types/core/v1.js';
import { NodeError } from './node-error.ts';

interface Place {
  namespace: string;
  pod: string;
  container: string;
}

/** Throws NodeError. */
export function checkLog(status: PodStatus | undefined, place: Place, previous: boolean): void {
  const { state, lastState } = findContainer(status, place);
  const { pod, container } = place;
  if (previous) {
    if (lastState?.terminated) return;
    throw new NodeError(400, `previous terminated container "${container}" in pod "${pod}" not found`);
  }
  if (state?.running || state?.terminated || lastState?.terminated) return;
  const why = state?.waiting?.reason;
  throw new NodeError(
    400,
    `container "${container}" in pod "${pod}" is waiting to start${why ? `: ${why}` : ' - no logs yet'}`,
  );
}

/** Throws NodeError. */
export function checkCommand(status: PodStatus | undefined, place: Place): void {
  if (findContainer(status, place).state?.running) return;
  throw notRunning(place);
}

export function notRunning({ pod, container }: Place): NodeError {
  return new NodeError(400, `container "${container}" in pod "${pod}" is not running`);
}

function findContainer(status: PodStatus | undefined, { namespace, pod, container }: Place): ContainerStatus {
  if (!status) throw new NodeError(404, `pod "${namespace}/${pod}" does not run on this node`);
  const all = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  const found = all.find(({ name }) => name === container);
  if (found) return found;
  if (all.length === 0) {
    throw new NodeError(400, `container "${container}" in pod "${pod}" is waiting to start: ContainerCreating`);
  }
  throw new NodeError(404, `container "${container}" in pod "${pod}" is not known to this node`);
}
