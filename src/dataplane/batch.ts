/**
 * What the pipeline knows about each packet of a vector, beside what the ports told: filled once by parse, so that no
 * later stage derives it again. A structure of arrays with the vector's indices.
 */
import { type PacketVector, VECTOR_PACKETS } from '../io/vector.ts';

/** Verdicts beside drop reasons (which are above 0). */
export const PENDING = 0;
/** Decided: it leaves by its out port, or was turned into an answer that does. */
export const FORWARDED = -1;

export class Batch {
  readonly vector: PacketVector;
  /** PENDING, FORWARDED, or the drop reason. */
  readonly verdict = field();
  /** Bytes in the arena of the IP header and of the header behind it. */
  readonly l3 = field();
  readonly l4 = field();
  /** Addresses as 4 big-endian words, IPv4 mapped. */
  readonly source0 = field();
  readonly source1 = field();
  readonly source2 = field();
  readonly source3 = field();
  readonly destination0 = field();
  readonly destination1 = field();
  readonly destination2 = field();
  readonly destination3 = field();
  readonly protocol = field();
  /** Source port in the upper half, destination port in the lower; ICMP echo: identifier in both; otherwise 0. */
  readonly ports = field();
  /** What a fragment's datagram is known by where its source is rewritten; only where its ports are known. */
  readonly fragmentId = field();
  /** TCP flags, or 0. */
  readonly tcpFlags = field();
  /** KIND of the packet beyond its protocol. */
  readonly kind = field();
  /** Flow record, or NO_FLOW. */
  readonly flow = field();
  /** The flow record that it most likely has, or NO_FLOW: only the flow stage asks. */
  readonly expected = field();
  /** Index of the adjacency it goes to, or -1. */
  readonly adjacency = field();
  /** Index of the adjacency of the peer that sent it over the overlay, or -1. */
  readonly fromPeer = field();

  constructor(vector: PacketVector) {
    this.vector = vector;
  }
}

export const KIND = {
  plain: 0,
  /** A fragment: its ports are those of its datagram, 0 where they are not known; only the first one has them in it. */
  fragment: 1,
  /** ICMP echo request. */
  echoRequest: 2,
  /** ICMP error, which quotes a packet of another flow. */
  icmpError: 3,
  /** An ARP frame from the overlay. */
  arp: 4,
  /** IPv6's counterpart: a neighbour solicitation or advertisement from the overlay. */
  neighbour: 5,
} as const;

/** Whether packet `i` of a batch is IPv6: once parse has found its IP header. */
export function isIpv6(c: { batch: Batch }, i: number): boolean {
  return c.batch.vector.arena[c.batch.l3[i]] >> 4 === 6;
}

function field(): Int32Array {
  return new Int32Array(VECTOR_PACKETS);
}
