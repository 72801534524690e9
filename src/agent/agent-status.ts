/**
 * Puts together what an agent says about itself.
 */
import { release } from 'node:os';
import type { ClusterService } from '../control/model.ts';
import type { DataplaneCounters } from '../dataplane/handle.ts';
import { idOf } from '../relay/endpoint-picker.ts';
import { formatAddress, formatAddress4 } from '../wire/address.ts';
import { formatPrefix } from '../wire/prefix.ts';
import { type ServiceReport, serviceReports } from './host/service-report.ts';
import type { HostAgent } from './host-agent.ts';
import type { AgentStatus, ServiceStatus } from './status.ts';
import { weftVersion } from './weft-command.ts';

export function buildStatus(agent: HostAgent): AgentStatus {
  const { settings, node, underlay } = agent;
  const counters = agent.dataplane.counters();
  return {
    node: settings.node,
    pid: process.pid,
    ready: agent.notReady === '',
    notReady: agent.notReady,
    startedAt: agent.startedAt.toISOString(),
    readyAfterMs: agent.readyAfterMs,
    versions: { weft: weftVersion(), node: process.version, kernel: release() },
    backend: settings.backend,
    vni: settings.vni,
    udpPort: settings.port,
    offload: { mode: agent.offloadMode, requested: settings.offload, detail: agent.offload.detail },
    underlay: {
      address: underlay?.address ?? '',
      addresses: underlay?.addresses ?? [],
      device: underlay?.device ?? '',
      mtu: underlay?.mtu ?? 0,
    },
    podMtu: agent.podMtu,
    podCidr: node ? formatPrefix(node.podCidr) : '',
    gateway: node ? formatAddress4(node.gateway4) : '',
    podCidr6: node?.podCidr6 ? formatPrefix(node.podCidr6) : '',
    gateway6: node?.gateway6 ? formatAddress(node.gateway6) : '',
    generation: agent.generation,
    pods: agent.pods.status(),
    services: [...(agent.model?.services.values() ?? [])].map(serviceStatus),
    peers: agent.peers.status(),
    problems: agent.problems,
    counters: {
      drops: counters.drops,
      gauges: counters.gauges,
      native: counters.native,
      ports: Object.fromEntries(Object.entries(counters.ports).map(([id, counts]) => [id, { ...counts }])),
      flows: flowCounts(counters.gauges),
      workers: counters.workers.map((worker) => ({ ...worker })),
      relay: { ...agent.relay.counts() },
      dns: flatten(agent.dns.server?.counters() ?? {}),
    },
    rssBytes: process.memoryUsage.rss(),
  };
}

/** What it says about its services: those called so, or all. */
export function buildServices(agent: HostAgent, names: readonly string[]): ServiceReport[] {
  const { compiledServices, model, objects, problems, relay, settings } = agent;
  if (!model || !objects) return [];
  return serviceReports({
    model,
    objects,
    problems,
    node: settings.node,
    defaults: settings.proxy,
    compiled: compiledServices,
    counters: agent.dataplane.counters().endpoints,
    relay: relay.status(),
    nowMs: Date.now(),
    names,
  });
}

function flowCounts(gauges: DataplaneCounters['gauges']): Record<string, number> {
  return {
    current: gauges.flows,
    capacity: gauges.flowCapacity,
    created: gauges.flowsCreated,
    expired: gauges.flowsExpired,
    evicted: gauges.flowsEvicted,
  };
}

function serviceStatus(service: ClusterService): ServiceStatus {
  return {
    namespace: service.namespace,
    name: service.name,
    type: service.type,
    clusterIps: service.clusterIps.map(formatAddress),
    externalIps: [...service.loadBalancerIps, ...service.externalIps].map(formatAddress),
    ports: service.ports.map(({ name, protocol, port, nodePort, targets }) => ({
      name,
      protocol,
      port,
      nodePort: nodePort ?? 0,
      targets: targets.map((target) => idOf({ address: formatAddress(target.address), port: target.port })),
    })),
  };
}

/** Nested counts as `answers.NXDOMAIN`. */
function flatten(counts: object, prefix = ''): Record<string, number> {
  const out: Record<string, number> = {};
  for (const [name, value] of Object.entries(counts)) {
    if (typeof value === 'number') out[prefix + name] = value;
    else if (value) Object.assign(out, flatten(value as object, `${prefix}${name}.`));
  }
  return out;
}
