/** `weft lab status` for people: the lab, its hosts, pods and services, and whatever is wrong. */
import colors from 'picocolors';
import type { ServiceStatus } from '../agent/status.ts';
import { formatProblem } from '../kube/problem.ts';
import type { HostStatus, LabApiStatus, LabStatus } from '../lab/lab-status.ts';
import { table } from './table.ts';

export function labStatusText(lab: LabStatus): string {
  const topology = lab.topology;
  const kind = lab.rootless ? ', without root' : '';
  const underlay = topology
    ? `, ${topology.backend} over ${topology.underlay.cidr} (mtu ${topology.underlay.mtu})`
    : '';
  const parts = [`lab ${colors.bold(lab.name)}: ${lab.up ? colors.green('up') : colors.red('down')}${underlay}${kind}`];
  if (lab.apiServer) parts.push(apiServerLine(lab.apiServer));
  parts.push(hostTable(lab.hosts), podTable(lab.hosts));
  const services = lab.hosts.find((host) => host.status)?.status?.services ?? [];
  if (services.length > 0) {
    parts.push(table(['SERVICE', 'ADDRESS', 'PORT', 'ENDPOINTS'], services.flatMap(serviceRows)));
  }
  const problems = problemLines(lab);
  if (problems.length > 0) parts.push([colors.yellow('PROBLEMS'), ...problems].join('\n'));
  return parts.join('\n\n');
}

function hostTable(hosts: readonly HostStatus[]): string {
  return table(
    ['HOST', 'ADDRESS', 'PODS', 'AGENT', 'STARTS', 'OFFLOAD', 'MEMORY'],
    hosts.map(({ name, address, address6 = '', podCidr, podCidr6 = '', starts, agentPid, lastEnd, status }) => [
      name,
      `${address} ${address6}`.trim(),
      `${podCidr} ${podCidr6}`.trim(),
      // How an earlier life of it ended says nothing of one that is there and silent.
      status?.ready
        ? colors.green('ready')
        : colors.red(status?.notReady || (agentPid === undefined && lastEnd) || 'does not answer'),
      `${starts}`,
      status?.offload.mode ?? '',
      status ? `${Math.round(status.rssBytes / 1e6)} MB` : '',
    ]),
  );
}

function podTable(hosts: readonly HostStatus[]): string {
  return table(
    ['POD', 'HOST', 'ADDRESS', 'PHASE', 'RESTARTS', ''],
    hosts.flatMap((host) =>
      (host.status?.pods ?? []).map((pod) => [
        `${pod.namespace}/${pod.name}`,
        host.name,
        pod.addresses.join(' '),
        pod.ready ? colors.green(pod.phase) : colors.yellow(pod.phase),
        `${pod.containers.reduce((sum, container) => sum + container.restarts, 0)}`,
        pod.message,
      ]),
    ),
  );
}

/** A row a port: endpoints may differ from port to port. */
function serviceRows(service: ServiceStatus): string[][] {
  const addresses = [service.clusterIps.join(',') || 'headless', ...service.externalIps].join(' ');
  return service.ports.map(({ port, nodePort, protocol, targets }, i) => [
    i === 0 ? `${service.namespace}/${service.name}` : '',
    i === 0 ? addresses : '',
    nodePort > 0 ? `${port}:${nodePort}/${protocol}` : `${port}/${protocol}`,
    targets.join(' ') || colors.yellow('none'),
  ]);
}

function apiServerLine({ url, pid, starts, lastEnd }: LabApiStatus): string {
  const state = pid === undefined ? colors.red(lastEnd ?? 'not started') : colors.green('runs');
  return `API server ${url}: ${state}${starts > 1 ? `, started ${starts} times` : ''}`;
}

/** Each problem once, however many hosts see it. */
export function problemLines({ hosts, apiServer }: Pick<LabStatus, 'hosts' | 'apiServer'>): string[] {
  const ofManifests = (apiServer?.problems ?? []).map(formatProblem);
  const seen = new Map<string, string[]>();
  for (const { name, status } of hosts) {
    const own = (status?.problems ?? []).map(formatProblem);
    const peers = (status?.peers ?? []).flatMap((peer) =>
      peer.problems.map((text) => `${name} to ${peer.node}: ${text}`),
    );
    for (const line of [...own, ...peers]) seen.set(line, [...(seen.get(line) ?? []), name]);
  }
  const ofHosts = [...seen].map(([line, names]) =>
    names.length === hosts.length ? line : `${line} (${names.join(', ')})`,
  );
  return [...new Set([...ofManifests, ...ofHosts])];
}
