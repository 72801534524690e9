/**
 * Last stage: the packet gets what its way out needs, and its out port. A pod's or the host's TUN takes the packet as
 * it is. A peer's packet is wrapped in an Ethernet header and VXLAN (RFC 7348) in front of it, in headroom:
 *
 *   UDP socket   | VXLAN 8 | Ethernet 14 | packet         the socket adds the outer UDP and IP headers
 *   tunnel GSO   | Ethernet 14 | IPv4 20 or IPv6 40 | UDP 8 | VXLAN 8 | Ethernet 14 | packet
 *                  a whole frame for the TAP: the host's stack routes it and segments only where a device must
 */
import { ADJACENCY, ADJACENCY_KIND, ADJACENCY_WORDS } from '../../tables/adjacency.ts';
import * as ethernet from '../../wire/ethernet.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as udp from '../../wire/udp.ts';
import * as vxlan from '../../wire/vxlan.ts';
import { FORWARDED, isIpv6, PENDING } from '../batch.ts';
import type { Context } from '../context.ts';
import { DROP } from '../drop-reasons.ts';
import { segmentsOf } from '../super-packet.ts';
import { ENCAP_BYTES } from './parse.ts';

/** What a frame has in front of the inner packet beside its IP header. */
const TUNNEL_BYTES = ethernet.HEADER_BYTES + udp.HEADER_BYTES + ENCAP_BYTES;
const MOST_FRAME_BYTES = 0xffff;
const OUTER_TTL = 64;
/** The MAC that outer frames come from: any but the TAP's own. */
const OUTER_SOURCE_HIGH = 0x0a58;
const OUTER_SOURCE_LOW = 1;

export function encap(c: Context, from: number, to: number): void {
  const { batch } = c;
  for (let i = from; i < to; i++) {
    if (batch.verdict[i] !== PENDING) continue;
    leaveBy(c, i, batch.adjacency[i]);
  }
}

/** Sends IP packet `i` to an adjacency; sets the verdict. */
export function leaveBy(c: Context, i: number, adjacency: number): void {
  if (c.tables.adjacencies[adjacency * ADJACENCY_WORDS] === ADJACENCY_KIND.peer) encapsulate(c, i, adjacency);
  else deliver(c, i, c.tables.adjacencies[adjacency * ADJACENCY_WORDS + ADJACENCY.port]);
}

/** Sends packet `i` out of a port as it is. */
export function deliver(c: Context, i: number, port: number, segments = segmentsOf(c, i)): void {
  if (c.attached[port] !== 1) {
    c.batch.verdict[i] = DROP['port-gone'];
    return;
  }
  leave(c, i, port, segments);
}

/** Sends IP packet `i` to the peer of an adjacency; sets the verdict. */
export function encapsulate(c: Context, i: number, peer: number): void {
  const { batch } = c;
  const high = c.macs[peer * 2];
  const low = c.macs[peer * 2 + 1];
  if ((high | low) === 0) {
    // Asked for at the end of the vector.
    c.unresolved = true;
    batch.verdict[i] = DROP['neighbour-unresolved'];
    return;
  }
  batch.verdict[i] = wrap(c, i, peer, high, low, isIpv6(c, i) ? ethernet.ETHERTYPE.ipv6 : ethernet.ETHERTYPE.ipv4);
}

/** Sends packet `i` of an EtherType to the peer of an adjacency, in a frame for the given MAC. Returns the verdict. */
export function encapsulateFrame(c: Context, i: number, peer: number, high: number, low: number, type: number): number {
  return wrap(c, i, peer, high, low, type);
}

