/**
 * How another command joins a pod that runs on this host, by what its agent says of it: in the network, mounts and
 * host name of its first running process, with that container's environment.
 */
import { AgentError } from '../agent-error.ts';
import { requireTool } from '../command.ts';
import type { AgentStatus, PodStatus } from '../status.ts';

export interface PodEntry {
  file: string;
  /** The command follows. */
  args: readonly string[];
  env: Readonly<Record<string, string>>;
}

/** `target` is `POD`, in the namespace default before others, or `namespace/POD`. */
export function enterPod(status: Pick<AgentStatus, 'node' | 'pods'>, target: string, terminal?: string): PodEntry {
  const pod = findPod(status, target);
  const container = pod.containers.find((each) => each.pid > 0);
  if (container === undefined) {
    const why = pod.message || pod.containers.find((each) => each.reason)?.reason || pod.phase;
    throw new AgentError('pod-not-running', `no process of Pod ${pod.namespace}/${pod.name} runs: ${why}`);
  }
  return {
    file: requireTool('nsenter'),
    args: ['-t', `${container.pid}`, '-m', '-n', '-u', '--'],
    env: { ...(terminal ? { TERM: terminal } : {}), ...container.env },
  };
}

function findPod({ node, pods }: Pick<AgentStatus, 'node' | 'pods'>, target: string): PodStatus {
  const byName = pods.filter((pod) => pod.name === target);
  const found =
    pods.find((pod) => `${pod.namespace}/${pod.name}` === target) ??
    byName.find((pod) => pod.namespace === 'default') ??
    (byName.length === 1 ? byName[0] : undefined);
  if (found !== undefined) return found;
  const choice = (byName.length > 1 ? byName : pods).map((pod) => `${pod.namespace}/${pod.name}`).join(', ');
  if (byName.length > 1) throw new AgentError('no-pod', `several pods are called ${target}`, `say which: ${choice}`);
  throw new AgentError('no-pod', `no pod ${target} runs on ${node}`, choice ? `there is: ${choice}` : 'it runs none');
}
