/**
 * Which endpoint a service's new connection gets. Asked by the service stage for first packets, and by failover for
 * the next try. `rr` to `mh` are those of Linux's `ip_vs` (net/netfilter/ipvs/ip_vs_*.c), but for ties and for idle
 * endpoints, which go round: the first of the list would else take all connections that do not overlap. A weight of 0
 * gets none of them.
 */
import { ENDPOINT, ENDPOINT_WORDS, SCHEDULER, SERVICE, SERVICE_FLAG, SERVICE_WORDS } from '../tables/services.ts';
import type { Context } from './context.ts';
import { USABLE } from './endpoint-states.ts';

/** No endpoint may have it. */
export const NO_ENDPOINT = -1;
const TICKS_PER_SECOND = 10;

/** First endpoint of service `s`, as a source inside or outside the cluster finds it. */
export function firstOf(c: Context, s: number, outside: boolean): number {
  return c.tables.services.services[s * SERVICE_WORDS + (outside ? SERVICE.outsideFirst : SERVICE.first)];
}

/** And how many there are. */
export function countOf(c: Context, s: number, outside: boolean): number {
  return c.tables.services.services[s * SERVICE_WORDS + (outside ? SERVICE.outsideCount : SERVICE.count)];
}

/** True where a service treats sources from outside the cluster in another way. */
export function hasOutside(c: Context, s: number): boolean {
  const flags = c.tables.services.services[s * SERVICE_WORDS + SERVICE.flags];
  return (flags & (SERVICE_FLAG.masquerade | SERVICE_FLAG.outside)) !== 0;
}

/** Index of the endpoint for packet `i`, the first of a connection to service `s`; NO_ENDPOINT where nobody may have it. */
export function choose(c: Context, i: number, s: number, outside: boolean): number {
  const { services } = c.tables.services;
  const o = s * SERVICE_WORDS;
  const seconds = services[o + SERVICE.affinitySeconds];
  if (seconds === 0) return pick(c, i, s, outside);
  const b = c.batch;
  const id = services[o + SERVICE.id];
  const kept = c.affinity.find(
    id,
    b.source0[i],
    b.source1[i],
    b.source2[i],
    b.source3[i],
    c.flows.nowTicks,
    seconds * TICKS_PER_SECOND,
  );
  if (kept >= 0) {
    const end = stillThere(c, s, outside, c.affinity.endpointOf(kept), c.affinity.incarnationOf(kept));
    if (end !== NO_ENDPOINT) {
      c.affinity.touch(kept, c.flows.nowTicks);
      return end;
    }
  }
  const chosen = pick(c, i, s, outside);
  if (chosen !== NO_ENDPOINT) stick(c, s, b.source0[i], b.source1[i], b.source2[i], b.source3[i], chosen);
  return chosen;
}

/** Remembers the endpoint of a client, for services with affinity. */
export function stick(c: Context, s: number, a0: number, a1: number, a2: number, a3: number, chosen: number): void {
  const { services, endpoints } = c.tables.services;
  if (services[s * SERVICE_WORDS + SERVICE.affinitySeconds] === 0) return;
  const endpoint = endpoints[chosen * ENDPOINT_WORDS + ENDPOINT.id];
  const incarnation = c.endpoints.incarnationOf(endpoint);
  const id = services[s * SERVICE_WORDS + SERVICE.id];
  c.affinity.set(id, a0, a1, a2, a3, endpoint, incarnation, c.flows.nowTicks);
}

/** Index of the endpoint with this id among those of the service, unless it is another by now or left out. */
function stillThere(c: Context, s: number, outside: boolean, id: number, incarnation: number): number {
  if (c.endpoints.incarnationOf(id) !== incarnation) return NO_ENDPOINT;
  const at = find(c, firstOf(c, s, outside), countOf(c, s, outside), id);
  if (at === NO_ENDPOINT || c.tables.services.endpoints[at * ENDPOINT_WORDS + ENDPOINT.weight] === 0)
    return NO_ENDPOINT;
  if (c.tables.services.services[s * SERVICE_WORDS + SERVICE.scheduler] !== SCHEDULER.failover) return at;
  return !c.endpoints.someFail || c.endpoints.usable(id, c.nowMs) === USABLE.yes ? at : NO_ENDPOINT;
}

