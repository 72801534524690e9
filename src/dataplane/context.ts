/**
 * What the pipeline's stages share: the batch at hand, the tables in force, the flows, and the few things the worker
 * has learned on its own. One object a worker; stages get it as their only argument beside a range of the batch.
 */
import type { PacketVector } from '../io/vector.ts';
import { ADJACENCY, ADJACENCY_KIND, ADJACENCY_WORDS } from '../tables/adjacency.ts';
import type { NameTable } from '../tables/names.ts';
import { SERVICE, SERVICE_WORDS } from '../tables/services.ts';
import { emptyTables, type Tables } from '../tables/tables.ts';
import { Affinity } from './affinity.ts';
import { Attempts } from './attempts.ts';
import { Batch } from './batch.ts';
import { Counters, GAUGE } from './counters.ts';
import type { Crossing } from './crossing.ts';
import { DatagramFragments } from './datagram-fragments.ts';
import { EndpointStates } from './endpoint-states.ts';
import type { Allocate } from './flow-index.ts';
import { FlowTable } from './flow-table.ts';
import { Probes } from './probes.ts';

/** How packets for peers leave: by the UDP socket, or as whole frames by a TAP with tunnel GSO. */
export interface TunnelPort {
  id: number;
  /** The TAP's own MAC: the frame is addressed to it, so that the host's stack routes it. */
  macHigh: number;
  macLow: number;
}

export interface ContextOptions {
  maxFlows?: number | undefined;
  seed?: number | undefined;
  counters?: Counters | undefined;
  /** Where the flow table has its memory from; by default from the JavaScript engine. */
  allocate?: Allocate | undefined;
  /** The worker's way to the others, where there are any. */
  crossing?: Crossing | undefined;
  endpoints?: EndpointStates | undefined;
}

/** ICMP errors sent at most in a second; more are counted and not sent (RFC 1812, 4.3.2.8). */
const ICMP_PER_SECOND = 1000;
/** Of those, for packets of one port: no pod can use up what the others need. */
const ICMP_PER_PORT = 250;

export class Context {
  readonly batch: Batch;
  readonly vector: PacketVector;
  readonly counters: Counters;
  readonly flows: FlowTable;
  readonly attempts: Attempts;
  readonly fragments: DatagramFragments;
  readonly endpoints: EndpointStates;
  readonly affinity = new Affinity();
  readonly probes = new Probes();
  tables: Tables = emptyTables();
  /** DNS questions that are answered here; none while undefined. */
  names: NameTable | undefined;
  /** MAC of each adjacency's peer, two words each: from the tables, or learned where they name none. */
  macs = new Int32Array(0);
  /** 1 for each adjacency whose peer's MAC is learned, not given. */
  learns = new Uint8Array(0);
  /** When the peer's MAC was last asked for, in milliseconds, by adjacency. */
  askedAtMs = new Float64Array(0);
  /** Round-robin cursor and the epoch it belongs to, two words each, by service id. */
  cursors = new Int32Array(0);
  /** 1 for each port that is attached and can send. */
  readonly attached: Uint8Array;
  tunnel: TunnelPort | undefined;
  nowMs = 0;
  /** IPv4 identification of the next frame that leaves by tunnel GSO. */
  outerId = 0;
  /** A packet was for a peer whose MAC is not known. */
  unresolved = false;
  /** Packets of the vector that came from ports; behind them stand those from other workers, then our own. */
  received = 0;
  readonly crossing: Crossing | undefined;
  #random: number;
  readonly #icmpAll: Budgets;
  readonly #icmpByPort: Budgets;

  constructor(vector: PacketVector, portLimit: number, options: ContextOptions = {}) {
    this.vector = vector;
    this.batch = new Batch(vector);
    this.counters = options.counters ?? new Counters();
    this.flows = new FlowTable(options.maxFlows, options.seed, options.allocate);
    this.attempts = new Attempts(this.flows);
    this.endpoints = options.endpoints ?? new EndpointStates();
    this.flows.onRemove = (forward) => {
      this.attempts.release(forward);
      this.endpoints.end(this.flows.words, forward);
    };
    this.#random = (options.seed ?? Math.random() * 0x7fffffff) | 1;
    this.attached = new Uint8Array(portLimit);
    this.crossing = options.crossing;
    // Each worker has its share: all of them together keep the limits.
    const workers = this.crossing?.workers ?? 1;
    this.fragments = new DatagramFragments(this.crossing?.self ?? 0, workers);
    // IPv4 identifications of frames begin apart.
    this.outerId = Math.floor(((this.crossing?.self ?? 0) * 0x10000) / workers);
    this.#icmpAll = new Budgets(1, ICMP_PER_SECOND / workers);
    this.#icmpByPort = new Budgets(portLimit, ICMP_PER_PORT / workers);
  }

