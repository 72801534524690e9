/**
 * Services, compiled: which virtual address, protocol and port is a service, which endpoints stand behind it, and how
 * one of them is chosen.
 *
 *   service   word 0 id   1 first endpoint   2 endpoint count   3 epoch of the endpoint set
 *                  4 SCHEDULER   5 SERVICE_FLAG bits   6 seconds of client affinity (0: none)   7 spare
 *                  8 first endpoint   9 endpoint count for sources outside the cluster
 *                 10 first Maglev slot   11 slot count   12, 13 the same for sources outside   14, 15 spare
 *   endpoint  word 0..3 address   4 port   5 weight   6 id   7 index of its service
 *
 * A service's id stays the same from one generation to the next, so that the dataplane's round-robin cursors survive
 * a swap; when the epoch of its set of endpoints changes, its cursor starts again. So does an endpoint's id, by which
 * the dataplane counts its connections. A Maglev slot holds an endpoint's number within its service.
 */
import { type AddressMap, buildAddressMap } from './address-map.ts';
import { buildMaglev } from './maglev.ts';

export const SERVICE_WORDS = 16;
export const SERVICE = {
  id: 0,
  first: 1,
  count: 2,
  epoch: 3,
  scheduler: 4,
  flags: 5,
  affinitySeconds: 6,
  outsideFirst: 8,
  outsideCount: 9,
  slotFirst: 10,
  slotCount: 11,
  outsideSlotFirst: 12,
  outsideSlotCount: 13,
} as const;
export const ENDPOINT_WORDS = 8;
export const ENDPOINT = { address: 0, port: 4, weight: 5, id: 6, service: 7 } as const;

/** How a connection's endpoint is chosen: see docs/services.md. The names are those of `ip_vs` where it has one. */
export const SCHEDULER = {
  /** Round robin; the first packet is held, and moves on until an endpoint answers. */
  failover: 0,
  /** The first endpoint. */
  plain: 1,
  random: 2,
  rr: 3,
  wrr: 4,
  lc: 5,
  wlc: 6,
  sh: 7,
  dh: 8,
  sed: 9,
  nq: 10,
  mh: 11,
} as const;
export type Scheduler = keyof typeof SCHEDULER;

export const SERVICE_FLAG = {
  /** Sources outside the cluster reach endpoints from this host's gateway address. */
  masquerade: 1,
  /** Sources outside the cluster have endpoints of their own. */
  outside: 2,
  /** Without an endpoint, packets are dropped instead of refused. */
  dropWhenEmpty: 4,
} as const;

/** Values of ServiceTable.byAddress. */
export const ADDRESS = {
  /** A port of it that is no service is refused. */
  virtual: 0,
  /** It is also an address of the host itself: what is for no service goes on to it. */
  shared: 1,
} as const;

export interface ServicePort {
  /** Small and stable: the dataplane keeps an array indexed by it. */
  id: number;
  /** The virtual address, 4 big-endian words, IPv4 mapped. */
  address: readonly [number, number, number, number];
  /** IP protocol number: 6 TCP, 17 UDP. */
  protocol: number;
  port: number;
  /** Changes exactly when the set of endpoints changes. */
  epoch: number;
  endpoints: readonly ServiceEndpoint[];
  /** `failover` by default. */
  scheduler?: Scheduler | undefined;
  /** All connections of one client address go to one endpoint, until it has begun none for so long. */
  affinitySeconds?: number | undefined;
  /** Sources outside the cluster are shown to endpoints as this host's gateway (externalTrafficPolicy Cluster). */
  masquerade?: boolean | undefined;
  /** Endpoints for sources outside the cluster, where they differ (externalTrafficPolicy Local). */
  outside?: readonly ServiceEndpoint[] | undefined;
  /** The address is also one of the host's own: what is for none of its services goes on to the host. */
  shared?: boolean | undefined;
  /** What becomes of a packet for which there is no endpoint; `reject` by default. */
  whenEmpty?: 'reject' | 'drop' | undefined;
}

