/**
 * What a worker knows of the endpoints behind services, by endpoint id: how many connections each has begun, has now,
 * failed to take; and, for failover, whether it is left out for now (outlier ejection). Stands beside the service and
 * flow stages, which count here once a connection and never once a packet.
 *
 * Each worker writes an area of its own, which the other workers and the control thread read:
 *
 *   word 0 endpoints with a failure since their last success   1..7 spare
 *   endpoint   0 connections begun   1 failures   2 connections now   3 ejections
 *              4 ejected until (ms, 0: is not)   5 last failure (ms)   6 last success after somebody's failure (ms)
 *              7 failures since its last success
 *
 * An endpoint is left out after three failures in a row, for a second, and twice as long each time it fails again, up
 * to a minute. Then one connection at a time finds out whether it is back. What one worker finds, all go by: an
 * ejection holds until any worker sees a success that is younger than its last failure.
 */
import { ENDPOINT, ENDPOINT_WORDS, type ServiceTable } from '../tables/services.ts';
import { FLOW, FLOW_WORDS, STATE } from './flow-record.ts';

/** Ids from here on share one entry, and are never ejected. */
export const ENDPOINT_LIMIT = 65_536;
const WORDS = 8;
const HEAD = WORDS;
const BEGUN = HEAD;
const FAILURES = HEAD + 1;
const ACTIVE = HEAD + 2;
const EJECTIONS = HEAD + 3;
const EJECTED_UNTIL = HEAD + 4;
const FAILED_AT = HEAD + 5;
const WELL_AT = HEAD + 6;
const STREAK = HEAD + 7;
export const ENDPOINT_AREA_BYTES = (HEAD + (ENDPOINT_LIMIT + 1) * WORDS) * 8;

/** Failures in a row after which an endpoint is left out. */
export const EJECT_AFTER = 3;
const FIRST_EJECTION_MS = 1000;
const LONGEST_EJECTION_MS = 60_000;
/** A connection that tries an ejected endpoint again has shown after so long whether it is back. */
const TRIAL_MS = 1000;
/** A flow's attempts made stand in the low bits of the word whose others hold the incarnation of its endpoint's id. */
const ATTEMPTS_BITS = 8;

export const USABLE = {
  /** Left out. */
  no: 0,
  yes: 1,
  /** Its time is over: one connection may try it. */
  onTrial: 2,
} as const;

export interface EndpointCounters {
  /** Connections that were sent to it, answered or not. */
  begun: number;
  /** Of those, the ones that it refused, could not be reached for, or did not answer in time. */
  failures: number;
  /** Connections that it has now: begun, and neither ended nor forgotten. */
  active: number;
  /** How often it was left out. */
  ejections: number;
  /** Milliseconds for which it is still left out; 0: it is not. */
  ejectedForMs: number;
}

export class EndpointStates {
  readonly #own: Float64Array;
  readonly #areas: readonly Float64Array[];
  /** How many endpoints have had each id: a flow of an earlier one is no longer counted. */
  readonly #incarnation = new Int32Array(ENDPOINT_LIMIT + 1);
  /** How often an endpoint was ejected since its last success. */
  readonly #level = new Uint8Array(ENDPOINT_LIMIT + 1);
  readonly #onTrial = new Uint8Array(ENDPOINT_LIMIT + 1);
  /** Smooth weighted round robin's credit of each endpoint. */
  readonly credit = new Int32Array(ENDPOINT_LIMIT + 1);

  /** `areas` of all workers, of ENDPOINT_AREA_BYTES each; `self` is this one's. */
  constructor(areas: readonly SharedArrayBuffer[] = [new SharedArrayBuffer(ENDPOINT_AREA_BYTES)], self = 0) {
    this.#areas = areas.map((area) => new Float64Array(area));
    this.#own = this.#areas[self];
  }

  /** New tables: an id that did not belong to this endpoint before begins at nothing. */
  swap(before: ServiceTable, after: ServiceTable): void {
    const own = this.#own;
    for (let id = 0; id < Math.min(after.endpointAt.length, ENDPOINT_LIMIT); id++) {
      if (after.endpointAt[id] < 0 || sameEndpoint(before, after, id)) continue;
      const o = id * WORDS;
      if (own[o + STREAK] !== 0 || own[o + EJECTED_UNTIL] !== 0) own[0]--;
      own.fill(0, o + BEGUN, o + BEGUN + WORDS);
      this.#incarnation[id] = (this.#incarnation[id] + 1) & (0x7fffffff >> ATTEMPTS_BITS);
      this.#level[id] = 0;
      this.#onTrial[id] = 0;
      this.credit[id] = 0;
    }
  }

