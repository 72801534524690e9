/**
 * A vector of packets as it crosses between the input/output ports and the dataplane. It stands at both ends of
 * the packet flow: a port fills it on receive, the dataplane decides in place, the port sends what was decided.
 *
 * The bytes live in one arena; what is known about each packet lives in a structure of arrays, one Int32Array per
 * field, all over one buffer that the native addon writes directly. Field numbers and capacities below are the one
 * truth: the addon receives this table at start and refuses to run if it was built for another.
 *
 *   arena:   | receive region (the port's own)          | spare region (the dataplane's own packets) |
 *   packet:  | headroom | prefix (VXLAN) | IP header | L4 header | payload ...                        |
 *                        ^ offset on receive            (offset moves as headers are stripped or prepended)
 */

/** Most packets that one vector carries. */
export const VECTOR_PACKETS = 1024;
/** Of those, the last ones are kept free on receive, for packets that the dataplane makes itself. */
export const SPARE_PACKETS = 192;
/** Free bytes in front of every received packet that was read alone: outer headers are written there. */
export const HEADROOM_BYTES = 128;
/** Bytes of arena the port receives into. */
export const RECEIVE_BYTES = 6 * 1024 * 1024;
/** Bytes of arena for packets that the dataplane makes itself: errors, answers, copies, retransmissions. */
export const SPARE_BYTES = 1024 * 1024;
export const ARENA_BYTES = RECEIVE_BYTES + SPARE_BYTES;

/** Field numbers: field f of packet i stands at word f * VECTOR_PACKETS + i of the descriptor buffer. */
export const FIELD = {
  /** Receive: id of the port the packet came from. */
  inPort: 0,
  /** Send: id of the port it goes to, or -1 for none. */
  outPort: 1,
  /** Byte in the arena where the packet starts. */
  offset: 2,
  /** Bytes of the packet, headers once (a super-packet counts its header once and all its payload). */
  length: 3,
  /** PACKET_FLAG bits. */
  flags: 4,
  /** GSO_* type of a super-packet, or 0. */
  gsoType: 5,
  /** Payload bytes of each segment of a super-packet. */
  gsoSize: 6,
  /** From `offset` to where the checksum starts (the L4 header), when checksumPartial. */
  checksumStart: 7,
  /** From there to the checksum field itself. */
  checksumOffset: 8,
  /**
   * A strided super-packet, as receive offload leaves it, has its segments each behind a copy of the header:
   * bytes from one segment's start to the next one's. 0: the payload is contiguous.
   */
  stride: 9,
  /** Bytes of header in front of each segment's payload, counted from `offset`. 0 when stride is 0. */
  headerBytes: 10,
  /** From `offset` to the inner IP header; 0 without encapsulation. */
  l3Offset: 11,
  /** Outer address of the overlay peer, 4 big-endian words, IPv4 mapped: source on receive, destination on send. */
  peer0: 12,
  peer1: 13,
  peer2: 14,
  peer3: 15,
  /** UDP port of that peer. */
  peerPort: 16,
  /** Flow hash, for whoever spreads flows. */
  hash: 17,
} as const;
export const FIELD_COUNT = 18;

export const PACKET_FLAG = {
  /**
   * The L4 checksum field holds the folded, uncomplemented pseudo-header sum only; whoever needs the true one
   * computes it from checksumStart (VIRTIO_NET_HDR_F_NEEDS_CSUM, linux/virtio_net.h).
   */
  checksumPartial: 1,
  /** The L4 checksum has been verified (VIRTIO_NET_HDR_F_DATA_VALID). */
  checksumVerified: 2,
} as const;

/** linux/virtio_net.h VIRTIO_NET_HDR_GSO_*. */
export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_TCPV6 = 4;
export const GSO_UDP_L4 = 5;

