/** Fragments as a sender's kernel cuts them, and their reassembly without hurry, as a receiver's does it (RFC 791). */
import * as ipv4 from '../../src/wire/ipv4.ts';

/** An IPv4 packet without options in fragments for an MTU, in order. */
export function fragmentsOf(packet: Uint8Array, identification: number, mtu = 1400): Uint8Array[] {
  const room = (mtu - ipv4.HEADER_BYTES) & ~7;
  const payload = packet.subarray(ipv4.HEADER_BYTES);
  const fragments: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += room) {
    const end = Math.min(at + room, payload.length);
    fragments.push(fragmentOf(packet, identification, at, end, end < payload.length));
  }
  return fragments;
}

/** Bytes from..to-1 of a packet's payload as one fragment. */
export function fragmentOf(packet: Uint8Array, id: number, from: number, to: number, more: boolean): Uint8Array {
  const b = new Uint8Array(ipv4.HEADER_BYTES + to - from);
  b.set(packet.subarray(0, ipv4.HEADER_BYTES));
  b.set(packet.subarray(ipv4.HEADER_BYTES + from, ipv4.HEADER_BYTES + to), ipv4.HEADER_BYTES);
  ipv4.setTotalBytes(b, 0, b.length);
  ipv4.setIdentification(b, 0, id);
  ipv4.setFragmentField(b, 0, false, more, from);
  ipv4.fillChecksum(b, 0);
  return b;
}

/** What a receiver makes of packets that arrived in any order: whole ones, and those whose fragments are all there. */
export function reassembled(packets: readonly Uint8Array[]): Uint8Array[] {
  const whole: Uint8Array[] = [];
  const parts = new Map<string, Uint8Array[]>();
  for (const p of packets) {
    if (!ipv4.isFragment(p, 0)) {
      whole.push(p);
      continue;
    }
    const key = [ipv4.source(p, 0), ipv4.destination(p, 0), ipv4.protocol(p, 0), ipv4.identification(p, 0)].join();
    const list = parts.get(key) ?? [];
    parts.set(key, [...list, p]);
    const joined = join([...list, p]);
    if (joined === undefined) continue;
    parts.delete(key);
    whole.push(joined);
  }
  return whole;
}

function join(parts: readonly Uint8Array[]): Uint8Array | undefined {
  const sorted = [...parts].sort((a, b) => ipv4.fragmentOffsetBytes(a, 0) - ipv4.fragmentOffsetBytes(b, 0));
  let at = 0;
  for (const p of sorted) {
    if (!ipv4.checksumValid(p, 0) || ipv4.fragmentOffsetBytes(p, 0) !== at) return undefined;
    at += p.length - ipv4.HEADER_BYTES;
  }
  const [first, last] = [sorted[0]!, sorted.at(-1)!];
  if (ipv4.moreFragments(last, 0)) return undefined;
  const b = new Uint8Array(ipv4.HEADER_BYTES + at);
  b.set(first.subarray(0, ipv4.HEADER_BYTES));
  for (const p of sorted) b.set(p.subarray(ipv4.HEADER_BYTES), ipv4.HEADER_BYTES + ipv4.fragmentOffsetBytes(p, 0));
  ipv4.setTotalBytes(b, 0, b.length);
  ipv4.setFragmentField(b, 0, false, false, 0);
  ipv4.fillChecksum(b, 0);
  return b;
}