  /** Counts a connection as its endpoint's. Its forward record says which one it had before, if any. */
  begin(words: Int32Array, forward: number, id: number): void {
    this.end(words, forward);
    const slot = slotOf(id);
    const r = (forward + 1) * FLOW_WORDS;
    words[r + FLOW.endpoint] = id;
    words[r + FLOW.attempts] = (this.#incarnation[slot] << ATTEMPTS_BITS) | attemptsOf(words, forward);
    words[forward * FLOW_WORDS + FLOW.state] |= STATE.counted;
    this.#own[slot * WORDS + BEGUN]++;
    this.#own[slot * WORDS + ACTIVE]++;
  }

  /** The connection is no longer its endpoint's, if it still was: it ended, was forgotten, or went to another. */
  end(words: Int32Array, forward: number): void {
    const o = forward * FLOW_WORDS;
    if ((words[o + FLOW.state] & STATE.counted) === 0) return;
    words[o + FLOW.state] &= ~STATE.counted;
    if (this.isCurrent(words, forward)) this.#own[slotOf(words[o + FLOW_WORDS + FLOW.endpoint]) * WORDS + ACTIVE]--;
  }

  /** A connection that seemed to have ended goes on. */
  resume(words: Int32Array, forward: number): void {
    words[forward * FLOW_WORDS + FLOW.state] |= STATE.counted;
    const id = words[(forward + 1) * FLOW_WORDS + FLOW.endpoint];
    if (this.isCurrent(words, forward)) this.#own[slotOf(id) * WORDS + ACTIVE]++;
  }

  /** The same connection, whose endpoint stands in the tables again by another id. */
  rename(words: Int32Array, forward: number, id: number): void {
    const counted = (words[forward * FLOW_WORDS + FLOW.state] & STATE.counted) !== 0;
    this.begin(words, forward, id);
    this.#own[slotOf(id) * WORDS + BEGUN]--;
    if (!counted) this.end(words, forward);
  }

  /** Whether the id in a flow's records still is that of the endpoint it was given. */
  isCurrent(words: Int32Array, forward: number): boolean {
    const r = (forward + 1) * FLOW_WORDS;
    const id = words[r + FLOW.endpoint];
    return id >= 0 && words[r + FLOW.attempts] >>> ATTEMPTS_BITS === this.#incarnation[slotOf(id)];
  }

  incarnationOf(id: number): number {
    return this.#incarnation[slotOf(id)];
  }

  /** Connections that the endpoint has now, all workers' together. */
  activeOf(id: number): number {
    const o = slotOf(id) * WORDS + ACTIVE;
    let sum = 0;
    for (let n = 0; n < this.#areas.length; n++) sum += this.#areas[n][o];
    return sum;
  }

  /** True when some endpoint has failed and not yet been well again: only then is there anybody to be left out. */
  get someFail(): boolean {
    for (let n = 0; n < this.#areas.length; n++) if (this.#areas[n][0] !== 0) return true;
    return false;
  }

  /** Whether new connections may go to an endpoint: USABLE. */
  usable(id: number, nowMs: number): number {
    if (id >= ENDPOINT_LIMIT) return USABLE.yes;
    const o = id * WORDS;
    let until = 0;
    let failedAt = 0;
    let wellAt = 0;
    for (let n = 0; n < this.#areas.length; n++) {
      const area = this.#areas[n];
      wellAt = Math.max(wellAt, area[o + WELL_AT]);
      if (area[o + EJECTED_UNTIL] === 0) continue;
      until = Math.max(until, area[o + EJECTED_UNTIL]);
      failedAt = Math.max(failedAt, area[o + FAILED_AT]);
    }
    if (until === 0 || wellAt > failedAt) return USABLE.yes;
    return until > nowMs ? USABLE.no : USABLE.onTrial;
  }

  /** True when the endpoint has failed since its last success. */
  suspect(id: number): boolean {
    return this.#own[slotOf(id) * WORDS + STREAK] !== 0;
  }

  /** A connection is about to try an endpoint whose time is over: nobody else does until that has shown. */
  tryAgain(id: number, nowMs: number): void {
    const o = id * WORDS;
    if (this.#own[o + STREAK] === 0 && this.#own[o + EJECTED_UNTIL] === 0) this.#own[0]++;
    this.#own[o + EJECTED_UNTIL] = nowMs + TRIAL_MS;
    this.#onTrial[id] = 1;
  }

  /** Counts a failure that nothing follows from. */
  refused(id: number): void {
    if (id >= 0) this.#own[slotOf(id) * WORDS + FAILURES]++;
  }

  /** An endpoint did not take a connection. `mayEject` is false where it is the last one. Returns true on an ejection. */
  failed(id: number, nowMs: number, mayEject: boolean): boolean {
    const own = this.#own;
    const o = slotOf(id) * WORDS;
    own[o + FAILURES]++;
    if (id >= ENDPOINT_LIMIT) return false;
    if (own[o + STREAK] === 0 && own[o + EJECTED_UNTIL] === 0) own[0]++;
    own[o + STREAK]++;
    own[o + FAILED_AT] = nowMs;
    if (own[o + EJECTED_UNTIL] !== 0) {
      // Connections from before the ejection say nothing new.
      if (this.#onTrial[id] === 0) return false;
    } else if (own[o + STREAK] < EJECT_AFTER || !mayEject) return false;
    const level = this.#level[id];
    this.#level[id] = Math.min(level + 1, 30);
    this.#onTrial[id] = 0;
    own[o + EJECTED_UNTIL] = nowMs + Math.min(FIRST_EJECTION_MS * 2 ** level, LONGEST_EJECTION_MS);
    own[o + EJECTIONS]++;
    return true;
  }

  /** An endpoint took a connection. */
  succeeded(id: number, nowMs: number): void {
    if (id >= ENDPOINT_LIMIT) return;
    const own = this.#own;
    const o = id * WORDS;
    if (own[o + STREAK] !== 0 || own[o + EJECTED_UNTIL] !== 0) {
      own[0]--;
      own[o + STREAK] = 0;
      own[o + EJECTED_UNTIL] = 0;
      this.#level[id] = 0;
      this.#onTrial[id] = 0;
    }
    own[o + WELL_AT] = nowMs;
  }
}

/** Attempts that were made for a connection before the current one. */
export function attemptsOf(words: Int32Array, forward: number): number {
  return words[(forward + 1) * FLOW_WORDS + FLOW.attempts] & ((1 << ATTEMPTS_BITS) - 1);
}

/**
 * What all workers' areas say of the endpoints that have had a connection, by id; of those below `limit`. `nowMs`: the
 * workers' clock.
 */
export function readEndpoints(
  areas: readonly SharedArrayBuffer[],
  limit: number,
  nowMs: number,
): Record<number, EndpointCounters> {
  const views = areas.map((area) => new Float64Array(area));
  const out: Record<number, EndpointCounters> = {};
  const sum = (at: number) => views.reduce((total, view) => total + view[at], 0);
  const latest = (at: number) => views.reduce((most, view) => Math.max(most, view[at]), 0);
  for (let id = 0; id < Math.min(limit, ENDPOINT_LIMIT); id++) {
    const o = id * WORDS;
    if (!views.some((view) => view[o + BEGUN] !== 0)) continue;
    const holds = latest(o + WELL_AT) <= latest(o + FAILED_AT);
    out[id] = {
      begun: sum(o + BEGUN),
      failures: sum(o + FAILURES),
      active: sum(o + ACTIVE),
      ejections: sum(o + EJECTIONS),
      ejectedForMs: holds ? Math.max(0, latest(o + EJECTED_UNTIL) - nowMs) : 0,
    };
  }
  return out;
}

function slotOf(id: number): number {
  return Math.min(id, ENDPOINT_LIMIT);
}

function sameEndpoint(before: ServiceTable, after: ServiceTable, id: number): boolean {
  const at = id < before.endpointAt.length ? before.endpointAt[id] : -1;
  if (at < 0) return false;
  const a = at * ENDPOINT_WORDS;
  const b = after.endpointAt[id] * ENDPOINT_WORDS;
  for (let w = 0; w <= ENDPOINT.port; w++) if (before.endpoints[a + w] !== after.endpoints[b + w]) return false;
  return true;
}
