/**
 * Fifth stage: can the packet go where its connection goes? Next hop, time to live (lowered once a host, so that
 * traceroute shows each), size. What cannot go on is answered with the ICMP error that tells its sender why (RFC 792,
 * RFC 1191, RFC 1812 5.3; for IPv6 RFC 4443, RFC 8201). Quotes in errors come before translation, in the stage after this one.
 */

import { GSO_TCPV4 } from '../../io/vector.ts';
import { ADJACENCY, ADJACENCY_KIND, ADJACENCY_WORDS } from '../../tables/adjacency.ts';
import * as icmp from '../../wire/icmp.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import { FLAG } from '../../wire/tcp.ts';
import { sendIcmpError } from '../answers.ts';
import { isIpv6, PENDING } from '../batch.ts';
import { moveOn } from '../connection.ts';
import type { Context } from '../context.ts';
import { DROP } from '../drop-reasons.ts';
import { endpointGone } from '../ending.ts';
import { FLOW, FLOW_WORDS, NO_FLOW, STATE } from '../flow-record.ts';
import { fragment } from '../fragment.ts';
import { clampSegmentSize } from '../segment-size.ts';
import { headersOf, sizeOnWire } from '../super-packet.ts';

export function route(c: Context, from: number, to: number): void {
  const { batch, vector } = c;
  const b = vector.arena;
  for (let i = from; i < to; i++) {
    if (batch.verdict[i] !== PENDING) continue;
    const record = batch.flow[i];
    // Read only now: a later packet of the vector may have moved the connection to another endpoint.
    if (record !== NO_FLOW) batch.adjacency[i] = c.flows.words[record * FLOW_WORDS + FLOW.adjacency];
    const adjacency = batch.adjacency[i];
    const a = adjacency * ADJACENCY_WORDS;
    const kind = adjacency < 0 ? 0 : c.tables.adjacencies[a];
    if (kind === 0 || kind === ADJACENCY_KIND.unreachable) {
      unreachable(c, i, kind === 0);
      continue;
    }
    if (kind === ADJACENCY_KIND.peer && batch.fromPeer[i] >= 0) {
      // Its pod has moved to another host since the connection began.
      batch.verdict[i] = DROP['peer-transit'];
      continue;
    }
    // To the gateway's own address: it has arrived.
    if (kind === ADJACENCY_KIND.gateway) continue;
    const l3 = batch.l3[i];
    const six = b[l3] >> 4 === 6;
    if ((six ? ipv6.hopLimit(b, l3) : ipv4.ttl(b, l3)) <= 1) {
      expired(c, i);
      continue;
    }
    const mtu = c.tables.adjacencies[a + ADJACENCY.mtu];
    if (sizeOnWire(c, i) > mtu && !shorten(c, i, mtu)) continue;
    if ((batch.tcpFlags[i] & FLAG.syn) !== 0) clampSegmentSize(c, i, mtu);
    if (six) ipv6.setHopLimit(b, l3, ipv6.hopLimit(b, l3) - 1);
    else ipv4.decrementTtl(b, l3);
  }
}

function expired(c: Context, i: number): void {
  const { batch, flows } = c;
  batch.verdict[i] = DROP['ttl-expired'];
  sendIcmpError(c, i, icmp.TYPE.timeExceeded, icmp.EXCEEDED.ttl, 0);
  const record = batch.flow[i];
  // A probe of the way (traceroute): it is not tried again, and says nothing about its endpoint.
  if (record === NO_FLOW || (flows.words[(record & ~1) * FLOW_WORDS + FLOW.state] & STATE.trying) === 0) return;
  flows.remove(record);
}

function unreachable(c: Context, i: number, noRoute: boolean): void {
  const { batch, flows } = c;
  const record = batch.flow[i];
  if (record !== NO_FLOW && (record & 1) === 0) {
    if ((flows.words[record * FLOW_WORDS + FLOW.state] & STATE.trying) !== 0) {
      moveOn(c, record, false);
      batch.verdict[i] = DROP.consumed;
      return;
    }
    if (endpointGone(c, i, record)) return;
  }
  const code = noRoute ? icmp.UNREACHABLE.network : icmp.UNREACHABLE.host;
  batch.verdict[i] = noRoute ? DROP['no-route'] : DROP['host-unreachable'];
  sendIcmpError(c, i, icmp.TYPE.destinationUnreachable, code, 0);
}

/**
 * Makes packet `i` fit the MTU if it allows that, as no IPv6 packet does; otherwise drops it and tells its sender. True:
 * goes on itself.
 */
function shorten(c: Context, i: number, mtu: number): boolean {
  const { batch, vector } = c;
  if (isIpv6(c, i) || ipv4.dontFragment(vector.arena, batch.l3[i])) {
    batch.verdict[i] = DROP['too-big'];
    sendIcmpError(c, i, icmp.TYPE.destinationUnreachable, icmp.UNREACHABLE.fragmentationNeeded, mtu);
    return false;
  }
  if (vector.gsoType[i] === GSO_TCPV4 && vector.stride[i] === 0) {
    // Segments are cut on the way out: they may as well be cut smaller.
    vector.gsoSize[i] = mtu - headersOf(c, i);
    return true;
  }
  if (vector.gsoType[i] !== 0) {
    batch.verdict[i] = DROP['too-big'];
    return false;
  }
  return fragment(c, i, mtu);
}
