/**
 * What happens to one connection as a whole: its reply key (and with it its translation), the endpoint it is tried
 * on, the routes both directions take. Used by the stages that meet its packets.
 */
import { find, NO_VALUE } from '../tables/address-map.ts';
import { ADJACENCY_KIND, ADJACENCY_WORDS } from '../tables/adjacency.ts';
import { lookup } from '../tables/routes.ts';
import {
  ADDRESS,
  ENDPOINT,
  ENDPOINT_WORDS,
  SERVICE,
  SERVICE_FLAG,
  SERVICE_WORDS,
  serviceKey,
} from '../tables/services.ts';
import { PROTOCOL } from '../wire/ipv4.ts';
import { ATTEMPT_MS } from './attempts.ts';
import type { Context } from './context.ts';
import { GAUGE } from './counters.ts';
import { attemptsOf } from './endpoint-states.ts';
import { FLOW, FLOW_WORDS, NO_FLOW, STATE, TICK_MS } from './flow-record.ts';
import { chooseNext, countOf, firstOf, hasAnother, NO_ENDPOINT, stick } from './schedulers.ts';

/** Endpoints that answer at once with a refusal are passed over up to this many times, silent ones up to four. */
const MOST_ATTEMPTS = 16;
/** Client ports tried when the reply's key is taken by another connection. */
const PORTS_TRIED = 64;
const EPHEMERAL_FIRST = 32_768;
const EPHEMERAL_COUNT = 28_232;
const FIRST_USER_PORT = 1024;
const MAPPED = 0xffff;
/** For so long a connection may go on whose endpoint has left the service. */
export const DRAIN_MS = 15 * 60_000;

/** Index of the service that a connection was made to, or -1 when it is none (any more). */
export function serviceOf(c: Context, forward: number): number {
  const w = c.flows.words;
  const o = forward * FLOW_WORDS;
  const extra = serviceKey(w[o + FLOW.protocol], w[o + FLOW.ports] & 0xffff);
  return find(c.tables.services.byKey, w[o + 4], w[o + 5], w[o + 6], w[o + 7], extra);
}

/**
 * Points a service's connection at an endpoint, given by its index. The client keeps its address, unless the endpoint
 * would not answer through us, being the client itself (hairpin) or behind this host's own stack while the client is
 * this host or outside the cluster, or is not to see who is outside: then it comes from this host.
 */
export function pointAt(c: Context, forward: number, service: number, endpoint: number): boolean {
  const { services, endpoints: ends } = c.tables.services;
  const w = c.flows.words;
  const o = forward * FLOW_WORDS;
  const e = endpoint * ENDPOINT_WORDS;
  const port = ends[e + ENDPOINT.port];
  const hairpin = ends[e] === w[o] && ends[e + 1] === w[o + 1] && ends[e + 2] === w[o + 2] && ends[e + 3] === w[o + 3];
  const flags = services[service * SERVICE_WORDS + SERVICE.flags];
  const outside = (w[o + FLOW.state] & STATE.outside) !== 0;
  const masked = outside && (flags & SERVICE_FLAG.masquerade) !== 0;
  w[o + FLOW.state] |= STATE.translated | STATE.balanced;
  c.endpoints.begin(w, forward, ends[e + ENDPOINT.id]);
  if (hairpin || masked || ((outside || isGateway(c, o)) && isBehindHost(c, e))) {
    return masquerade(c, forward, e, port);
  }
  return setReply(c, forward, ends[e], ends[e + 1], ends[e + 2], ends[e + 3], port, w[o], w[o + 1], w[o + 2], w[o + 3]);
}

/**
 * The endpoint at `e` sees the gateway's address as the client's. Or the VTEP's, where the gateway's will not do: what
 * goes into the host's own stack may not come from an address of it; and where another worker keeps the connections of
 * the gateway's, two must not look alike.
 */
function masquerade(c: Context, forward: number, e: number, port: number): boolean {
  const { tables } = c;
  const { local } = tables;
  const ends = tables.services.endpoints;
  const inside = isBehindHost(c, e);
  if (ends[e] !== 0 || ends[e + 1] !== 0 || ends[e + 2] !== MAPPED) {
    const g = local.gateway6;
    const foreign = c.crossing?.isForeign(tables, g[0], g[1], g[2], g[3]) ?? false;
    const near = inside || foreign ? local.vtepAddress6 : g;
    return setReply(
      c,
      forward,
      ends[e],
      ends[e + 1],
      ends[e + 2],
      ends[e + 3],
      port,
      near[0] | 0,
      near[1] | 0,
      near[2] | 0,
      near[3] | 0,
    );
  }
  const foreign = c.crossing?.isForeign(tables, 0, 0, MAPPED, local.gateway4 | 0) ?? false;
  const near = inside || foreign ? local.vtepAddress4 : local.gateway4;
  return setReply(c, forward, ends[e], ends[e + 1], ends[e + 2], ends[e + 3], port, 0, 0, MAPPED, near | 0);
}

