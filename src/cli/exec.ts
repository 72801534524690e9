/** `weft exec`: a command in a pod of this host, by itself, because people wait for it. */
import { agentStatus } from '../agent/client.ts';
import { enterPod } from '../agent/enter-pod.ts';
import { execute } from '../lab/exec.ts';
import { socketOf } from './agent-socket.ts';

export async function exec(target: string, command: readonly string[], options: { socket?: string }): Promise<number> {
  const words = command[0] === '--' ? command.slice(1) : command;
  const entry = enterPod(await agentStatus(socketOf(options)), target, process.env.TERM);
  return execute(entry, words.length > 0 ? words : ['sh']);
}
