/**
 * What a host's kernel has to do for services that are reached from outside the cluster: which ports of its own and
 * which addresses it leads into the pipeline, for which it answers on the hosts' network, who may come. Pure, beside
 * compile: the tables say what becomes of it then.
 */
import type { Words } from '../wire/address.ts';
import { formatAddress } from '../wire/address.ts';
import type { Prefix } from '../wire/prefix.ts';
import { type AddressFamily, familyOf } from './address-family.ts';
import { FrontendPlace } from './frontends.ts';
import type { ClusterModel, ClusterNode, ClusterService } from './model.ts';
import { nameHash } from './name-hash.ts';
import { compareWords } from './target-order.ts';

export type Protocol = 'TCP' | 'UDP';

export interface HostServices {
  /** Ports of all of the host's own addresses, to be led to nodePortAddress of the family. */
  nodePorts: readonly { service: string; family: AddressFamily; protocol: Protocol; port: number }[];
  /** Ports of single own addresses, which are somebody's externalIPs, to be led to `to`. */
  ownPorts: readonly { address: Words; protocol: Protocol; port: number; to: Words }[];
  /** Addresses that no host has, in order: to be routed into the pipeline. */
  routes: readonly Words[];
  /** Those of them for which this host answers ARP and neighbour solicitations. */
  announced: readonly Words[];
  /** Who alone may come to an address from outside; to these ports of it, where the address is a host's own. */
  sources: readonly SourceRule[];
  /** Ports on which load balancers ask whether there are endpoints here. */
  healthChecks: readonly HealthCheck[];
}

export interface SourceRule {
  address: Words;
  ranges: readonly Prefix[];
  /** All where left out. */
  ports?: readonly { protocol: Protocol; port: number }[];
}

export interface HealthCheck {
  namespace: string;
  name: string;
  port: number;
  /** Addresses of endpoints on this host. */
  localEndpoints: number;
}

export const NO_HOST_SERVICES: HostServices = {
  nodePorts: [],
  ownPorts: [],
  routes: [],
  announced: [],
  sources: [],
  healthChecks: [],
};

export function hostServices(model: ClusterModel, self: ClusterNode): HostServices {
  const place = new FrontendPlace(model, self);
  const nodePorts: HostServices['nodePorts'][number][] = [];
  const ownPorts: HostServices['ownPorts'][number][] = [];
  const sources: HostServices['sources'][number][] = [];
  const healthChecks: HealthCheck[] = [];
  const routes = new Map<string, Words>();
  const announced = new Map<string, Words>();
  for (const [key, service] of model.services) {
    const carried = (address: Words) => service.families.includes(familyOf(address));
    for (const { protocol, nodePort: port } of service.ports) {
      if (port === undefined) continue;
      for (const family of place.families) {
        if (service.families.includes(family)) nodePorts.push({ service: key, family, protocol, port });
      }
    }
    const isAnnouncer = announcerOf(model, key, service) === self.name;
    for (const address of [...service.loadBalancerIps, ...service.externalIps].filter(carried)) {
      const to = place.innerOf(address);
      if (to) for (const { protocol, port } of service.ports) ownPorts.push({ address, protocol, port, to });
      // An address of another host is that host's to receive.
      if (place.isNodes(address)) continue;
      routes.set(String(address), address);
      // As kube-proxy: who writes externalIPs leads them here himself.
      if (isAnnouncer && service.loadBalancerIps.includes(address)) announced.set(String(address), address);
    }
    const { loadBalancerSources: ranges } = service;
    if (ranges.length > 0) {
      for (const address of service.loadBalancerIps) {
        // What else a host has on its own address is not the service's to forbid.
        const ports = service.ports.map(({ protocol, port }) => ({ protocol, port }));
        sources.push({ address, ranges, ...(place.isNodes(address) ? { ports } : {}) });
      }
    }
    if (service.healthCheckNodePort !== undefined) {
      const { namespace, name, healthCheckNodePort: port } = service;
      healthChecks.push({ namespace, name, port, localEndpoints: localAddresses(service, self.name).size });
    }
  }
  return { nodePorts, ownPorts, routes: inOrder(routes), announced: inOrder(announced), sources, healthChecks };
}

/**
 * The one host that answers for a service's addresses: by hash over those that may (rendezvous hashing: a host that
 * comes or goes moves no address but its own), which with externalTrafficPolicy Local are those with endpoints.
 */
export function announcerOf(model: ClusterModel, key: string, service: ClusterService): string | undefined {
  if (service.loadBalancerIps.length === 0) return undefined;
  const ready = [...model.nodes.values()].filter((node) => node.ready).map((node) => node.name);
  const hosts = ready.length > 0 ? ready : [...model.nodes.keys()];
  const serving = service.externalLocal ? hosts.filter((name) => localAddresses(service, name).size > 0) : hosts;
  const ranked = serving.map((name) => ({ name, rank: nameHash(`${name} ${key}`) }));
  ranked.sort((a, b) => b.rank - a.rank || (a.name < b.name ? -1 : 1));
  return ranked[0]?.name;
}

function localAddresses(service: ClusterService, nodeName: string): ReadonlySet<string> {
  const local = service.ports.flatMap(({ targets, standby }) => {
    const here = targets.filter((target) => target.nodeName === nodeName);
    return here.length > 0 ? here : standby.filter((target) => target.nodeName === nodeName);
  });
  return new Set(local.map((target) => formatAddress(target.address)));
}

function inOrder(addresses: ReadonlyMap<string, Words>): readonly Words[] {
  return [...addresses.values()].sort(compareWords);
}
