/** What `weft agent`, `status`, `ping` and `doctor` do. */
import { existsSync } from 'node:fs';
import colors from 'picocolors';
import { runAgent } from '../agent/agent.ts';
import { agentDoctor, agentProbe, agentStatus } from '../agent/client.ts';
import { hostChecks } from '../agent/host-checks.ts';
import { type AgentOptions, parseStubDomain } from '../agent/options.ts';
import type { Check, ProbeResult } from '../agent/status.ts';
import { agentStatusText } from '../observe/agent-status-text.ts';
import { table } from '../observe/table.ts';
import { socketOf, sockets } from './agent-socket.ts';

interface Asking {
  socket?: string;
  output: 'table' | 'json';
}

type AgentWords = Omit<AgentOptions, 'socketPath' | 'logFormat' | 'dnsStub' | 'nodeIps'> & {
  socket?: string;
  output: 'plain' | 'json';
  dnsStub?: string[];
  nodeIp?: string[];
};

export async function agent({ socket, output, dnsStub = [], nodeIp = [], ...options }: AgentWords): Promise<void> {
  await runAgent({
    ...options,
    logFormat: output,
    dnsStub: dnsStub.map(parseStubDomain),
    nodeIps: nodeIp,
    ...(socket === undefined ? {} : { socketPath: socket }),
  });
}

export async function status(options: Asking): Promise<void> {
  const told = await agentStatus(socketOf(options));
  console.log(options.output === 'json' ? JSON.stringify(told, undefined, 2) : agentStatusText(told));
}

/** Exit code 1 where a peer is unreachable or something is wrong with the way to it. */
export async function ping(host: string | undefined, options: Asking): Promise<number> {
  const peers = await agentProbe(socketOf(options), host);
  if (options.output === 'json') console.log(JSON.stringify(peers, undefined, 2));
  else {
    const rows = peers.flatMap((peer) => [
      [peer.node, 'underlay', ...probeCells(peer.underlay)],
      [peer.node, 'overlay', ...probeCells(peer.overlay)],
      ...(peer.overlay6 ? [[peer.node, 'overlay', ...probeCells(peer.overlay6)]] : []),
    ]);
    console.log(table(['HOST', 'BY', 'ADDRESS', 'ANSWERED', 'ROUND TRIP', 'PATH MTU'], rows));
    for (const peer of peers)
      for (const problem of peer.problems) console.log(`${colors.yellow('!')} ${peer.node}: ${problem}`);
  }
  return peers.every((peer) => peer.underlay?.reachable && peer.problems.length === 0) ? 0 : 1;
}

function probeCells(probe: ProbeResult | undefined): string[] {
  if (probe === undefined) return ['', 'not probed', '', ''];
  const answered = `${probe.received}/${probe.sent}`;
  return [
    probe.address,
    probe.reachable ? colors.green(answered) : colors.red(answered),
    probe.rttMs ? `${probe.rttMs.median.toFixed(3)} ms` : '',
    probe.pathMtu === undefined ? '' : `${probe.pathMtu}`,
  ];
}

/** Without an agent, only what can be seen of the host is checked. Exit code 1 where a check failed. */
export async function doctor(options: Asking): Promise<number> {
  let checks: Check[];
  const socket = options.socket ?? sockets()[0];
  if (socket !== undefined && existsSync(socket)) checks = await agentDoctor(socket);
  else {
    const remedy = 'start one with weft agent, or say --socket';
    checks = [...hostChecks(), { name: 'agent', ok: false, detail: 'none runs here', remedy, optional: true }];
  }
  if (options.output === 'json') console.log(JSON.stringify(checks, undefined, 2));
  else {
    for (const check of checks) {
      const mark = check.ok ? colors.green('✓') : check.optional ? colors.yellow('!') : colors.red('✗');
      console.log(`${mark} ${check.name}: ${check.detail}${check.ok || !check.remedy ? '' : `\n    ${check.remedy}`}`);
    }
  }
  return checks.every((check) => check.ok || check.optional) ? 0 : 1;
}
