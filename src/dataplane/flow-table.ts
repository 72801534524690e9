/**
 * The flow table: which connections are known, and what was decided about them (flow-record.ts has the layout,
 * flow-index.ts finds the records). Owned by the worker; it survives a swap of tables. The table doubles when full up to its limit, then evicts the connection that is idle the longest for its state, and
 * shrinks again when idle. Nothing is allocated per packet.
 */
import { type Allocate, FlowIndex } from './flow-index.ts';
import {
  FLOW,
  idleTicks,
  isClosed,
  NO_FLOW,
  STATE,
  TICK_MS,
  TIMEOUT_TICKS,
  FLOW_WORDS as WORDS,
} from './flow-record.ts';

/** An idle dataplane still looks for what has timed out this often. */
const SWEEP_MS = 1000;
const SMALLEST = 4096;
const EVICTION_SAMPLE = 64;

export class FlowTable {
  /** Records, FLOW_WORDS each. */
  words: Int32Array;
  /** Connections that the table holds now, and that it has room for without growing. */
  size = 0;
  capacity: number;
  created = 0;
  expired = 0;
  evicted = 0;
  /** Connections for which an attempt is pending: their numbers must not change. */
  trying = 0;
  /** Called with the forward record before a connection is removed: whoever holds something for it lets go. */
  onRemove: (forward: number) => void = () => {};
  /** The tables' generation in force. */
  generation = 0;
  /** Called from the sweep for a service's connection that was decided under earlier tables, or that drains. */
  onOutdated: (forward: number) => void = () => {};
  readonly #limit: number;
  readonly #seed: number;
  readonly #allocate: Allocate;
  #index: FlowIndex;
  /** First free connection + 1; the next one stands where a forward record has its serial. */
  #free: number;
  /** The same for connections removed in this vector: packets of it may still go by what their records say. */
  #limbo = 0;
  #sweepAt = 0;
  #serial = 0;
  #nowTicks = 0;

  constructor(limit = 262_144, seed = (Math.random() * 0x7fffffff) | 0, allocate: Allocate = onHeap) {
    this.#limit = Math.max(SMALLEST, limit);
    this.#seed = seed;
    this.#allocate = allocate;
    this.capacity = SMALLEST;
    this.words = allocate(SMALLEST * 2 * WORDS);
    this.#index = new FlowIndex(SMALLEST, allocate);
    this.#free = 0;
    this.#link(0, SMALLEST);
  }

  /** Memory that the table takes. */
  get bytes(): number {
    return this.words.byteLength + this.#index.buckets.byteLength;
  }

  get nowTicks(): number {
    return this.#nowTicks;
  }

  hash(
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
    ports: number,
    protocol: number,
  ): number {
    let h = Math.imul(s3 ^ this.#seed, 0x9e3779b1);
    h = Math.imul((h ^ (h >>> 15)) + d3, 0x85ebca77);
    h = Math.imul((h ^ (h >>> 13)) + ports, 0xc2b2ae3d);
    if ((s0 | s1 | d0 | d1) !== 0) {
      h = Math.imul((h ^ (h >>> 15)) + s0, 0x27d4eb2f);
      h = Math.imul((h ^ (h >>> 13)) + s1, 0x165667b1);
      h = Math.imul((h ^ (h >>> 15)) + d0, 0x9e3779b1);
      h = Math.imul((h ^ (h >>> 13)) + d1, 0x85ebca77);
    }
    h = Math.imul((h ^ (h >>> 16)) + (s2 ^ (d2 << 11) ^ (d2 >>> 21)) + protocol, 0x27d4eb2f);
    return h ^ (h >>> 15);
  }

  /** The record with this key, or NO_FLOW. `hash` is the key's. */
  find(
    hash: number,
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
    ports: number,
    protocol: number,
  ): number {
    const { buckets, mask } = this.#index;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = buckets[slot];
      if (entry === 0) return NO_FLOW;
      if (((entry ^ hash) & ~mask) !== 0) continue;
      const record = (entry & mask) - 1;
      if (this.matches(record, s0, s1, s2, s3, d0, d1, d2, d3, ports, protocol)) return record;
    }
  }

  /** Where keys from..to-1 have their records, most likely: see FlowIndex. */
  expect(hashes: Int32Array, from: number, to: number, found: Int32Array): void {
    this.#index.expect(hashes, from, to, this.words, found);
  }

