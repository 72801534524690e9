/** What `weft dns explain` and `weft dns log` do. */
import { agentDnsLog, agentExplain } from '../agent/client.ts';
import { explanationText, queryLogText } from '../observe/dns-text.ts';
import { socketOf } from './agent-socket.ts';

interface Asking {
  socket?: string;
  output: 'table' | 'json';
}

/** Exit code 1 where no candidate has an address. */
export async function explain(pod: string, name: string, options: Asking): Promise<number> {
  const told = await agentExplain(socketOf(options), pod, name);
  console.log(options.output === 'json' ? JSON.stringify(told, undefined, 2) : explanationText(told));
  return told.tries.some((each) => each.found) ? 0 : 1;
}

export async function log(pod: string | undefined, options: Asking & { last: number }): Promise<void> {
  const all = await agentDnsLog(socketOf(options));
  const asked = all.filter((entry) => pod === undefined || entry.pod === pod || entry.pod.endsWith(`/${pod}`));
  const shown = asked.slice(-options.last);
  console.log(options.output === 'json' ? JSON.stringify(shown, undefined, 2) : queryLogText(shown));
}
