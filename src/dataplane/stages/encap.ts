/**
 * Last stage: the packet gets what its way out needs, and its out port. A pod's or the host's TUN takes the packet as
 * it is. A peer's packet is wrapped in an Ethernet header and VXLAN (RFC 7348) in front of it, in headroom:
 *
 *   UDP socket   | VXLAN 8 | Ethernet 14 | packet         the socket adds the outer UDP and IP headers
 *   tunnel GSO   | Ethernet 14 | IPv4 20 | UDP 8 | VXLAN 8 | Ethernet 14 | packet
 *                  a whole frame for the TAP: the host's stack routes it and segments only where a device must
 */
import { ADJACENCY, ADJACENCY_KIND, ADJACENCY_WORDS } from '../../tables/adjacency.ts';
import * as ethernet from '../../wire/ethernet.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as udp from '../../wire/udp.ts';
import * as vxlan from '../../wire/vxlan.ts';
import { FORWARDED, PENDING } from '../batch.ts';
import type { Context } from '../context.ts';
import { DROP } from '../drop-reasons.ts';
import { segmentsOf } from '../super-packet.ts';
import { ENCAP_BYTES } from './parse.ts';

const TUNNEL_BYTES = ethernet.HEADER_BYTES + ipv4.HEADER_BYTES + udp.HEADER_BYTES + ENCAP_BYTES;
const OUTER_TTL = 64;
/** The MAC that outer frames come from: any but the TAP's own. */
const OUTER_SOURCE_HIGH = 0x0a58;
const OUTER_SOURCE_LOW = 1;

export function encap(c: Context, from: number, to: number): void {
  const { batch } = c;
  for (let i = from; i < to; i++) {
    if (batch.verdict[i] !== PENDING) continue;
    const adjacency = batch.adjacency[i];
    if (c.tables.adjacencies[adjacency * ADJACENCY_WORDS] === ADJACENCY_KIND.peer) encapsulate(c, i, adjacency);
    else deliver(c, i, c.tables.adjacencies[adjacency * ADJACENCY_WORDS + ADJACENCY.port]);
  }
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
  batch.verdict[i] = wrap(c, i, peer, high, low, ethernet.ETHERTYPE.ipv4);
}

/** Sends ARP packet `i` to the peer of an adjacency, in a frame for the given MAC. Returns the verdict. */
export function encapsulateFrame(c: Context, i: number, peer: number, high: number, low: number): number {
  return wrap(c, i, peer, high, low, ethernet.ETHERTYPE.arp);
}

function wrap(c: Context, original: number, peer: number, high: number, low: number, type: number): number {
  const { batch, vector, tables } = c;
  const b = vector.arena;
  const a = peer * ADJACENCY_WORDS;
  const adjacencies = tables.adjacencies;
  const tunnel = c.tunnel;
  // One path for all packets of a flow, so that they stay in order; what does not fit a frame cannot take the TAP.
  const framed =
    tunnel !== undefined &&
    batch.protocol[original] === ipv4.PROTOCOL.tcp &&
    type === ethernet.ETHERTYPE.ipv4 &&
    vector.length[original] + TUNNEL_BYTES <= 0xffff;
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
  const headers = framed ? TUNNEL_BYTES : ENCAP_BYTES;
  const o = vector.offset[i] - headers;
  const frame = o + headers - ethernet.HEADER_BYTES;
  ethernet.writeHeader(b, frame, high, low, tables.local.macHigh, tables.local.macLow, type);
  vxlan.writeHeader(b, frame - vxlan.HEADER_BYTES, adjacencies[a + ADJACENCY.vni]);
  const udpPort = adjacencies[a + ADJACENCY.udpPort];
  vector.offset[i] = o;
  vector.length[i] += headers;
  vector.l3Offset[i] = headers;
  if (vector.checksumStart[i] > 0) vector.checksumStart[i] += headers;
  if (vector.stride[i] > 0) vector.headerBytes[i] += headers;
  if (framed) {
    writeOuter(c, i, o, adjacencies[a + ADJACENCY.peer + 3] >>> 0, udpPort);
    // The kernel numbers the segments on from here.
    c.outerId = (c.outerId + segments) & 0xffff;
    leave(c, i, tunnel.id, segments);
  } else {
    vector.peer0[i] = adjacencies[a + ADJACENCY.peer];
    vector.peer1[i] = adjacencies[a + ADJACENCY.peer + 1];
    vector.peer2[i] = adjacencies[a + ADJACENCY.peer + 2];
    vector.peer3[i] = adjacencies[a + ADJACENCY.peer + 3];
    vector.peerPort[i] = udpPort;
    deliver(c, i, adjacencies[a + ADJACENCY.port], segments);
  }
  return i === original ? batch.verdict[i] : DROP.consumed;
}

/** The outer headers of frame `i`, which begins at `o`. */
function writeOuter(c: Context, i: number, o: number, peer: number, udpPort: number): void {
  const b = c.vector.arena;
  const tunnel = c.tunnel!;
  const ip = o + ethernet.HEADER_BYTES;
  const l4 = ip + ipv4.HEADER_BYTES;
  const packet = c.vector.length[i] - ethernet.HEADER_BYTES;
  ethernet.writeHeader(
    b,
    o,
    tunnel.macHigh,
    tunnel.macLow,
    OUTER_SOURCE_HIGH,
    OUTER_SOURCE_LOW,
    ethernet.ETHERTYPE.ipv4,
  );
  ipv4.writePlainHeader(b, ip, packet, ipv4.PROTOCOL.udp, c.tables.local.outer[3] >>> 0, peer, OUTER_TTL);
  // Should the underlay have to fragment, fragments of different frames must not mix (RFC 791, 3.2).
  ipv4.setIdentification(b, ip, c.outerId);
  ipv4.fillChecksum(b, ip);
  // A source port by flow lets the underlay spread flows over paths and queues (RFC 7348, 5).
  udp.writeHeader(b, l4, 0xc000 | (c.vector.hash[i] & 0x3fff), udpPort, packet - ipv4.HEADER_BYTES);
}

function leave(c: Context, i: number, port: number, segments: number): void {
  const { vector } = c;
  vector.outPort[i] = port;
  c.batch.verdict[i] = FORWARDED;
  c.counters.sent(port, segments, vector.length[i]);
}