  /** True when a record has this key. */
  matches(
    record: number,
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
    ports: number,
    protocol: number,
  ): boolean {
    const w = this.words;
    const o = record * WORDS;
    return (
      w[o + 3] === s3 &&
      w[o + 7] === d3 &&
      w[o + 8] === ports &&
      w[o + 9] === protocol &&
      w[o + 2] === s2 &&
      w[o + 6] === d2 &&
      w[o] === s0 &&
      w[o + 1] === s1 &&
      w[o + 4] === d0 &&
      w[o + 5] === d1
    );
  }

  /**
   * A new connection with its forward key; the reply record is still without a key (see setReplyKey). Returns the
   * forward record, or NO_FLOW when the table is full of connections in use.
   */
  create(
    hash: number,
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
    ports: number,
    protocol: number,
  ): number {
    if (this.#free === 0 && !this.#grow() && !this.#evict()) return NO_FLOW;
    const connection = this.#free - 1;
    const forward = connection * 2;
    const w = this.words;
    const o = forward * WORDS;
    this.#free = w[o + FLOW.serial];
    w.fill(0, o, o + 2 * WORDS);
    this.#writeKey(forward, hash, s0, s1, s2, s3, d0, d1, d2, d3, ports, protocol);
    w[o + FLOW.lastSeen] = this.#nowTicks;
    w[o + FLOW.serial] = ++this.#serial | 0;
    w[o + WORDS + FLOW.endpoint] = -1;
    this.#index.insert(forward, hash);
    this.size++;
    this.created++;
    return forward;
  }

  /** Gives a connection's reply record its key, instead of the one it had. */
  setReplyKey(
    forward: number,
    hash: number,
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
    ports: number,
    protocol: number,
  ): void {
    const reply = forward ^ 1;
    if (this.words[reply * WORDS + FLOW.protocol] !== 0) this.#index.remove(reply, this.words);
    this.#writeKey(reply, hash, s0, s1, s2, s3, d0, d1, d2, d3, ports, protocol);
    this.#index.insert(reply, hash);
  }

  /** A new number for the connection's current attempt: timers of earlier ones no longer apply. */
  newSerial(forward: number): number {
    const serial = ++this.#serial | 0;
    this.words[forward * WORDS + FLOW.serial] = serial;
    return serial;
  }

  /** True when the connection has been idle for as long as one that was never answered may be. */
  stale(forward: number): boolean {
    return this.#nowTicks - this.words[forward * WORDS + FLOW.lastSeen] > TIMEOUT_TICKS.tcpNew;
  }

  /** True when the connection has ended and a new one may take its ports. */
  closed(record: number): boolean {
    return isClosed(this.words[(record & ~1) * WORDS + FLOW.state]);
  }

  /** Removes a connection, given either of its records. */
  remove(record: number): void {
    const forward = record & ~1;
    this.onRemove(forward);
    const w = this.words;
    this.#index.remove(forward, w);
    if (w[(forward + 1) * WORDS + FLOW.protocol] !== 0) this.#index.remove(forward + 1, w);
    const o = forward * WORDS;
    w[o + FLOW.protocol] = 0;
    w[o + WORDS + FLOW.protocol] = 0;
    w[o + FLOW.serial] = this.#limbo;
    this.#limbo = (forward >> 1) + 1;
    this.size--;
  }

  /** Between two vectors: what was removed may be used again. */
  reclaim(): void {
    while (this.#limbo !== 0) {
      const o = (this.#limbo - 1) * 2 * WORDS + FLOW.serial;
      const next = this.words[o];
      this.words[o] = this.#free;
      this.#free = this.#limbo;
      this.#limbo = next;
    }
  }

  /** Moves the clock, and forgets what has been idle for too long: a share of the table a tick, all of it in 5 s. */
  advance(nowMs: number): void {
    this.reclaim();
    const ticks = Math.floor(nowMs / TICK_MS);
    const passed = ticks - this.#nowTicks;
    if (passed <= 0) return;
    this.#nowTicks = ticks;
    if (this.size === 0) {
      this.#shrink();
      return;
    }
    let left = Math.min(this.capacity, Math.ceil(this.capacity / 50) * passed);
    let swept = false;
    for (; left > 0; left--) {
      const forward = this.#sweepAt * 2;
      this.#sweepAt = this.#sweepAt + 1 === this.capacity ? 0 : this.#sweepAt + 1;
      if (this.#sweepAt === 0) swept = true;
      const o = forward * WORDS;
      if (this.words[o + FLOW.protocol] === 0) continue;
      if (ticks - this.words[o + FLOW.lastSeen] > idleTicks(this.words, o)) {
        this.remove(forward);
        this.expired++;
      } else if ((this.words[o + FLOW.state] & STATE.balanced) !== 0 && this.#outdated(o)) this.onOutdated(forward);
    }
    if (swept) this.#shrink();
  }

  /** `o`: first word of the forward record. */
  #outdated(o: number): boolean {
    return this.words[o + FLOW.generation] !== this.generation || (this.words[o + FLOW.state] & STATE.draining) !== 0;
  }

  /** Milliseconds until the sweep should go on, -1 when there is nothing to sweep. */
  get sweepMs(): number {
    return this.size > 0 || this.capacity > SMALLEST ? SWEEP_MS : -1;
  }

  #writeKey(
    record: number,
    hash: number,
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
    ports: number,
    protocol: number,
  ): void {
    const w = this.words;
    const o = record * WORDS;
    w[o] = s0;
    w[o + 1] = s1;
    w[o + 2] = s2;
    w[o + 3] = s3;
    w[o + 4] = d0;
    w[o + 5] = d1;
    w[o + 6] = d2;
    w[o + 7] = d3;
    w[o + 8] = ports;
    w[o + 9] = protocol;
    w[o + 12] = hash;
  }

  /** Puts connections from..to-1 on the free list, lowest first. */
  #link(from: number, to: number): void {
    for (let c = to - 1; c >= from; c--) {
      this.words[c * 2 * WORDS + FLOW.serial] = this.#free;
      this.#free = c + 1;
    }
  }

  #grow(): boolean {
    if (this.capacity >= this.#limit) return false;
    const before = this.capacity;
    this.capacity = Math.min(before * 2, this.#limit);
    const grown = this.#allocate(this.capacity * 2 * WORDS);
    grown.set(this.words);
    this.words = grown;
    this.#link(before, this.capacity);
    this.#rehash();
    return true;
  }

  #rehash(): void {
    this.#index = new FlowIndex(this.capacity, this.#allocate);
    for (let record = 0; record < this.capacity * 2; record++) {
      const o = record * WORDS;
      if (this.words[o + FLOW.protocol] !== 0) this.#index.insert(record, this.words[o + FLOW.hash]);
    }
  }

  /** After a full sweep: a table that is nearly empty goes back to a smaller one, unless attempts are pending. */
  #shrink(): void {
    this.reclaim();
    if (this.capacity === SMALLEST || this.trying > 0 || this.size * 8 > this.capacity) return;
    const words = this.words;
    const before = this.capacity;
    this.capacity = Math.max(SMALLEST, this.size * 2);
    this.words = this.#allocate(this.capacity * 2 * WORDS);
    let next = 0;
    for (let c = 0; c < before; c++) {
      const o = c * 2 * WORDS;
      if (words[o + FLOW.protocol] === 0) continue;
      this.words.set(words.subarray(o, o + 2 * WORDS), next * 2 * WORDS);
      next++;
    }
    this.#free = 0;
    this.#link(next, this.capacity);
    this.#sweepAt = 0;
    this.#rehash();
  }

  /** Frees the connection of a sample that has used up most of its idle time; false when none has used any. */
  #evict(): boolean {
    let worst = -1;
    let worstShare = 0;
    for (let n = 0; n < EVICTION_SAMPLE; n++) {
      const forward = this.#sweepAt * 2;
      this.#sweepAt = this.#sweepAt + 1 === this.capacity ? 0 : this.#sweepAt + 1;
      const o = forward * WORDS;
      if (this.words[o + FLOW.protocol] === 0) continue;
      const share = (this.#nowTicks - this.words[o + FLOW.lastSeen]) / idleTicks(this.words, o);
      if (share > worstShare) {
        worst = forward;
        worstShare = share;
      }
    }
    if (worst < 0) return false;
    // Idle for some time, it has no packet in this vector: it may be used again at once.
    this.remove(worst);
    const o = worst * WORDS + FLOW.serial;
    this.#limbo = this.words[o];
    this.words[o] = this.#free;
    this.#free = (worst >> 1) + 1;
    this.evicted++;
    return true;
  }
}

function onHeap(words: number): Int32Array {
  return new Int32Array(words);
}
