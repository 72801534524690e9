/**
 * What related.ts does, for ICMPv6 errors about translated connections (RFC 4443; the translation by RFC 5508, 4): the
 * quoted packet is put back into the form in which the client sent it. An unreachable about an endpoint that is being
 * tried moves the connection on instead.
 */

import { ADJACENCY, ADJACENCY_WORDS } from '../tables/adjacency.ts';
import { PORT, PORT_KIND, PORT_WORDS } from '../tables/ports.ts';
import { setU16, setU32, u16, u32 } from '../wire/bytes.ts';
import { adjust32 } from '../wire/checksum.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import { PROTOCOL } from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as extension from '../wire/ipv6-extension.ts';
import { moveOn, renew } from './connection.ts';
import type { Context } from './context.ts';
import { DROP } from './drop-reasons.ts';
import { lost } from './ending.ts';
import { FLOW, FLOW_WORDS, NO_FLOW, STATE } from './flow-record.ts';
import { isBehindHost, quotedChecksumAt } from './related.ts';

/** True when error `i` was dealt with here; false when it goes on as an ordinary packet. */
export function relate6(c: Context, i: number): boolean {
  const { batch, vector } = c;
  const b = vector.arena;
  const end = vector.offset[i] + vector.length[i];
  const error = batch.l4[i];
  const quote = icmpv6.quotedOffset(b, error);
  if (end - quote < ipv6.HEADER_BYTES || b[quote] >>> 4 !== 6) return false;
  const found = quotedTransport(b, quote, end);
  if (found < 0) return false;
  const l4 = quote + (found >> 8);
  const record = findQuoted(c, quote, l4, found & 0xff);
  if (record === NO_FLOW) return false;
  const w = c.flows.words;
  const state = w[(record & ~1) * FLOW_WORDS + FLOW.state];
  if ((state & STATE.translated) === 0) return false;
  if (!renew(c, record)) return false;
  const twin = (record ^ 1) * FLOW_WORDS;
  if (batch.fromPeer[i] >= 0 && w[twin + FLOW.adjacency] !== batch.fromPeer[i]) {
    batch.verdict[i] = DROP['peer-source'];
    return true;
  }
  const unreachable = icmpv6.type(b, error) === icmpv6.TYPE.destinationUnreachable;
  if (unreachable && (state & STATE.trying) !== 0 && (record & 1) !== 0) {
    const believed = maySpeakFor(c, i, quote, twin);
    if (believed) moveOn(c, record & ~1, false);
    batch.verdict[i] = believed ? DROP.consumed : DROP['flow-invalid'];
    return true;
  }
  const l3 = batch.l3[i];
  if (!icmpv6.checksumValid(b, l3, error, end - error)) {
    batch.verdict[i] = DROP['l4-header'];
    return true;
  }
  // Its pod is gone, on another host: a stack would only try for longer.
  const code = icmpv6.code(b, error);
  const gone = unreachable && (code === icmpv6.UNREACHABLE.noRoute || code === icmpv6.UNREACHABLE.address);
  if (gone && (record & 1) !== 0 && maySpeakFor(c, i, quote, twin) && lost(c, record & ~1)) {
    batch.verdict[i] = DROP.consumed;
    return true;
  }
  const expired = icmpv6.type(b, error) === icmpv6.TYPE.timeExceeded;
  const ends = expired && (state & STATE.trying) !== 0 && maySpeakFor(c, i, quote, twin);
  // Seen from the client, an error that the endpoint sent comes from the service.
  if (isFrom(c, i, quote)) ipv6.setSource(b, l3, w[twin + 4], w[twin + 5], w[twin + 6], w[twin + 7]);
  ipv6.setDestination(b, l3, w[twin], w[twin + 1], w[twin + 2], w[twin + 3]);
  const at = quotedChecksumAt(b, l4, end, found & 0xff);
  if (at > 0) setU16(b, at, quotedChecksum(c, u16(b, at), quote, l4, twin));
  ipv6.setSource(b, quote, w[twin], w[twin + 1], w[twin + 2], w[twin + 3]);
  ipv6.setDestination(b, quote, w[twin + 4], w[twin + 5], w[twin + 6], w[twin + 7]);
  setU32(b, l4, w[twin + FLOW.ports]);
  icmpv6.fillChecksum(b, l3, error, end - error);
  batch.adjacency[i] = w[record * FLOW_WORDS + FLOW.adjacency];
  // A probe of the way (traceroute): it is not tried again, and says nothing about its endpoint.
  if (ends) c.flows.remove(record);
  // The error itself is not part of the connection: it is not translated again.
  return true;
}