  /** Puts new tables in force: flows stay, and are decided anew when their next packet comes. */
  swap(tables: Tables): void {
    const before = this.tables;
    const count = tables.adjacencies.length / ADJACENCY_WORDS;
    const macs = new Int32Array(count * 2);
    const learns = new Uint8Array(count);
    for (let i = 0; i < count; i++) {
      const a = i * ADJACENCY_WORDS;
      macs[i * 2] = tables.adjacencies[a + ADJACENCY.macHigh];
      macs[i * 2 + 1] = tables.adjacencies[a + ADJACENCY.macLow];
      if ((macs[i * 2] | macs[i * 2 + 1]) !== 0 || tables.adjacencies[a] !== ADJACENCY_KIND.peer) continue;
      learns[i] = 1;
      const known = samePeer(before, tables, a);
      if (known < 0) continue;
      macs[i * 2] = this.macs[known * 2];
      macs[i * 2 + 1] = this.macs[known * 2 + 1];
    }
    const cursors = new Int32Array(Math.max(tables.services.idLimit * 2, this.cursors.length));
    cursors.set(this.cursors);
    const services = tables.services.services;
    for (let s = 0; s < services.length; s += SERVICE_WORDS) {
      const id = services[s + SERVICE.id];
      if (cursors[id * 2 + 1] === services[s + SERVICE.epoch]) continue;
      cursors[id * 2] = 0;
      cursors[id * 2 + 1] = services[s + SERVICE.epoch];
    }
    this.flows.generation = tables.generation;
    this.endpoints.swap(before.services, tables.services);
    this.tables = tables;
    this.macs = macs;
    this.learns = learns;
    this.cursors = cursors;
    this.askedAtMs = new Float64Array(count).fill(-Infinity);
    this.counters.gauges[GAUGE.generation] = tables.generation;
  }

  /** 0 or more, below `limit` (xorshift32: Marsaglia, Xorshift RNGs, 2003). */
  random(limit: number): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return (x >>> 0) % limit;
  }

  /** True when one more ICMP error may be sent now about a packet of this port. */
  allowIcmp(port: number): boolean {
    const allowed = this.#icmpByPort.take(Math.max(port, 0), this.nowMs) && this.#icmpAll.take(0, this.nowMs);
    this.counters.gauges[allowed ? GAUGE.icmpSent : GAUGE.icmpLimited]++;
    return allowed;
  }
}

/** Token buckets: each refills at its rate a second, and holds a second's worth. */
class Budgets {
  readonly #rate: number;
  readonly #left: Float64Array;
  readonly #atMs: Float64Array;

  constructor(count: number, perSecond: number) {
    this.#rate = perSecond;
    this.#left = new Float64Array(count).fill(perSecond);
    this.#atMs = new Float64Array(count);
  }

  take(i: number, nowMs: number): boolean {
    const refilled = this.#left[i] + ((nowMs - this.#atMs[i]) * this.#rate) / 1000;
    this.#atMs[i] = nowMs;
    this.#left[i] = Math.min(this.#rate, refilled);
    if (this.#left[i] < 1) return false;
    this.#left[i]--;
    return true;
  }
}

/** Index of the adjacency of the same peer in earlier tables, or -1. */
function samePeer(before: Tables, tables: Tables, a: number): number {
  for (let b = 0; b < before.adjacencies.length; b += ADJACENCY_WORDS) {
    if (before.adjacencies[b] !== ADJACENCY_KIND.peer) continue;
    let same = true;
    for (let w = 0; w < 4; w++) {
      if (before.adjacencies[b + ADJACENCY.peer + w] !== tables.adjacencies[a + ADJACENCY.peer + w]) same = false;
    }
    if (same) return b / ADJACENCY_WORDS;
  }
  return -1;
}
