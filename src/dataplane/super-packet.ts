/** Sizes of a packet that may be a super-packet: many segments, whose header stands there once. */
import { GSO_UDP_L4 } from '../io/vector.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import type { Context } from './context.ts';

/** Bytes of a super-packet's IP header and the header behind it. */
export function headersOf(c: Context, i: number): number {
  const { batch, vector } = c;
  const l4 = batch.l4[i];
  const header = vector.gsoType[i] === GSO_UDP_L4 ? udp.HEADER_BYTES : tcp.dataOffsetBytes(vector.arena, l4);
  return l4 - batch.l3[i] + header;
}

/** Bytes of the packet, or of the largest of its segments, as an IP packet. */
export function sizeOnWire(c: Context, i: number): number {
  const { vector } = c;
  const size = vector.gsoSize[i];
  if (size === 0) return vector.length[i];
  const headers = headersOf(c, i);
  return headers + Math.min(size, vector.length[i] - headers);
}

/** Packets that it stands for, while it begins with its IP header. */
export function segmentsOf(c: Context, i: number): number {
  const { vector } = c;
  const size = vector.gsoSize[i];
  if (size === 0) return 1;
  return Math.max(1, Math.ceil((vector.length[i] - headersOf(c, i)) / size));
}
