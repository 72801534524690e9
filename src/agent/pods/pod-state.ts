/**
 * What an agent writes down about each of its pods, so that the next one can adopt its running processes and network
 * namespace, or remove them.
 */
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readState } from '../state-file.ts';
import type { BackOff } from './back-off.ts';
import type { ProcessId } from './process-table.ts';

/** How a run of a container's command ended. */
export interface RunEnd {
  exitCode: number;
  /** Number of the signal that ended it; 0: none did. */
  signal: number;
  startedAtMs: number;
  finishedAtMs: number;
  /** As Kubernetes says it: Completed, Error, StartError, ContainerStatusUnknown. */
  reason: string;
  message: string;
}

export interface ContainerState {
  name: string;
  /** Of its command; 0 when it does not run. */
  pid: number;
  /** Of the weft_container beside it; 0 when it does not run. */
  shimPid: number;
  shimTicks: number;
  startedAtMs: number;
  finishedAtMs: number;
  /** Of the last end; -1 before the first. */
  exitCode: number;
  /** What happened last, in words. */
  reason: string;
  /** How many times it was started: its log is numbered so. */
  runs: number;
  /** What its last run was started as; '' before the first. */
  definition: string;
  backOff: BackOff;
  /** When it is to be started again; 0 when that is not due. */
  startAtMs: number;
  /** By its probes; of the run under way. */
  started: boolean;
  ready: boolean;
  /** The last two runs that ended, the later one first. */
  ends: RunEnd[];
}

export interface PodState {
  version: 2;
  namespace: string;
  name: string;
  /** '' from manifests. */
  uid: string;
  netns: string;
  fingerprint: string;
  graceSeconds: number;
  /** When an agent first took it up. */
  startedAtMs: number;
  /** The process that holds its host name; 0: none does. */
  pause: ProcessId;
  containers: ContainerState[];
  /** Since when each condition of its status is what it is. */
  conditions: Record<string, { status: boolean; sinceMs: number }>;
}

export const POD_STATE_FILE = 'pod.json';

/** Where the output of a container's last run stands, in its folder, and of the run before. */
export function logName({ runs }: Pick<ContainerState, 'runs'>, previous = false): string {
  return `${Math.max(0, runs - (previous ? 2 : 1))}.log`;
}

/** Beside it, where the run takes input. */
export function socketName(state: Pick<ContainerState, 'runs'>): string {
  return `${basename(logName(state), '.log')}.sock`;
}

/** Times that it was started after the first. */
export function restartsOf({ runs }: Pick<ContainerState, 'runs'>): number {
  return Math.max(0, runs - 1);
}

/** Of a clock, as a Date can hold it. */
export function isTimeMs(value: unknown): value is number {
  return Number.isInteger(value) && !Number.isNaN(new Date(value as number).getTime());
}

export function newContainerState(name: string): ContainerState {
  return {
    name,
    pid: 0,
    shimPid: 0,
    shimTicks: 0,
    startedAtMs: 0,
    finishedAtMs: 0,
    exitCode: -1,
    reason: '',
    runs: 0,
    definition: '',
    backOff: { waitMs: 0, raisedAtMs: 0 },
    startAtMs: 0,
    started: false,
    ready: false,
    ends: [],
  };
}

/** All pods that an earlier agent left here, with the folder of each; unreadable ones count as `damaged`. */
export function readPodStates(stateDir: string): {
  found: { directory: string; state: PodState }[];
  damaged: string[];
} {
  const root = join(stateDir, 'pods');
  const found: { directory: string; state: PodState }[] = [];
  const damaged: string[] = [];
  if (!existsSync(root)) return { found, damaged };
  for (const name of readdirSync(root).sort()) {
    const directory = join(root, name);
    const state = readState(join(directory, POD_STATE_FILE), isPodState);
    if (state) found.push({ directory, state });
    else damaged.push(directory);
  }
  return { found, damaged };
}

export function isPodState(value: unknown): value is PodState {
  if (!isRecord(value) || value.version !== 2) return false;
  const texts = [value.namespace, value.name, value.uid, value.netns, value.fingerprint];
  const strings = texts.every((text) => typeof text === 'string');
  const numbers = Number.isFinite(value.graceSeconds) && isTimeMs(value.startedAtMs);
  if (!strings || !numbers || !Array.isArray(value.containers)) return false;
  if (!isRecord(value.pause) || ![value.pause.pid, value.pause.startTicks].every(Number.isFinite)) return false;
  if (!isRecord(value.conditions) || !Object.values(value.conditions).every(isCondition)) return false;
  return value.containers.every(isContainerState);
}

function isContainerState(value: unknown): value is ContainerState {
  if (!isRecord(value)) return false;
  // What Weft wrote before it knew of definitions is still there to be ended.
  if (![value.name, value.reason, value.definition ?? ''].every((text) => typeof text === 'string')) return false;
  const model = newContainerState('') as unknown as Record<string, unknown>;
  const numbers = Object.keys(model).filter((key) => typeof model[key] === 'number');
  if (!numbers.every((key) => (key.endsWith('AtMs') ? isTimeMs : Number.isFinite)(value[key]))) return false;
  if (typeof value.started !== 'boolean' || typeof value.ready !== 'boolean') return false;
  if (!Array.isArray(value.ends) || !value.ends.every(isRunEnd)) return false;
  return isRecord(value.backOff) && Number.isFinite(value.backOff.waitMs) && Number.isFinite(value.backOff.raisedAtMs);
}

function isRunEnd(value: unknown): value is RunEnd {
  if (!isRecord(value) || typeof value.reason !== 'string' || typeof value.message !== 'string') return false;
  return (
    [value.exitCode, value.signal].every(Number.isFinite) && isTimeMs(value.startedAtMs) && isTimeMs(value.finishedAtMs)
  );
}

function isCondition(value: unknown): boolean {
  return isRecord(value) && typeof value.status === 'boolean' && isTimeMs(value.sinceMs);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
