/** What `weft services` does. */
import { AgentError } from '../agent/agent-error.ts';
import { agentServices } from '../agent/client.ts';
import type { ServiceReport } from '../agent/service-report.ts';
import { nearest } from '../lab/nearest.ts';
import { serviceDetailText, servicesText } from '../observe/services-text.ts';
import { socketOf } from './agent-socket.ts';

interface Asking {
  socket?: string;
  output: 'table' | 'json';
}

export async function services(names: readonly string[], options: Asking): Promise<void> {
  const all = await agentServices(socketOf(options));
  const shown = names.length === 0 ? all : [...new Set(names.flatMap((name) => find(all, name)))];
  if (options.output === 'json') console.log(JSON.stringify(shown, undefined, 2));
  else console.log(names.length === 0 ? servicesText(shown) : serviceDetailText(shown, Date.now()));
}

/** `NAME` in whichever namespaces it is, or `NAMESPACE/NAME`. */
function find(all: readonly ServiceReport[], wanted: string): ServiceReport[] {
  const found = all.filter(({ namespace, name }) => wanted === name || wanted === `${namespace}/${name}`);
  if (found.length > 0) return found;
  const words = all.map(({ namespace, name }) => (wanted.includes('/') ? `${namespace}/${name}` : name));
  const meant = nearest(wanted, words);
  const remedy = meant ? `did you mean ${meant}?` : 'weft services lists them all';
  throw new AgentError('no-service', `no service is called ${wanted}`, remedy);
}