/** Index of the endpoint with an id among `count` from `first` on. */
function find(c: Context, first: number, count: number, id: number): number {
  const { endpointAt, endpoints } = c.tables.services;
  const at = id < endpointAt.length ? endpointAt[id] : -1;
  if (at >= first && at < first + count) return at;
  // Sources outside the cluster have entries of their own.
  for (let n = first; at >= 0 && n < first + count; n++) {
    if (endpoints[n * ENDPOINT_WORDS + ENDPOINT.id] === id) return n;
  }
  return NO_ENDPOINT;
}

function pick(c: Context, i: number, s: number, outside: boolean): number {
  const b = c.batch;
  const first = firstOf(c, s, outside);
  const count = countOf(c, s, outside);
  const scheduler = c.tables.services.services[s * SERVICE_WORDS + SERVICE.scheduler];
  if (scheduler === SCHEDULER.failover) return inTurn(c, s, first, count);
  if (scheduler === SCHEDULER.plain) return first;
  if (scheduler === SCHEDULER.random) return first + c.random(count);
  if (scheduler === SCHEDULER.rr) return roundRobin(c, s, first, count);
  if (scheduler === SCHEDULER.wrr) return smooth(c, first, count);
  if (scheduler === SCHEDULER.sh) {
    return byShare(c, first, count, hash(b.source0[i], b.source1[i], b.source2[i], b.source3[i], 0));
  }
  if (scheduler === SCHEDULER.dh) {
    const to = hash(b.destination0[i], b.destination1[i], b.destination2[i], b.destination3[i], 0);
    return byShare(c, first, count, to);
  }
  if (scheduler === SCHEDULER.mh) {
    const port = b.ports[i] >>> 16;
    return bySlot(c, s, first, outside, hash(b.source0[i], b.source1[i], b.source2[i], b.source3[i], port));
  }
  return leastLoaded(c, s, first, count, scheduler);
}

/** Failover's first try: the next endpoint in turn that is not left out; if all are, the next one all the same. */
function inTurn(c: Context, s: number, first: number, count: number): number {
  const turn = turnOf(c, s, count);
  let chosen = turn;
  if (c.endpoints.someFail) {
    for (let n = 0; n < count; n++) {
      const at = (turn + n) % count;
      const id = idOf(c, first + at);
      const usable = c.endpoints.usable(id, c.nowMs);
      if (usable === USABLE.no) continue;
      if (usable === USABLE.onTrial) c.endpoints.tryAgain(id, c.nowMs);
      chosen = at;
      break;
    }
  }
  passTurn(c, s, chosen, count);
  return first + chosen;
}

/**
 * Failover's next try, after the endpoint with id `failed`: in turn, so that the connections of one that fails spread
 * over the others; those first that have not failed lately, then those that are not left out, then any other.
 */
export function chooseNext(c: Context, s: number, outside: boolean, failed: number): number {
  const first = firstOf(c, s, outside);
  const count = countOf(c, s, outside);
  const turn = turnOf(c, s, count);
  let chosen = NO_ENDPOINT;
  let rank = 0;
  for (let n = 0; n < count && rank < 4; n++) {
    const at = (turn + n) % count;
    const id = idOf(c, first + at);
    if (id === failed) continue;
    const usable = c.endpoints.usable(id, c.nowMs);
    const its = usable === USABLE.yes ? (c.endpoints.suspect(id) ? 3 : 4) : usable === USABLE.onTrial ? 2 : 1;
    if (its <= rank) continue;
    rank = its;
    chosen = at;
  }
  if (chosen === NO_ENDPOINT) return count > 0 ? first : NO_ENDPOINT;
  passTurn(c, s, chosen, count);
  return first + chosen;
}

/** Whether an endpoint other than `id` could have taken a connection: the last one is never left out. */
export function hasAnother(c: Context, s: number, outside: boolean, id: number): boolean {
  const first = firstOf(c, s, outside);
  const end = first + countOf(c, s, outside);
  for (let at = first; at < end; at++) {
    const other = idOf(c, at);
    if (other !== id && c.endpoints.usable(other, c.nowMs) === USABLE.yes) return true;
  }
  return false;
}

function roundRobin(c: Context, s: number, first: number, count: number): number {
  const turn = turnOf(c, s, count);
  for (let n = 0; n < count; n++) {
    const at = (turn + n) % count;
    if (weightOf(c, first + at) === 0) continue;
    passTurn(c, s, at, count);
    return first + at;
  }
  return NO_ENDPOINT;
}

