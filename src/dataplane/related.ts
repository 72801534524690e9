/**
 * ICMP errors about translated connections (RFC 5508, 4): the packet they quote is the one that we sent on, which the
 * client never saw. It is put back into the form in which the client sent it. An unreachable about an endpoint that
 * is being tried moves the connection on instead.
 */

import { ADJACENCY, ADJACENCY_KIND, ADJACENCY_WORDS } from '../tables/adjacency.ts';
import { PORT, PORT_KIND, PORT_WORDS } from '../tables/ports.ts';
import { setU16, setU32, u16, u32 } from '../wire/bytes.ts';
import { adjust32, finish, sum } from '../wire/checksum.ts';
import * as icmp from '../wire/icmp.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import { moveOn, renew } from './connection.ts';
import type { Context } from './context.ts';
import { DROP } from './drop-reasons.ts';
import { lost } from './ending.ts';
import { FLOW, FLOW_WORDS, NO_FLOW, STATE } from './flow-record.ts';

const MAPPED = 0xffff;

/** True when error `i` was dealt with here; false when it goes on as an ordinary packet. */
export function relate(c: Context, i: number): boolean {
  const { batch, vector, flows } = c;
  const b = vector.arena;
  const end = vector.offset[i] + vector.length[i];
  const error = batch.l4[i];
  const quote = icmp.quotedOffset(b, error);
  // The quote may be cut short: only its header and 8 bytes are needed.
  if (end - quote < ipv4.HEADER_BYTES || b[quote] >>> 4 !== 4) return false;
  const header = ipv4.headerBytes(b, quote);
  const l4 = quote + header;
  const protocol = ipv4.protocol(b, quote);
  const hasPorts = protocol === ipv4.PROTOCOL.tcp || protocol === ipv4.PROTOCOL.udp;
  if (header < ipv4.HEADER_BYTES || l4 + 8 > end || !hasPorts || ipv4.fragmentOffsetBytes(b, quote) !== 0) return false;
  // The quoted packet went the other way: mirrored, it is the key of the direction this error travels in.
  const near = ipv4.source(b, quote) | 0;
  const remote = ipv4.destination(b, quote) | 0;
  const ports = (u16(b, l4 + 2) << 16) | u16(b, l4);
  const hash = flows.hash(0, 0, MAPPED, remote, 0, 0, MAPPED, near, ports, protocol);
  const record = flows.find(hash, 0, 0, MAPPED, remote, 0, 0, MAPPED, near, ports, protocol);
  if (record === NO_FLOW) return false;
  const w = flows.words;
  const f = (record & ~1) * FLOW_WORDS;
  const state = w[f + FLOW.state];
  if ((state & STATE.translated) === 0) return false;
  if (!renew(c, record)) return false;
  const twin = (record ^ 1) * FLOW_WORDS;
  if (batch.fromPeer[i] >= 0 && w[twin + FLOW.adjacency] !== batch.fromPeer[i]) {
    batch.verdict[i] = DROP['peer-source'];
    return true;
  }
  const type = icmp.type(b, error);
  const unreachable =
    type === icmp.TYPE.destinationUnreachable && icmp.code(b, error) !== icmp.UNREACHABLE.fragmentationNeeded;
  if (unreachable && (state & STATE.trying) !== 0 && record !== (record & ~1)) {
    const believed = maySpeakFor(c, i, remote, twin);
    if (believed) moveOn(c, record & ~1, false);
    batch.verdict[i] = believed ? DROP.consumed : DROP['flow-invalid'];
    return true;
  }
  if (!icmp.checksumValid(b, error, end - error)) {
    batch.verdict[i] = DROP['l4-header'];
    return true;
  }
  // Its pod is gone, on another host: a stack would only try for longer.
  const gone = unreachable && icmp.code(b, error) <= icmp.UNREACHABLE.host && record !== (record & ~1);
  if (gone && maySpeakFor(c, i, remote, twin) && lost(c, record & ~1)) {
    batch.verdict[i] = DROP.consumed;
    return true;
  }
  rewriteQuote(b, quote, l4, end, w, twin);
  // Seen from the client, an error that the endpoint sent comes from the service.
  if (ipv4.source(b, batch.l3[i]) === remote >>> 0) ipv4.setSource(b, batch.l3[i], w[twin + 7] >>> 0);
  ipv4.setDestination(b, batch.l3[i], w[twin + 3] >>> 0);
  ipv4.fillChecksum(b, batch.l3[i]);
  icmp.fillChecksum(b, error, end - error);
  batch.adjacency[i] = w[record * FLOW_WORDS + FLOW.adjacency];
  // A probe of the way (traceroute): it is not tried again, and says nothing about its endpoint.
  const ends = type === icmp.TYPE.timeExceeded && (state & STATE.trying) !== 0;
  if (ends && maySpeakFor(c, i, remote, twin)) flows.remove(record);
  // The error itself is not part of the connection: it is not translated again.
  return true;
}

