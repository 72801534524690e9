/**
 * From the cluster's model to one host's forwarding tables: third stage of the state flow. Pure: the same model,
 * context and memory give the same tables, whatever the order of anything. What must stay the same from one
 * generation to the next (service ids, epochs, the generation itself) is carried in the memory that goes in and out.
 */
import type { Problem } from '../kube/problem.ts';
import { type AddressMapEntry, buildAddressMap } from '../tables/address-map.ts';
import { ADJACENCY_KIND, type Adjacency, buildAdjacencies } from '../tables/adjacency.ts';
import { buildPorts, PORT_KIND, PORT_LIMIT, type PortEntry } from '../tables/ports.ts';
import { buildRoutes, type Route } from '../tables/routes.ts';
import { buildServices } from '../tables/services.ts';
import { emptyTables, type LocalHost, type Tables } from '../tables/tables.ts';
import { isV4, type Words, word4, wordsFrom4 } from '../wire/address.ts';
import { formatPrefix, type Prefix } from '../wire/prefix.ts';
import { defaultMac } from './cluster-nodes.ts';
import { type ClusterSettings, clusterRanges } from './cluster-settings.ts';
import { compileServices, type ServiceMemory, type ServingHost } from './compile-services.ts';
import { hostGwBackend } from './host-gw-backend.ts';
import type { ClusterModel, ClusterNode } from './model.ts';
import { type KernelRoute, type OverlayBackend, podCidrs } from './overlay-backend.ts';
import { ProblemList } from './problem-list.ts';
import { overlayBytes, vxlanBackend } from './vxlan-backend.ts';

export interface HostContext extends ClusterSettings, Omit<ServingHost, 'relayAddresses'> {
  nodeName: string;
  backend: 'vxlan' | 'host-gw';
  vni: number;
  udpPort: number;
  /** MTU of pods and of the host port. */
  podMtu: number;
  /** Largest IP packets that the underlay takes to other nodes, by name, where that is less than pods' packets need. */
  pathMtus?: ReadonlyMap<string, number>;
  /** The ports of the pods that run here: from FIRST_POD_PORT up. */
  ports: readonly LocalPort[];
  /** Its pods are another runtime's, and the host's kernel knows the way to them. */
  podsBehindKernel?: boolean;
}

export interface LocalPort {
  id: number;
  namespace: string;
  name: string;
}

/** Ids of the ports that every host has. */
export const HOST_PORT = 0;
/** The tunnel over the underlay's IPv4. */
export const OVERLAY_PORT = 1;
export const OVERLAY_TAP_PORT = 2;
/** The tunnel over its IPv6, on hosts that have an InternalIP of that family. */
export const OVERLAY_PORT_6 = 3;
export const FIRST_POD_PORT = 16;

const HOST_BITS = 128;
const DEFAULT_ROUTE_BITS_4 = 96;
const NO_ADDRESS: Words = [0, 0, 0, 0];

const BACKENDS: Readonly<Record<HostContext['backend'], OverlayBackend>> = {
  vxlan: vxlanBackend,
  'host-gw': hostGwBackend,
};

/** What one compilation leaves for the next. Immutable. */
export interface CompileMemory {
  generation: number;
  nextEpoch: number;
  /** By `namespace/name protocol/port`. */
  services: ReadonlyMap<string, ServiceMemory>;
}

export interface Compiled {
  tables: Tables;
  memory: CompileMemory;
  /** Problems of this step; the model has its own. */
  problems: readonly Problem[];
  /** What the host's kernel must route beside the tables. */
  kernelRoutes: readonly KernelRoute[];
}

export function emptyMemory(): CompileMemory {
  return { generation: 0, nextEpoch: 1, services: new Map() };
}

