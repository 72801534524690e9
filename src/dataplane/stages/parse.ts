/**
 * First stage: what is this packet, may it be here at all? Every length is checked here and nowhere later. Strips
 * VXLAN (RFC 7348) from what the overlay brought, after checking that a known host sent it in our network; checks
 * IPv4 (RFC 791; RFC 1812, 5.2.2) and the header behind it; checks that no pod sends from another's address. IPv6 has
 * its own file beside this one (parse-ipv6.ts).
 */

import { GSO_TCPV4 } from '../../io/vector.ts';
import { find, NO_VALUE } from '../../tables/address-map.ts';
import { ADJACENCY_KIND, ADJACENCY_WORDS } from '../../tables/adjacency.ts';
import { PORT, PORT_KIND, PORT_WORDS } from '../../tables/ports.ts';
import { lookup } from '../../tables/routes.ts';
import * as arp from '../../wire/arp.ts';
import * as ethernet from '../../wire/ethernet.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as vxlan from '../../wire/vxlan.ts';
import { KIND, PENDING } from '../batch.ts';
import type { Context } from '../context.ts';
import { DROP } from '../drop-reasons.ts';
import { NO_FLOW } from '../flow-record.ts';
import { segmentsOf } from '../super-packet.ts';
import { parseFrame6, parseIp6 } from './parse-ipv6.ts';
import { parseL4 } from './parse-l4.ts';

/** Bytes in front of the inner IP header: VXLAN and the inner Ethernet header. */
export const ENCAP_BYTES = vxlan.HEADER_BYTES + ethernet.HEADER_BYTES;
const MAPPED = 0xffff;

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
    else batch.verdict[i] = isVersion6(c, i) ? parseIp6(c, i) : parseIp4(c, i);
    if (port >= 0 && i < c.received) count(c, i, port);
    if (batch.verdict[i] !== PENDING || batch.kind[i] === KIND.arp) continue;
    if (kind === PORT_KIND.pod) {
      if (!isOwn(c, i, entry)) batch.verdict[i] = DROP['source-spoofed'];
    } else if (kind === PORT_KIND.host && comesOtherwise(c, i)) {
      batch.verdict[i] = DROP['source-spoofed'];
    }
  }
}

function isVersion6(c: Context, i: number): boolean {
  const v = c.vector;
  return v.length[i] > 0 && v.arena[v.offset[i]] >> 4 === 6;
}

/** Whether the packet's source is the address of the pod whose port has this entry. */
function isOwn(c: Context, i: number, entry: number): boolean {
  const { batch: b, tables } = c;
  const ports = tables.ports;
  // No IPv6 source begins with 64 zero bits: parse has dropped those.
  if ((b.source0[i] | b.source1[i]) === 0) return b.source3[i] === ports[entry + PORT.address4];
  return (
    b.source3[i] === ports[entry + PORT.address6 + 3] &&
    b.source2[i] === ports[entry + PORT.address6 + 2] &&
    b.source1[i] === ports[entry + PORT.address6 + 1] &&
    b.source0[i] === ports[entry + PORT.address6]
  );
}

function count(c: Context, i: number, port: number): void {
  const whole = c.batch.verdict[i] === PENDING && c.batch.kind[i] !== KIND.arp;
  c.counters.received(port, whole ? segmentsOf(c, i) : 1, c.vector.length[i]);
}

/** Whether what has this source comes by its pod's port or over the tunnel, and never through the host's stack. */
function comesOtherwise(c: Context, i: number): boolean {
  const b = c.batch;
  const route = lookup(c.tables.routes, b.source0[i], b.source1[i], b.source2[i], b.source3[i]);
  const kind = route < 0 ? 0 : c.tables.adjacencies[route * ADJACENCY_WORDS];
  return kind === ADJACENCY_KIND.pod || kind === ADJACENCY_KIND.peer;
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
  if (type === ethernet.ETHERTYPE.ipv6) return parseFrame6(c, i, frame);
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
  return parseIp4(c, i);
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

function parseIp4(c: Context, i: number): number {
  const { batch, vector } = c;
  const b = vector.arena;
  const o = vector.offset[i];
  const end = o + vector.length[i];
  if (end - o < ipv4.HEADER_BYTES) return DROP.truncated;
  if (b[o] >> 4 !== 4) return DROP['ip-version'];
  if (!ipv4.check(b, o, end)) return DROP['ip-header-length'];
  if (!ipv4.checksumValid(b, o)) return DROP['ip-checksum'];
  if (ipv4.hasOptions(b, o) && hasSourceRoute(b, o)) return DROP['ip-options'];
  const source = ipv4.sourceInt(b, o);
  const destination = ipv4.destinationInt(b, o);
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
  return parseL4(c, i, o + vector.length[i], GSO_TCPV4);
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
