/**
 * How a service's connection ends that its endpoint cannot end: because the endpoint left the service and the time to
 * drain is over, or its pod is gone, or because no endpoint answered. Whoever sends on it is reset (RFC 9293, 3.10.7),
 * so that neither side waits for one that does not listen any more.
 */
import { PROTOCOL } from '../wire/ipv4.ts';
import type { Context } from './context.ts';
import { DROP } from './drop-reasons.ts';
import { FLOW, FLOW_WORDS, STATE } from './flow-record.ts';
import { refuse } from './refuse.ts';

/** Packet `i` belongs to a connection that no endpoint took, or that is over: refused. */
export function fail(c: Context, i: number, record: number): void {
  const drained = (c.flows.words[(record & ~1) * FLOW_WORDS + FLOW.state] & STATE.draining) !== 0;
  refuse(c, i, drained ? DROP['service-endpoint-gone'] : DROP['service-all-failed']);
  c.flows.remove(record);
}

/** Packet `i` belongs to a connection that drains. True when its time is over: it was reset. */
export function drained(c: Context, i: number, record: number): boolean {
  const ends = c.flows.words[(record | 1) * FLOW_WORDS + FLOW.drainEnds];
  if (c.flows.nowTicks - ends < 0) return false;
  refuse(c, i, DROP['service-endpoint-gone']);
  c.flows.remove(record);
  return true;
}

/**
 * Packet `i` of a connection leads to an endpoint that no pod has any more. True when its client was reset: it is an
 * established one of a service.
 */
export function endpointGone(c: Context, i: number, record: number): boolean {
  const w = c.flows.words;
  const o = record * FLOW_WORDS;
  if ((record & 1) !== 0 || w[o + FLOW.protocol] !== PROTOCOL.tcp) return false;
  if ((w[o + FLOW.state] & (STATE.balanced | STATE.answered)) !== (STATE.balanced | STATE.answered)) return false;
  refuse(c, i, DROP['service-endpoint-gone']);
  c.flows.remove(record);
  return true;
}
