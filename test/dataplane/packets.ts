/** Packets as tests write them down, and as tests read them, in the family that the suite runs in (family.ts). */

import { GSO_NONE, GSO_TCPV4, GSO_TCPV6 } from '../../src/io/vector.ts';
import { formatAddress4, parseAddress4, type Words } from '../../src/wire/address.ts';
import { finish, pseudoSum4, pseudoSum6, sum } from '../../src/wire/checksum.ts';
import * as icmp from '../../src/wire/icmp.ts';
import * as icmpv6 from '../../src/wire/icmpv6.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as extension from '../../src/wire/ipv6-extension.ts';
import * as tcp from '../../src/wire/tcp.ts';
import * as udp from '../../src/wire/udp.ts';
import { asWritten, run, wordsOf } from './family.ts';

export interface PacketOptions {
  from: string;
  to: string;
  ttl?: number;
  dontFragment?: boolean;
  payload?: Uint8Array;
}

export function address(text: string): number {
  const parsed = parseAddress4(text);
  if (parsed === undefined) throw new Error(`not an IPv4 address: ${text}`);
  return parsed;
}

export function payloadOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
}

/** Bytes of IP header that packets of this suite have. */
export function ipBytes(): number {
  return run.family === 6 ? ipv6.HEADER_BYTES : ipv4.HEADER_BYTES;
}

/** `protocol` as IPv4 has it. */
export function ipPacket(o: PacketOptions, protocol: number, l4: Uint8Array): Uint8Array {
  if (run.family === 6) return ipv6Packet(o, protocol === 1 ? 58 : protocol, l4);
  const b = new Uint8Array(ipv4.HEADER_BYTES + l4.length);
  ipv4.writeHeader(b, 0, {
    totalBytes: b.length,
    protocol,
    source: address(o.from),
    destination: address(o.to),
    ttl: o.ttl ?? 64,
    dontFragment: o.dontFragment ?? false,
  });
  b.set(l4, ipv4.HEADER_BYTES);
  return b;
}

/** The same in IPv6, whatever the suite's family; `next` may be an extension header's number. */
export function ipv6Packet(o: PacketOptions, next: number, payload: Uint8Array): Uint8Array {
  const b = new Uint8Array(ipv6.HEADER_BYTES + payload.length);
  ipv6.writeHeader(b, 0, payload.length, next, o.ttl ?? 64, wordsOf(o.from), wordsOf(o.to));
  b.set(payload, ipv6.HEADER_BYTES);
  return b;
}

/** Unfolded sum of the pseudo-header. */
export function pseudoSum(o: PacketOptions, protocol: number, lengthBytes: number): number {
  const [from, to] = [wordsOf(o.from), wordsOf(o.to)];
  if (run.family === 4) return pseudoSum4(from[3], to[3], protocol, lengthBytes);
  const b = new Uint8Array(ipv6.HEADER_BYTES);
  ipv6.writeHeader(b, 0, 0, 0, 0, from, to);
  return pseudoSum6(b, 0, protocol, lengthBytes);
}

export function udpPacket(o: PacketOptions & { fromPort: number; toPort: number }): Uint8Array {
  const payload = o.payload ?? new Uint8Array(0);
  const l4 = new Uint8Array(udp.HEADER_BYTES + payload.length);
  udp.writeHeader(l4, 0, o.fromPort, o.toPort, l4.length);
  l4.set(payload, udp.HEADER_BYTES);
  udp.setComputedChecksum(l4, 0, finish(sum(l4, 0, l4.length, pseudoSum(o, 17, l4.length))));
  return ipPacket(o, 17, l4);
}

export interface TcpOptions extends PacketOptions {
  fromPort: number;
  toPort: number;
  flags: number;
  seq?: number;
  ack?: number;
  /** A multiple of 4 bytes. */
  options?: readonly number[];
}

export function tcpPacket(o: TcpOptions): Uint8Array {
  const payload = o.payload ?? new Uint8Array(0);
  const options = o.options ?? [];
  const header = tcp.HEADER_BYTES + options.length;
  const l4 = new Uint8Array(header + payload.length);
  tcp.writeHeader(l4, 0, o.fromPort, o.toPort, o.seq ?? 1000, o.ack ?? 0, o.flags, 65535);
  l4[12] = (header / 4) << 4;
  l4.set(options, tcp.HEADER_BYTES);
  l4.set(payload, header);
  tcp.setChecksum(l4, 0, finish(sum(l4, 0, l4.length, pseudoSum(o, 6, l4.length))));
  return ipPacket(o, 6, l4);
}

export function echoPacket(o: PacketOptions & { id?: number; reply?: boolean }): Uint8Array {
  const payload = o.payload ?? payloadOf(56);
  const l4 = new Uint8Array(icmp.HEADER_BYTES + payload.length);
  icmp.writeHeader(l4, 0, o.reply ? 0 : 8, 0, ((o.id ?? 77) << 16) | 1);
  l4.set(payload, icmp.HEADER_BYTES);
  return icmpPacket(o, l4);
}

/** What a device says of a TCP super-packet, or of one with its checksum to be done (gsoSize 0). */
export function tcpOffload(gsoSize: number) {
  const gsoType = gsoSize === 0 ? GSO_NONE : run.family === 6 ? GSO_TCPV6 : GSO_TCPV4;
  return { flags: 1, gsoType, gsoSize, checksumStart: ipBytes(), checksumOffset: 16 };
}

