/**
 * First stage: what is this packet, may it be here at all? Every length is checked here and nowhere later. Strips
 * VXLAN (RFC 7348) from what the overlay brought, after checking that a known host sent it in our network; checks
 * IPv4 (RFC 791; RFC 1812, 5.2.2) and the header behind it; checks that no pod sends from another's address.
 */

import { GSO_NONE, GSO_TCPV4, GSO_UDP_L4, PACKET_FLAG } from '../../io/vector.ts';
import { find, NO_VALUE } from '../../tables/address-map.ts';
import { ADJACENCY_KIND, ADJACENCY_WORDS } from '../../tables/adjacency.ts';
import { PORT, PORT_KIND, PORT_WORDS } from '../../tables/ports.ts';
import { lookup4 } from '../../tables/routes.ts';
import * as arp from '../../wire/arp.ts';
import * as ethernet from '../../wire/ethernet.ts';
import * as icmp from '../../wire/icmp.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as tcp from '../../wire/tcp.ts';
import * as udp from '../../wire/udp.ts';
import * as vxlan from '../../wire/vxlan.ts';
import { KIND, PENDING } from '../batch.ts';
import type { Context } from '../context.ts';
import { DROP } from '../drop-reasons.ts';
import { NO_FLOW } from '../flow-record.ts';
import { segmentsOf } from '../super-packet.ts';

/** Bytes in front of the inner IP header: VXLAN and the inner Ethernet header. */
export const ENCAP_BYTES = vxlan.HEADER_BYTES + ethernet.HEADER_BYTES;
const MAPPED = 0xffff;
/**
 * Segments of a super-packet that a stack makes at most: of TCP by its smallest segment (36 bytes: tcp_min_snd_mss less
 * options), of UDP by UDP_MAX_SEGMENTS. A pod can claim segments of one byte, and a single packet of its would keep us
 * busy with 65,000 datagrams.
 */
const MOST_TCP_SEGMENTS = 2048;
const MOST_UDP_SEGMENTS = 128;
/** Headers of a packet without a payload are no longer. */
const MOST_HEADER_BYTES = 120;

export function parse(c: Context, from: number, to: number): void {
  const { batch, vector } = c;
  for (let i = from; i < to; i++) {
    batch.flow[i] = NO_FLOW;
    batch.adjacency[i] = -1;
    batch.fromPeer[i] = -1;
    batch.kind[i] = KIND.plain;
    batch.protocol[i] = 0;
    batch.tcpFlags[i] = 0;
    batch.ports[i] = 0;
    vector.outPort[i] = -1;
    const port = vector.inPort[i];
    const entry = port * PORT_WORDS;
    const kind = port >= 0 && entry < c.tables.ports.length ? c.tables.ports[entry + PORT.kind] : PORT_KIND.none;
    if (kind === PORT_KIND.none) batch.verdict[i] = DROP['unknown-port'];
    else if (kind === PORT_KIND.overlay) batch.verdict[i] = parseOverlay(c, i);
    else batch.verdict[i] = parseIp(c, i);
    if (port >= 0 && i < c.received) count(c, i, port);
    if (batch.verdict[i] !== PENDING || batch.kind[i] === KIND.arp) continue;
    if (kind === PORT_KIND.pod) {
      if (batch.source3[i] !== c.tables.ports[entry + PORT.address4]) batch.verdict[i] = DROP['source-spoofed'];
    } else if (kind === PORT_KIND.host && isLocalPod(c, batch.source3[i])) {
      batch.verdict[i] = DROP['source-spoofed'];
    }
  }
}

function count(c: Context, i: number, port: number): void {
  const whole = c.batch.verdict[i] === PENDING && c.batch.kind[i] !== KIND.arp;
  c.counters.received(port, whole ? segmentsOf(c, i) : 1, c.vector.length[i]);
}

function isLocalPod(c: Context, address: number): boolean {
  const route = lookup4(c.tables.routes, address);
  return route >= 0 && c.tables.adjacencies[route * ADJACENCY_WORDS] === ADJACENCY_KIND.pod;
}

/** From the start of a UDP payload to its inner packet: moves the packet's start behind the outer headers. */
function parseOverlay(c: Context, i: number): number {
  const { batch, vector, tables } = c;
  const b = vector.arena;
  const o = vector.offset[i];
  const end = o + vector.length[i];
  const peer = find(tables.peers, vector.peer0[i], vector.peer1[i], vector.peer2[i], vector.peer3[i], 0);
  if (peer === NO_VALUE) return DROP['vtep-unknown'];
  if (!vxlan.check(b, o, end) || !vxlan.flagsValid(b, o)) return DROP['vxlan-header'];
  if (vxlan.vni(b, o) !== tables.local.vni) return DROP['vxlan-vni'];
  const frame = o + vxlan.HEADER_BYTES;
  if (!ethernet.check(b, frame, end)) return DROP.truncated;
  batch.fromPeer[i] = peer;
  strip(c, i, ENCAP_BYTES);
  const type = ethernet.etherType(b, frame);
  const ours =
    ethernet.destinationHigh(b, frame) === tables.local.macHigh &&
    (ethernet.destinationLow(b, frame) | 0) === (tables.local.macLow | 0);
  if (type === ethernet.ETHERTYPE.arp) {
    if (!arp.check(b, frame + ethernet.HEADER_BYTES, end)) return DROP.arp;
    batch.kind[i] = KIND.arp;
    batch.l3[i] = frame + ethernet.HEADER_BYTES;
    return PENDING;
  }
  if (type !== ethernet.ETHERTYPE.ipv4) return DROP['ethernet-type'];
  if (!ours) return DROP['ethernet-destination'];
  return parseIp(c, i);
}