/** Smooth weighted round robin (nginx): everybody earns their weight each time, the richest one pays for all. */
function smooth(c: Context, first: number, count: number): number {
  const credit = c.endpoints.credit;
  let total = 0;
  let chosen = NO_ENDPOINT;
  let most = 0;
  for (let at = first; at < first + count; at++) {
    const weight = weightOf(c, at);
    if (weight === 0) continue;
    const slot = Math.min(idOf(c, at), credit.length - 1);
    total += weight;
    credit[slot] += weight;
    if (chosen !== NO_ENDPOINT && credit[slot] <= most) continue;
    most = credit[slot];
    chosen = at;
  }
  if (chosen !== NO_ENDPOINT) credit[Math.min(idOf(c, chosen), credit.length - 1)] -= total;
  return chosen;
}

/** `lc`, `wlc`, `sed` and `nq`: the fewest connections, by weight but for `lc`; of equals the next in turn. */
function leastLoaded(c: Context, s: number, first: number, count: number, scheduler: number): number {
  const turn = turnOf(c, s, count);
  const coming = scheduler === SCHEDULER.sed || scheduler === SCHEDULER.nq ? 1 : 0;
  let chosen = NO_ENDPOINT;
  let least = 0;
  for (let n = 0; n < count; n++) {
    const at = (turn + n) % count;
    const weight = weightOf(c, first + at);
    if (weight === 0) continue;
    const active = c.endpoints.activeOf(idOf(c, first + at));
    // Somebody who has nothing to do takes it, however slow.
    const never = scheduler === SCHEDULER.nq && active === 0;
    const load = never ? -1 : scheduler === SCHEDULER.lc ? active : (active + coming) / weight;
    if (chosen !== NO_ENDPOINT && load >= least) continue;
    least = load;
    chosen = at;
  }
  if (chosen === NO_ENDPOINT) return NO_ENDPOINT;
  passTurn(c, s, chosen, count);
  return first + chosen;
}

/** The endpoint in whose share of the weights a hash falls. */
function byShare(c: Context, first: number, count: number, hashed: number): number {
  let total = 0;
  for (let at = first; at < first + count; at++) total += weightOf(c, at);
  if (total === 0) return NO_ENDPOINT;
  let left = hashed % total;
  for (let at = first; at < first + count; at++) {
    left -= weightOf(c, at);
    if (left < 0) return at;
  }
  return NO_ENDPOINT;
}

/** The endpoint whose Maglev slot a hash names. */
function bySlot(c: Context, s: number, first: number, outside: boolean, hashed: number): number {
  const { services, slots } = c.tables.services;
  const o = s * SERVICE_WORDS;
  const count = services[o + (outside ? SERVICE.outsideSlotCount : SERVICE.slotCount)];
  if (count === 0) return NO_ENDPOINT;
  return first + slots[services[o + (outside ? SERVICE.outsideSlotFirst : SERVICE.slotFirst)] + (hashed % count)];
}

function turnOf(c: Context, s: number, count: number): number {
  return c.cursors[c.tables.services.services[s * SERVICE_WORDS + SERVICE.id] * 2] % Math.max(count, 1);
}

/** It is the turn of whoever comes after `chosen`. */
function passTurn(c: Context, s: number, chosen: number, count: number): void {
  c.cursors[c.tables.services.services[s * SERVICE_WORDS + SERVICE.id] * 2] = chosen + 1 >= count ? 0 : chosen + 1;
}

function idOf(c: Context, at: number): number {
  return c.tables.services.endpoints[at * ENDPOINT_WORDS + ENDPOINT.id];
}

function weightOf(c: Context, at: number): number {
  return c.tables.services.endpoints[at * ENDPOINT_WORDS + ENDPOINT.weight];
}

/** The same on every host: a client that comes by another one finds the same endpoint. */
function hash(a0: number, a1: number, a2: number, a3: number, port: number): number {
  let h = Math.imul(a3 ^ (a3 >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13) ^ a2, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 16) ^ a1, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 15) ^ a0, 0x165667b1);
  h = Math.imul(h ^ (h >>> 13) ^ port, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  return (h ^ (h >>> 13)) >>> 0;
}