export interface ServiceEndpoint {
  address: readonly [number, number, number, number];
  port: number;
  /** Small and stable while this endpoint stands behind this service port, and nobody else's at the same time. */
  id: number;
  /** 1 by default; 0: gets no new connections from schedulers that weigh. */
  weight?: number | undefined;
}

export interface ServiceTable {
  /** (virtual address, protocol and port) to service index. */
  byKey: AddressMap;
  /** Every virtual address, whatever the port, to ADDRESS. */
  byAddress: AddressMap;
  services: Int32Array;
  endpoints: Int32Array;
  /** By endpoint id: the index of its (first) entry in `endpoints`, or -1. */
  endpointAt: Int32Array;
  /** Maglev slots of all services that use them. */
  slots: Uint16Array;
  /** One more than the largest id of a service. */
  idLimit: number;
}

/** The extra word of a service's key. */
export function serviceKey(protocol: number, port: number): number {
  return (protocol << 16) | port;
}

export function buildServices(ports: readonly ServicePort[]): ServiceTable {
  const services = new Int32Array(ports.length * SERVICE_WORDS);
  const count = ports.reduce((n, p) => n + p.endpoints.length + (p.outside?.length ?? 0), 0);
  const endpoints = new Int32Array(count * ENDPOINT_WORDS);
  const slots: Uint16Array[] = [];
  const shared = new Set(ports.filter((p) => p.shared).map((p) => p.address.join()));
  let endpointLimit = 0;
  let slotCount = 0;
  let next = 0;
  let idLimit = 0;
  const addSet = (list: readonly ServiceEndpoint[], service: number): number => {
    for (const e of list) {
      endpoints.set([...e.address, e.port, e.weight ?? 1, e.id, service], next * ENDPOINT_WORDS);
      endpointLimit = Math.max(endpointLimit, e.id + 1);
      next++;
    }
    return next - list.length;
  };
  const addSlots = (list: readonly ServiceEndpoint[]): readonly [number, number] => {
    const table = buildMaglev(list);
    slots.push(table);
    slotCount += table.length;
    return [slotCount - table.length, table.length];
  };
  ports.forEach((p, i) => {
    const first = addSet(p.endpoints, i);
    const outsideFirst = p.outside ? addSet(p.outside, i) : first;
    const maglev = p.scheduler === 'mh';
    const own = maglev ? addSlots(p.endpoints) : [0, 0];
    const outside = maglev && p.outside ? addSlots(p.outside) : own;
    services.set(
      [
        ...[p.id, first, p.endpoints.length, p.epoch, SCHEDULER[p.scheduler ?? 'failover'], flagsOf(p)],
        ...[p.affinitySeconds ?? 0, 0, outsideFirst, (p.outside ?? p.endpoints).length, ...own, ...outside],
      ],
      i * SERVICE_WORDS,
    );
    idLimit = Math.max(idLimit, p.id + 1);
  });
  const endpointAt = new Int32Array(endpointLimit).fill(-1);
  for (let n = next - 1; n >= 0; n--) endpointAt[endpoints[n * ENDPOINT_WORDS + ENDPOINT.id]] = n;
  return {
    byKey: buildAddressMap(
      ports.map((p, i) => ({ address: p.address, extra: serviceKey(p.protocol, p.port), value: i })),
    ),
    byAddress: buildAddressMap(
      ports.map((p) => ({
        address: p.address,
        extra: 0,
        value: shared.has(p.address.join()) ? ADDRESS.shared : ADDRESS.virtual,
      })),
    ),
    services,
    endpoints,
    endpointAt,
    slots: joined(slots, slotCount),
    idLimit,
  };
}

function flagsOf(p: ServicePort): number {
  return (
    (p.masquerade ? SERVICE_FLAG.masquerade : 0) |
    (p.outside ? SERVICE_FLAG.outside : 0) |
    (p.whenEmpty === 'drop' ? SERVICE_FLAG.dropWhenEmpty : 0)
  );
}

function joined(parts: readonly Uint16Array[], length: number): Uint16Array {
  const out = new Uint16Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
