/**
 * What samples and the agents' counters say: processor time by category for each gigabyte or packet that was carried,
 * the functions that took most of it, and how well packets were taken together. Pure.
 */
import type { AgentStatus } from '../src/agent/status.ts';
import type { Contender, Measurement, Subject } from './contest.ts';
import { CATEGORIES, type Category, categoryOf, type StackSample } from './profile-categories.ts';

export interface Share {
  readonly category: Category;
  readonly seconds: number;
  /** Seconds for a gigabyte, or microseconds for a packet. */
  readonly each: number;
  /** Innermost functions and their part of it, 0 to 1, the greatest first. */
  readonly functions: readonly { readonly name: string; readonly part: number }[];
}

export interface Profile {
  readonly contender: string;
  readonly title: string;
  readonly subject: string;
  readonly subjectTitle: string;
  readonly value: number;
  readonly unit: string;
  /** What `each` is in. */
  readonly costUnit: 's/GB' | 'µs/packet';
  readonly samples: number;
  /** Of what is part of the bench and not idle. */
  readonly busySeconds: number;
  readonly shares: readonly Share[];
  /** By host, the client's first. */
  readonly agents: readonly AgentFigures[];
}

export interface AgentFigures {
  readonly vectors: number;
  /** Super-packets count as one, here and below. */
  readonly packetsPerVector: number;
  readonly systemCallsPerPacket: number;
  readonly systemCallsPerVector: number;
  readonly pollsPerVector: number;
  /** Of segments that came one by one, how many each super-packet was made of. */
  readonly segmentsPerJoined: number;
  readonly joinedSegments: number;
  /** Super-packets written into a pod as part of a larger one. */
  readonly mergedPackets: number;
  readonly receivedPackets: number;
}

const FUNCTIONS_SHOWN = 6;
const CALLS = ['syscallsSend', 'syscallsReceive', 'syscallsRead', 'syscallsWrite'];
const NOT_BUSY: readonly Category[] = ['idle', 'others'];

export function isBusy(category: Category): boolean {
  return !NOT_BUSY.includes(category);
}

export function profileOf(from: {
  contender: Contender;
  subject: Subject;
  measurement: Measurement;
  samples: readonly StackSample[];
  agents: ReadonlySet<number>;
  own: readonly AgentFigures[];
}): Profile {
  const { contender, subject, measurement, samples, agents, own } = from;
  const [row] = subject.rows;
  if (!row) throw new Error(`${subject.name} has no rows`);
  const { packets, bytes = 0 } = measurement;
  const [carried, costUnit] = packets ? [packets / 1e6, 'µs/packet' as const] : [bytes / 1e9, 's/GB' as const];
  if (!(carried > 0)) throw new Error(`${contender.title}, ${subject.name}: nothing was carried`);
  const byCategory = new Map<Category, Map<string, number>>();
  for (const sample of samples) {
    const category = categoryOf(sample, agents);
    const functions = byCategory.get(category) ?? new Map<string, number>();
    const name = sample.frames[0]?.symbol ?? '[no stack]';
    byCategory.set(category, functions.set(name, (functions.get(name) ?? 0) + sample.seconds));
  }
  const shares = CATEGORIES.map(({ id }) => shareOf(id, byCategory.get(id) ?? new Map(), carried));
  return {
    contender: contender.name,
    title: contender.title,
    subject: subject.name,
    subjectTitle: row.title,
    value: measurement.values[row.name] ?? Number.NaN,
    unit: row.unit,
    costUnit,
    samples: samples.length,
    busySeconds: shares.filter((s) => isBusy(s.category)).reduce((sum, s) => sum + s.seconds, 0),
    shares,
    agents: own,
  };
}

export function agentFigures(before: readonly AgentStatus[], after: readonly AgentStatus[]): AgentFigures[] {
  return after.map((now, i) => {
    const then = before[i];
    const native = (name: string) => (now.counters.native[name] ?? 0) - (then?.counters.native[name] ?? 0);
    const vectors = (now.counters.gauges.vectors ?? 0) - (then?.counters.gauges.vectors ?? 0);
    const packets = native('rxPackets');
    const calls = CALLS.reduce((sum, name) => sum + native(name), 0);
    return {
      vectors,
      packetsPerVector: packets / vectors,
      systemCallsPerPacket: calls / packets,
      systemCallsPerVector: calls / vectors,
      pollsPerVector: native('syscallsPoll') / vectors,
      segmentsPerJoined: native('coalescedSegments') / Math.max(1, native('coalescedPackets')),
      joinedSegments: native('coalescedSegments'),
      mergedPackets: native('mergedPackets'),
      receivedPackets: packets,
    };
  });
}

function shareOf(category: Category, functions: ReadonlyMap<string, number>, carried: number): Share {
  const seconds = [...functions.values()].reduce((sum, s) => sum + s, 0);
  const most = [...functions].sort(([, a], [, b]) => b - a).slice(0, FUNCTIONS_SHOWN);
  return {
    category,
    seconds,
    each: seconds / carried,
    functions: most.map(([name, s]) => ({ name, part: s / seconds })),
  };
}
