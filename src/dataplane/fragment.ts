/** Cuts an IPv4 packet that its sender allows to be cut into fragments that fit the next hop (RFC 791, 3.2). */
import { PACKET_FLAG } from '../io/vector.ts';
import { setU16 } from '../wire/bytes.ts';
import { finish, sum } from '../wire/checksum.ts';
import * as ipv4 from '../wire/ipv4.ts';
import { KIND, PENDING } from './batch.ts';
import type { Context } from './context.ts';
import { DROP } from './drop-reasons.ts';
import { NO_FLOW } from './flow-record.ts';
import { translatePacket } from './stages/translate.ts';

/**
 * Replaces packet `i` by fragments, appended to the vector and ready to leave by the same adjacency. Always false:
 * the packet itself goes no further.
 */
export function fragment(c: Context, i: number, mtu: number): boolean {
  const { batch, vector } = c;
  const b = vector.arena;
  const l3 = batch.l3[i];
  const header = ipv4.headerBytes(b, l3);
  const total = vector.length[i];
  const room = (mtu - header) & ~7;
  if (room < 8 || vector.stride[i] !== 0) {
    batch.verdict[i] = DROP['too-big'];
    return false;
  }
  translatePacket(c, i);
  if ((vector.flags[i] & PACKET_FLAG.checksumPartial) !== 0) {
    const start = vector.offset[i] + vector.checksumStart[i];
    // A UDP checksum of 0 would say that there is none; for TCP 0xffff is the same number.
    setU16(b, start + vector.checksumOffset[i], finish(sum(b, start, vector.offset[i] + total - start)) || 0xffff);
  }
  ipv4.decrementTtl(b, l3);
  const first = ipv4.fragmentOffsetBytes(b, l3);
  const more = ipv4.moreFragments(b, l3);
  batch.verdict[i] = DROP.consumed;
  for (let done = 0; header + done < total; done += room) {
    const payload = Math.min(room, total - header - done);
    const n = vector.append(header + payload);
    if (n < 0) {
      batch.verdict[i] = DROP['vector-full'];
      return false;
    }
    const o = vector.offset[n];
    b.copyWithin(o, l3, l3 + header);
    b.copyWithin(o + header, l3 + header + done, l3 + header + done + payload);
    ipv4.setTotalBytes(b, o, header + payload);
    ipv4.setFragmentField(b, o, false, more || header + done + payload < total, first + done);
    ipv4.fillChecksum(b, o);
    batch.l3[n] = o;
    batch.l4[n] = o + header;
    batch.protocol[n] = batch.protocol[i];
    batch.kind[n] = KIND.fragment;
    batch.flow[n] = NO_FLOW;
    batch.fromPeer[n] = -1;
    batch.adjacency[n] = batch.adjacency[i];
    vector.hash[n] = vector.hash[i];
    batch.verdict[n] = PENDING;
  }
  return false;
}
