/**
 * Failover's memory: the first packet of a service's connection is kept here until an endpoint answers, with the time
 * by which it must. A reset, an ICMP unreachable or silence moves the connection to the next endpoint; the packet
 * goes out again as if it had just come. Bounded: a connection that finds no room here is balanced all the same, but
 * stays with its first endpoint.
 *
 *   timers    one ring per time limit, in order of deadline: {forward record, serial of the attempt, deadline}
 *   resends   a ring of forward records whose held packet is to go through the pipeline again
 */
import type { PacketVector } from '../io/vector.ts';
import { FLOW, FLOW_WORDS, STATE } from './flow-record.ts';
import type { FlowTable } from './flow-table.ts';

/** Time limits of successive attempts, as kube-proxy's userspace mode dials. */
export const ATTEMPT_MS = [250, 500, 1000, 2000] as const;
/** A packet that is longer is not held. */
const HELD_BYTES = 2048;
const SMALLEST_SLOTS = 256;
const MOST_SLOTS = 8192;
/** Datagrams may hold this many of them: many are never answered, and wait for nothing but an ICMP error. */
const MOST_DATAGRAMS = MOST_SLOTS / 4;
const UDP = 17;
/** Entries of a timer ring: an attempt that ended keeps its entry until the deadline. */
const RING = 65_536;
const META = 8;

export class Attempts {
  readonly #flows: FlowTable;
  #bytes = new Uint8Array(SMALLEST_SLOTS * HELD_BYTES);
  /** Per slot: in port, length, flags, checksum start, checksum offset; word 7 links the free ones. */
  #meta = new Int32Array(SMALLEST_SLOTS * META);
  #slots = 0;
  #free = 0;
  readonly #timers = ATTEMPT_MS.map(() => new TimerRing());
  readonly #resends = new Int32Array(MOST_SLOTS * 2);
  #resendHead = 0;
  #resendTail = 0;
  held = 0;
  #heldDatagrams = 0;

  constructor(flows: FlowTable) {
    this.#flows = flows;
    this.#addSlots(SMALLEST_SLOTS);
  }

