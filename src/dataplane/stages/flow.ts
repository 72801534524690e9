/**
 * Third stage: which connection does the packet belong to? A hit brings along what was decided for the connection,
 * as long as the tables' generation is the one it was decided in, and moves the connection's state. What belongs to
 * no connection yet is left to the service stage. ICMP errors belong to the connection of the packet they quote.
 */
import { PROTOCOL } from '../../wire/ipv4.ts';
import { FLAG } from '../../wire/tcp.ts';
import { isIpv6, KIND, PENDING } from '../batch.ts';
import { endpointListed, moveOn, renew } from '../connection.ts';
import type { Context } from '../context.ts';
import { DROP } from '../drop-reasons.ts';
import { drained, fail } from '../ending.ts';
import { FLOW, FLOW_WORDS, isClosed, NO_FLOW, STATE } from '../flow-record.ts';
import { relate } from '../related.ts';
import { relate6 } from '../related-ipv6.ts';

export function flow(c: Context, from: number, to: number): void {
  const { batch, flows, vector } = c;
  hashAll(c, from, to);
  flows.expect(vector.hash, from, to, batch.expected);
  for (let i = from; i < to; i++) {
    if (batch.verdict[i] !== PENDING) continue;
    if (batch.kind[i] === KIND.icmpError && (isIpv6(c, i) ? relate6(c, i) : relate(c, i))) continue;
    // An earlier packet of the vector may have changed what was expected.
    const record = isExpected(c, i) ? batch.expected[i] : findFlow(c, i);
    if (record !== NO_FLOW) hit(c, i, record);
  }
}

function hashAll(c: Context, from: number, to: number): void {
  const { batch, vector } = c;
  for (let i = from; i < to; i++) {
    if (batch.verdict[i] === PENDING) vector.hash[i] = hashOf(c, i);
  }
}

function hashOf(c: Context, i: number): number {
  const b = c.batch;
  return c.flows.hash(
    b.source0[i],
    b.source1[i],
    b.source2[i],
    b.source3[i],
    b.destination0[i],
    b.destination1[i],
    b.destination2[i],
    b.destination3[i],
    b.ports[i],
    b.protocol[i],
  );
}

function isExpected(c: Context, i: number): boolean {
  const b = c.batch;
  const record = b.expected[i];
  return (
    record !== NO_FLOW &&
    c.flows.matches(
      record,
      b.source0[i],
      b.source1[i],
      b.source2[i],
      b.source3[i],
      b.destination0[i],
      b.destination1[i],
      b.destination2[i],
      b.destination3[i],
      b.ports[i],
      b.protocol[i],
    )
  );
}

/** The record of packet `i`'s connection, or NO_FLOW. Its hash is in the vector since the flow stage. */
export function findFlow(c: Context, i: number): number {
  const b = c.batch;
  return c.flows.find(
    c.vector.hash[i],
    b.source0[i],
    b.source1[i],
    b.source2[i],
    b.source3[i],
    b.destination0[i],
    b.destination1[i],
    b.destination2[i],
    b.destination3[i],
    b.ports[i],
    b.protocol[i],
  );
}

/** Packet `i` belongs to a known connection: moves its state, and says where the packet goes or what becomes of it. */
export function hit(c: Context, i: number, record: number): void {
  const { batch, flows } = c;
  const w = flows.words;
  const forward = record & ~1;
  const f = forward * FLOW_WORDS;
  const reply = record !== forward;
  const flags = batch.tcpFlags[i];
  if ((flags & (FLAG.syn | FLAG.ack)) === FLAG.syn && (flows.closed(record) || forgotten(c, record))) {
    // Ports are used again: a new connection, balanced anew.
    flows.remove(record);
    return;
  }
  const state = w[f + FLOW.state];
  if ((state & STATE.failed) !== 0) return fail(c, i, record);
  if (w[f + FLOW.generation] !== c.tables.generation && !renew(c, record)) return;
  if ((w[f + FLOW.state] & STATE.draining) !== 0 && drained(c, i, record)) return;
  // A host may send only what is routed to it.
  if (batch.fromPeer[i] >= 0 && w[(record ^ 1) * FLOW_WORDS + FLOW.adjacency] !== batch.fromPeer[i]) {
    batch.verdict[i] = DROP['peer-source'];
    return;
  }
  if (reply && (state & (STATE.balanced | STATE.answered)) === STATE.balanced && !answer(c, i, forward)) return;
  if (!reply && (flags & FLAG.rst) !== 0 && (w[f + FLOW.state] & STATE.remembered) !== 0) forgetEarlier(c, forward);
  else track(c, f, reply, flags);
  w[f + FLOW.lastSeen] = flows.nowTicks;
  batch.flow[i] = record;
}