/** The quoted packet's checksum as it was before its translation. */
function quotedChecksum(c: Context, field: number, quote: number, l4: number, twin: number): number {
  const b = c.vector.arena;
  const w = c.flows.words;
  let check = adjust32(field, u32(b, l4), w[twin + FLOW.ports]);
  for (let k = 0; k < 4; k++) {
    check = adjust32(check, ipv6.sourceWord(b, quote, k), w[twin + k]);
    check = adjust32(check, ipv6.destinationWord(b, quote, k), w[twin + 4 + k]);
  }
  return check || 0xffff;
}

/** Where the quote's TCP or UDP header stands, as `walk` says it, if 8 bytes of it are there; -1 otherwise. */
function quotedTransport(b: Uint8Array, quote: number, end: number): number {
  let found = extension.walk(b, quote, end);
  if (found < 0) return -1;
  if ((found & 0xff) === extension.NEXT.fragment) {
    const header = quote + (found >> 8);
    if (!extension.checkFragment(b, header, end) || extension.fragmentOffsetBytes(b, header) !== 0) return -1;
    const next = extension.fragmentNextHeader(b, header);
    found = extension.walkFrom(b, quote, end, (found >> 8) + extension.FRAGMENT_BYTES, next);
  }
  const protocol = found & 0xff;
  const hasPorts = protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp;
  return found >= 0 && hasPorts && quote + (found >> 8) + 8 <= end ? found : -1;
}

/** The direction that the error travels in: the quoted packet went the other way. */
function findQuoted(c: Context, quote: number, l4: number, protocol: number): number {
  const b = c.vector.arena;
  const r0 = ipv6.destinationWord(b, quote, 0) | 0;
  const r1 = ipv6.destinationWord(b, quote, 1) | 0;
  const r2 = ipv6.destinationWord(b, quote, 2) | 0;
  const r3 = ipv6.destinationWord(b, quote, 3) | 0;
  const n0 = ipv6.sourceWord(b, quote, 0) | 0;
  const n1 = ipv6.sourceWord(b, quote, 1) | 0;
  const n2 = ipv6.sourceWord(b, quote, 2) | 0;
  const n3 = ipv6.sourceWord(b, quote, 3) | 0;
  // What parse lets in begins with other bits: a quote may say anything, IPv4's connections included.
  if ((r0 | r1) === 0 || (n0 | n1) === 0) return NO_FLOW;
  const ports = (u16(b, l4 + 2) << 16) | u16(b, l4);
  const hash = c.flows.hash(r0, r1, r2, r3, n0, n1, n2, n3, ports, protocol);
  return c.flows.find(hash, r0, r1, r2, r3, n0, n1, n2, n3, ports, protocol);
}

/** Whether error `i` was sent by the address that the quoted packet was for. */
function isFrom(c: Context, i: number, quote: number): boolean {
  const { batch, vector } = c;
  const b = vector.arena;
  return (
    batch.source3[i] === (ipv6.destinationWord(b, quote, 3) | 0) &&
    batch.source2[i] === (ipv6.destinationWord(b, quote, 2) | 0) &&
    batch.source1[i] === (ipv6.destinationWord(b, quote, 1) | 0) &&
    batch.source0[i] === (ipv6.destinationWord(b, quote, 0) | 0)
  );
}

/**
 * Whether the sender of error `i` can know that an endpoint is out of reach: the endpoint itself; the gateway or VTEP of
 * the host that the error came from; this host's stack, where that is the way to the endpoint, given by the first word of
 * the record that leads there. Nobody else can say so of another's pod, neither a pod nor who sends through this host.
 */
function maySpeakFor(c: Context, i: number, quote: number, twin: number): boolean {
  const { batch, tables } = c;
  const peer = batch.fromPeer[i];
  if (peer < 0 && tables.ports[c.vector.inPort[i] * PORT_WORDS + PORT.kind] === PORT_KIND.host) {
    return isBehindHost(c, twin);
  }
  if (isFrom(c, i, quote)) return true;
  if (peer < 0) return false;
  const vtep = peer * ADJACENCY_WORDS + ADJACENCY.nextHop6;
  const a = tables.adjacencies;
  const last = batch.source3[i];
  return (
    batch.source0[i] === a[vtep] &&
    batch.source1[i] === a[vtep + 1] &&
    batch.source2[i] === a[vtep + 2] &&
    (last === a[vtep + 3] || last === ((a[vtep + 3] + 1) | 0))
  );
}
