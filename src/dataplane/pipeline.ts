/**
 * The pipeline: every packet of a vector through the stages, one stage at a time.
 *
 *   parse → local → names → gather → flow → service → route → translate → encap
 *                                         ↘ home, where there are several workers: to the one that keeps the connection
 *
 * Answers that stages make (errors, resets, fragments) are appended to the vector behind it. Packets that failover
 * sends again are appended too, and take the whole way like any other, until none are left.
 */
import type { PacketVector } from '../io/vector.ts';
import { ADJACENCY_KIND, ADJACENCY_WORDS } from '../tables/adjacency.ts';
import { PORT_LIMIT } from '../tables/ports.ts';
import type { Tables } from '../tables/tables.ts';
import { PROTOCOL } from '../wire/ipv4.ts';
import { moveOn } from './connection.ts';
import { Context, type ContextOptions } from './context.ts';
import { GAUGE } from './counters.ts';
import { inspect, sendProbes } from './ending.ts';
import { FLOW, FLOW_WORDS } from './flow-record.ts';
import { askMac } from './neighbours.ts';
import { encap } from './stages/encap.ts';
import { flow } from './stages/flow.ts';
import { gather } from './stages/gather.ts';
import { home } from './stages/home.ts';
import { local } from './stages/local.ts';
import { names } from './stages/names.ts';
import { parse } from './stages/parse.ts';
import { route } from './stages/route.ts';
import { service } from './stages/service.ts';
import { translate } from './stages/translate.ts';

/** Peers whose MAC is not known are asked for it this often, beside when a packet is for them. */
const ASK_MS = 1000;

export class Pipeline {
  readonly context: Context;
  readonly #vector: PacketVector;
  #askedAtMs = -Infinity;
  /** Some peer's MAC is still unknown. */
  #asking = false;

  constructor(vector: PacketVector, options: ContextOptions = {}) {
    this.#vector = vector;
    const context = new Context(vector, PORT_LIMIT, options);
    context.flows.onOutdated = (forward) => inspect(context, forward);
    this.context = context;
  }

  /** Puts new tables in force from the next vector on. */
  swap(tables: Tables): void {
    this.context.swap(tables);
    this.#askedAtMs = -Infinity;
  }

  /**
   * Decides every packet of the vector, which the port has begun; afterwards outPort says what leaves where. The last
   * `handedOver` of its packets come from other workers.
   */
  process(nowMs: number, handedOver = 0): void {
    const c = this.context;
    const vector = this.#vector;
    c.nowMs = nowMs;
    c.received = vector.count - handedOver;
    c.flows.advance(nowMs);
    // What has arrived first: it may be the answer that an attempt's time limit is about.
    this.#run(0, vector.count);
    this.#expireAttempts();
    c.fragments.expire(c);
    for (let done = vector.count; this.#appendOwn() > 0; done = vector.count) this.#run(done, vector.count);
    sendProbes(c);
    this.#askNeighbours();
    c.crossing?.publish();
    this.#count(vector.count);
  }

  /** Milliseconds until there is something to do without a packet; -1: never. */
  waitMs(nowMs: number): number {
    const c = this.context;
    const attempt = c.attempts.waitMs(nowMs);
    let wait = c.flows.sweepMs;
    if (attempt >= 0 && (wait < 0 || attempt < wait)) wait = attempt;
    const fragment = c.fragments.waitMs(nowMs);
    if (fragment >= 0 && (wait < 0 || fragment < wait)) wait = fragment;
    if (this.#asking && (wait < 0 || ASK_MS < wait)) wait = ASK_MS;
    return wait;
  }

  #expireAttempts(): void {
    const c = this.context;
    for (let due = c.attempts.nextExpired(c.nowMs); due >= 0; due = c.attempts.nextExpired(c.nowMs)) {
      // Datagrams need no answer: an endpoint that nobody complained of has taken them.
      if (c.flows.words[due * FLOW_WORDS + FLOW.protocol] === PROTOCOL.tcp) moveOn(c, due, true);
      else c.attempts.release(due);
    }
  }

  /** Packets that were kept and go on now; returns how many. */
  #appendOwn(): number {
    const c = this.context;
    return c.attempts.appendResends(this.#vector) + c.fragments.waiting.appendReleased(this.#vector);
  }

  #run(from: number, to: number): void {
    const c = this.context;
    parse(c, from, to);
    local(c, from, to);
    if (c.names !== undefined) names(c, c.names, from, to);
    gather(c, from, to);
    flow(c, from, to);
    if (c.crossing !== undefined) home(c, c.crossing, from, to);
    service(c, from, to);
    route(c, from, to);
    translate(c, from, to);
    // Beyond `to` stand answers, which have left, and fragments, which have not.
    encap(c, from, to);
    if (this.#vector.count > to) encap(c, to, this.#vector.count);
  }

  /** Asks peers whose MAC is not known for it, before anything is to be sent to them. */
  #askNeighbours(): void {
    const c = this.context;
    if (!c.unresolved && c.nowMs - this.#askedAtMs < ASK_MS) return;
    c.unresolved = false;
    this.#askedAtMs = c.nowMs;
    this.#asking = false;
    const adjacencies = c.tables.adjacencies;
    for (let i = 0; i < c.learns.length; i++) {
      if (c.learns[i] === 0 || (c.macs[i * 2] | c.macs[i * 2 + 1]) !== 0) continue;
      this.#asking = true;
      if (adjacencies[i * ADJACENCY_WORDS] === ADJACENCY_KIND.peer) askMac(c, i);
    }
  }

  #count(packets: number): void {
    const c = this.context;
    const { gauges, drops } = c.counters;
    const verdict = c.batch.verdict;
    for (let i = 0; i < packets; i++) {
      if (verdict[i] > 0) drops[verdict[i]]++;
    }
    gauges[GAUGE.vectors]++;
    gauges[GAUGE.flows] = c.flows.size;
    gauges[GAUGE.flowCapacity] = c.flows.capacity;
    gauges[GAUGE.flowsCreated] = c.flows.created;
    gauges[GAUGE.flowsExpired] = c.flows.expired;
    gauges[GAUGE.flowsEvicted] = c.flows.evicted;
    gauges[GAUGE.attemptsPending] = c.attempts.held;
    if (c.crossing !== undefined) gauges[GAUGE.handedOver] = c.crossing.given;
  }
}