/** An established connection of a service that its client has lost: silent for long, or its endpoint is gone. */
function forgotten(c: Context, record: number): boolean {
  const state = c.flows.words[record * FLOW_WORDS + FLOW.state];
  if ((record & 1) !== 0 || (state & STATE.balanced) === 0 || (state & STATE.answered) === 0) return false;
  return c.flows.stale(record) || !endpointListed(c, record);
}

/** The first answer to a service's connection. False when it was none: a refusal, which moved the connection on, … */
function answer(c: Context, i: number, forward: number): boolean {
  const w = c.flows.words;
  const id = c.endpoints.isCurrent(w, forward) ? w[(forward + 1) * FLOW_WORDS + FLOW.endpoint] : -1;
  const trying = (w[forward * FLOW_WORDS + FLOW.state] & STATE.trying) !== 0;
  if (c.batch.protocol[i] === PROTOCOL.tcp && (c.batch.tcpFlags[i] & FLAG.rst) !== 0) {
    if (!trying) {
      c.endpoints.refused(id);
      return true;
    }
    moveOn(c, forward, false);
    c.batch.verdict[i] = DROP.consumed;
    return false;
  }
  if (trying && c.batch.protocol[i] === PROTOCOL.tcp && (c.batch.tcpFlags[i] & FLAG.syn) === 0) {
    remember(c, i, forward);
    return false;
  }
  if (trying) c.attempts.release(forward);
  if (id >= 0 && c.endpoints.someFail) c.endpoints.succeeded(id, c.nowMs);
  return true;
}

/**
 * … or an acknowledgement of something else: the endpoint has a connection with these ports in TIME-WAIT, which the
 * client had through another service or straight. The client answers with a reset (RFC 9293, 3.10.7.3), that ends it.
 */
function remember(c: Context, i: number, forward: number): void {
  const f = forward * FLOW_WORDS;
  if ((c.flows.words[f + FLOW.state] & STATE.remembered) !== 0) {
    // Where that did not help, the time limit does.
    c.batch.verdict[i] = DROP.consumed;
    return;
  }
  c.flows.words[f + FLOW.state] |= STATE.remembered;
  c.batch.flow[i] = forward ^ 1;
}

/** The client's reset is on its way: the held packet goes right behind it, where the client would wait for a second. */
function forgetEarlier(c: Context, forward: number): void {
  const state = c.flows.words[forward * FLOW_WORDS + FLOW.state];
  if ((state & (STATE.trying | STATE.moving)) === STATE.trying) c.attempts.queueResend(forward);
}

/** The connection's state after a packet in one direction with these TCP flags. */
function track(c: Context, f: number, reply: boolean, flags: number): void {
  const w = c.flows.words;
  if (reply) w[f + FLOW.state] |= STATE.answered;
  if ((flags & FLAG.fin) !== 0) w[f + FLOW.state] |= reply ? STATE.finReply : STATE.finForward;
  if ((flags & FLAG.rst) !== 0) w[f + FLOW.state] |= STATE.reset;
  // A reset that its receiver did not believe (RFC 5961, 3.2): the connection goes on.
  else if ((flags & FLAG.ack) !== 0) w[f + FLOW.state] &= ~STATE.reset;
  const state = w[f + FLOW.state];
  if ((state & STATE.balanced) !== 0 && ((state & STATE.counted) !== 0) === isClosed(state)) {
    if (isClosed(state)) c.endpoints.end(w, f / FLOW_WORDS);
    else c.endpoints.resume(w, f / FLOW_WORDS);
  }
}
