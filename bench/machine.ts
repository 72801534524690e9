/** What the figures were measured on. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';

export interface Machine {
  readonly processors: string;
  readonly memory: string;
  readonly kernel: string;
  readonly node: string;
  readonly commit: string;
}

export function machineOf(): Machine {
  const [first, ...rest] = cpus();
  return {
    processors: `${rest.length + 1} x ${first?.model.trim() ?? 'unknown'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: `Linux ${release()}`,
    node: process.version,
    commit: commitOf('.'),
  };
}

/** What a checkout holds, in git's words. */
export function commitOf(folder: string): string {
  try {
    return execFileSync('git', ['-C', folder, 'describe', '--always', '--dirty'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    const { version } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8')) as { version: string };
    return `version ${version}, no checkout`;
  }
}
