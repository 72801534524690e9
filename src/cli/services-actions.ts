/** What `weft services` does. */
import { AgentError } from '../agent/agent-error.ts';
import { agentServices } from '../agent/client.ts';
import type { ServiceReport } from '../agent/host/service-report.ts';
import { nearest } from '../lab/nearest.ts';
import { serviceDetailText, servicesText } from '../observe/services-text.ts';
import { socketOf } from './agent-socket.ts';

interface Asking {
  socket?: string;
  output: 'table' | 'json';
}

export async function services(names: readonly string[], options: Asking): Promise<void> {
  const socket = socketOf(options);
  const shown = await agentServices(socket, names);
  for (const name of names) {
    if (!shown.some((service) => isCalled(service, name))) throw unknown(name, await agentServices(socket));
  }
  if (options.output === 'json') console.log(JSON.stringify(shown, undefined, 2));
  else console.log(names.length === 0 ? servicesText(shown) : serviceDetailText(shown, Date.now()));
}

/** `NAME` in whichever namespaces it is, or `NAMESPACE/NAME`. */
function isCalled({ namespace, name }: ServiceReport, wanted: string): boolean {
  return wanted === name || wanted === `${namespace}/${name}`;
}

function unknown(wanted: string, all: readonly ServiceReport[]): AgentError {
  const words = all.map(({ namespace, name }) => (wanted.includes('/') ? `${namespace}/${name}` : name));
  const meant = nearest(wanted, words);
  const remedy = meant ? `did you mean ${meant}?` : 'weft services lists them all';
  return new AgentError('no-service', `no service is called ${wanted}`, remedy);
}
