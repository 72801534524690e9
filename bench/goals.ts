/**
 * What is asked of Weft, as ratios within one run, of its network and of its services, and the floors of `make bench-quick`. Goals are where we want to
 * be; floors lie so far below them that only something broken falls through, not a noisy machine.
 */
import { KERNEL } from './contenders/every-contender.ts';

export interface Goal {
  /** Of Weft's row. */
  readonly row: string;
  /** Another contender's same row, the best of several, or a row of Weft's own. */
  readonly against: { contender: string } | { best: 'plain' | 'any' } | { row: string };
  readonly least?: number;
  readonly most?: number;
}

const kernel = { contender: KERNEL };
/** The best of the other programs that do not encrypt, and of all of them. */
const plain = { best: 'plain' } as const;
const anyone = { best: 'any' } as const;

export const GOALS: readonly Goal[] = [
  { row: 'tcp-1', against: kernel, least: 1 },
  { row: 'tcp-1', against: plain, least: 8 },
  { row: 'tcp-4', against: kernel, least: 0.6 },
  { row: 'tcp-4', against: plain, least: 8 },
  { row: 'tcp-1/no-offloads', against: kernel, least: 1 },
  { row: 'tcp-4/no-offloads', against: kernel, least: 1 },
  { row: 'flood', against: kernel, least: 3 },
  { row: 'flood', against: plain, least: 5 },
  { row: 'flood-2', against: kernel, least: 1.5 },
  { row: 'loss-free', against: kernel, least: 2 },
  { row: 'ping', against: kernel, most: 3 },
  { row: 'ping', against: anyone, most: 1 },
  { row: 'request-response-p50', against: kernel, most: 1.3 },
  { row: 'request-response-p50', against: anyone, most: 1 },
  { row: 'connections', against: kernel, least: 0.7 },
  { row: 'connections', against: anyone, least: 1 },
  { row: 'tcp-1/service', against: { row: 'tcp-1' }, least: 0.95 },
  { row: 'connections/service', against: { row: 'connections' }, least: 0.95 },
  { row: 'tcp-1/one-host', against: kernel, least: 0.9 },
  // Flat within 20 %.
  { row: 'flows-100000', against: { row: 'flows-1' }, least: 1 / 1.2 },
  { row: 'services-10000', against: { row: 'services-1' }, least: 1 / 1.2 },
];

export const SERVICE_GOALS: readonly Goal[] = [
  { row: 'stream/service', against: { row: 'stream' }, least: 0.95 },
  { row: 'connections/service', against: { contender: 'haproxy' }, least: 1 },
  { row: 'connections/service', against: { best: 'any' }, least: 1 },
  { row: 'connections/service', against: { row: 'connections' }, least: 0.95 },
  { row: 'request-response-p50/service', against: { row: 'request-response-p50' }, most: 1.15 },
  { row: 'request-response-p50/service', against: { best: 'any' }, most: 1 },
  { row: 'stream/service', against: { best: 'any' }, least: 1 },
];

export const DNS_GOALS: readonly Goal[] = [
  { row: 'names', against: { best: 'any' }, least: 1 },
  { row: 'names/1000-names', against: { best: 'any' }, least: 1 },
];

export const FLOORS: readonly Goal[] = [
  { row: 'tcp-1', against: kernel, least: 0.25 },
  { row: 'tcp-4', against: kernel, least: 0.15 },
  { row: 'flood', against: kernel, least: 1 },
  { row: 'request-response-p50', against: kernel, most: 6 },
  { row: 'ping', against: kernel, most: 15 },
];