/** Writes another destination into the packet at `o`. */
export function redirect(b: Uint8Array, o: number, to: string): void {
  const words = wordsOf(to);
  if (run.family === 6) return ipv6.setDestination(b, o, words[0], words[1], words[2], words[3]);
  ipv4.setDestination(b, o, words[3]);
  ipv4.fillChecksum(b, o);
}

/** Types and codes are ICMP's for IPv4; the checksum is made here. */
export function icmpPacket(o: PacketOptions, l4: Uint8Array): Uint8Array {
  const b = ipPacket(o, 1, l4);
  const at = ipBytes();
  if (run.family === 4) {
    icmp.fillChecksum(b, at, l4.length);
  } else {
    const [type, code] = toIcmpv6(icmp.type(l4, 0), icmp.code(l4, 0));
    b[at] = type;
    b[at + 1] = code;
    icmpv6.fillChecksum(b, 0, at, l4.length);
  }
  return b;
}

/** ICMP's type and code beside the ICMPv6 ones that say the same (RFC 7915, 4.2 and 5.2). */
const COUNTERPARTS: readonly [number, number, number, number][] = [
  [8, 0, 128, 0],
  [0, 0, 129, 0],
  [3, 0, 1, 0],
  [3, 1, 1, 3],
  [3, 3, 1, 4],
  [3, 4, 2, 0],
  [11, 0, 3, 0],
  [11, 1, 3, 1],
  [3, 13, 1, 1],
  [12, 0, 4, 0],
];

function toIcmpv6(type: number, code: number): [number, number] {
  const found = COUNTERPARTS.find(([t, c]) => t === type && c === code);
  return found ? [found[2], found[3]] : [type < 128 ? (type % 4) + 1 : type, code];
}

function fromIcmpv6(type: number, code: number): [number, number] {
  const found = COUNTERPARTS.find(([, , t, c]) => t === type && c === code);
  return found ? [found[0], found[1]] : [type, code];
}

/** What a packet says, with `valid` true when every checksum in it is right. In IPv6, ICMP's types and IPv4's lengths. */
export interface Seen {
  from: string;
  to: string;
  protocol: number;
  ttl: number;
  fromPort: number;
  toPort: number;
  flags: number;
  type: number;
  code: number;
  length: number;
  valid: boolean;
}

export function read(b: Uint8Array): Seen {
  if (b[0]! >> 4 === 6) return readIpv6(b);
  const protocol = ipv4.protocol(b, 0);
  const o = ipv4.headerBytes(b, 0);
  const fragment = ipv4.isFragment(b, 0);
  const ports = !fragment && (protocol === 6 || protocol === 17);
  const length = b.length - o;
  const pseudo = pseudoSum4(ipv4.source(b, 0), ipv4.destination(b, 0), protocol, length);
  const l4Valid =
    fragment || (protocol === 1 ? icmp.checksumValid(b, o, length) : !ports || finish(sum(b, o, length, pseudo)) === 0);
  return {
    from: formatAddress4(ipv4.source(b, 0)),
    to: formatAddress4(ipv4.destination(b, 0)),
    protocol,
    ttl: ipv4.ttl(b, 0),
    fromPort: ports ? udp.sourcePort(b, o) : 0,
    toPort: ports ? udp.destinationPort(b, o) : 0,
    flags: protocol === 6 && ports ? tcp.flags(b, o) : 0,
    type: protocol === 1 && !fragment ? icmp.type(b, o) : -1,
    code: protocol === 1 && !fragment ? icmp.code(b, o) : -1,
    length: b.length,
    valid: ipv4.checksumValid(b, 0) && ipv4.totalBytes(b, 0) === b.length && l4Valid,
  };
}

function readIpv6(b: Uint8Array): Seen {
  const source = (word: number) => ipv6.sourceWord(b, 0, word);
  const destination = (word: number) => ipv6.destinationWord(b, 0, word);
  const found = extension.walk(b, 0, b.length);
  const [o, next] = [found >> 8, found & 0xff];
  const fragment = next === extension.NEXT.fragment;
  const ports = next === 6 || next === 17;
  const isIcmp = next === 58;
  const length = b.length - o;
  const [type, code] = isIcmp ? fromIcmpv6(icmpv6.type(b, o), icmpv6.code(b, o)) : [-1, -1];
  const l4Valid = !(ports || isIcmp) || finish(sum(b, o, length, pseudoSum6(b, 0, next, length))) === 0;
  return {
    from: asWritten([0, 1, 2, 3].map(source) as unknown as Words),
    to: asWritten([0, 1, 2, 3].map(destination) as unknown as Words),
    protocol: isIcmp ? 1 : fragment ? extension.fragmentNextHeader(b, o) : next,
    ttl: ipv6.hopLimit(b, 0),
    fromPort: ports ? udp.sourcePort(b, o) : 0,
    toPort: ports ? udp.destinationPort(b, o) : 0,
    flags: next === 6 ? tcp.flags(b, o) : 0,
    type,
    code,
    length: b.length - (ipv6.HEADER_BYTES - ipv4.HEADER_BYTES),
    valid: found >= 0 && ipv6.payloadBytes(b, 0) === b.length - ipv6.HEADER_BYTES && l4Valid,
  };
}
