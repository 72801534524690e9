/**
 * Takes a lab down: ends its first process, with which the kernel ends every process, namespace and device in it, and
 * removes its directory. Also cleans what a killed lab or a killed `weft lab up` left. Doing it twice is no error.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning, type ProcessId, startTicks } from '../agent/pods/process-table.ts';
import type { LabDir } from './lab-dir.ts';
import { LabError } from './lab-error.ts';

const PATIENCE_MS = 10_000;

/** True where there was something to take down. */
export async function takeDown(lab: LabDir): Promise<boolean> {
  const known = lab.holder();
  const processes = known === undefined ? strayHolders(lab) : [known.holder];
  for (const { pid } of processes) kill(pid);
  const deadline = Date.now() + PATIENCE_MS;
  while (processes.some(isRunning)) {
    if (Date.now() > deadline) {
      const pids = processes.map(({ pid }) => pid).join(', ');
      throw new LabError('WEFT_LAB_FAILED', `lab ${lab.name}: process ${pids} does not end`);
    }
    await sleep(10);
  }
  const existed = lab.exists();
  lab.remove();
  removeDrafts(lab);
  return existed || processes.length > 0;
}

/** A holder whose identity was never written down: `weft lab up` was killed in its first moments. */
function strayHolders(lab: LabDir): ProcessId[] {
  const found: ProcessId[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      if (!words.includes('lab-holder') || words[words.indexOf('--dir') + 1] !== lab.path) continue;
    } catch {
      continue;
    }
    const ticks = startTicks(pid);
    if (ticks !== undefined) found.push({ pid, startTicks: ticks });
  }
  return found;
}

/** Directories that a `weft lab up` was preparing when it was killed: `.NAME.PID`. */
function removeDrafts(lab: LabDir): void {
  const parent = dirname(lab.path);
  if (!existsSync(parent)) return;
  for (const name of readdirSync(parent)) {
    const pid = name.startsWith(`.${lab.name}.`) ? Number(name.slice(lab.name.length + 2)) : Number.NaN;
    if (Number.isInteger(pid) && startTicks(pid) === undefined)
      rmSync(join(parent, name), { recursive: true, force: true });
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
