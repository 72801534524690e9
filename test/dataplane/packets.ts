/** Packets as tests write them down, and as tests read them. */

import { formatAddress4, parseAddress4 } from '../../src/wire/address.ts';
import { finish, pseudoSum4, sum } from '../../src/wire/checksum.ts';
import * as icmp from '../../src/wire/icmp.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as tcp from '../../src/wire/tcp.ts';
import * as udp from '../../src/wire/udp.ts';

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

export function ipPacket(o: PacketOptions, protocol: number, l4: Uint8Array): Uint8Array {
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

export function udpPacket(o: PacketOptions & { fromPort: number; toPort: number }): Uint8Array {
  const payload = o.payload ?? new Uint8Array(0);
  const l4 = new Uint8Array(udp.HEADER_BYTES + payload.length);
  udp.writeHeader(l4, 0, o.fromPort, o.toPort, l4.length);
  l4.set(payload, udp.HEADER_BYTES);
  udp.setComputedChecksum(
    l4,
    0,
    finish(sum(l4, 0, l4.length, pseudoSum4(address(o.from), address(o.to), 17, l4.length))),
  );
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
  tcp.setChecksum(l4, 0, finish(sum(l4, 0, l4.length, pseudoSum4(address(o.from), address(o.to), 6, l4.length))));
  return ipPacket(o, 6, l4);
}

export function echoPacket(o: PacketOptions & { id?: number; reply?: boolean }): Uint8Array {
  const payload = o.payload ?? payloadOf(56);
  const l4 = new Uint8Array(icmp.HEADER_BYTES + payload.length);
  icmp.writeHeader(l4, 0, o.reply ? 0 : 8, 0, ((o.id ?? 77) << 16) | 1);
  l4.set(payload, icmp.HEADER_BYTES);
  icmp.fillChecksum(l4, 0, l4.length);
  return ipPacket(o, 1, l4);
}

/** What a packet says, with `valid` true when every checksum in it is right. */
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
