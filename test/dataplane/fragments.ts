/**
 * Fragments as a sender's kernel cuts them, and their reassembly without hurry, as a receiver's does it (RFC 791, RFC
 * 8200), in the family of the packet.
 */
import { setU16, setU32 } from '../../src/wire/bytes.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as extension from '../../src/wire/ipv6-extension.ts';
import { ipBytes } from './packets.ts';

/** What a reassembled packet's fragments were numbered. */
export const numbers = new WeakMap<Uint8Array, number>();

/** A packet without options in fragments for an MTU, in order. */
export function fragmentsOf(packet: Uint8Array, identification: number, mtu = 1400): Uint8Array[] {
  const header = isSix(packet) ? ipv6.HEADER_BYTES + extension.FRAGMENT_BYTES : ipv4.HEADER_BYTES;
  const room = (mtu - header) & ~7;
  const length = packet.length - ipBytes();
  const fragments: Uint8Array[] = [];
  for (let at = 0; at < length; at += room) {
    const end = Math.min(at + room, length);
    fragments.push(fragmentOf(packet, identification, at, end, end < length));
  }
  return fragments;
}

/** Bytes from..to-1 of a packet's payload as one fragment. */
export function fragmentOf(packet: Uint8Array, id: number, from: number, to: number, more: boolean): Uint8Array {
  const six = isSix(packet);
  const start = ipBytes();
  const header = start + (six ? extension.FRAGMENT_BYTES : 0);
  const b = new Uint8Array(header + to - from);
  b.set(packet.subarray(0, start));
  b.set(packet.subarray(start + from, start + to), header);
  if (six) {
    b[start] = ipv6.nextHeader(packet, 0);
    b[6] = extension.NEXT.fragment;
    setU32(b, start + 4, id);
  } else {
    ipv4.setTotalBytes(b, 0, b.length);
    ipv4.setIdentification(b, 0, id);
  }
  if (six) ipv6.setPayloadBytes(b, 0, b.length - start);
  place(b, from, more);
  return b;
}

/** Says of a fragment that it stands somewhere else. */
export function place(b: Uint8Array, offset: number, more: boolean): void {
  if (isSix(b)) {
    setU16(b, ipv6.HEADER_BYTES + 2, offset | (more ? 1 : 0));
    return;
  }
  ipv4.setFragmentField(b, 0, false, more, offset);
  ipv4.fillChecksum(b, 0);
}

interface Part {
  offset: number;
  more: boolean;
  id: number;
  payload: Uint8Array;
  bytes: Uint8Array;
}

/** What a fragment says of itself; undefined for a whole packet. */
export function partOf(b: Uint8Array): Part | undefined {
  if (!isSix(b)) {
    if (!ipv4.isFragment(b, 0)) return undefined;
    const payload = b.subarray(ipv4.HEADER_BYTES);
    const [offset, more] = [ipv4.fragmentOffsetBytes(b, 0), ipv4.moreFragments(b, 0)];
    return { offset, more, id: ipv4.identification(b, 0), payload, bytes: b };
  }
  const o = ipv6.HEADER_BYTES;
  if (ipv6.nextHeader(b, 0) !== extension.NEXT.fragment) return undefined;
  const payload = b.subarray(o + extension.FRAGMENT_BYTES);
  const [offset, more] = [extension.fragmentOffsetBytes(b, o), extension.moreFragments(b, o)];
  return { offset, more, id: extension.identification(b, o), payload, bytes: b };
}

/** What a receiver makes of packets that arrived in any order: whole ones, and those whose fragments are all there. */
export function reassembled(packets: readonly Uint8Array[]): Uint8Array[] {
  const whole: Uint8Array[] = [];
  const parts = new Map<string, Part[]>();
  for (const p of packets) {
    const part = partOf(p);
    if (part === undefined) {
      whole.push(p);
      continue;
    }
    const addresses = isSix(p) ? p.subarray(8, 40) : p.subarray(12, 20);
    const key = `${addresses} ${part.id}`;
    const list = [...(parts.get(key) ?? []), part];
    parts.set(key, list);
    const joined = join(list);
    if (joined === undefined) continue;
    parts.delete(key);
    whole.push(joined);
  }
  return whole;
}

function join(parts: readonly Part[]): Uint8Array | undefined {
  const sorted = [...parts].sort((a, b) => a.offset - b.offset);
  let at = 0;
  for (const { offset, payload, bytes } of sorted) {
    if (offset !== at || (!isSix(bytes) && !ipv4.checksumValid(bytes, 0))) return undefined;
    at += payload.length;
  }
  const [first, last] = [sorted[0]!, sorted.at(-1)!];
  if (last.more) return undefined;
  const start = ipBytes();
  const b = new Uint8Array(start + at);
  b.set(first.bytes.subarray(0, start));
  for (const { offset, payload } of sorted) b.set(payload, start + offset);
  if (isSix(b)) {
    b[6] = first.bytes[start]!;
    ipv6.setPayloadBytes(b, 0, at);
  } else {
    ipv4.setTotalBytes(b, 0, b.length);
    place(b, 0, false);
  }
  numbers.set(b, first.id);
  return b;
}

function isSix(b: Uint8Array): boolean {
  return b[0]! >> 4 === 6;
}
