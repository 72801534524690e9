/**
 * Ports in memory: the same contract as the devices', for tests, fuzzing and labs in one process. What is injected
 * is received in order, laid out in the arena as the devices lay it out; what is sent is kept until asked for, or
 * crosses a link to another host's ports. Nothing blocks: waiting moves the clock, which is the test's own.
 */
import type { Words } from '../wire/address.ts';
import { setU16 } from '../wire/bytes.ts';
import { finish, sum } from '../wire/checksum.ts';
import type { PacketIo } from './packet-io.ts';
import {
  FIELD,
  FIELD_COUNT,
  GSO_NONE,
  HEADROOM_BYTES,
  PACKET_FLAG,
  type PacketVector,
  RECEIVE_BYTES,
  SPARE_PACKETS,
  VECTOR_PACKETS,
} from './vector.ts';

/** VXLAN and the inner Ethernet header, in front of the inner IP header. */
const ENCAP_BYTES = 22;
const VXLAN_PORT = 4789;
const NO_PEER: Words = [0, 0, 0, 0];

/** What is known about a packet beside its bytes; positions count from the packet's start. Absent is 0. */
export interface PacketMeta {
  /** Outer address of the overlay peer it comes from or goes to. */
  peer?: Words;
  peerPort?: number;
  /** PACKET_FLAG bits. */
  flags?: number;
  gsoType?: number;
  gsoSize?: number;
  checksumStart?: number;
  checksumOffset?: number;
}

export interface InjectMeta extends PacketMeta {
  /**
   * Of a super-packet: lay it out as receive offload does, each segment behind a copy of this many bytes of header.
   */
  stridedHeaderBytes?: number;
}

/** A packet as it was sent: bytes copied and contiguous. */
export interface SentPacket extends Required<PacketMeta> {
  port: number;
  bytes: Uint8Array;
  /** From the start to the inner IP header; 0 without encapsulation. */
  l3Offset: number;
}

interface Queued {
  port: number;
  bytes: Uint8Array;
  meta: InjectMeta;
}

interface Link {
  port: number;
  farAddress: Words;
  to: MemoryIo;
  toPort: number;
  ownAddress: Words;
}

export class MemoryIo implements PacketIo {
  /** Virtual milliseconds: 0 at first, moved by waiting, `advance`, or by hand. */
  nowMs = 0;
  readonly #overlayPorts: ReadonlySet<number>;
  readonly #links: Link[] = [];
  #queue: Queued[] = [];
  #sent: SentPacket[] = [];
  #woken = false;

  /** Ports in `overlayPorts` are UDP sockets of the overlay: they carry VXLAN payloads. */
  constructor(options: { overlayPorts?: readonly number[] } = {}) {
    this.#overlayPorts = new Set(options.overlayPorts);
  }

  /** Packets injected and not yet received. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Queues a packet to be received on a port. The bytes are copied. */
  inject(port: number, packet: Uint8Array, meta: InjectMeta = {}): void {
    // Not slice: a Buffer's would share its bytes.
    const q = { port, bytes: new Uint8Array(packet), meta };
    if (HEADROOM_BYTES + placedBytes(q) > RECEIVE_BYTES) {
      throw new RangeError(`a packet of ${packet.length} bytes fits no vector`);
    }
    this.#queue.push(q);
  }

  /** Takes what was sent on a port, or on all of them, since the last time, in order. */
  sent(port?: number): SentPacket[] {
    const taken = port === undefined ? this.#sent : this.#sent.filter((p) => p.port === port);
    this.#sent = port === undefined ? [] : this.#sent.filter((p) => p.port !== port);
    return taken;
  }

  advance(milliseconds: number): void {
    this.nowMs += milliseconds;
  }

  /** Makes the next wait end at once. */
  wake(): void {
    this.#woken = true;
  }

  /** As the contract says, except that an unlimited wait with nothing to come returns at once. */
  exchange(vector: PacketVector, timeoutMs: number): number {
    for (let i = 0; i < vector.count; i++) {
      if (vector.outPort[i] >= 0) this.#send(copyOut(vector, i));
    }
    if (this.#queue.length === 0 && timeoutMs > 0 && !this.#woken) this.nowMs += timeoutMs;
    this.#woken = false;
    return this.#receive(vector);
  }

  close(): void {
    this.#queue = [];
    this.#sent = [];
    this.#links.length = 0;
  }

  /**
   * Joins two overlay ports: what either sends to the other's address arrives there as from its own. Packets to
   * addresses without a link are kept for `sent`.
   */
  static link(a: MemoryIo, portA: number, b: MemoryIo, portB: number, addressA: Words, addressB: Words): void {
    a.#links.push({ port: portA, farAddress: addressB, to: b, toPort: portB, ownAddress: addressA });
    b.#links.push({ port: portB, farAddress: addressA, to: a, toPort: portA, ownAddress: addressB });
  }

  #send(packet: SentPacket): void {
    const link = this.#links.find((l) => l.port === packet.port && sameAddress(l.farAddress, packet.peer));
    if (!link) {
      this.#sent.push(packet);
      return;
    }
    const { bytes, gsoType, gsoSize, checksumStart, checksumOffset } = packet;
    const meta: InjectMeta = { peer: link.ownAddress, peerPort: VXLAN_PORT };
    if (gsoType !== GSO_NONE) {
      // Cut on the way out and coalesced on the way in, a super-packet arrives as one.
      Object.assign(meta, { flags: packet.flags, gsoType, gsoSize, checksumStart, checksumOffset });
    } else if (packet.flags & PACKET_FLAG.checksumPartial) {
      completeChecksum(packet);
    }
    link.to.inject(link.toPort, bytes, meta);
  }

