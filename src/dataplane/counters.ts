/**
 * The dataplane's counters, in memory shared with the control thread: written by the worker alone, read by anyone.
 * Each is a 64-bit float, exact up to 2^53. Packets of a super-packet count as the segments they stand for.
 */

import { PORT_LIMIT } from '../tables/ports.ts';
import { DROP_REASONS } from './drop-reasons.ts';

const GAUGES = [
  'generation',
  'flows',
  'flowCapacity',
  'flowsCreated',
  'flowsExpired',
  'flowsEvicted',
  'attemptsPending',
  'attemptsMoved',
  'attemptsFailed',
  'endpointsEjected',
  'icmpSent',
  'icmpLimited',
  'vectors',
  'handedOver',
  'namesAnswered',
] as const;

export type Gauge = (typeof GAUGES)[number];
export const GAUGE = Object.fromEntries(GAUGES.map((name, i) => [name, i])) as Readonly<Record<Gauge, number>>;

const DROPS_AT = GAUGES.length;
const PORTS_AT = DROPS_AT + DROP_REASONS.length;
const PORT_COUNTERS = 4;
const TOTAL = PORTS_AT + PORT_LIMIT * PORT_COUNTERS;

export interface PortCounters {
  rxPackets: number;
  rxBytes: number;
  txPackets: number;
  txBytes: number;
}

export class Counters {
  readonly buffer: SharedArrayBuffer;
  readonly gauges: Float64Array;
  readonly drops: Float64Array;
  /** Four per port id: packets and bytes received, packets and bytes sent. */
  readonly ports: Float64Array;

  constructor(buffer = new SharedArrayBuffer(TOTAL * 8)) {
    this.buffer = buffer;
    const all = new Float64Array(buffer);
    this.gauges = all.subarray(0, DROPS_AT);
    this.drops = all.subarray(DROPS_AT, PORTS_AT);
    this.ports = all.subarray(PORTS_AT);
  }

  received(port: number, packets: number, bytes: number): void {
    const o = port * PORT_COUNTERS;
    this.ports[o] += packets;
    this.ports[o + 1] += bytes;
  }

  sent(port: number, packets: number, bytes: number): void {
    const o = port * PORT_COUNTERS + 2;
    this.ports[o] += packets;
    this.ports[o + 1] += bytes;
  }

  /** Forgets a port's counters, before its id is used again. */
  clearPort(port: number): void {
    this.ports.fill(0, port * PORT_COUNTERS, (port + 1) * PORT_COUNTERS);
  }

  port(port: number): PortCounters {
    const [rxPackets, rxBytes, txPackets, txBytes] = this.ports.subarray(port * PORT_COUNTERS) as unknown as number[];
    return { rxPackets, rxBytes, txPackets, txBytes };
  }

  /** Reasons that have counted anything, by identifier. */
  dropsByReason(): Record<string, number> {
    const out: Record<string, number> = {};
    DROP_REASONS.forEach((reason, i) => {
      if (i > 0 && this.drops[i] > 0) out[reason.id] = this.drops[i];
    });
    return out;
  }

  gaugesByName(): Record<Gauge, number> {
    return Object.fromEntries(GAUGES.map((name, i) => [name, this.gauges[i]])) as Record<Gauge, number>;
  }
}