/** Whether the client of the record at word `o` is this host: its processes come from the gateway's address. */
function isGateway(c: Context, o: number): boolean {
  const w = c.flows.words;
  const { local } = c.tables;
  if (w[o] === 0 && w[o + 1] === 0 && w[o + 2] === MAPPED) return w[o + 3] === (local.gateway4 | 0);
  const g = local.gateway6;
  return w[o] === (g[0] | 0) && w[o + 1] === (g[1] | 0) && w[o + 2] === (g[2] | 0) && w[o + 3] === (g[3] | 0);
}

/** Whether the way to the endpoint at `e` leads through the host's own stack. */
function isBehindHost(c: Context, e: number): boolean {
  const { tables } = c;
  const ends = tables.services.endpoints;
  const way = lookup(tables.routes, ends[e], ends[e + 1], ends[e + 2], ends[e + 3]);
  const kind = way < 0 ? 0 : tables.adjacencies[way * ADJACENCY_WORDS];
  return kind === ADJACENCY_KIND.host || kind === ADJACENCY_KIND.gateway;
}

/**
 * Gives a connection the reply key (remote address and port → near address, client's port). Where another
 * connection in use has that key, the client's port is changed until it is free. False when none is.
 */
export function setReply(
  c: Context,
  forward: number,
  r0: number,
  r1: number,
  r2: number,
  r3: number,
  remotePort: number,
  n0: number,
  n1: number,
  n2: number,
  n3: number,
): boolean {
  const flows = c.flows;
  const o = forward * FLOW_WORDS;
  const protocol = flows.words[o + FLOW.protocol];
  const clientPort = flows.words[o + FLOW.ports] >>> 16;
  const { crossing } = c;
  const balanced = (flows.words[o + FLOW.state] & STATE.balanced) !== 0;
  // Datagrams do not say who began: the client's own ones to an address that another worker reads are kept by that
  // worker. Those that it sends there through a service come from another port, so that their answers differ.
  const apart =
    crossing !== undefined && balanced && protocol === PROTOCOL.udp && crossing.isForeign(c.tables, r0, r1, r2, r3);
  const firstPort = apart ? setAside(clientPort) : clientPort;
  for (let attempt = 0; attempt < PORTS_TRIED; attempt++) {
    const near =
      attempt === 0 ? firstPort : EPHEMERAL_FIRST + ((clientPort + c.flows.created + attempt * 61) % EPHEMERAL_COUNT);
    const ports = (remotePort << 16) | near;
    const hash = flows.hash(r0, r1, r2, r3, n0, n1, n2, n3, ports, protocol);
    const taken = flows.find(hash, r0, r1, r2, r3, n0, n1, n2, n3, ports, protocol);
    if (taken !== NO_FLOW && taken !== (forward ^ 1)) {
      if ((taken & ~1) === forward || !flows.closed(taken)) {
        // Ports of anything but TCP and UDP cannot be changed.
        if (protocol !== PROTOCOL.tcp && protocol !== PROTOCOL.udp) return false;
        continue;
      }
      flows.remove(taken);
    }
    if (attempt > 0) flows.words[o + FLOW.state] |= STATE.translated;
    flows.setReplyKey(forward, hash, r0, r1, r2, r3, n0, n1, n2, n3, ports, protocol);
    refresh(c, forward);
    return true;
  }
  return false;
}

/** Another port for each client's port; for those that a kernel chooses by itself, one that it never does. */
function setAside(port: number): number {
  const span = 0x10000 - FIRST_USER_PORT;
  return FIRST_USER_PORT + ((port - FIRST_USER_PORT - EPHEMERAL_COUNT + 2 * span) % span);
}

/** Decides both directions' next hops anew, under the tables in force. */
export function refresh(c: Context, forward: number): void {
  const w = c.flows.words;
  const { routes, generation } = c.tables;
  const f = forward * FLOW_WORDS;
  const r = f + FLOW_WORDS;
  // A direction goes to the source of the other one's key.
  w[f + FLOW.adjacency] = lookup(routes, w[r], w[r + 1], w[r + 2], w[r + 3]);
  w[r + FLOW.adjacency] = lookup(routes, w[f], w[f + 1], w[f + 2], w[f + 3]);
  w[f + FLOW.generation] = generation;
  w[r + FLOW.generation] = generation;
}

/**
 * Brings a connection that was decided under earlier tables to those in force. False when it may not go on as it is
 * and was removed: its next packet begins anew.
 */
