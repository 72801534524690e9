/**
 * Services, compiled: which virtual address, protocol and port is a service, and which endpoints stand behind it.
 *
 *   service   word 0 id   1 first endpoint   2 endpoint count   3 epoch of the endpoint set
 *   endpoint  word 0..3 address   4 port   5..7 spare
 *
 * A service's id stays the same from one generation to the next, so that the dataplane's round-robin cursors survive
 * a swap; when the epoch of its set of endpoints changes, its cursor starts again.
 */
import { type AddressMap, buildAddressMap } from './address-map.ts';

export const SERVICE_WORDS = 4;
export const SERVICE = { id: 0, first: 1, count: 2, epoch: 3 } as const;
export const ENDPOINT_WORDS = 8;
export const ENDPOINT = { address: 0, port: 4 } as const;

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
}

export interface ServiceEndpoint {
  address: readonly [number, number, number, number];
  port: number;
}

export interface ServiceTable {
  /** (virtual address, protocol and port) to service index. */
  byKey: AddressMap;
  /** Every virtual address, whatever the port: one that matches no port is refused, not routed. */
  byAddress: AddressMap;
  services: Int32Array;
  endpoints: Int32Array;
  /** One more than the largest id. */
  idLimit: number;
}

/** The extra word of a service's key. */
export function serviceKey(protocol: number, port: number): number {
  return (protocol << 16) | port;
}

export function buildServices(ports: readonly ServicePort[]): ServiceTable {
  const services = new Int32Array(ports.length * SERVICE_WORDS);
  const endpoints = new Int32Array(ports.reduce((n, p) => n + p.endpoints.length, 0) * ENDPOINT_WORDS);
  let next = 0;
  let idLimit = 0;
  ports.forEach((p, i) => {
    services.set([p.id, next, p.endpoints.length, p.epoch], i * SERVICE_WORDS);
    idLimit = Math.max(idLimit, p.id + 1);
    for (const e of p.endpoints) {
      endpoints.set([...e.address, e.port], next * ENDPOINT_WORDS);
      next++;
    }
  });
  return {
    byKey: buildAddressMap(
      ports.map((p, i) => ({ address: p.address, extra: serviceKey(p.protocol, p.port), value: i })),
    ),
    byAddress: buildAddressMap(ports.map((p) => ({ address: p.address, extra: 0, value: 0 }))),
    services,
    endpoints,
    idLimit,
  };
}