/**
 * Whether the sender of error `i` can know that an endpoint is out of reach: the endpoint itself; the gateway or VTEP of
 * the host that the error came from; this host's stack, where that is the way to the endpoint, given by the first word of
 * the record that leads there. Nobody else can say so of another's pod, neither a pod nor who sends through this host.
 */
function maySpeakFor(c: Context, i: number, endpoint: number, twin: number): boolean {
  const { batch, tables } = c;
  const source = batch.source3[i];
  const peer = batch.fromPeer[i];
  if (peer < 0 && tables.ports[c.vector.inPort[i] * PORT_WORDS + PORT.kind] === PORT_KIND.host) {
    return isBehindHost(c, twin);
  }
  if (source === endpoint) return true;
  if (peer < 0) return false;
  const vtep = tables.adjacencies[peer * ADJACENCY_WORDS + ADJACENCY.nextHop4];
  return source === vtep || source === ((vtep + 1) | 0);
}

/** Whether the record with this first word leads into this host's own stack. */
export function isBehindHost(c: Context, o: number): boolean {
  const way = c.flows.words[o + FLOW.adjacency];
  const kind = way < 0 ? 0 : c.tables.adjacencies[way * ADJACENCY_WORDS];
  return kind === ADJACENCY_KIND.host || kind === ADJACENCY_KIND.gateway;
}

/** Puts the quoted packet's addresses and ports back to those of the direction it was sent in, checksums included. */
function rewriteQuote(b: Uint8Array, quote: number, l4: number, end: number, w: Int32Array, twin: number): void {
  const source = w[twin + 3] >>> 0;
  const destination = w[twin + 7] >>> 0;
  const ports = w[twin + FLOW.ports] >>> 0;
  const at = quotedChecksumAt(b, l4, end, ipv4.protocol(b, quote));
  if (at > 0) {
    const addresses = adjust32(
      adjust32(u16(b, at), ipv4.source(b, quote), source),
      ipv4.destination(b, quote),
      destination,
    );
    setU16(b, at, adjust32(addresses, u32(b, l4), ports) || 0xffff);
  }
  ipv4.setSource(b, quote, source);
  ipv4.setDestination(b, quote, destination);
  const header = l4 - quote;
  setU16(b, quote + 10, 0);
  setU16(b, quote + 10, finish(sum(b, quote, header)));
  setU32(b, l4, ports);
}

/** Where a quoted TCP or UDP header at `l4` has its checksum, 0 if it has none or is cut short before it. */
export function quotedChecksumAt(b: Uint8Array, l4: number, end: number, protocol: number): number {
  if (protocol === ipv4.PROTOCOL.udp) return udp.checksum(b, l4) === 0 ? 0 : l4 + udp.CHECKSUM_OFFSET;
  return l4 + tcp.CHECKSUM_OFFSET + 2 <= end ? l4 + tcp.CHECKSUM_OFFSET : 0;
}
