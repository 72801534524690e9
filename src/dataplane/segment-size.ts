/**
 * The route stage's guard against paths of unequal size: the maximum segment size that a SYN announces (RFC 9293,
 * 3.7.1; RFC 6691) is lowered to what both of the connection's ways through this host carry, so that neither end has
 * to learn it from lost segments. Only SYNs are looked at. Where none is announced none is added.
 */
import { PACKET_FLAG } from '../io/vector.ts';
import { ADJACENCY, ADJACENCY_WORDS } from '../tables/adjacency.ts';
import { setU16, u16 } from '../wire/bytes.ts';
import { adjust16 } from '../wire/checksum.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as tcp from '../wire/tcp.ts';
import type { Context } from './context.ts';
import { FLOW, FLOW_WORDS, NO_FLOW } from './flow-record.ts';

/** Below this a stack would not go (net/tcp.h: TCP_MIN_MSS). */
const SMALLEST = 88;

/** SYN `i` goes to a next hop of this MTU: announces no more than fits there and on the way back. */
export function clampSegmentSize(c: Context, i: number, mtu: number): void {
  const { batch, vector } = c;
  const b = vector.arena;
  const l4 = batch.l4[i];
  const at = tcp.segmentSizeAt(b, l4);
  if (at === 0) return;
  let least = mtu;
  const record = batch.flow[i];
  if (record !== NO_FLOW) {
    const back = c.flows.words[(record ^ 1) * FLOW_WORDS + FLOW.adjacency];
    if (back >= 0) least = Math.min(least, c.tables.adjacencies[back * ADJACENCY_WORDS + ADJACENCY.mtu]);
  }
  const ip = b[batch.l3[i]] >>> 4 === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES;
  const most = Math.max(SMALLEST, least - ip - tcp.HEADER_BYTES);
  const announced = u16(b, at);
  if (announced <= most) return;
  setU16(b, at, most);
  // What is left to the device is not in the field yet.
  if ((vector.flags[i] & PACKET_FLAG.checksumPartial) !== 0) return;
  const check = tcp.checksum(b, l4);
  const odd = ((at - l4) & 1) !== 0;
  tcp.setChecksum(b, l4, odd ? adjust16(check, swapped(announced), swapped(most)) : adjust16(check, announced, most));
}

/** A word at an odd offset counts in the sum with its bytes exchanged (RFC 1071, 2 B). */
function swapped(word: number): number {
  return ((word & 0xff) << 8) | (word >>> 8);
}