  #receive(vector: PacketVector): number {
    let free = 0;
    let count = 0;
    for (const q of this.#queue) {
      if (count === VECTOR_PACKETS - SPARE_PACKETS) break;
      const start = free + HEADROOM_BYTES;
      const placed = placedBytes(q);
      if (start + placed > RECEIVE_BYTES) break;
      this.#place(vector, count, q, start);
      free = (start + placed + 63) & ~63;
      count++;
    }
    this.#queue.splice(0, count);
    vector.begin(count);
    return count;
  }

  #place(vector: PacketVector, i: number, q: Queued, start: number): void {
    const { bytes, meta } = q;
    for (let f = 0; f < FIELD_COUNT; f++) vector.descriptors[f * VECTOR_PACKETS + i] = 0;
    const set = (field: number, value: number) => {
      vector.descriptors[field * VECTOR_PACKETS + i] = value;
    };
    const header = meta.stridedHeaderBytes ?? 0;
    const size = meta.gsoSize ?? 0;
    if (header > 0) {
      const stride = header + size;
      for (let k = 0, at = header; at < bytes.length; k++, at += size) {
        vector.arena.set(bytes.subarray(0, header), start + k * stride);
        vector.arena.set(bytes.subarray(at, at + size), start + k * stride + header);
      }
      set(FIELD.stride, stride);
      set(FIELD.headerBytes, header);
    } else {
      vector.arena.set(bytes, start);
    }
    const peer = meta.peer ?? NO_PEER;
    set(FIELD.inPort, q.port);
    set(FIELD.outPort, -1);
    set(FIELD.offset, start);
    set(FIELD.length, bytes.length);
    set(FIELD.flags, meta.flags ?? 0);
    set(FIELD.gsoType, meta.gsoType ?? GSO_NONE);
    set(FIELD.gsoSize, size);
    set(FIELD.checksumStart, meta.checksumStart ?? 0);
    set(FIELD.checksumOffset, meta.checksumOffset ?? 0);
    set(FIELD.l3Offset, this.#overlayPorts.has(q.port) ? ENCAP_BYTES : 0);
    for (let w = 0; w < 4; w++) set(FIELD.peer0 + w, peer[w]);
    set(FIELD.peerPort, meta.peerPort ?? 0);
  }
}

/** Computes the checksum that was left to the device, as a port without that offload must. */
export function completeChecksum(packet: SentPacket): void {
  const { bytes, checksumStart } = packet;
  const at = checksumStart + packet.checksumOffset;
  // UDP's "none" is 0, so a checksum of 0 goes as 0xffff; for TCP that is the same number in ones-complement.
  setU16(bytes, at, finish(sum(bytes, checksumStart, bytes.length - checksumStart)) || 0xffff);
  packet.flags &= ~PACKET_FLAG.checksumPartial;
}

/** Bytes of arena that a packet takes. */
function placedBytes(q: Queued): number {
  const header = q.meta.stridedHeaderBytes ?? 0;
  if (header === 0) return q.bytes.length;
  const size = q.meta.gsoSize ?? 0;
  const payload = q.bytes.length - header;
  if (size <= 0 || payload <= 0) throw new RangeError('a strided packet needs a gsoSize and a payload');
  return Math.ceil(payload / size) * header + payload;
}

/** Packet `i` as contiguous bytes. A descriptor that points outside the arena is the dataplane's bug: thrown. */
function copyOut(vector: PacketVector, i: number): SentPacket {
  const start = vector.offset[i];
  const length = vector.length[i];
  const stride = vector.stride[i];
  const header = stride > 0 ? vector.headerBytes[i] : length;
  const bytes = new Uint8Array(length);
  const piece = (from: number, n: number, to: number) => {
    if (from < 0 || n < 0 || from + n > vector.arena.length) {
      throw new RangeError(`packet ${i}: bytes ${from} to ${from + n} lie outside the arena`);
    }
    bytes.set(vector.arena.subarray(from, from + n), to);
  };
  piece(start, header, 0);
  const size = vector.gsoSize[i];
  if (stride > 0 && size <= 0) throw new RangeError(`packet ${i}: stride ${stride} without a gsoSize`);
  for (let k = 0, at = header; at < length; k++, at += size) {
    piece(start + k * stride + header, Math.min(size, length - at), at);
  }
  return {
    port: vector.outPort[i],
    bytes,
    flags: vector.flags[i],
    gsoType: vector.gsoType[i],
    gsoSize: size,
    checksumStart: vector.checksumStart[i],
    checksumOffset: vector.checksumOffset[i],
    l3Offset: vector.l3Offset[i],
    peer: [vector.peer0[i] >>> 0, vector.peer1[i] >>> 0, vector.peer2[i] >>> 0, vector.peer3[i] >>> 0],
    peerPort: vector.peerPort[i],
  };
}

function sameAddress(a: Words, b: Words): boolean {
  return a.every((w, i) => w >>> 0 === b[i] >>> 0);
}
