/**
 * Everything the dataplane forwards by, compiled: immutable, of flat typed arrays only, so that it crosses to the
 * dataplane's worker as one message and is swapped in as one reference between two vectors.
 */
import { type AddressMap, buildAddressMap } from './address-map.ts';
import { buildPorts } from './ports.ts';
import { buildRoutes, type RouteTable } from './routes.ts';
import { buildServices, type ServiceTable } from './services.ts';

export interface Tables {
  /** Grows by one with every publication; flows remember the one they were decided under. */
  generation: number;
  routes: RouteTable;
  /** ADJACENCY_WORDS per entry. */
  adjacencies: Int32Array;
  /** PORT_WORDS per port id. */
  ports: Int32Array;
  /** Known VTEPs: outer address to the index of the peer's adjacency. */
  peers: AddressMap;
  services: ServiceTable;
  local: LocalHost;
}

/** This host, as its packets show it. */
export interface LocalHost {
  /** The pods' gateway, host-order uint32: answers pings, is the source of ICMP errors, masks hairpin connections. */
  gateway4: number;
  /** Addresses, beside the gateway, for which ARP over the overlay is answered (flannel's `.0`), host-order uint32. */
  vtepAddress4: number;
  /** The same two in IPv6, 4 big-endian words; all 0 where the host has none. Neighbour solicitations ask for them. */
  gateway6: readonly [number, number, number, number];
  vtepAddress6: readonly [number, number, number, number];
  /** Our VTEP's MAC, first 2 and last 4 bytes. */
  macHigh: number;
  macLow: number;
  vni: number;
  /** Our own outer address, 4 big-endian words, and the UDP port we listen on: the outer header of tunnel GSO. */
  outer: readonly [number, number, number, number];
  udpPort: number;
}

/** Tables of a host that knows nothing: every packet is dropped. Generation 0. */
export function emptyTables(): Tables {
  return {
    generation: 0,
    routes: buildRoutes([]),
    adjacencies: new Int32Array(0),
    ports: buildPorts([]),
    peers: buildAddressMap([]),
    services: buildServices([]),
    local: {
      gateway4: 0,
      vtepAddress4: 0,
      gateway6: [0, 0, 0, 0],
      vtepAddress6: [0, 0, 0, 0],
      macHigh: 0,
      macLow: 0,
      vni: 0,
      outer: [0, 0, 0, 0],
      udpPort: 0,
    },
  };
}
