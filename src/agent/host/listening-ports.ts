/**
 * Ports on which processes of this host listen, out of the kernel's own lists (proc(5)): a node port that is taken
 * leads to the service, and the process is not reached any more, which somebody should know.
 */
import { readFileSync } from 'node:fs';
import type { HostServices, Protocol } from '../../control/host-services.ts';

/** States in /proc/net/tcp and udp (include/net/tcp_states.h): TCP_LISTEN, and TCP_CLOSE for unconnected UDP. */
const WAITING: Readonly<Record<Protocol, string>> = { TCP: '0A', UDP: '07' };

/** One sentence for each node port that somebody else listens on. */
export function takenPorts(nodePorts: HostServices['nodePorts'], read = readLists): string[] {
  if (nodePorts.length === 0) return [];
  const open = { TCP: portsIn(read('TCP'), 'TCP'), UDP: portsIn(read('UDP'), 'UDP') };
  const taken = nodePorts
    .filter(({ protocol, port }) => open[protocol].has(port))
    .map(({ service, protocol, port }) => {
      const message = `a process of this host listens on node port ${port}/${protocol}`;
      return `Service ${service}: ${message}: what comes for it goes to the service, not to the process`;
    });
  return [...new Set(taken)];
}

function portsIn(text: string, protocol: Protocol): Set<number> {
  const out = new Set<number>();
  for (const line of text.split('\n')) {
    const [, local, , state] = line.trim().split(/\s+/);
    if (state === WAITING[protocol]) out.add(Number.parseInt(local?.split(':')[1] ?? '', 16));
  }
  return out;
}

function readLists(protocol: Protocol): string {
  const name = protocol.toLowerCase();
  return [name, `${name}6`]
    .map((list) => {
      try {
        return readFileSync(`/proc/self/net/${list}`, 'latin1');
      } catch {
        // A host without IPv6 has no list of it.
        return '';
      }
    })
    .join('\n');
}
