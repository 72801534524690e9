/** Hosts of a test: the whole pipeline over ports in memory, with tables as control would compile them. */

import {
  ENDPOINT_AREA_BYTES,
  type EndpointCounters,
  EndpointStates,
  readEndpoints,
} from '../../src/dataplane/endpoint-states.ts';
import type { Allocate } from '../../src/dataplane/flow-index.ts';
import { Pipeline } from '../../src/dataplane/pipeline.ts';
import { MemoryIo } from '../../src/io/memory-io.ts';
import { PacketVector } from '../../src/io/vector.ts';
import { buildAddressMap } from '../../src/tables/address-map.ts';
import { ADJACENCY_KIND, type Adjacency, buildAdjacencies } from '../../src/tables/adjacency.ts';
import { buildPorts, PORT_KIND, type PortEntry } from '../../src/tables/ports.ts';
import { buildRoutes, type Route } from '../../src/tables/routes.ts';
import { buildServices, type Scheduler, type ServiceEndpoint } from '../../src/tables/services.ts';
import type { Tables } from '../../src/tables/tables.ts';
import { parseAddress, type Words } from '../../src/wire/address.ts';
import { counterpart, wordsOf } from './family.ts';
import { address, read, type Seen } from './packets.ts';

export const HOST_PORT = 0;
export const OVERLAY_PORT = 1;
export const MTU = 1450;

export interface TestService {
  address: string;
  port: number;
  protocol?: number;
  /** `10.244.1.10:80`, or `10.244.1.10:80*3` with a weight. */
  endpoints: string[];
  epoch?: number;
  scheduler?: Scheduler;
  affinitySeconds?: number;
  masquerade?: boolean;
  outside?: string[];
  shared?: boolean;
  whenEmpty?: 'reject' | 'drop';
}

export interface HostOptions {
  /** 1-based: host n has 10.244.n.0/24, underlay address 172.31.0.(10 + n) and pods .10, .11, … on ports 16, 17, … */
  number: number;
  pods?: number;
  hosts?: number;
  services?: TestService[];
  mtu?: number;
  /** Of the ways to peers, where it differs. */
  peerMtu?: number;
  /** Peers whose MAC is left to be learned. */
  learn?: number[];
  maxFlows?: number;
  allocate?: Allocate;
  /** One address that is routed to another host than its range says. */
  moved?: { address: string; host: number };
}

export function words(text: string): Words {
  return wordsOf(text);
}

/** The IPv6 counterpart of an IPv4 address, which every host has beside it. */
function words6(text: string): Words {
  return parseAddress(counterpart(text))!;
}

export function underlay(n: number): string {
  return `172.31.0.${10 + n}`;
}

const endpointIds = new Map<string, number>();

/** The id of an endpoint behind a service port: as control has it, but never used again. */
export function endpointId(service: string, endpoint: string): number {
  const key = `${service} ${endpoint}`;
  if (!endpointIds.has(key)) endpointIds.set(key, endpointIds.size);
  return endpointIds.get(key)!;
}

function endpointOf(service: string, text: string): ServiceEndpoint {
  const [endpoint, weight] = text.split('*') as [string, string?];
  const [ip, port] = endpoint.split(':') as [string, string];
  return { address: words(ip), port: Number(port), id: endpointId(service, endpoint), weight: Number(weight ?? 1) };
}

function macOf(n: number): Uint8Array {
  return Uint8Array.of(0x0a, 0x58, 172, 31, 0, 10 + n);
}