/** Throws SettingsError for a context that makes no sense; nothing in the model makes it throw. */
export function compile(model: ClusterModel, host: HostContext, previous: CompileMemory): Compiled {
  const ranges = clusterRanges(host);
  const problems = new ProblemList();
  const generation = previous.generation + 1;
  const self = model.nodes.get(host.nodeName);
  if (!self) {
    // Nothing can be forwarded without an address of our own; what the services remember stays.
    problems.error(`Node ${host.nodeName}`, 'this host is not among the usable nodes: nothing is forwarded');
    const tables = { ...emptyTables(), generation };
    return { tables, memory: { ...previous, generation }, problems: problems.sorted(), kernelRoutes: [] };
  }

  const adjacencies: Adjacency[] = [];
  const routes: Route[] = [];
  const peers: AddressMapEntry[] = [];
  const kernelRoutes: KernelRoute[] = [];
  const adjacency = (a: Adjacency): number => adjacencies.push(a) - 1;
  const route = (prefix: Prefix, value: number): void => {
    routes.push({ address: prefix.address, lengthBits: prefix.lengthBits, value });
  };
  const hostRoute = (address: Words, value: number): void => route({ address, lengthBits: HOST_BITS }, value);

  const toHost = adjacency({ kind: ADJACENCY_KIND.host, port: HOST_PORT, mtu: host.podMtu });
  const toGateway = adjacency({ kind: ADJACENCY_KIND.gateway, port: HOST_PORT, mtu: host.podMtu });
  const nowhere = adjacency({ kind: ADJACENCY_KIND.unreachable, port: HOST_PORT, mtu: host.podMtu });

  // The outside world through the host; of our own ranges (every podCIDR lies in the cluster's), only what is known
  // below.
  route({ address: NO_ADDRESS, lengthBits: 0 }, toHost);
  route({ address: wordsFrom4(0), lengthBits: DEFAULT_ROUTE_BITS_4 }, toHost);
  for (const block of [...ranges.cluster, ...ranges.service]) route(block.prefix, nowhere);
  if (host.podsBehindKernel) for (const prefix of podCidrs(self)) route(prefix, toHost);
  hostRoute(wordsFrom4(self.gateway4), toGateway);
  hostRoute(wordsFrom4(self.vtepAddress4), toGateway);
  if (self.gateway6) hostRoute(self.gateway6, toGateway);
  if (self.vtepAddress6) hostRoute(self.vtepAddress6, toGateway);
  for (const address of ranges.dns) hostRoute(address, toHost);

  const ports = localPorts(model, self, host, (address, entry) => {
    hostRoute(address, adjacency({ kind: ADJACENCY_KIND.pod, port: entry.id, mtu: entry.mtu }));
  });

  const backend = BACKENDS[host.backend];
  const options = { ...host, self, hostPort: HOST_PORT, overlayPort: OVERLAY_PORT, overlayPort6: OVERLAY_PORT_6 };
  for (const node of model.nodes.values()) {
    if (node === self) continue;
    const remote = backend.remote(node, options);
    const title = `Node ${node.name}`;
    const left = podCidrs(node).filter((prefix) => !remote?.prefixes.includes(prefix));
    if (left.length > 0) problems.error(title, withoutSharedFamily(self, left));
    if (!remote) continue;
    const index = adjacency(remote.adjacency);
    for (const prefix of remote.prefixes) route(prefix, index);
    if (remote.isPeer) for (const address of node.addresses) peers.push({ address, extra: 0, value: index });
    kernelRoutes.push(...remote.kernelRoutes);
    if (remote.isPeer && node.vni !== undefined && node.vni !== host.vni) {
      problems.warning(title, `uses VNI ${node.vni}, this host ${host.vni}: they will not hear each other`);
    }
  }

  const serving = { ...host, relayAddresses: relayAddresses(self) };
  const { ports: servicePorts, services, nextEpoch } = compileServices(model, self, serving, ranges.dns, previous);
  return {
    tables: {
      generation,
      routes: buildRoutes(routes),
      adjacencies: buildAdjacencies(adjacencies),
      ports: buildPorts(ports),
      peers: buildAddressMap(peers),
      services: buildServices(servicePorts),
      local: localHost(self, host),
    },
    memory: { generation, nextEpoch, services },
    problems: problems.sorted(),
    kernelRoutes,
  };
}

function withoutSharedFamily(self: ClusterNode, unreached: readonly Prefix[]): string {
  const pods = unreached.map(formatPrefix).join(' and ');
  const lacks = self.addresses.some(isV4) ? (self.addresses.every(isV4) ? 'IPv4' : 'IPv4 and IPv6') : 'IPv6';
  return `status.addresses: shares no family of InternalIPs with Node ${self.name}, which has ${lacks}: ${pods} is not reached`;
}

/** Ports every host has, and those of the pods that both run here and are known, each with a route to it. */
function localPorts(
  model: ClusterModel,
  self: ClusterNode,
  host: HostContext,
  onPod: (address: Words, entry: PortEntry) => void,
): PortEntry[] {
  const overlay = { kind: PORT_KIND.overlay, mtu: host.podMtu + overlayBytes(self.address) };
  const ports: PortEntry[] = [
    { id: HOST_PORT, kind: PORT_KIND.host, mtu: host.podMtu },
    { id: OVERLAY_PORT, ...overlay },
    ...(self.addresses.every(isV4) ? [] : [{ id: OVERLAY_PORT_6, ...overlay }]),
  ];
  for (const { id, namespace, name } of [...host.ports].sort((a, b) => a.id - b.id)) {
    const pod = model.pods.get(`${namespace}/${name}`);
    if (!pod || pod.nodeName !== host.nodeName || pod.hostNetwork || id < FIRST_POD_PORT || id >= PORT_LIMIT) continue;
    const address6 = pod.addresses.find((address) => !isV4(address));
    const entry: PortEntry = {
      ...{ id, kind: PORT_KIND.pod, address4: word4(pod.address), mtu: host.podMtu },
      ...(address6 ? { address6 } : {}),
    };
    ports.push(entry);
    for (const address of pod.addresses) onPod(address, entry);
  }
  return ports;
}

/** The gateway's: host processes' and pods' way to them is the same, and nobody outside has one. */
export function relayAddresses(self: ClusterNode): readonly Words[] {
  return [wordsFrom4(self.gateway4), ...(self.gateway6 ? [self.gateway6] : [])];
}

function localHost(self: ClusterNode, host: HostContext): LocalHost {
  const outer = self.addresses.find(isV4) ?? self.address;
  const mac = self.mac ?? defaultMac(word4(outer));
  const view = new DataView(mac.buffer, mac.byteOffset, mac.byteLength);
  return {
    gateway4: self.gateway4,
    vtepAddress4: self.vtepAddress4,
    gateway6: self.gateway6 ?? NO_ADDRESS,
    vtepAddress6: self.vtepAddress6 ?? NO_ADDRESS,
    macHigh: view.getUint16(0),
    macLow: view.getUint32(2),
    vni: host.vni,
    outer,
    udpPort: host.udpPort,
  };
}