export class PacketVector {
  readonly arena: Uint8Array;
  readonly descriptors: Int32Array;
  readonly inPort: Int32Array;
  readonly outPort: Int32Array;
  readonly offset: Int32Array;
  readonly length: Int32Array;
  readonly flags: Int32Array;
  readonly gsoType: Int32Array;
  readonly gsoSize: Int32Array;
  readonly checksumStart: Int32Array;
  readonly checksumOffset: Int32Array;
  readonly stride: Int32Array;
  readonly headerBytes: Int32Array;
  readonly l3Offset: Int32Array;
  readonly peer0: Int32Array;
  readonly peer1: Int32Array;
  readonly peer2: Int32Array;
  readonly peer3: Int32Array;
  readonly peerPort: Int32Array;
  readonly hash: Int32Array;
  /** Packets in the vector: received ones first, then those the dataplane appended. */
  count = 0;
  #spare = RECEIVE_BYTES;

  /** An arena of one's own may be larger: what lies behind ARENA_BYTES is its maker's, for packets that are placed. */
  constructor(arena: Uint8Array = new Uint8Array(ARENA_BYTES)) {
    this.arena = arena;
    this.descriptors = new Int32Array(FIELD_COUNT * VECTOR_PACKETS);
    const field = (f: number) => this.descriptors.subarray(f * VECTOR_PACKETS, (f + 1) * VECTOR_PACKETS);
    this.inPort = field(FIELD.inPort);
    this.outPort = field(FIELD.outPort);
    this.offset = field(FIELD.offset);
    this.length = field(FIELD.length);
    this.flags = field(FIELD.flags);
    this.gsoType = field(FIELD.gsoType);
    this.gsoSize = field(FIELD.gsoSize);
    this.checksumStart = field(FIELD.checksumStart);
    this.checksumOffset = field(FIELD.checksumOffset);
    this.stride = field(FIELD.stride);
    this.headerBytes = field(FIELD.headerBytes);
    this.l3Offset = field(FIELD.l3Offset);
    this.peer0 = field(FIELD.peer0);
    this.peer1 = field(FIELD.peer1);
    this.peer2 = field(FIELD.peer2);
    this.peer3 = field(FIELD.peer3);
    this.peerPort = field(FIELD.peerPort);
    this.hash = field(FIELD.hash);
  }

  /** Begins a new vector with what the port received: the spare region is free again. */
  begin(received: number): void {
    this.count = received;
    this.#spare = RECEIVE_BYTES;
  }

  /**
   * Appends an empty packet of the dataplane's own, with headroom in front, all fields 0 and no out port.
   * Returns its index, or -1 when the vector or the spare region is full.
   */
  append(lengthBytes: number): number {
    const before = this.#spare;
    const offset = this.reserve(lengthBytes);
    if (offset < 0) return -1;
    const i = this.place(offset, lengthBytes);
    if (i < 0) this.#spare = before;
    return i;
  }

  /**
   * Room in the spare region, with headroom in front, for a packet of the vector that is to have other bytes. Returns
   * its offset, or -1 when the region is full.
   */
  reserve(lengthBytes: number): number {
    const offset = this.#spare + HEADROOM_BYTES;
    const next = (offset + lengthBytes + 63) & ~63;
    if (next > ARENA_BYTES) return -1;
    this.#spare = next;
    return offset;
  }

  /**
   * Appends a packet that stands in the arena already, all fields 0 and no out port. Returns its index, or -1 when the
   * vector is full.
   */
  place(offset: number, lengthBytes: number): number {
    const i = this.count;
    if (i >= VECTOR_PACKETS) return -1;
    this.count = i + 1;
    this.inPort[i] = -1;
    this.outPort[i] = -1;
    this.offset[i] = offset;
    this.length[i] = lengthBytes;
    this.flags[i] = 0;
    this.gsoType[i] = 0;
    this.gsoSize[i] = 0;
    this.checksumStart[i] = 0;
    this.checksumOffset[i] = 0;
    this.stride[i] = 0;
    this.headerBytes[i] = 0;
    this.l3Offset[i] = 0;
    this.peer0[i] = 0;
    this.peer1[i] = 0;
    this.peer2[i] = 0;
    this.peer3[i] = 0;
    this.peerPort[i] = 0;
    this.hash[i] = 0;
    return i;
  }
}
