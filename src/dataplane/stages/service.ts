/**
 * Fourth stage, for packets that belong to no connection yet: is it allowed to begin one, and is it to a service? A
 * service's connection is given an endpoint by the service's scheduler; with failover its first packet is held until
 * the endpoint answers. Every connection gets its two records here.
 */

import { find, NO_VALUE } from '../../tables/address-map.ts';
import { ADJACENCY_KIND, ADJACENCY_WORDS } from '../../tables/adjacency.ts';
import { PORT, PORT_KIND, PORT_WORDS } from '../../tables/ports.ts';
import { lookup } from '../../tables/routes.ts';
import { ADDRESS, SCHEDULER, SERVICE, SERVICE_FLAG, SERVICE_WORDS, serviceKey } from '../../tables/services.ts';
import { PROTOCOL } from '../../wire/ipv4.ts';
import * as tcp from '../../wire/tcp.ts';
import { answerEcho } from '../answers.ts';
import { answerEcho6 } from '../answers-ipv6.ts';
import { isIpv6, KIND, PENDING } from '../batch.ts';
import { pointAt, setReply } from '../connection.ts';
import type { Context } from '../context.ts';
import { DROP } from '../drop-reasons.ts';
import { FLOW, FLOW_WORDS, NO_FLOW, STATE } from '../flow-record.ts';
import { refuse } from '../refuse.ts';
import { choose, countOf, hasOutside, NO_ENDPOINT } from '../schedulers.ts';
import { checksumHolds } from '../transport-checksum.ts';
import { findFlow, hit } from './flow.ts';

const { FLAG } = tcp;
/** Of these a connection's first segment has SYN alone: stacks pass over others in silence. */
const BEGINNING = FLAG.syn | FLAG.ack | FLAG.rst | FLAG.fin;

export function service(c: Context, from: number, to: number): void {
  const { batch, tables } = c;
  for (let i = from; i < to; i++) {
    if (batch.verdict[i] !== PENDING || batch.flow[i] !== NO_FLOW || batch.adjacency[i] >= 0) continue;
    // An earlier packet of this vector may have begun the connection.
    const record = findFlow(c, i);
    if (record !== NO_FLOW) {
      hit(c, i, record);
      if (batch.verdict[i] !== PENDING || batch.flow[i] !== NO_FLOW) continue;
    }
    const b = batch;
    const virtual = find(
      tables.services.byAddress,
      b.destination0[i],
      b.destination1[i],
      b.destination2[i],
      b.destination3[i],
      0,
    );
    if (batch.fromPeer[i] >= 0) {
      batch.verdict[i] = admitFromPeer(c, i, virtual !== NO_VALUE);
      if (batch.verdict[i] !== PENDING) continue;
    }
    if (virtual === NO_VALUE) direct(c, i);
    else balance(c, i, virtual);
  }
}

/** A host may begin only connections from what is routed to it, to what is here: it may not use us as a router. */
function admitFromPeer(c: Context, i: number, virtual: boolean): number {
  const { batch: b, tables } = c;
  const source = lookup(tables.routes, b.source0[i], b.source1[i], b.source2[i], b.source3[i]);
  if (source !== b.fromPeer[i]) return DROP['peer-source'];
  if (virtual) return DROP['peer-transit'];
  const to = lookup(tables.routes, b.destination0[i], b.destination1[i], b.destination2[i], b.destination3[i]);
  const kind = to < 0 ? 0 : tables.adjacencies[to * ADJACENCY_WORDS];
  const here = kind === ADJACENCY_KIND.pod || kind === ADJACENCY_KIND.gateway || kind === ADJACENCY_KIND.unreachable;
  return here ? PENDING : DROP['peer-transit'];
}

/** A connection to no service: straight to its destination. */
function direct(c: Context, i: number): void {
  const b = c.batch;
  const forward = begin(c, i);
  if (forward === NO_FLOW) return;
  const made = setReply(
    c,
    forward,
    b.destination0[i],
    b.destination1[i],
    b.destination2[i],
    b.destination3[i],
    b.ports[i] & 0xffff,
    b.source0[i],
    b.source1[i],
    b.source2[i],
    b.source3[i],
  );
  adopt(c, i, forward, made);
}

