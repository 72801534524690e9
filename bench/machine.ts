/** What the figures were measured on. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { resolve } from 'node:path';

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

/** Another Weft to compare with, and what it is called. An Error where none was built. */
export function otherCheckout(folder: string): { checkout: string; title: string } {
  const checkout = resolve(folder);
  if (!existsSync(`${checkout}/dist/src/cli/main.js`))
    throw new Error(`--against ${folder}: there is no Weft that was built; make build there first`);
  return { checkout, title: `Weft, ${commitOf(checkout)}` };
}

/** What a checkout holds, in git's words. */
function commitOf(folder: string): string {
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
