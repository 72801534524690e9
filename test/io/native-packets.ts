/**
 * Packets and engines for the native addon's tests: a VXLAN prefix in front of IPv4 or IPv6 with TCP or UDP, written
 * byte by byte and checked by a naive checksum, so that nothing of what is tested is used to test it.
 */
import type { NativePort } from '../../src/io/native-addon.ts';
import { loadNativeAddon } from '../../src/io/native-addon.ts';
import { NativeIo } from '../../src/io/native-io.ts';
import { PacketVector } from '../../src/io/vector.ts';

export const ENCAP_BYTES = 22;
export const TCP = 6;
export const UDP = 17;

/** Seeded xorshift: the same bytes in every run. */
export function randomBytes(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed | 1;
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state & 0xff;
  }
  return bytes;
}

export function naiveSum(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65536);
  return sum;
}

export interface Inner {
  readonly protocol: number;
  readonly payload: Uint8Array;
  readonly ipv6?: boolean;
  readonly seq?: number;
  readonly ack?: number;
  readonly tcpFlags?: number;
  readonly id?: number;
  readonly ttl?: number;
  readonly sourcePort?: number;
  readonly dontFragment?: boolean;
  readonly window?: number;
  /** Leave the folded pseudo-header sum in the checksum field, as a kernel does before segmentation. */
  readonly partial?: boolean;
}

export function pseudoHeader(ip: Uint8Array, l4Bytes: number): Buffer {
  const v6 = ip[0]! >> 4 === 6;
  const addresses = v6 ? ip.subarray(8, 40) : ip.subarray(12, 20);
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(v6 ? ip[6]! : ip[9]!, 0);
  tail.writeUInt16BE(l4Bytes, 2);
  return Buffer.concat([addresses, tail]);
}

/** VXLAN header, inner Ethernet header, IP packet. */
export function encapsulated(inner: Inner): Buffer {
  const tcp = inner.protocol === TCP;
  const l4 = Buffer.alloc(tcp ? 32 : 8);
  l4.writeUInt16BE(inner.sourcePort ?? 40000, 0);
  l4.writeUInt16BE(5201, 2);
  if (tcp) {
    l4.writeUInt32BE(inner.seq ?? 1000, 4);
    l4.writeUInt32BE(inner.ack ?? 77, 8);
    l4[12] = 0x80;
    l4[13] = inner.tcpFlags ?? 0x10;
    l4.writeUInt16BE(inner.window ?? 512, 14);
    Buffer.from([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]).copy(l4, 20);
  } else {
    l4.writeUInt16BE(8 + inner.payload.length, 4);
  }
  const l4Bytes = l4.length + inner.payload.length;
  const ip = Buffer.alloc(inner.ipv6 ? 40 : 20);
  if (inner.ipv6) {
    ip[0] = 0x60;
    ip.writeUInt16BE(l4Bytes, 4);
    ip[6] = inner.protocol;
    ip[7] = inner.ttl ?? 63;
    randomBytes(32, 9).copy(ip, 8);
  } else {
    ip[0] = 0x45;
    ip.writeUInt16BE(20 + l4Bytes, 2);
    ip.writeUInt16BE(inner.id ?? 100, 4);
    ip.writeUInt16BE((inner.dontFragment ?? true) ? 0x4000 : 0, 6);
    ip[8] = inner.ttl ?? 63;
    ip[9] = inner.protocol;
    Buffer.from([10, 244, 1, 7, 10, 244, 2, 9]).copy(ip, 12);
    ip.writeUInt16BE(~naiveSum(ip) & 0xffff, 10);
  }
  const field = tcp ? 16 : 6;
  const pseudo = naiveSum(pseudoHeader(ip, l4Bytes));
  if (inner.partial) l4.writeUInt16BE(pseudo, field);
  else l4.writeUInt16BE(~naiveSum(Buffer.concat([l4, inner.payload]), pseudo) & 0xffff, field);
  const prefix = Buffer.alloc(ENCAP_BYTES, 0x0a);
  Buffer.from([8, 0, 0, 0, 0, 0, 1, 0]).copy(prefix);
  prefix.writeUInt16BE(inner.ipv6 ? 0x86dd : 0x0800, 20);
  return Buffer.concat([prefix, ip, l4, inner.payload]);
}

/** Whether the IP header's and the L4 checksum of the packet behind the prefix are true. */
export function checksumsTrue(packet: Uint8Array): boolean {
  const ip = packet.subarray(ENCAP_BYTES);
  const v6 = ip[0]! >> 4 === 6;
  const ipBytes = v6 ? 40 : 20;
  if (!v6 && naiveSum(ip.subarray(0, 20)) !== 0xffff) return false;
  const l4 = ip.subarray(ipBytes);
  return naiveSum(l4, naiveSum(pseudoHeader(ip, l4.length))) === 0xffff;
}

