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
import { word4, wordsFrom4 } from '../wire/address.ts';
import type { Prefix } from '../wire/prefix.ts';
import { defaultMac } from './cluster-nodes.ts';
import { compileServices, type ServiceMemory } from './compile-services.ts';
import { hostGwBackend } from './host-gw-backend.ts';
import { type ClusterModel, type ClusterNode, type ClusterSettings, dnsAddress, settingsBlocks } from './model.ts';
import type { KernelRoute, OverlayBackend } from './overlay-backend.ts';
import { ProblemList } from './problem-list.ts';
import { vxlanBackend } from './vxlan-backend.ts';

export interface HostContext extends ClusterSettings {
  nodeName: string;
  backend: 'vxlan' | 'host-gw';
  vni: number;
  udpPort: number;
  /** MTU of pods and of the host port. */
  podMtu: number;
  /** The ports of the pods that run here: from FIRST_POD_PORT up. */
  ports: readonly LocalPort[];
}

export interface LocalPort {
  id: number;
  namespace: string;
  name: string;
}

/** Ids of the ports that every host has. */
export const HOST_PORT = 0;
export const OVERLAY_PORT = 1;
export const OVERLAY_TAP_PORT = 2;
export const FIRST_POD_PORT = 16;

/** Outer IPv4, UDP and VXLAN headers and the inner Ethernet header: what the overlay adds to a packet. */
const OVERLAY_BYTES = 50;
const HOST_BITS = 128;
const DEFAULT_ROUTE_BITS = 96;

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
  const { cluster, service } = settingsBlocks(host);
  const dns4 = dnsAddress(host);
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
  const hostRoute = (address4: number, value: number): void =>
    route({ address: wordsFrom4(address4), lengthBits: HOST_BITS }, value);

  const toHost = adjacency({ kind: ADJACENCY_KIND.host, port: HOST_PORT, mtu: host.podMtu });
  const toGateway = adjacency({ kind: ADJACENCY_KIND.gateway, port: HOST_PORT, mtu: host.podMtu });
  const nowhere = adjacency({ kind: ADJACENCY_KIND.unreachable, port: HOST_PORT, mtu: host.podMtu });

  // The outside world through the host; of our own ranges (every podCIDR lies in the cluster's), only what is known
  // below.
  route({ address: wordsFrom4(0), lengthBits: DEFAULT_ROUTE_BITS }, toHost);
  route(cluster.prefix, nowhere);
  route(service.prefix, nowhere);
  hostRoute(self.gateway4, toGateway);
  hostRoute(self.vtepAddress4, toGateway);
  hostRoute(dns4, toHost);

  const ports = localPorts(model, host, (address4, entry) => {
    hostRoute(address4, adjacency({ kind: ADJACENCY_KIND.pod, port: entry.id, mtu: entry.mtu }));
  });

  const backend = BACKENDS[host.backend];
  const options = { ...host, hostPort: HOST_PORT, overlayPort: OVERLAY_PORT };
  for (const node of model.nodes.values()) {
    if (node === self) continue;
    const remote = backend.remote(node, options);
    const index = adjacency(remote.adjacency);
    route(node.podCidr, index);
    if (remote.isPeer) for (const address of node.addresses) peers.push({ address, extra: 0, value: index });
    if (remote.kernelRoute) kernelRoutes.push(remote.kernelRoute);
    if (remote.isPeer && node.vni !== undefined && node.vni !== host.vni) {
      problems.warning(
        `Node ${node.name}`,
        `uses VNI ${node.vni}, this host ${host.vni}: they will not hear each other`,
      );
    }
  }

  const { ports: servicePorts, services, nextEpoch } = compileServices(model, host.nodeName, dns4, previous);
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

/** Ports every host has, and those of the pods that both run here and are known, each with a route to it. */
function localPorts(
  model: ClusterModel,
  host: HostContext,
  onPod: (address4: number, entry: PortEntry) => void,
): PortEntry[] {
  const ports: PortEntry[] = [
    { id: HOST_PORT, kind: PORT_KIND.host, mtu: host.podMtu },
    { id: OVERLAY_PORT, kind: PORT_KIND.overlay, mtu: host.podMtu + OVERLAY_BYTES },
  ];
  for (const { id, namespace, name } of [...host.ports].sort((a, b) => a.id - b.id)) {
    const pod = model.pods.get(`${namespace}/${name}`);
    if (!pod || pod.nodeName !== host.nodeName || pod.hostNetwork || id < FIRST_POD_PORT || id >= PORT_LIMIT) continue;
    const address4 = word4(pod.address);
    const entry: PortEntry = { id, kind: PORT_KIND.pod, address4, mtu: host.podMtu };
    ports.push(entry);
    onPod(address4, entry);
  }
  return ports;
}

function localHost(self: ClusterNode, host: HostContext): LocalHost {
  const mac = self.mac ?? defaultMac(word4(self.address));
  const view = new DataView(mac.buffer, mac.byteOffset, mac.byteLength);
  return {
    gateway4: self.gateway4,
    vtepAddress4: self.vtepAddress4,
    gateway6: [0, 0, 0, 0],
    vtepAddress6: [0, 0, 0, 0],
    macHigh: view.getUint16(0),
    macLow: view.getUint32(2),
    vni: host.vni,
    outer: self.address,
    udpPort: host.udpPort,
  };
}
