/**
 * Between flow and service, where there are several workers: a packet of no connection that this worker knows goes to
 * the worker that keeps its connection, so that both directions of each meet one worker without a lock.
 *
 *   it begins a connection (SYN, echo request) on this host  → here: the client's worker, whatever becomes of it
 *   it is for a pod, the gateway or the host                 → the worker that reads the destination: it may be the
 *                                                              client's, which knows what to turn the answer back into
 *   it is for anybody else (a peer, a service)               → here
 *
 * What was handed over stays where it came to.
 */
import { PROTOCOL } from '../../wire/ipv4.ts';
import { FLAG } from '../../wire/tcp.ts';
import { FORWARDED, KIND, PENDING } from '../batch.ts';
import type { Context } from '../context.ts';
import type { Crossing } from '../crossing.ts';
import { DROP } from '../drop-reasons.ts';
import { NO_FLOW } from '../flow-record.ts';
import { ENCAP_BYTES } from './parse.ts';

export function home(c: Context, crossing: Crossing, from: number, to: number): void {
  const { batch } = c;
  const end = Math.min(to, c.received);
  for (let i = from; i < end; i++) {
    if (batch.verdict[i] !== PENDING || batch.flow[i] !== NO_FLOW || batch.adjacency[i] >= 0) continue;
    const worker = homeOf(c, crossing, i);
    if (worker === crossing.self) continue;
    const given = crossing.give(c.vector, i, batch.fromPeer[i] >= 0 ? ENCAP_BYTES : 0, worker);
    batch.verdict[i] = given ? FORWARDED : DROP['worker-busy'];
  }
}

function homeOf(c: Context, crossing: Crossing, i: number): number {
  const b = c.batch;
  if (b.fromPeer[i] < 0) {
    if (b.kind[i] === KIND.echoRequest) return crossing.self;
    const flags = b.tcpFlags[i] & (FLAG.syn | FLAG.ack);
    if (b.protocol[i] === PROTOCOL.tcp && b.kind[i] === KIND.plain && flags === FLAG.syn) return crossing.self;
  }
  const reader = crossing.readerOf(
    c.tables,
    b.destination0[i],
    b.destination1[i],
    b.destination2[i],
    b.destination3[i],
  );
  return reader < 0 ? crossing.self : reader;
}

/** ARP frame or neighbour discovery `i` came to this worker alone, as all do: the others learn from it too. */
export function shareNeighbour(c: Context, crossing: Crossing, i: number): void {
  for (let worker = 0; worker < crossing.workers; worker++) {
    if (worker !== crossing.self) crossing.give(c.vector, i, ENCAP_BYTES, worker);
  }
}