/** Moves the packet's start by `bytes`, and all that is counted from there. */
function strip(c: Context, i: number, bytes: number): void {
  const v = c.vector;
  v.offset[i] += bytes;
  v.length[i] -= bytes;
  if (v.checksumStart[i] > 0) v.checksumStart[i] -= bytes;
  if (v.stride[i] > 0) v.headerBytes[i] -= bytes;
  v.l3Offset[i] = 0;
}

function parseIp(c: Context, i: number): number {
  const { batch, vector } = c;
  const b = vector.arena;
  const o = vector.offset[i];
  const end = o + vector.length[i];
  if (end - o < ipv4.HEADER_BYTES) return DROP.truncated;
  if (b[o] >> 4 !== 4) return DROP['ip-version'];
  if (!ipv4.check(b, o, end)) return DROP['ip-header-length'];
  if (!ipv4.checksumValid(b, o)) return DROP['ip-checksum'];
  if (ipv4.hasOptions(b, o) && hasSourceRoute(b, o)) return DROP['ip-options'];
  const source = ipv4.source(b, o);
  const destination = ipv4.destination(b, o);
  const network = source >>> 24;
  if (network === 0 || network === 127 || network >= 224) return DROP['ip-source'];
  if (destination >>> 28 >= 14 || destination >>> 24 === 127 || destination === 0) return DROP['ip-destination'];
  vector.length[i] = ipv4.totalBytes(b, o);
  batch.l3[i] = o;
  batch.l4[i] = o + ipv4.headerBytes(b, o);
  batch.source0[i] = 0;
  batch.source1[i] = 0;
  batch.source2[i] = MAPPED;
  batch.source3[i] = source;
  batch.destination0[i] = 0;
  batch.destination1[i] = 0;
  batch.destination2[i] = MAPPED;
  batch.destination3[i] = destination;
  batch.protocol[i] = ipv4.protocol(b, o);
  return parseL4(c, i, o + vector.length[i]);
}

function parseL4(c: Context, i: number, end: number): number {
  const { batch, vector } = c;
  const b = vector.arena;
  const o = batch.l4[i];
  const protocol = batch.protocol[i];
  if (protocol === 0 || !offloadsFit(c, i)) return DROP['l4-header'];
  if (ipv4.isFragment(b, batch.l3[i])) {
    if (vector.gsoType[i] !== 0) return DROP['l4-header'];
    batch.kind[i] = KIND.fragment;
    return PENDING;
  }
  if (protocol === ipv4.PROTOCOL.tcp) {
    if (!tcp.check(b, o, end)) return DROP['l4-header'];
    batch.ports[i] = (tcp.sourcePort(b, o) << 16) | tcp.destinationPort(b, o);
    batch.tcpFlags[i] = tcp.flags(b, o);
  } else if (protocol === ipv4.PROTOCOL.udp) {
    // The length field of a super-packet counts one segment or all of them, by who made it.
    if (o + udp.HEADER_BYTES > end || (vector.gsoSize[i] === 0 && !udp.check(b, o, end))) return DROP['l4-header'];
    batch.ports[i] = (udp.sourcePort(b, o) << 16) | udp.destinationPort(b, o);
  } else if (protocol === ipv4.PROTOCOL.icmp) {
    if (!icmp.check(b, o, end)) return DROP['l4-header'];
    const type = icmp.type(b, o);
    if (icmp.isError(type)) {
      batch.kind[i] = KIND.icmpError;
    } else {
      const id = icmp.identifier(b, o);
      batch.ports[i] = (id << 16) | id;
      if (type === icmp.TYPE.echoRequest) batch.kind[i] = KIND.echoRequest;
    }
  }
  return PENDING;
}

/**
 * What a device claims about a packet's segments and checksum comes from whoever sent it: it must fit the headers, or
 * the addon would later write a checksum where none is.
 */
function offloadsFit(c: Context, i: number): boolean {
  const { batch, vector } = c;
  const protocol = batch.protocol[i];
  const isTcp = protocol === ipv4.PROTOCOL.tcp;
  const type = vector.gsoType[i];
  if (type === GSO_NONE) vector.gsoSize[i] = 0;
  else if (
    vector.length[i] > vector.gsoSize[i] * (isTcp ? MOST_TCP_SEGMENTS : MOST_UDP_SEGMENTS) + MOST_HEADER_BYTES ||
    vector.gsoSize[i] <= 0 ||
    (type === GSO_TCPV4 ? !isTcp : type !== GSO_UDP_L4 || protocol !== ipv4.PROTOCOL.udp)
  ) {
    return false;
  }
  if ((vector.flags[i] & PACKET_FLAG.checksumPartial) === 0) return type === GSO_NONE;
  if (!isTcp && protocol !== ipv4.PROTOCOL.udp) return false;
  const field = isTcp ? tcp.CHECKSUM_OFFSET : udp.CHECKSUM_OFFSET;
  return vector.checksumStart[i] === batch.l4[i] - batch.l3[i] && vector.checksumOffset[i] === field;
}

/** True when the options hold a loose or strict source route, or run past the header. */
function hasSourceRoute(b: Uint8Array, o: number): boolean {
  const end = o + ipv4.headerBytes(b, o);
  let at = o + ipv4.HEADER_BYTES;
  while (at < end) {
    const option = b[at];
    if (option === 0) return false;
    if (option === 1) {
      at++;
      continue;
    }
    if (option === 131 || option === 137 || at + 1 >= end) return true;
    const length = b[at + 1];
    if (length < 2 || at + length > end) return true;
    at += length;
  }
  return false;
}
