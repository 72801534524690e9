/** `weft status` for people: one agent, its pods and peers, what it dropped and what is wrong. */
import colors from 'picocolors';
import type { AgentStatus } from '../agent/status.ts';
import { formatProblem } from '../kube/problem.ts';
import { table } from './table.ts';

export function agentStatusText(agent: AgentStatus): string {
  const { underlay } = agent;
  const parts = [
    table(
      ['NODE', agent.node],
      [
        ['state', agent.ready ? colors.green('ready') : colors.red(agent.notReady || 'not ready')],
        ['overlay', `${agent.backend}, VNI ${agent.vni}, UDP port ${agent.udpPort}`],
        [
          'underlay',
          `${underlay.addresses.join(' ') || underlay.address} on ${underlay.device}, MTU ${underlay.mtu} (pods ${agent.podMtu})`,
        ],
        ['offload', `${agent.offload.mode}${agent.offload.detail ? `: ${agent.offload.detail}` : ''}`],
        ['pods', `${agent.podCidr}, gateway ${agent.gateway}`],
        ...(agent.podCidr6 ? [['', `${agent.podCidr6}, gateway ${agent.gateway6}`]] : []),
        ['tables', `generation ${agent.generation}`],
        ['workers', `${agent.counters.workers.length}`],
        ['flows', `${agent.counters.flows.current ?? 0} of ${agent.counters.flows.capacity ?? 0}`],
        ['names', dnsSummary(agent.counters.dns)],
        ...relaySummary(agent.counters.relay),
        ['memory', `${Math.round(agent.rssBytes / 1e6)} MB`],
      ],
    ),
    table(
      ['POD', 'ADDRESS', 'PHASE', 'RECEIVED', 'SENT', ''],
      agent.pods.map((pod) => {
        const port = agent.counters.ports[pod.port] ?? {};
        return [
          `${pod.namespace}/${pod.name}`,
          pod.addresses.join(' '),
          pod.ready ? colors.green(pod.phase) : colors.yellow(pod.phase),
          `${port.txPackets ?? 0}`,
          `${port.rxPackets ?? 0}`,
          pod.message,
        ];
      }),
    ),
    table(
      ['PEER', 'ADDRESS', 'PODS', 'UNDERLAY', 'OVERLAY'],
      agent.peers.map((peer) => [
        peer.node,
        peer.address,
        peer.podCidr,
        roundTrip(peer.underlay),
        roundTrip(peer.overlay),
      ]),
    ),
  ];
  const drops = Object.entries(agent.counters.drops).filter(([, count]) => count > 0);
  if (drops.length > 0)
    parts.push(
      table(
        ['DROPPED', 'PACKETS'],
        drops.map(([reason, count]) => [reason, `${count}`]),
      ),
    );
  const problems = [
    ...agent.problems.map(formatProblem),
    ...agent.peers.flatMap((peer) => peer.problems.map((text) => `${peer.node}: ${text}`)),
  ];
  if (problems.length > 0) parts.push([colors.yellow('PROBLEMS'), ...problems].join('\n'));
  return parts.join('\n\n');
}

/** What the DNS server did, and what it kept. */
function dnsSummary(dns: AgentStatus['counters']['dns']): string {
  const count = (name: string): number => dns[name] ?? 0;
  const asked = count('queries.udp') + count('queries.tcp');
  const cache = `cache ${count('cache.hits')} hits, ${count('cache.misses')} misses, ${count('cache.stale')} stale`;
  const out = Object.keys(dns).filter(
    (name) => name.startsWith('upstreams.') && name.endsWith('.out') && dns[name] === 1,
  );
  const silent = out.map((name) => name.slice('upstreams.'.length, -'.out'.length));
  const trouble = silent.length > 0 ? colors.yellow(`; no answer from ${silent.join(', ')}`) : '';
  return `${asked} questions; ${cache}; ${count('autopath.completed')} completed${trouble}`;
}

/** Only where a service is in userspace mode. */
function relaySummary(relay: AgentStatus['counters']['relay']): [string, string][] {
  const count = (name: string): number => relay[name] ?? 0;
  if (count('ports') === 0) return [];
  const limited = count('limited') > 0 ? colors.yellow(`, ${count('limited')} turned away`) : '';
  const failed = `${count('failed')} failed${limited}`;
  return [['relay', `${count('ports')} ports; ${count('accepted')} connections, ${count('active')} open, ${failed}`]];
}

function roundTrip(probe: AgentStatus['peers'][number]['underlay']): string {
  if (probe === undefined) return 'not probed';
  if (!probe.reachable) return colors.red('unreachable');
  return probe.rttMs ? `${probe.rttMs.median.toFixed(2)} ms` : 'reachable';
}