function wrap(c: Context, original: number, peer: number, high: number, low: number, type: number): number {
  const { batch, vector, tables } = c;
  const b = vector.arena;
  const a = peer * ADJACENCY_WORDS;
  const adjacencies = tables.adjacencies;
  const tunnel = c.tunnel;
  const outerBytes = tunnel === undefined ? 0 : outerIpBytes(c, a);
  // One path for all packets of a flow, so that they stay in order; what does not fit a frame cannot take the TAP.
  const framed =
    tunnel !== undefined &&
    outerBytes !== 0 &&
    batch.protocol[original] === ipv4.PROTOCOL.tcp &&
    type !== ethernet.ETHERTYPE.arp &&
    vector.length[original] + TUNNEL_BYTES + outerBytes <= MOST_FRAME_BYTES;
  let i = original;
  if (batch.fromPeer[original] >= 0) {
    // An answer made in place of a peer's own packet, which may lie close behind another packet of the same receive
    // buffer: no room in front for headers.
    i = vector.append(vector.length[original]);
    if (i < 0) return DROP['vector-full'];
    const o = vector.offset[original];
    b.copyWithin(vector.offset[i], o, o + vector.length[original]);
    batch.verdict[i] = FORWARDED;
    batch.protocol[i] = batch.protocol[original];
    batch.fromPeer[i] = -1;
    vector.gsoSize[i] = 0;
  }
  const segments = segmentsOf(c, i);
  const headers = framed ? TUNNEL_BYTES + outerBytes : ENCAP_BYTES;
  const o = vector.offset[i] - headers;
  const frame = o + headers - ethernet.HEADER_BYTES;
  ethernet.writeHeader(b, frame, high, low, tables.local.macHigh, tables.local.macLow, type);
  vxlan.writeHeader(b, frame - vxlan.HEADER_BYTES, adjacencies[a + ADJACENCY.vni]);
  vector.offset[i] = o;
  vector.length[i] += headers;
  vector.l3Offset[i] = headers;
  if (vector.checksumStart[i] > 0) vector.checksumStart[i] += headers;
  if (vector.stride[i] > 0) vector.headerBytes[i] += headers;
  if (framed) {
    writeOuter(c, i, o, a, outerBytes);
    // The kernel numbers the segments on from here.
    c.outerId = (c.outerId + segments) & 0xffff;
    leave(c, i, tunnel.id, segments);
  } else {
    vector.peer0[i] = adjacencies[a + ADJACENCY.peer];
    vector.peer1[i] = adjacencies[a + ADJACENCY.peer + 1];
    vector.peer2[i] = adjacencies[a + ADJACENCY.peer + 2];
    vector.peer3[i] = adjacencies[a + ADJACENCY.peer + 3];
    vector.peerPort[i] = adjacencies[a + ADJACENCY.udpPort];
    deliver(c, i, adjacencies[a + ADJACENCY.port], segments);
  }
  return i === original ? batch.verdict[i] : DROP.consumed;
}

/** Bytes of a frame's outer IP header for a peer; 0 where our own outer address is of the other family. */
function outerIpBytes(c: Context, a: number): number {
  const { adjacencies, local } = c.tables;
  const six = (adjacencies[a + ADJACENCY.peer] | adjacencies[a + ADJACENCY.peer + 1]) !== 0;
  if (six !== ((local.outer[0] | local.outer[1]) !== 0)) return 0;
  return six ? ipv6.HEADER_BYTES : ipv4.HEADER_BYTES;
}

/** The outer headers of frame `i`, which begins at `o`, to the peer of the adjacency at word `a`. */
function writeOuter(c: Context, i: number, o: number, a: number, ipBytes: number): void {
  const { adjacencies, local } = c.tables;
  const b = c.vector.arena;
  const tunnel = c.tunnel!;
  const six = ipBytes === ipv6.HEADER_BYTES;
  const type = six ? ethernet.ETHERTYPE.ipv6 : ethernet.ETHERTYPE.ipv4;
  ethernet.writeHeader(b, o, tunnel.macHigh, tunnel.macLow, OUTER_SOURCE_HIGH, OUTER_SOURCE_LOW, type);
  const ip = o + ethernet.HEADER_BYTES;
  const packet = c.vector.length[i] - ethernet.HEADER_BYTES;
  const peer = a + ADJACENCY.peer;
  const from = local.outer;
  if (six) {
    ipv6.writePlainHeader(b, ip, packet - ipBytes, ipv4.PROTOCOL.udp, OUTER_TTL);
    ipv6.setSource(b, ip, from[0], from[1], from[2], from[3]);
    ipv6.setDestination(b, ip, adjacencies[peer], adjacencies[peer + 1], adjacencies[peer + 2], adjacencies[peer + 3]);
  } else {
    ipv4.writePlainHeader(b, ip, packet, ipv4.PROTOCOL.udp, from[3] >>> 0, adjacencies[peer + 3] >>> 0, OUTER_TTL);
    // Should the underlay have to fragment, fragments of different frames must not mix (RFC 791, 3.2).
    ipv4.setIdentification(b, ip, c.outerId);
    ipv4.fillChecksum(b, ip);
  }
  // A source port by flow lets the underlay spread flows over paths and queues (RFC 7348, 5). Over IPv6 the addon adds
  // the checksum, which is not to be left out there.
  const udpPort = adjacencies[a + ADJACENCY.udpPort];
  udp.writeHeader(b, ip + ipBytes, 0xc000 | (c.vector.hash[i] & 0x3fff), udpPort, packet - ipBytes);
}

function leave(c: Context, i: number, port: number, segments: number): void {
  const { vector } = c;
  vector.outPort[i] = port;
  c.batch.verdict[i] = FORWARDED;
  c.counters.sent(port, segments, vector.length[i]);
}
