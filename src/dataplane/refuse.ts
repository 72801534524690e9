/** Refuses a packet so that its sender knows at once: a reset for TCP, ICMP port unreachable for everything else. */
import * as icmp from '../wire/icmp.ts';
import { PROTOCOL } from '../wire/ipv4.ts';
import { sendIcmpError, sendReset } from './answers.ts';
import { KIND } from './batch.ts';
import type { Context } from './context.ts';

/** Answers packet `i` with a refusal, and drops it for the given reason. */
export function refuse(c: Context, i: number, reason: number): void {
  if (c.batch.protocol[i] === PROTOCOL.tcp && c.batch.kind[i] === KIND.plain) sendReset(c, i);
  else sendIcmpError(c, i, icmp.TYPE.destinationUnreachable, icmp.UNREACHABLE.port, 0);
  c.batch.verdict[i] = reason;
}
