/**
 * Between local and flow: fragments get the ports of their datagram, which only the first one has, so that they belong
 * to its connection; those that come before it wait (datagram-fragments.ts). A vector without fragments passes by.
 *
 * Where there are several workers, all fragments of a datagram meet at one, chosen by addresses alone, before anything
 * is looked up: the one that reads the destination, if that is on this host, or the one that reads the sender. It is
 * where whole packets of services end up too (home.ts).
 */
import { FORWARDED, KIND, PENDING } from '../batch.ts';
import type { Context } from '../context.ts';
import type { Crossing } from '../crossing.ts';
import { DROP } from '../drop-reasons.ts';
import { ENCAP_BYTES } from './parse.ts';

const MAPPED = 0xffff;

export function gather(c: Context, from: number, to: number): void {
  if (!c.fragments.met) return;
  c.fragments.met = false;
  const { batch, crossing } = c;
  for (let i = from; i < to; i++) {
    if (batch.verdict[i] !== PENDING || batch.kind[i] !== KIND.fragment) continue;
    const front = batch.fromPeer[i] >= 0 ? ENCAP_BYTES : 0;
    if (crossing !== undefined && i < c.received) {
      const worker = homeOf(c, crossing, i);
      if (worker !== crossing.self) {
        batch.verdict[i] = crossing.give(c.vector, i, front, worker) ? FORWARDED : DROP['worker-busy'];
        continue;
      }
    }
    batch.verdict[i] = c.fragments.take(c, i, front);
  }
}

function homeOf(c: Context, crossing: Crossing, i: number): number {
  const b = c.batch;
  const { local } = c.tables;
  const d0 = b.destination0[i];
  const d1 = b.destination1[i];
  const d2 = b.destination2[i];
  const d3 = b.destination3[i];
  // Answers of a pod that reached itself through a service: the pod's worker knows what to turn them back into.
  const toVtep =
    (d0 | d1) === 0 && d2 === MAPPED
      ? d3 === (local.vtepAddress4 | 0)
      : d3 === (local.vtepAddress6[3] | 0) &&
        d2 === (local.vtepAddress6[2] | 0) &&
        d1 === (local.vtepAddress6[1] | 0) &&
        d0 === (local.vtepAddress6[0] | 0);
  const reader = toVtep ? -1 : crossing.readerOf(c.tables, d0, d1, d2, d3);
  return reader < 0 ? crossing.self : reader;
}
