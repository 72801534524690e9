/**
 * Part of parse, for IPv6 (RFC 8200): the header, the extension headers behind it, addresses that may not be there, and
 * ICMPv6. What kernels say to their neighbours only (router solicitations, group membership, duplicate address
 * detection: every pod's does, RFC 4861 and 3810) ends here without alarm; neighbour discovery of overlay peers goes on
 * to the local stage.
 */
import { GSO_NONE, GSO_TCPV6, PACKET_FLAG } from '../../io/vector.ts';
import * as ethernet from '../../wire/ethernet.ts';
import * as icmpv6 from '../../wire/icmpv6.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as extension from '../../wire/ipv6-extension.ts';
import * as ndp from '../../wire/ndp.ts';
import { KIND, PENDING } from '../batch.ts';
import type { Context } from '../context.ts';
import { DROP } from '../drop-reasons.ts';
import { parseL4 } from './parse-l4.ts';

/** fe80::/10, and the scopes of ff00::/8 that stay on a link (RFC 4291, 2.7): interface-local 1, link-local 2. */
const LINK_LOCAL = 0x3fa;
const LINK_SCOPE = 2;

/** IPv6 packet `i`, which stands at its offset; returns its verdict. */
export function parseIp6(c: Context, i: number): number {
  const { batch, vector } = c;
  const verdict = readHeader(c, i);
  if (verdict !== PENDING) return verdict;
  const destination = batch.destination0[i];
  const reach = reachOf(destination);
  if (reach !== PENDING) return reach;
  if (batch.source0[i] >>> 22 === LINK_LOCAL || isUnspecified(c, i)) return DROP['link-local'];
  if (batch.source0[i] >>> 24 === 0xff || (batch.source0[i] | batch.source1[i]) === 0) return DROP['ip-source'];
  if ((destination | batch.destination1[i]) === 0) return DROP['ip-destination'];
  return parseUpper(c, i, vector.offset[i] + vector.length[i]);
}

/** IPv6 packet `i` behind the inner Ethernet header at `frame`: also where a peer asks for our MAC. */
export function parseFrame6(c: Context, i: number, frame: number): number {
  const { batch, vector, tables } = c;
  const b = vector.arena;
  const verdict = readHeader(c, i);
  if (verdict !== PENDING) return verdict;
  const o = vector.offset[i];
  if (ipv6.nextHeader(b, o) === ipv4.PROTOCOL.icmpv6 && ipv6.hopLimit(b, o) === ndp.HOP_LIMIT) {
    const l4 = o + ipv6.HEADER_BYTES;
    const end = o + vector.length[i];
    if (!icmpv6.check(b, l4, end)) return DROP['l4-header'];
    const type = icmpv6.type(b, l4);
    if (type === icmpv6.TYPE.neighbourSolicitation || type === icmpv6.TYPE.neighbourAdvertisement) {
      if (!ndp.check(b, l4, end) || !icmpv6.checksumValid(b, o, l4, end - l4)) return DROP['neighbour-discovery'];
      batch.kind[i] = KIND.neighbour;
      batch.l4[i] = l4;
      return PENDING;
    }
  }
  const reach = reachOf(batch.destination0[i]);
  if (reach !== PENDING) return reach;
  const ours =
    ethernet.destinationHigh(b, frame) === tables.local.macHigh &&
    (ethernet.destinationLow(b, frame) | 0) === (tables.local.macLow | 0);
  return ours ? parseIp6(c, i) : DROP['ethernet-destination'];
}

/** The fixed header: length and addresses. */
function readHeader(c: Context, i: number): number {
  const { batch, vector } = c;
  const b = vector.arena;
  const o = vector.offset[i];
  const end = o + vector.length[i];
  if (end - o < ipv6.HEADER_BYTES) return DROP.truncated;
  if (b[o] >> 4 !== 6) return DROP['ip-version'];
  if (!ipv6.check(b, o, end)) return DROP['ip-header-length'];
  vector.length[i] = ipv6.HEADER_BYTES + ipv6.payloadBytes(b, o);
  batch.l3[i] = o;
  batch.source0[i] = ipv6.sourceInt(b, o, 0);
  batch.source1[i] = ipv6.sourceInt(b, o, 1);
  batch.source2[i] = ipv6.sourceInt(b, o, 2);
  batch.source3[i] = ipv6.sourceInt(b, o, 3);
  batch.destination0[i] = ipv6.destinationInt(b, o, 0);
  batch.destination1[i] = ipv6.destinationInt(b, o, 1);
  batch.destination2[i] = ipv6.destinationInt(b, o, 2);
  batch.destination3[i] = ipv6.destinationInt(b, o, 3);
  return PENDING;
}

/** Whether a destination that begins with this word can lie behind a router; the reason if not. */
function reachOf(word0: number): number {
  if (word0 >>> 22 === LINK_LOCAL) return DROP['link-local'];
  if (word0 >>> 24 !== 0xff) return PENDING;
  return ((word0 >>> 16) & 15) <= LINK_SCOPE ? DROP['link-local'] : DROP['ip-destination'];
}

function isUnspecified(c: Context, i: number): boolean {
  const b = c.batch;
  return (b.source0[i] | b.source1[i] | b.source2[i] | b.source3[i]) === 0;
}

/** What the packet carries behind its extension headers. */
function parseUpper(c: Context, i: number, end: number): number {
  const { batch, vector } = c;
  const b = vector.arena;
  const o = batch.l3[i];
  let found = extension.walk(b, o, end);
  if (found < 0) return found === extension.WALK.routed ? DROP['ip-options'] : DROP['l4-header'];
  if ((found & 0xff) === extension.NEXT.fragment) {
    const header = o + (found >> 8);
    if (vector.gsoType[i] !== GSO_NONE || !extension.checkFragment(b, header, end)) return DROP['l4-header'];
    const behind = (found >> 8) + extension.FRAGMENT_BYTES;
    const next = extension.fragmentNextHeader(b, header);
    if (extension.fragmentOffsetBytes(b, header) !== 0 || extension.moreFragments(b, header)) {
      batch.kind[i] = KIND.fragment;
      vector.gsoSize[i] = 0;
      batch.l4[i] = o + behind;
      batch.protocol[i] = next;
      c.fragments.met = true;
      // Whoever cuts a packet completes its checksum first.
      const whole = (vector.flags[i] & PACKET_FLAG.checksumPartial) === 0;
      return next === 0 || !whole ? DROP['l4-header'] : PENDING;
    }
    // A packet that is its only fragment (RFC 6946).
    found = extension.walkFrom(b, o, end, behind, next);
    if (found < 0 || (found & 0xff) === extension.NEXT.fragment) return DROP['l4-header'];
  }
  const at = found >> 8;
  batch.l4[i] = o + at;
  batch.protocol[i] = found & 0xff;
  // Whoever cuts a super-packet looks for its header right behind IPv6's.
  if (vector.gsoType[i] !== GSO_NONE && at !== ipv6.HEADER_BYTES) return DROP['l4-header'];
  return parseL4(c, i, end, GSO_TCPV6);
}
