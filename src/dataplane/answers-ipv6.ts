/** What answers.ts does, for IPv6: ICMPv6 errors and echo replies (RFC 4443; packet too big RFC 8201). */
import { setU16 } from '../wire/bytes.ts';
import { adjust16 } from '../wire/checksum.ts';
import * as icmp from '../wire/icmp.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import { PROTOCOL } from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import { KIND } from './batch.ts';
import type { Context } from './context.ts';
import { DROP } from './drop-reasons.ts';
import { appendAnswer, sendBack } from './send-back.ts';

/** Most bytes of the original packet that an error quotes: the error stays within 1280 (RFC 4443, 2.4 (c)). */
const QUOTE_BYTES = 1232;
const HOPS = 64;
/** Room for an answer to packet `cause`, with its IPv6 header written: addresses exchanged. -1 when there is none. */
export function beginAnswer6(c: Context, cause: number, payloadBytes: number, protocol: number): number {
  const b = c.vector.arena;
  const i = appendAnswer(c, ipv6.HEADER_BYTES + payloadBytes, ipv6.HEADER_BYTES, protocol);
  if (i < 0) return -1;
  const from = c.batch.l3[cause];
  const to = c.batch.l3[i];
  ipv6.writePlainHeader(b, to, payloadBytes, protocol, HOPS);
  for (let k = 0; k < 4; k++) {
    ipv6.setSourceWord(b, to, k, ipv6.destinationWord(b, from, k));
    ipv6.setDestinationWord(b, to, k, ipv6.sourceWord(b, from, k));
  }
  return i;
}

/**
 * Sends an ICMPv6 error about packet `cause`, which is IPv6, unless it may cause none (RFC 4443, 2.4 (e)). Type and code
 * are ICMP's for IPv4, and become their counterparts (RFC 7915, 4.2); `rest` is the next hop's MTU for what is too big.
 */
export function sendIcmpv6Error(c: Context, cause: number, type: number, code: number, rest: number): void {
  const { batch, vector } = c;
  const gateway = c.tables.local.gateway6;
  if (batch.kind[cause] === KIND.icmpError) return;
  if (gateway[0] === 0 || !c.allowIcmp(vector.inPort[cause])) return;
  // Of a super-packet as receive offload leaves it, only the header is in one piece with what follows.
  const whole = vector.stride[cause] > 0 ? vector.headerBytes[cause] : vector.length[cause];
  const quoted = Math.min(whole, QUOTE_BYTES);
  const length = icmpv6.HEADER_BYTES + quoted;
  const i = beginAnswer6(c, cause, length, PROTOCOL.icmpv6);
  if (i < 0) return;
  const b = vector.arena;
  const l3 = batch.l3[i];
  const o = batch.l4[i];
  const unreachable = type === icmp.TYPE.destinationUnreachable;
  // The address that was asked for says itself that nothing listens there; all else is ours to say.
  if (!unreachable || code !== icmp.UNREACHABLE.port) {
    ipv6.setSource(b, l3, gateway[0], gateway[1], gateway[2], gateway[3]);
  }
  if (!unreachable) icmpv6.writeHeader(b, o, icmpv6.TYPE.timeExceeded, code, 0);
  else if (code === icmp.UNREACHABLE.fragmentationNeeded) icmpv6.writeHeader(b, o, icmpv6.TYPE.packetTooBig, 0, rest);
  else icmpv6.writeHeader(b, o, icmpv6.TYPE.destinationUnreachable, unreachableCode(code), 0);
  const from = batch.l3[cause];
  b.copyWithin(o + icmpv6.HEADER_BYTES, from, from + quoted);
  icmpv6.fillChecksum(b, l3, o, length);
  sendBack(c, i, cause);
}

function unreachableCode(code: number): number {
  if (code === icmp.UNREACHABLE.port) return icmpv6.UNREACHABLE.port;
  if (code === icmp.UNREACHABLE.network) return icmpv6.UNREACHABLE.noRoute;
  return code === icmp.UNREACHABLE.host ? icmpv6.UNREACHABLE.address : icmpv6.UNREACHABLE.prohibited;
}

/** Turns echo request `i` into its reply, in place, and sends it back. */
export function answerEcho6(c: Context, i: number): void {
  const { batch, vector } = c;
  const b = vector.arena;
  const l3 = batch.l3[i];
  const l4 = batch.l4[i];
  if (!icmpv6.checksumValid(b, l3, l4, vector.length[i] - (l4 - l3))) {
    batch.verdict[i] = DROP['l4-header'];
    return;
  }
  for (let k = 0; k < 4; k++) {
    const source = ipv6.sourceWord(b, l3, k);
    ipv6.setSourceWord(b, l3, k, ipv6.destinationWord(b, l3, k));
    ipv6.setDestinationWord(b, l3, k, source);
  }
  ipv6.setHopLimit(b, l3, HOPS);
  const before = icmpv6.TYPE.echoRequest << 8;
  icmpv6.setType(b, l4, icmpv6.TYPE.echoReply);
  setU16(b, l4 + icmpv6.CHECKSUM_OFFSET, adjust16(icmpv6.checksum(b, l4), before, icmpv6.TYPE.echoReply << 8));
  vector.flags[i] = 0;
  sendBack(c, i, i);
}

/** Whether an address is our gateway's or VTEP's. */
export function isOurs6(c: Context, w0: number, w1: number, w2: number, w3: number): boolean {
  const { gateway6, vtepAddress6 } = c.tables.local;
  return (
    (w0 | w1) !== 0 &&
    ((w0 === (gateway6[0] | 0) && w1 === (gateway6[1] | 0) && w2 === (gateway6[2] | 0) && w3 === (gateway6[3] | 0)) ||
      (w0 === (vtepAddress6[0] | 0) &&
        w1 === (vtepAddress6[1] | 0) &&
        w2 === (vtepAddress6[2] | 0) &&
        w3 === (vtepAddress6[3] | 0)))
  );
}
