/**
 * Adjacencies: where a packet can go next, compiled. A route's value is an index into this table; a flow remembers
 * that index while the tables' generation is current.
 *
 *   word  0 kind   1 out port   2 MTU (bytes of IP packet)   3 peer's inner IPv4 address (the next hop ARP asks for)
 *         4..7 peer's outer address   8 peer's MAC, first 2 bytes   9 peer's MAC, last 4 bytes
 *         10 peer's UDP port   11 VNI   12..15 peer's inner IPv6 address (neighbour solicitations ask for it)
 */
export const ADJACENCY_WORDS = 16;

export const ADJACENCY = {
  kind: 0,
  port: 1,
  mtu: 2,
  nextHop4: 3,
  peer: 4,
  macHigh: 8,
  macLow: 9,
  udpPort: 10,
  vni: 11,
  nextHop6: 12,
} as const;

export const ADJACENCY_KIND = {
  /** A local pod behind its own port. */
  pod: 1,
  /** The host's own network stack, behind the host port. */
  host: 2,
  /** Another host of the overlay. */
  peer: 3,
  /** An address that the dataplane answers itself: the pods' gateway. */
  gateway: 4,
  /** An address of ours that nobody has: answered with ICMP host unreachable. */
  unreachable: 5,
} as const;

/** One adjacency as control writes it down. Addresses are 4 big-endian words, IPv4 mapped. */
export interface Adjacency {
  kind: (typeof ADJACENCY_KIND)[keyof typeof ADJACENCY_KIND];
  port: number;
  mtu: number;
  peer?: readonly [number, number, number, number];
  /** The peer's MAC as 6 bytes; absent where it must be learned. */
  mac?: Uint8Array;
  udpPort?: number;
  vni?: number;
  /** The peer's VTEP inside of the overlay, IPv4 mapped: asked for its MAC, and believed when it says unreachable. */
  nextHop?: readonly [number, number, number, number];
  /** The same in IPv6. */
  nextHop6?: readonly [number, number, number, number];
}

export function buildAdjacencies(list: readonly Adjacency[]): Int32Array {
  const out = new Int32Array(list.length * ADJACENCY_WORDS);
  list.forEach((a, i) => {
    const o = i * ADJACENCY_WORDS;
    out[o + ADJACENCY.kind] = a.kind;
    out[o + ADJACENCY.port] = a.port;
    out[o + ADJACENCY.mtu] = a.mtu;
    if (a.peer) out.set(a.peer, o + ADJACENCY.peer);
    if (a.mac) {
      const m = a.mac;
      out[o + ADJACENCY.macHigh] = (m[0] << 8) | m[1];
      out[o + ADJACENCY.macLow] = (m[2] << 24) | (m[3] << 16) | (m[4] << 8) | m[5];
    }
    out[o + ADJACENCY.udpPort] = a.udpPort ?? 0;
    out[o + ADJACENCY.vni] = a.vni ?? 0;
    if (a.nextHop) out[o + ADJACENCY.nextHop4] = a.nextHop[3];
    if (a.nextHop6) out.set(a.nextHop6, o + ADJACENCY.nextHop6);
  });
  return out;
}
