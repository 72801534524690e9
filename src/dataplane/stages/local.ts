/**
 * Second stage: what is addressed to the dataplane itself is answered on the spot, without a flow: pings of the pods'
 * gateway and of the VTEP, ARP from peers.
 */
import { answerArp, answerEcho } from '../answers.ts';
import { KIND, PENDING } from '../batch.ts';
import type { Context } from '../context.ts';
import { shareArp } from './home.ts';

export function local(c: Context, from: number, to: number): void {
  const { batch } = c;
  const gateway = c.tables.local.gateway4 | 0;
  const vtep = c.tables.local.vtepAddress4 | 0;
  for (let i = from; i < to; i++) {
    if (batch.verdict[i] !== PENDING) continue;
    if (batch.kind[i] === KIND.arp) {
      if (c.crossing !== undefined && i < c.received) shareArp(c, c.crossing, i);
      batch.verdict[i] = answerArp(c, i);
    } else if (batch.kind[i] === KIND.echoRequest) {
      const destination = batch.destination3[i];
      if (destination !== 0 && (destination === gateway || destination === vtep)) answerEcho(c, i);
    }
  }
}