export function renew(c: Context, record: number): boolean {
  const { flows, tables } = c;
  const w = flows.words;
  const forward = record & ~1;
  const o = forward * FLOW_WORDS;
  const before = w[o + FLOW.generation];
  if (before === tables.generation) return true;
  let stays = true;
  if ((w[o + FLOW.state] & STATE.balanced) !== 0) {
    const listed = endpointListed(c, forward);
    // Established TCP drains; everything else follows the service's endpoints.
    stays = listed || isEstablished(w, o);
    if (listed) w[o + FLOW.state] &= ~STATE.draining;
    else if (stays) drain(c, forward);
  } else {
    // A service has come to stand at the address since.
    const virtual = find(tables.services.byAddress, w[o + 4], w[o + 5], w[o + 6], w[o + 7], 0);
    stays = virtual === NO_VALUE || (virtual === ADDRESS.shared && serviceOf(c, forward) === NO_VALUE);
  }
  if (!stays && record === forward) {
    flows.remove(forward);
    return false;
  }
  refresh(c, forward);
  // An answer still passes, but the question comes up again with the next packet of the other direction.
  if (!stays) w[o + FLOW.generation] = before;
  return true;
}

/** TCP, and the other side has answered. `o`: first word of the forward record. */
export function isEstablished(w: Int32Array, o: number): boolean {
  return w[o + FLOW.protocol] === PROTOCOL.tcp && (w[o + FLOW.state] & STATE.answered) !== 0;
}

/** Its endpoint has left: the connection's time begins to run, if it does not yet. */
function drain(c: Context, forward: number): void {
  const w = c.flows.words;
  const o = forward * FLOW_WORDS;
  if ((w[o + FLOW.state] & (STATE.draining | STATE.trying)) !== 0) return;
  w[o + FLOW.state] |= STATE.draining;
  w[o + FLOW_WORDS + FLOW.drainEnds] = c.flows.nowTicks + DRAIN_MS / TICK_MS;
}

/** True when the endpoint of a service's connection is still one of the service's. */
export function endpointListed(c: Context, forward: number): boolean {
  const w = c.flows.words;
  const service = serviceOf(c, forward);
  if (service === NO_VALUE) return false;
  const { endpoints, endpointAt } = c.tables.services;
  const r = (forward + 1) * FLOW_WORDS;
  const id = w[r + FLOW.endpoint];
  if (id < endpointAt.length && c.endpoints.isCurrent(w, forward) && endpointAt[id] >= 0) return true;
  // It has left and come back since: by another id.
  const outside = (w[forward * FLOW_WORDS + FLOW.state] & STATE.outside) !== 0;
  const first = firstOf(c, service, outside);
  const end = first + countOf(c, service, outside);
  for (let n = first; n < end; n++) {
    const e = n * ENDPOINT_WORDS;
    if (
      endpoints[e + 3] === w[r + 3] &&
      endpoints[e + ENDPOINT.port] === w[r + FLOW.ports] >>> 16 &&
      endpoints[e + 2] === w[r + 2] &&
      endpoints[e + 1] === w[r + 1] &&
      endpoints[e] === w[r]
    ) {
      c.endpoints.rename(w, forward, endpoints[e + ENDPOINT.id]);
      return true;
    }
  }
  return false;
}

/**
 * The endpoint that a connection is tried on refused, is unreachable or stayed silent: another one is tried, with the
 * packet that was held. When all were, the client is refused.
 */
export function moveOn(c: Context, forward: number, silent: boolean): void {
  const { flows, attempts, counters } = c;
  const w = flows.words;
  const o = forward * FLOW_WORDS;
  if ((w[o + FLOW.state] & STATE.moving) !== 0) return;
  const made = attemptsOf(w, forward) + 1;
  w[o + FLOW_WORDS + FLOW.attempts]++;
  const outside = (w[o + FLOW.state] & STATE.outside) !== 0;
  const service = serviceOf(c, forward);
  const count = service === NO_VALUE ? 0 : countOf(c, service, outside);
  const most = silent ? ATTEMPT_MS.length : Math.min(MOST_ATTEMPTS, Math.max(count, ATTEMPT_MS.length));
  const failed = c.endpoints.isCurrent(w, forward) ? w[o + FLOW_WORDS + FLOW.endpoint] : NO_ENDPOINT;
  if (failed !== NO_ENDPOINT) {
    const another = count > 0 && hasAnother(c, service, outside, failed);
    if (c.endpoints.failed(failed, c.nowMs, another)) counters.gauges[GAUGE.endpointsEjected]++;
  }
  flows.newSerial(forward);
  w[o + FLOW.state] &= ~STATE.remembered;
  const next = count > 0 && made < most ? chooseNext(c, service, outside, failed) : NO_ENDPOINT;
  if (next !== NO_ENDPOINT && pointAt(c, forward, service, next)) {
    counters.gauges[GAUGE.attemptsMoved]++;
    stick(c, service, w[o], w[o + 1], w[o + 2], w[o + 3], next);
    attempts.setTimer(forward, made, c.nowMs);
  } else {
    counters.gauges[GAUGE.attemptsFailed]++;
    flows.words[o + FLOW.state] |= STATE.failed;
  }
  attempts.queueResend(forward);
}
