/**
 * How a service's connection ends that its endpoint cannot end: because the endpoint left the service and the time to
 * drain is over, or its pod is gone, or because no endpoint answered. Whoever sends on it is reset (RFC 9293, 3.10.7).
 * Who only waits, as one who downloads, would wait for ever, and a reset needs to know what it expects: it is sent an
 * acknowledgment of nothing, to which it says so (RFC 9293, 3.10.7.4), and is reset for that. With the same packet the
 * endpoint of a silent connection is asked whether it still exists; its host says so if not.
 */
import { ADJACENCY_KIND, ADJACENCY_WORDS } from '../tables/adjacency.ts';
import { finish, pseudoSum4, pseudoSum6, sum } from '../wire/checksum.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as tcp from '../wire/tcp.ts';
import { isEstablished, renew } from './connection.ts';
import type { Context } from './context.ts';
import { DROP } from './drop-reasons.ts';
import { FLOW, FLOW_WORDS, isClosed, STATE, TICK_MS } from './flow-record.ts';
import { refuse } from './refuse.ts';
import { appendAnswer } from './send-back.ts';
import { leaveBy } from './stages/encap.ts';

const TTL = 64;
/** A connection that drains and has been silent for so long has its endpoint asked. */
const SILENT_TICKS = 15_000 / TICK_MS;
/** Packet `i` belongs to a connection that no endpoint took, or that is over: refused. */
export function fail(c: Context, i: number, record: number): void {
  const drained = (c.flows.words[(record & ~1) * FLOW_WORDS + FLOW.state] & STATE.draining) !== 0;
  refuse(c, i, drained ? DROP['service-endpoint-gone'] : DROP['service-all-failed']);
  // The client is still to be told.
  if (!drained || (record & 1) === 0) c.flows.remove(record);
}

/** Packet `i` belongs to a connection that drains. True when its time is over: it was reset. */
export function drained(c: Context, i: number, record: number): boolean {
  const ends = c.flows.words[(record | 1) * FLOW_WORDS + FLOW.drainEnds];
  if (c.flows.nowTicks - ends < 0) return false;
  refuse(c, i, DROP['service-endpoint-gone']);
  if ((record & 1) === 0) c.flows.remove(record);
  else endLost(c, record & ~1);
  return true;
}

/**
 * Packet `i` of a connection leads to an endpoint that no pod has any more. True when its client was reset: it is an
 * established one of a service.
 */
export function endpointGone(c: Context, i: number, record: number): boolean {
  if ((record & 1) !== 0 || !isServed(c, record)) return false;
  refuse(c, i, DROP['service-endpoint-gone']);
  c.flows.remove(record);
  return true;
}

/** Somebody who must know says that the endpoint of a connection is gone. True when the client is told. */
export function lost(c: Context, forward: number): boolean {
  if (!isServed(c, forward)) return false;
  endLost(c, forward);
  return true;
}

/** From the sweep of the flow table: a connection that drains, or was decided under earlier tables. */
export function inspect(c: Context, forward: number): void {
  const w = c.flows.words;
  const o = forward * FLOW_WORDS;
  if (!isServed(c, forward) || !renew(c, forward)) return;
  if ((w[o + FLOW.state] & STATE.draining) === 0) return;
  const way = w[o + FLOW.adjacency];
  const kind = way < 0 ? 0 : c.tables.adjacencies[way * ADJACENCY_WORDS];
  if (kind === 0 || kind === ADJACENCY_KIND.unreachable || c.flows.nowTicks - w[o + FLOW_WORDS + FLOW.drainEnds] >= 0) {
    endLost(c, forward);
  } else if (c.flows.nowTicks - w[o + FLOW.lastSeen] > SILENT_TICKS) {
    c.probes.add(forward, w[o + FLOW.serial]);
  }
}

/** Whether there is anybody in the direction of a record. */
function leadsOn(c: Context, record: number): boolean {
  const way = c.flows.words[record * FLOW_WORDS + FLOW.adjacency];
  const kind = way < 0 ? 0 : c.tables.adjacencies[way * ADJACENCY_WORDS];
  return kind !== 0 && kind !== ADJACENCY_KIND.unreachable;
}

/** An established TCP connection of a service, which neither side has closed. */
function isServed(c: Context, forward: number): boolean {
  const w = c.flows.words;
  const o = forward * FLOW_WORDS;
  const state = w[o + FLOW.state];
  return (state & (STATE.balanced | STATE.failed)) === STATE.balanced && isEstablished(w, o) && !isClosed(state);
}

/** The connection is over, and its client is to be told. */
function endLost(c: Context, forward: number): void {
  const w = c.flows.words;
  const o = forward * FLOW_WORDS;
  w[o + FLOW.state] |= STATE.failed | STATE.draining | STATE.reset;
  w[o + FLOW.lastSeen] = c.flows.nowTicks;
  c.endpoints.end(w, forward);
  c.probes.add(forward ^ 1, w[o + FLOW.serial]);
}

/** Sends what `inspect` and the others have left to be sent. */
export function sendProbes(c: Context): void {
  const { probes } = c;
  for (let n = 0; n < probes.count; n++) {
    const record = probes.records[n];
    const o = (record & ~1) * FLOW_WORDS;
    const w = c.flows.words;
    const same = o < w.length && w[o + FLOW.protocol] !== 0 && w[o + FLOW.serial] === probes.serials[n];
    if (same && leadsOn(c, record)) acknowledgeNothing(c, record);
  }
  probes.count = 0;
}

/** A bare ACK of sequence 0 in the direction of a record, as its receiver knows the connection. */
function acknowledgeNothing(c: Context, record: number): void {
  const b = c.vector.arena;
  const w = c.flows.words;
  const t = (record ^ 1) * FLOW_WORDS;
  const six = (w[t] | w[t + 1]) !== 0;
  const ipBytes = six ? ipv6.HEADER_BYTES : ipv4.HEADER_BYTES;
  const i = appendAnswer(c, ipBytes + tcp.HEADER_BYTES, ipBytes, ipv4.PROTOCOL.tcp);
  if (i < 0) return;
  const l3 = c.batch.l3[i];
  const l4 = c.batch.l4[i];
  let pseudo = 0;
  if (six) {
    ipv6.writePlainHeader(b, l3, tcp.HEADER_BYTES, ipv4.PROTOCOL.tcp, TTL);
    for (let k = 0; k < 4; k++) {
      ipv6.setSourceWord(b, l3, k, w[t + 4 + k]);
      ipv6.setDestinationWord(b, l3, k, w[t + k]);
    }
    pseudo = pseudoSum6(b, l3, ipv4.PROTOCOL.tcp, tcp.HEADER_BYTES);
  } else {
    const source = w[t + 7] >>> 0;
    const destination = w[t + 3] >>> 0;
    ipv4.writePlainHeader(b, l3, c.vector.length[i], ipv4.PROTOCOL.tcp, source, destination, TTL);
    pseudo = pseudoSum4(source, destination, ipv4.PROTOCOL.tcp, tcp.HEADER_BYTES);
  }
  const ports = w[t + FLOW.ports];
  tcp.writeHeader(b, l4, ports & 0xffff, ports >>> 16, 0, 0, tcp.FLAG.ack, 0);
  tcp.setChecksum(b, l4, finish(sum(b, l4, tcp.HEADER_BYTES, pseudo)));
  c.vector.hash[i] = w[record * FLOW_WORDS + FLOW.hash];
  leaveBy(c, i, w[record * FLOW_WORDS + FLOW.adjacency]);
}
