/**
 * Part of parse, for both families: what a device claims about segments and checksums, and the TCP or UDP header
 * (RFC 9293, RFC 768).
 */
import { GSO_NONE, GSO_UDP_L4, PACKET_FLAG } from '../../io/vector.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as tcp from '../../wire/tcp.ts';
import * as udp from '../../wire/udp.ts';
import { PENDING } from '../batch.ts';
import type { Context } from '../context.ts';
import { DROP } from '../drop-reasons.ts';

/**
 * Segments of a super-packet that a stack makes at most: of TCP by its smallest segment (36 bytes: tcp_min_snd_mss less
 * options), of UDP by UDP_MAX_SEGMENTS. A pod can claim segments of one byte, and a single packet of its would keep us
 * busy with 65,000 datagrams.
 */
const MOST_TCP_SEGMENTS = 2048;
const MOST_UDP_SEGMENTS = 128;
/** Headers of a packet without a payload are no longer. */
const MOST_HEADER_BYTES = 120;

/** The ports and flags of packet `i`, whose L4 header is found and whose IP packet ends at `end`; its verdict. */
export function parseTransport(c: Context, i: number, end: number): number {
  const { batch, vector } = c;
  const b = vector.arena;
  const o = batch.l4[i];
  const protocol = batch.protocol[i];
  if (protocol === ipv4.PROTOCOL.tcp) {
    if (!tcp.check(b, o, end)) return DROP['l4-header'];
    batch.ports[i] = (tcp.sourcePort(b, o) << 16) | tcp.destinationPort(b, o);
    batch.tcpFlags[i] = tcp.flags(b, o);
  } else if (protocol === ipv4.PROTOCOL.udp) {
    // The length field of a super-packet counts one segment or all of them, by who made it.
    if (o + udp.HEADER_BYTES > end || (vector.gsoSize[i] === 0 && !udp.check(b, o, end))) return DROP['l4-header'];
    batch.ports[i] = (udp.sourcePort(b, o) << 16) | udp.destinationPort(b, o);
  }
  return PENDING;
}

/**
 * What a device claims about a packet's segments and checksum comes from whoever sent it: it must fit the headers, or
 * the addon would later write a checksum where none is. `gsoTcp` is the family's type of TCP super-packets.
 */
export function offloadsFit(c: Context, i: number, gsoTcp: number): boolean {
  const { batch, vector } = c;
  const protocol = batch.protocol[i];
  const isTcp = protocol === ipv4.PROTOCOL.tcp;
  const type = vector.gsoType[i];
  if (type === GSO_NONE) vector.gsoSize[i] = 0;
  else if (
    vector.length[i] > vector.gsoSize[i] * (isTcp ? MOST_TCP_SEGMENTS : MOST_UDP_SEGMENTS) + MOST_HEADER_BYTES ||
    vector.gsoSize[i] <= 0 ||
    (type === gsoTcp ? !isTcp : type !== GSO_UDP_L4 || protocol !== ipv4.PROTOCOL.udp)
  ) {
    return false;
  }
  if ((vector.flags[i] & PACKET_FLAG.checksumPartial) === 0) return type === GSO_NONE;
  if (!isTcp && protocol !== ipv4.PROTOCOL.udp) return false;
  const field = isTcp ? tcp.CHECKSUM_OFFSET : udp.CHECKSUM_OFFSET;
  return vector.checksumStart[i] === batch.l4[i] - batch.l3[i] && vector.checksumOffset[i] === field;
}
