/**
 * Whether a packet's TCP or UDP checksum is right (RFC 9293 section 3.1, RFC 768), where somebody must know: forwarding
 * leaves that to the receiver. For stages that would act on a packet of which its receiver would never hear.
 */
import { PACKET_FLAG } from '../io/vector.ts';
import { finish, fold, pseudoSum4, pseudoSum6, sum } from '../wire/checksum.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import type { Context } from './context.ts';

/** Packet `i`, contiguous, `lengthBytes` of it from its L4 header on; one left to the device has its pseudo-header's sum. */
export function checksumHolds(c: Context, i: number, lengthBytes: number): boolean {
  const { batch, vector } = c;
  const b = vector.arena;
  const flags = vector.flags[i];
  if ((flags & PACKET_FLAG.checksumVerified) !== 0) return true;
  const l3 = batch.l3[i];
  const l4 = batch.l4[i];
  const protocol = batch.protocol[i];
  const six = b[l3] >>> 4 === 6;
  const isTcp = protocol === ipv4.PROTOCOL.tcp;
  const field = isTcp ? tcp.checksum(b, l4) : udp.checksum(b, l4);
  const pseudo = six
    ? pseudoSum6(b, l3, protocol, lengthBytes)
    : pseudoSum4(ipv4.source(b, l3), ipv4.destination(b, l3), protocol, lengthBytes);
  // 0 and 0xffff are the same number.
  if ((flags & PACKET_FLAG.checksumPartial) !== 0) return (fold(pseudo) - field) % 0xffff === 0;
  if (field === 0 && !isTcp && !six) return true;
  return finish(sum(b, l4, lengthBytes, pseudo)) === 0;
}