export function tablesOf(o: HostOptions, generation: number): Tables {
  const mtu = o.mtu ?? MTU;
  const adjacencies: Adjacency[] = [
    { kind: ADJACENCY_KIND.unreachable, port: 0, mtu },
    { kind: ADJACENCY_KIND.host, port: HOST_PORT, mtu },
    { kind: ADJACENCY_KIND.gateway, port: HOST_PORT, mtu },
  ];
  const routes: Route[] = [];
  const route = (prefix: string, bits: number, value: number) => {
    routes.push({ address: [0, 0, 0xffff, address(prefix)], lengthBits: bits + 96, value });
    // A pod's /24 is a /64 in IPv6, a cluster's /16 a /48.
    const bits6 = bits === 32 ? 128 : bits === 24 ? 64 : bits * 3;
    routes.push({ address: bits === 0 ? [0, 0, 0, 0] : words6(prefix), lengthBits: bits6, value });
  };
  route('0.0.0.0', 0, 1);
  route('10.244.0.0', 16, 0);
  route('10.96.0.0', 16, 0);
  route(`10.244.${o.number}.0`, 32, 2);
  route(`10.244.${o.number}.1`, 32, 2);
  const ports: PortEntry[] = [
    { id: HOST_PORT, kind: PORT_KIND.host, mtu },
    { id: OVERLAY_PORT, kind: PORT_KIND.overlay, mtu },
  ];
  for (let n = 0; n < (o.pods ?? 2); n++) {
    const ip = `10.244.${o.number}.${10 + n}`;
    ports.push({ id: 16 + n, kind: PORT_KIND.pod, address4: address(ip), address6: words6(ip), mtu });
    route(ip, 32, adjacencies.length);
    adjacencies.push({ kind: ADJACENCY_KIND.pod, port: 16 + n, mtu });
  }
  const peers = [];
  for (let n = 1; n <= (o.hosts ?? 3); n++) {
    if (n === o.number) continue;
    route(`10.244.${n}.0`, 24, adjacencies.length);
    if (o.moved?.host === n) route(o.moved.address, 32, adjacencies.length);
    peers.push({ address: words(underlay(n)), extra: 0, value: adjacencies.length });
    const peer: Adjacency = {
      kind: ADJACENCY_KIND.peer,
      port: OVERLAY_PORT,
      mtu: o.peerMtu ?? mtu,
      peer: words(underlay(n)),
      udpPort: 4789,
      vni: 1,
      nextHop: [0, 0, 0xffff, address(`10.244.${n}.0`)],
      nextHop6: words6(`10.244.${n}.0`),
    };
    if (!o.learn?.includes(n)) peer.mac = macOf(n);
    adjacencies.push(peer);
  }
  const mac = macOf(o.number);
  return {
    generation,
    routes: buildRoutes(routes),
    adjacencies: buildAdjacencies(adjacencies),
    ports: buildPorts(ports),
    peers: buildAddressMap(peers),
    services: buildServices(
      (o.services ?? []).map((s, id) => ({
        id,
        address: words(s.address),
        protocol: s.protocol ?? 6,
        port: s.port,
        epoch: s.epoch ?? 1,
        endpoints: s.endpoints.map((e) => endpointOf(`${s.address} ${s.protocol ?? 6} ${s.port}`, e)),
        scheduler: s.scheduler,
        affinitySeconds: s.affinitySeconds,
        masquerade: s.masquerade,
        outside: s.outside?.map((e) => endpointOf(`${s.address} ${s.protocol ?? 6} ${s.port}`, e)),
        shared: s.shared,
        whenEmpty: s.whenEmpty,
      })),
    ),
    local: {
      gateway4: address(`10.244.${o.number}.1`),
      vtepAddress4: address(`10.244.${o.number}.0`),
      gateway6: words6(`10.244.${o.number}.1`),
      vtepAddress6: words6(`10.244.${o.number}.0`),
      macHigh: (mac[0]! << 8) | mac[1]!,
      macLow: (mac[2]! << 24) | (mac[3]! << 16) | (mac[4]! << 8) | mac[5]!,
      vni: 1,
      outer: words(underlay(o.number)),
      udpPort: 4789,
    },
  };
}

export class TestHost {
  readonly io = new MemoryIo({ overlayPorts: [OVERLAY_PORT] });
  readonly vector = new PacketVector();
  readonly area = new SharedArrayBuffer(ENDPOINT_AREA_BYTES);
  readonly pipeline: Pipeline;
  options: HostOptions;
  #generation = 0;

  constructor(options: HostOptions) {
    this.options = options;
    const { maxFlows, allocate } = options;
    const endpoints = new EndpointStates([this.area]);
    this.pipeline = new Pipeline(this.vector, { maxFlows, seed: 1, allocate, endpoints });
    this.pipeline.context.attached.fill(1, 0, 64);
    this.publish({});
  }

  /** Puts changed tables in force. */
  publish(change: Partial<HostOptions>): void {
    this.options = { ...this.options, ...change };
    this.#generation++;
    this.pipeline.swap(tablesOf(this.options, this.#generation));
  }

  /** One vector: sends what was decided, receives and decides what is there. */
  step(): number {
    const received = this.io.exchange(this.vector, 0);
    this.pipeline.process(this.io.nowMs);
    return received;
  }

  /** Lets time pass and does what falls due. */
  wait(milliseconds: number): void {
    this.io.advance(milliseconds);
    settle([this]);
  }

  send(pod: number, packet: Uint8Array): void {
    this.io.inject(16 + pod, packet);
  }

  /** What arrived at a pod since the last time. */
  at(pod: number): Seen[] {
    return this.io.sent(16 + pod).map((p) => read(p.bytes));
  }

  /** What control reads of the endpoints, by id. */
  get endpoints(): Record<number, EndpointCounters> {
    return readEndpoints([this.area], endpointIds.size, this.io.nowMs);
  }

  get drops(): Record<string, number> {
    return this.pipeline.context.counters.dropsByReason();
  }
}

/** Runs hosts until nothing moves any more. */
export function settle(hosts: readonly TestHost[]): void {
  for (let round = 0; round < 50; round++) {
    let moved = 0;
    for (const host of hosts) {
      moved += host.step();
      moved += host.vector.outPort.subarray(0, host.vector.count).some((p) => p >= 0) ? 1 : 0;
    }
    if (moved === 0 && hosts.every((host) => host.io.waiting === 0)) return;
  }
  throw new Error('packets go round and round');
}

/** Hosts 1..n, joined by an underlay in memory. */
export function cluster(n: number, change: Partial<HostOptions> = {}): TestHost[] {
  const hosts = Array.from({ length: n }, (_, i) => new TestHost({ number: i + 1, hosts: n, ...change }));
  for (let a = 1; a <= n; a++) {
    for (let b = a + 1; b <= n; b++) {
      const [first, second] = [hosts[a - 1]!, hosts[b - 1]!];
      MemoryIo.link(first.io, OVERLAY_PORT, second.io, OVERLAY_PORT, words(underlay(a)), words(underlay(b)));
    }
  }
  return hosts;
}
