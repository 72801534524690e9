/**
 * `weft exec`: a command in a pod, by itself, because people wait for it. On a host, by what its agent says of the pod;
 * elsewhere, and for pods of other hosts, by the API server.
 */
import { AgentError } from '../agent/agent-error.ts';
import { agentStatus } from '../agent/client.ts';
import { enterPod } from '../agent/pods/enter-pod.ts';
import { execute } from '../lab/exec.ts';
import { socketOf, sockets } from './agent-socket.ts';
import type { ClusterOptions } from './cluster.ts';

export interface ExecOptions extends ClusterOptions {
  socket?: string;
  container?: string;
  stdin?: boolean;
  tty?: boolean;
}

export async function exec(target: string, command: readonly string[], options: ExecOptions): Promise<number> {
  const given = command[0] === '--' ? command.slice(1) : command;
  const words = given.length > 0 ? given : ['sh'];
  const { kubeconfig, lab, context, namespace, container } = options;
  const saysCluster = [kubeconfig, lab, context, namespace, container].some((each) => each !== undefined);
  if (saysCluster) return byApi(target, words, options);
  const hasAgent = options.socket !== undefined || sockets().length > 0;
  if (!hasAgent && (await knowsCluster())) return byApi(target, words, options);
  try {
    const entry = enterPod(await agentStatus(socketOf(options)), target, process.env.TERM);
    return await execute(entry, words);
  } catch (error) {
    const elsewhere = error instanceof AgentError && error.code === 'no-pod';
    if (!elsewhere || !process.env.KUBECONFIG) throw error;
    return byApi(target, words, options);
  }
}

/** Whether KUBECONFIG or a lab that is up says where an API server is. */
async function knowsCluster(): Promise<boolean> {
  const { environmentKubeconfig, kubeconfigOf } = await import('./cluster.ts');
  if (environmentKubeconfig() !== undefined) return true;
  const { findLab } = await import('../lab/lab-dir.ts');
  try {
    return kubeconfigOf(findLab()) !== '';
  } catch {
    return false;
  }
}

async function byApi(target: string, command: readonly string[], options: ExecOptions): Promise<number> {
  const { openCluster } = await import('./cluster.ts');
  const { execByApi } = await import('./api-exec.ts');
  const { podName } = await import('./logs-action.ts');
  const { client, namespace } = openCluster(options);
  // `namespace/POD`, as by an agent's socket, beside kubectl's `pod/POD`.
  const [first = '', name] = target.split('/');
  const isType = ['pod', 'pods', 'po'].includes(first);
  const place = name !== undefined && !isType ? { namespace: first, pod: name } : { namespace, pod: podName(target) };
  const terminals = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const { container } = options;
  try {
    return await execByApi(client, {
      ...place,
      command,
      tty: terminals || options.tty === true,
      ...(container === undefined ? {} : { container }),
    });
  } finally {
    client.close();
  }
}