/** One engine with its vector and one UDP port (id 1) on loopback; further sockets by hand. */
export class Bench {
  readonly addon = loadNativeAddon();
  readonly vector = new PacketVector();
  readonly waker = this.addon.openWaker();
  readonly stats = new Float64Array(this.addon.statNames.length);
  readonly io = new NativeIo(this.vector, { waker: this.waker, stats: this.stats });
  readonly #fds: number[] = [this.waker];
  readonly #underlay: '127.0.0.1' | '::1';

  constructor(underlay: '127.0.0.1' | '::1' = '127.0.0.1') {
    this.#underlay = underlay;
  }

  udp(options: Partial<NativePort> & { gro?: boolean } = {}): number {
    const socket = this.addon.openUdp({
      address: this.#underlay,
      port: 0,
      receiveBufferBytes: 4 << 20,
      sendBufferBytes: 4 << 20,
      gso: options.gso ?? true,
      gro: options.gro ?? true,
    });
    this.#fds.push(socket.fd);
    this.io.attach({ id: 1, kind: 'udp', gso: true, encapBytes: ENCAP_BYTES, mtu: 1450, ...options, fd: socket.fd });
    return socket.port;
  }

  own(fd: number): number {
    this.#fds.push(fd);
    return fd;
  }

  stat(name: string): number {
    return this.stats[this.addon.statNames.indexOf(name)] ?? Number.NaN;
  }

  /** Appends a packet to the vector, bound for `port` at the underlay's address by port 1. Returns its index. */
  queue(bytes: Uint8Array, port: number): number {
    const i = this.vector.append(bytes.length);
    if (i < 0) throw new Error('the vector is full');
    this.vector.arena.set(bytes, this.vector.offset[i]);
    this.vector.outPort[i] = 1;
    this.vector.l3Offset[i] = ENCAP_BYTES;
    this.vector.peer2[i] = this.#underlay === '::1' ? 0 : 0xffff;
    this.vector.peer3[i] = this.#underlay === '::1' ? 1 : 0x7f000001;
    this.vector.peerPort[i] = port;
    return i;
  }

  /** What the last exchange received and everything until nothing comes for a while, with a copy of the bytes. */
  receive(whileMs = 50): Received[] {
    const all: Received[] = [];
    do {
      for (let i = 0; i < this.vector.count; i++) all.push(received(this.vector, i));
      this.vector.count = 0;
    } while (this.io.exchange(this.vector, whileMs) > 0);
    return all;
  }

  close(): void {
    this.io.close();
    for (const fd of this.#fds) this.addon.closeFd(fd);
  }
}

export interface Received {
  readonly bytes: Buffer;
  readonly inPort: number;
  readonly flags: number;
  readonly gsoType: number;
  readonly gsoSize: number;
  readonly stride: number;
  readonly headerBytes: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
  readonly l3Offset: number;
  readonly peer: readonly [number, number, number, number];
  readonly peerPort: number;
}

/** Packet i of the vector, its bytes as if they lay without strides. */
function received(vector: PacketVector, i: number): Received {
  const offset = vector.offset[i]!;
  const stride = vector.stride[i]!;
  const headerBytes = vector.headerBytes[i]!;
  const gsoSize = vector.gsoSize[i]!;
  const pieces: Uint8Array[] = [];
  let left = vector.length[i]!;
  if (stride === 0) {
    pieces.push(vector.arena.slice(offset, offset + left));
  } else {
    pieces.push(vector.arena.slice(offset, offset + headerBytes));
    left -= headerBytes;
    for (let at = offset + headerBytes; left > 0; at += stride, left -= gsoSize) {
      pieces.push(vector.arena.slice(at, at + Math.min(gsoSize, left)));
    }
  }
  return {
    bytes: Buffer.concat(pieces),
    inPort: vector.inPort[i]!,
    flags: vector.flags[i]!,
    gsoType: vector.gsoType[i]!,
    gsoSize,
    stride,
    headerBytes,
    checksumStart: vector.checksumStart[i]!,
    checksumOffset: vector.checksumOffset[i]!,
    l3Offset: vector.l3Offset[i]!,
    peer: [vector.peer0[i]!, vector.peer1[i]!, vector.peer2[i]!, vector.peer3[i]!],
    peerPort: vector.peerPort[i]!,
  };
}