/** A connection to an address of services; `virtual`: of nothing else (ADDRESS). */
function balance(c: Context, i: number, virtual: number): void {
  const { batch: b, tables } = c;
  const protocol = b.protocol[i];
  const fragment = b.kind[i] === KIND.fragment;
  const hasPorts = protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp;
  const carried = hasPorts && (fragment ? b.ports[i] !== 0 : b.kind[i] === KIND.plain);
  if (!carried && virtual !== ADDRESS.shared) {
    // Nobody has the address but the service: its host says that it is there, to ping and to traceroute.
    if (b.kind[i] === KIND.echoRequest) return isIpv6(c, i) ? answerEcho6(c, i) : answerEcho(c, i);
    b.verdict[i] = fragment && hasPorts ? DROP['fragment-limit'] : DROP['service-protocol'];
    return;
  }
  const s = find(
    tables.services.byKey,
    b.destination0[i],
    b.destination1[i],
    b.destination2[i],
    b.destination3[i],
    serviceKey(protocol, b.ports[i] & 0xffff),
  );
  if (!carried || s === NO_VALUE) {
    if (virtual === ADDRESS.shared) direct(c, i);
    else refuse(c, i, DROP['service-no-port']);
    return;
  }
  if (protocol === PROTOCOL.tcp && (b.tcpFlags[i] & BEGINNING) !== FLAG.syn) {
    return refuse(c, i, DROP['service-no-connection']);
  }
  const failover = tables.services.services[s * SERVICE_WORDS + SERVICE.scheduler] === SCHEDULER.failover;
  // Endpoints pass over a damaged packet in silence, which would be held against them.
  if (failover && protocol === PROTOCOL.tcp && !fragment && isDamaged(c, i)) {
    b.verdict[i] = DROP['l4-header'];
    return;
  }
  const outside = hasOutside(c, s) && isOutside(c, i);
  const count = countOf(c, s, outside);
  const chosen = count === 0 ? NO_ENDPOINT : choose(c, i, s, outside);
  if (chosen === NO_ENDPOINT) return nobody(c, i, s);
  const forward = begin(c, i);
  if (forward === NO_FLOW) return;
  if (outside) c.flows.words[forward * FLOW_WORDS + FLOW.state] |= STATE.outside;
  const made = pointAt(c, forward, s, chosen);
  // The rest of a datagram in fragments would not follow the first one to another endpoint. One that is signed is read
  // by whoever has the key, and by nobody else.
  const signed = protocol === PROTOCOL.tcp && !fragment && tcp.isSigned(c.vector.arena, b.l4[i]);
  const holds = made && failover && count > 1 && !fragment && !signed;
  if (holds && c.attempts.hold(forward, c.vector, i)) c.attempts.setTimer(forward, 0, c.nowMs);
  adopt(c, i, forward, made);
}

/** Super-packets are not looked through: nobody's are held. */
function isDamaged(c: Context, i: number): boolean {
  const { batch, vector } = c;
  if (vector.gsoSize[i] !== 0 || vector.stride[i] !== 0) return false;
  return !checksumHolds(c, i, vector.length[i] - (batch.l4[i] - batch.l3[i]));
}

/** Packet `i` is for a service that has no endpoint for it. */
function nobody(c: Context, i: number, s: number): void {
  const flags = c.tables.services.services[s * SERVICE_WORDS + SERVICE.flags];
  if ((flags & SERVICE_FLAG.dropWhenEmpty) === 0) return refuse(c, i, DROP['service-no-endpoint']);
  c.batch.verdict[i] = DROP['service-no-local-endpoint'];
}

/** True when packet `i` comes from outside the cluster: through this host, and not from one of its own addresses. */
function isOutside(c: Context, i: number): boolean {
  const { batch: b, tables } = c;
  if (b.fromPeer[i] >= 0 || tables.ports[c.vector.inPort[i] * PORT_WORDS + PORT.kind] !== PORT_KIND.host) return false;
  const s0 = b.source0[i];
  const s1 = b.source1[i];
  const s2 = b.source2[i];
  const s3 = b.source3[i];
  const way = lookup(tables.routes, s0, s1, s2, s3);
  if (way < 0 || tables.adjacencies[way * ADJACENCY_WORDS] !== ADJACENCY_KIND.host) return false;
  const own = tables.local.outer;
  if (s3 === (own[3] | 0) && s2 === (own[2] | 0) && s1 === (own[1] | 0) && s0 === (own[0] | 0)) return false;
  return find(tables.services.byAddress, s0, s1, s2, s3, 0) !== ADDRESS.shared;
}

/** The forward record of a new connection of packet `i`, or NO_FLOW with the packet dropped. */
function begin(c: Context, i: number): number {
  const b = c.batch;
  const forward = c.flows.create(
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
  if (forward === NO_FLOW) b.verdict[i] = DROP['flow-table-full'];
  return forward;
}

/** Packet `i` is the first of a new connection, unless that could not be made. */
function adopt(c: Context, i: number, forward: number, made: boolean): void {
  if (!made) {
    c.flows.remove(forward);
    c.batch.verdict[i] = DROP['flow-table-full'];
    return;
  }
  c.batch.flow[i] = forward;
}
