/**
 * Part of parse, for both families: what a device claims about segments and checksums, and the header behind IP's: TCP
 * (RFC 9293), UDP (RFC 768), ICMP (RFC 792), ICMPv6 (RFC 4443), whose header has ICMP's form. One function, because the
 * engine inlines only so much into each.
 */
import { GSO_NONE, GSO_TCPV4, GSO_UDP_L4, PACKET_FLAG } from '../../io/vector.ts';
import * as icmp from '../../wire/icmp.ts';
import * as icmpv6 from '../../wire/icmpv6.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as tcp from '../../wire/tcp.ts';
import * as udp from '../../wire/udp.ts';
import { KIND, PENDING } from '../batch.ts';
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

/** The ports and flags of packet `i`, whose L4 header is found and whose IP packet ends at `end`; returns its verdict. */
export function parseL4(c: Context, i: number, end: number, gsoTcp: number): number {
  const { batch, vector } = c;
  const b = vector.arena;
  const o = batch.l4[i];
  const protocol = batch.protocol[i];
  if (protocol === 0 || !offloadsFit(c, i, gsoTcp)) return DROP['l4-header'];
  if (gsoTcp === GSO_TCPV4 && ipv4.isFragment(b, batch.l3[i])) return meetFragment(c, i);
  if (protocol === ipv4.PROTOCOL.tcp) {
    if (!tcp.check(b, o, end)) return DROP['l4-header'];
    batch.ports[i] = (tcp.sourcePort(b, o) << 16) | tcp.destinationPort(b, o);
    batch.tcpFlags[i] = tcp.flags(b, o);
  } else if (protocol === ipv4.PROTOCOL.udp) {
    // The length field of a super-packet counts one segment or all of them, by who made it.
    if (o + udp.HEADER_BYTES > end || (vector.gsoSize[i] === 0 && !udp.check(b, o, end))) return DROP['l4-header'];
    batch.ports[i] = (udp.sourcePort(b, o) << 16) | udp.destinationPort(b, o);
  } else if (protocol === (gsoTcp === GSO_TCPV4 ? ipv4.PROTOCOL.icmp : ipv4.PROTOCOL.icmpv6)) {
    if (!icmp.check(b, o, end)) return DROP['l4-header'];
    const type = icmp.type(b, o);
    const six = gsoTcp !== GSO_TCPV4;
    if (six && icmpv6.isLinkScope(type)) return DROP['link-local'];
    if (six ? icmpv6.isError(type) : icmp.isError(type)) {
      batch.kind[i] = KIND.icmpError;
    } else {
      const id = icmp.identifier(b, o);
      batch.ports[i] = (id << 16) | id;
      if (type === (six ? icmpv6.TYPE.echoRequest : icmp.TYPE.echoRequest)) batch.kind[i] = KIND.echoRequest;
    }
  }
  return PENDING;
}

/** IPv4's: IPv6 packets say in a header of its own that they are fragments. */
function meetFragment(c: Context, i: number): number {
  const { batch, vector } = c;
  // Whoever cuts a packet completes its checksum first.
  if (vector.gsoType[i] !== GSO_NONE || (vector.flags[i] & PACKET_FLAG.checksumPartial) !== 0) return DROP['l4-header'];
  batch.kind[i] = KIND.fragment;
  c.fragments.met = true;
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