  /** Keeps a copy of packet `i`, which is contiguous from `l3`, for a connection; false when there is no room. */
  hold(forward: number, vector: PacketVector, i: number): boolean {
    const length = vector.length[i];
    const o = forward * FLOW_WORDS;
    const datagram = this.#flows.words[o + FLOW.protocol] === UDP;
    if (datagram && this.#heldDatagrams >= MOST_DATAGRAMS) return false;
    if (length > HELD_BYTES || vector.gsoSize[i] !== 0 || vector.stride[i] !== 0) return false;
    if (this.#free === 0 && !this.#grow()) return false;
    const slot = this.#free - 1;
    const m = slot * META;
    this.#free = this.#meta[m + 7];
    this.#meta[m] = vector.inPort[i];
    this.#meta[m + 1] = length;
    this.#meta[m + 2] = vector.flags[i];
    this.#meta[m + 3] = vector.checksumStart[i];
    this.#meta[m + 4] = vector.checksumOffset[i];
    const from = vector.offset[i];
    const to = slot * HELD_BYTES;
    for (let n = 0; n < length; n++) this.#bytes[to + n] = vector.arena[from + n];
    this.#flows.words[o + FLOW.state] |= STATE.trying;
    this.#flows.words[o + FLOW_WORDS + FLOW.held] = slot + 1;
    this.#flows.trying++;
    this.held++;
    if (datagram) this.#heldDatagrams++;
    return true;
  }

  /** Lets go of what is held for a connection, if anything: it was answered, failed or was removed. */
  release(forward: number): void {
    const o = forward * FLOW_WORDS;
    const w = this.#flows.words;
    if ((w[o + FLOW.state] & STATE.trying) === 0) return;
    w[o + FLOW.state] &= ~(STATE.trying | STATE.moving | STATE.remembered);
    const slot = w[o + FLOW_WORDS + FLOW.held] - 1;
    w[o + FLOW_WORDS + FLOW.held] = 0;
    this.#meta[slot * META + 7] = this.#free;
    this.#free = slot + 1;
    this.#flows.trying--;
    this.held--;
    if (w[o + FLOW.protocol] === UDP) this.#heldDatagrams--;
  }

  /**
   * Gives the connection's current attempt its time limit; a datagram the longest, after which its endpoint is taken
   * to be well. False when the ring is full: it has none then.
   */
  setTimer(forward: number, attempt: number, nowMs: number): boolean {
    const datagram = this.#flows.words[forward * FLOW_WORDS + FLOW.protocol] === UDP;
    const kind = datagram ? ATTEMPT_MS.length - 1 : Math.min(attempt, ATTEMPT_MS.length - 1);
    const serial = this.#flows.words[forward * FLOW_WORDS + FLOW.serial];
    return this.#timers[kind].push(forward, serial, nowMs + ATTEMPT_MS[kind]);
  }

  /** The next connection whose attempt has run out of time, or -1. */
  nextExpired(nowMs: number): number {
    const w = this.#flows.words;
    for (let k = 0; k < this.#timers.length; k++) {
      const ring = this.#timers[k];
      while (ring.size > 0) {
        const forward = ring.forward;
        const o = forward * FLOW_WORDS;
        // An entry of an attempt that ended is dropped whenever it comes to the front.
        const live =
          o < w.length &&
          w[o + FLOW.serial] === ring.serial &&
          w[o + FLOW.protocol] !== 0 &&
          (w[o + FLOW.state] & STATE.trying) !== 0;
        if (live && ring.deadlineMs > nowMs) break;
        ring.shift();
        if (live) return forward;
      }
    }
    return -1;
  }

  /** Milliseconds until the next deadline or resend, -1 when there is none. */
  waitMs(nowMs: number): number {
    if (this.#resendHead !== this.#resendTail) return 0;
    let next = Infinity;
    for (let k = 0; k < this.#timers.length; k++) {
      if (this.#timers[k].size > 0) next = Math.min(next, this.#timers[k].deadlineMs);
    }
    return next === Infinity ? -1 : Math.max(0, Math.ceil(next - nowMs));
  }

  /** Queues the held packet of a connection to go through the pipeline again. */
  queueResend(forward: number): void {
    this.#flows.words[forward * FLOW_WORDS + FLOW.state] |= STATE.moving;
    this.#resends[this.#resendTail & (this.#resends.length - 1)] = forward;
    this.#resendTail = (this.#resendTail + 1) | 0;
  }

  /** Appends queued packets to the vector while there is room; returns how many. */
  appendResends(vector: PacketVector): number {
    let appended = 0;
    while (this.#resendHead !== this.#resendTail) {
      const forward = this.#resends[this.#resendHead & (this.#resends.length - 1)];
      const o = forward * FLOW_WORDS;
      const w = this.#flows.words;
      if (o < w.length && (w[o + FLOW.state] & STATE.trying) !== 0) {
        w[o + FLOW.state] &= ~STATE.moving;
        const slot = w[o + FLOW_WORDS + FLOW.held] - 1;
        const m = slot * META;
        const length = this.#meta[m + 1];
        const i = vector.append(length);
        if (i < 0) {
          w[o + FLOW.state] |= STATE.moving;
          return appended;
        }
        vector.inPort[i] = this.#meta[m];
        vector.flags[i] = this.#meta[m + 2];
        vector.checksumStart[i] = this.#meta[m + 3];
        vector.checksumOffset[i] = this.#meta[m + 4];
        const from = slot * HELD_BYTES;
        const to = vector.offset[i];
        for (let n = 0; n < length; n++) vector.arena[to + n] = this.#bytes[from + n];
        appended++;
      }
      this.#resendHead = (this.#resendHead + 1) | 0;
    }
    return appended;
  }

  #addSlots(upTo: number): void {
    for (let slot = upTo - 1; slot >= this.#slots; slot--) {
      this.#meta[slot * META + 7] = this.#free;
      this.#free = slot + 1;
    }
    this.#slots = upTo;
  }

  #grow(): boolean {
    if (this.#slots >= MOST_SLOTS) return false;
    const slots = this.#slots * 2;
    const bytes = new Uint8Array(slots * HELD_BYTES);
    bytes.set(this.#bytes);
    const meta = new Int32Array(slots * META);
    meta.set(this.#meta);
    this.#bytes = bytes;
    this.#meta = meta;
    this.#addSlots(slots);
    return true;
  }
}

/** Deadlines of one time limit: pushed in the order in which they end. */
class TimerRing {
  readonly #entries = new Int32Array(RING * 2);
  readonly #deadlines = new Float64Array(RING);
  #head = 0;
  size = 0;

  get forward(): number {
    return this.#entries[this.#head * 2];
  }

  get serial(): number {
    return this.#entries[this.#head * 2 + 1];
  }

  get deadlineMs(): number {
    return this.#deadlines[this.#head];
  }

  push(forward: number, serial: number, deadlineMs: number): boolean {
    if (this.size === RING) return false;
    const at = (this.#head + this.size) & (RING - 1);
    this.#entries[at * 2] = forward;
    this.#entries[at * 2 + 1] = serial;
    this.#deadlines[at] = deadlineMs;
    this.size++;
    return true;
  }

  shift(): void {
    this.#head = (this.#head + 1) & (RING - 1);
    this.size--;
  }
}
