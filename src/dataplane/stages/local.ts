/**
 * Second stage: what is addressed to the dataplane itself is answered on the spot, without a flow: pings of the pods'
 * gateway and of the VTEP, ARP and neighbour solicitations from peers.
 */
import { answerEcho } from '../answers.ts';
import { answerEcho6, isOurs6 } from '../answers-ipv6.ts';
import { KIND, PENDING } from '../batch.ts';
import type { Context } from '../context.ts';
import { answerArp, answerNeighbour } from '../neighbours.ts';
import { shareNeighbour } from './home.ts';

export function local(c: Context, from: number, to: number): void {
  const { batch } = c;
  const gateway = c.tables.local.gateway4 | 0;
  const vtep = c.tables.local.vtepAddress4 | 0;
  for (let i = from; i < to; i++) {
    if (batch.verdict[i] !== PENDING) continue;
    if (batch.kind[i] === KIND.arp) {
      if (c.crossing !== undefined && i < c.received) shareNeighbour(c, c.crossing, i);
      batch.verdict[i] = answerArp(c, i);
    } else if (batch.kind[i] === KIND.neighbour) {
      if (c.crossing !== undefined && i < c.received) shareNeighbour(c, c.crossing, i);
      batch.verdict[i] = answerNeighbour(c, i);
    } else if (batch.kind[i] === KIND.echoRequest) {
      const destination = batch.destination3[i];
      if ((batch.destination0[i] | batch.destination1[i]) !== 0) {
        const b = batch;
        if (isOurs6(c, b.destination0[i], b.destination1[i], b.destination2[i], destination)) answerEcho6(c, i);
      } else if (destination !== 0 && (destination === gateway || destination === vtep)) answerEcho(c, i);
    }
  }
}
