/**
 * What an agent writes down about each of its pods, so that the next one can adopt its running processes and network
 * namespace, or remove them.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BackOff } from './back-off.ts';
import { readState } from './state-file.ts';

export interface ContainerState {
  name: string;
  /** 0 when it does not run. */
  pid: number;
  startTicks: number;
  startedAtMs: number;
  finishedAtMs: number;
  /** Of the last end; -1 before the first. */
  exitCode: number;
  reason: string;
  restarts: number;
  backOff: BackOff;
  /** When it is to be started again; 0 when that is not due. */
  startAtMs: number;
}

export interface PodState {
  version: 1;
  namespace: string;
  name: string;
  netns: string;
  fingerprint: string;
  graceSeconds: number;
  containers: ContainerState[];
}

export const POD_STATE_FILE = 'pod.json';

export function newContainerState(name: string): ContainerState {
  return {
    name,
    pid: 0,
    startTicks: 0,
    startedAtMs: 0,
    finishedAtMs: 0,
    exitCode: -1,
    reason: '',
    restarts: 0,
    backOff: { waitMs: 0, raisedAtMs: 0 },
    startAtMs: 0,
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
  if (!isRecord(value) || value.version !== 1) return false;
  const strings = [value.namespace, value.name, value.netns, value.fingerprint].every((v) => typeof v === 'string');
  if (!strings || typeof value.graceSeconds !== 'number' || !Array.isArray(value.containers)) return false;
  return value.containers.every(isContainerState);
}

function isContainerState(value: unknown): value is ContainerState {
  if (!isRecord(value) || typeof value.name !== 'string' || typeof value.reason !== 'string') return false;
  const model = newContainerState('') as unknown as Record<string, unknown>;
  const numbers = Object.keys(model).filter((key) => typeof model[key] === 'number');
  if (!numbers.every((key) => Number.isFinite(value[key]))) return false;
  return isRecord(value.backOff) && Number.isFinite(value.backOff.waitMs) && Number.isFinite(value.backOff.raisedAtMs);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
