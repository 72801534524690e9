/**
 * Packets that the dataplane sends in its own name: ICMP errors and echo replies (RFC 792, RFC 1122 3.2.2, RFC 1191),
 * TCP resets (RFC 9293, 3.10.7.1). An answer goes back the way the packet that caused it came, so it needs no route.
 * Errors quote the packet as its sender knew it, before any translation. IPv6's own are in answers-ipv6.ts.
 */
import { finish, pseudoSum4, pseudoSum6, sum } from '../wire/checksum.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import { beginAnswer6, sendIcmpv6Error } from './answers-ipv6.ts';
import { isIpv6, KIND } from './batch.ts';
import type { Context } from './context.ts';
import { DROP } from './drop-reasons.ts';
import { appendAnswer, sendBack } from './send-back.ts';

/** Most bytes of the original packet that an error quotes (RFC 1812, 4.3.2.3: the error stays within 576). */
const QUOTE_BYTES = 548;
const TTL = 64;

/** Room for an answer of the given length with its own IP header written, or -1. */
function begin(c: Context, lengthBytes: number, protocol: number, source: number, destination: number): number {
  const i = appendAnswer(c, lengthBytes, ipv4.HEADER_BYTES, protocol);
  if (i < 0) return -1;
  ipv4.writePlainHeader(c.vector.arena, c.vector.offset[i], lengthBytes, protocol, source, destination, TTL);
  return i;
}

/**
 * Sends an ICMP error about packet `cause` from the gateway's address, unless the packet may cause none (RFC 1122,
 * 3.2.2: errors, later fragments). `rest` is the header's second word: the next hop's MTU for fragmentation needed. An
 * IPv6 packet gets the ICMPv6 error that means the same.
 */
export function sendIcmpError(c: Context, cause: number, type: number, code: number, rest: number): void {
  const { batch, vector } = c;
  const b = vector.arena;
  const l3 = batch.l3[cause];
  if (isIpv6(c, cause)) return sendIcmpv6Error(c, cause, type, code, rest);
  if (batch.kind[cause] === KIND.icmpError) return;
  if (batch.kind[cause] === KIND.fragment && ipv4.fragmentOffsetBytes(b, l3) !== 0) return;
  if (c.tables.local.gateway4 === 0 || !c.allowIcmp(vector.inPort[cause])) return;
  // Of a super-packet as receive offload leaves it, only the header is in one piece with what follows.
  const whole = vector.stride[cause] > 0 ? vector.headerBytes[cause] : vector.length[cause];
  const quoted = Math.min(whole, QUOTE_BYTES);
  const length = ipv4.HEADER_BYTES + icmp.HEADER_BYTES + quoted;
  const source =
    type === icmp.TYPE.destinationUnreachable && code === icmp.UNREACHABLE.port
      ? batch.destination3[cause] >>> 0
      : c.tables.local.gateway4;
  const i = begin(c, length, ipv4.PROTOCOL.icmp, source, batch.source3[cause] >>> 0);
  if (i < 0) return;
  const o = batch.l4[i];
  icmp.writeHeader(b, o, type, code, rest);
  b.copyWithin(o + icmp.HEADER_BYTES, l3, l3 + quoted);
  icmp.fillChecksum(b, o, icmp.HEADER_BYTES + quoted);
  sendBack(c, i, cause);
}

/** Refuses the TCP segment `cause` with a reset from the address and port it was sent to; never answers a reset. */
export function sendReset(c: Context, cause: number): void {
  const { batch, vector } = c;
  const b = vector.arena;
  const from = batch.l4[cause];
  const flags = batch.tcpFlags[cause];
  if ((flags & tcp.FLAG.rst) !== 0) return;
  const six = isIpv6(c, cause);
  const source = batch.destination3[cause] >>> 0;
  const destination = batch.source3[cause] >>> 0;
  const acknowledged = (flags & tcp.FLAG.ack) !== 0;
  const payload = vector.length[cause] - (from - batch.l3[cause]) - tcp.dataOffsetBytes(b, from);
  const consumed = payload + ((flags & tcp.FLAG.syn) !== 0 ? 1 : 0) + ((flags & tcp.FLAG.fin) !== 0 ? 1 : 0);
  const i = six
    ? beginAnswer6(c, cause, tcp.HEADER_BYTES, ipv4.PROTOCOL.tcp)
    : begin(c, ipv4.HEADER_BYTES + tcp.HEADER_BYTES, ipv4.PROTOCOL.tcp, source, destination);
  if (i < 0) return;
  const o = batch.l4[i];
  b.fill(0, o, o + tcp.HEADER_BYTES);
  tcp.setSourcePort(b, o, tcp.destinationPort(b, from));
  tcp.setDestinationPort(b, o, tcp.sourcePort(b, from));
  tcp.setSeq(b, o, acknowledged ? tcp.ack(b, from) : 0);
  tcp.setAck(b, o, acknowledged ? 0 : (tcp.seq(b, from) + consumed) >>> 0);
  b[o + 12] = (tcp.HEADER_BYTES / 4) << 4;
  tcp.setFlags(b, o, acknowledged ? tcp.FLAG.rst : tcp.FLAG.rst | tcp.FLAG.ack);
  const pseudo = six
    ? pseudoSum6(b, batch.l3[i], ipv4.PROTOCOL.tcp, tcp.HEADER_BYTES)
    : pseudoSum4(source, destination, ipv4.PROTOCOL.tcp, tcp.HEADER_BYTES);
  tcp.setChecksum(b, o, finish(sum(b, o, tcp.HEADER_BYTES, pseudo)));
  sendBack(c, i, cause);
}

/** Turns echo request `i` into its reply, in place, and sends it back. */
export function answerEcho(c: Context, i: number): void {
  const { batch, vector } = c;
  const b = vector.arena;
  const l3 = batch.l3[i];
  const l4 = batch.l4[i];
  if (!icmp.checksumValid(b, l4, vector.length[i] - (l4 - l3))) {
    batch.verdict[i] = DROP['l4-header'];
    return;
  }
  const source = ipv4.source(b, l3);
  ipv4.setSource(b, l3, ipv4.destination(b, l3));
  ipv4.setDestination(b, l3, source);
  ipv4.setTtl(b, l3, TTL);
  ipv4.fillChecksum(b, l3);
  icmp.setType(b, l4, icmp.TYPE.echoReply);
  icmp.fillChecksum(b, l4, vector.length[i] - (l4 - l3));
  vector.flags[i] = 0;
  sendBack(c, i, i);
}
