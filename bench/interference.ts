/**
 * Whose processor time a measurement was: all that was busy, what the hypervisor took, and what processes used that
 * are no part of the bench. Time in interrupts cannot be told apart by process, so others are counted directly, from
 * the outer /proc, and not as what is left over.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { OUTER_PROC } from './isolation.ts';

/** Seconds, of all processors together. */
export interface Usage {
  readonly at: number;
  readonly busy: number;
  readonly stolen: number;
  readonly others: number;
}

/** In cores: seconds of processor time per second. */
export interface Load {
  readonly seconds: number;
  readonly busySeconds: number;
  readonly stolenCores: number;
  readonly otherCores: number;
}

/** Of either the hypervisor or others, in a measurement that counts. */
export const DISTURBED_CORES = 0.1;

/** USER_HZ, in which /proc counts on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;
/** PF_KTHREAD in linux/sched.h. */
const KERNEL_THREAD = 0x00200000;

export function usageNow(outerProc = OUTER_PROC): Usage {
  const others = othersSeconds(outerProc);
  return { at: performance.now() / 1000, others, ...machineTime(readFileSync('/proc/stat', 'utf8')) };
}

export function loadBetween(before: Usage, after: Usage): Load {
  const seconds = after.at - before.at;
  return {
    seconds,
    busySeconds: after.busy - before.busy,
    stolenCores: Math.max(0, after.stolen - before.stolen) / seconds,
    // An orphan's time leaves the sum when nobody waits for it: never below nothing.
    otherCores: Math.max(0, after.others - before.others) / seconds,
  };
}

export function disturbance(load: Load): number {
  return Math.max(load.stolenCores, load.otherCores);
}

/** The first line of /proc/stat: user nice system idle iowait irq softirq steal. */
export function machineTime(stat: string): { busy: number; stolen: number } {
  const fields = stat.slice(0, stat.indexOf('\n')).trim().split(/\s+/).slice(1).map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, stolen = 0] = fields;
  return {
    busy: (user + nice + system + irq + softirq) / TICKS_PER_SECOND,
    stolen: stolen / TICKS_PER_SECOND,
  };
}

export interface ProcessTime {
  pid: number;
  parent: number;
  kernel: boolean;
  /** Its own and that of children it waited for, so that what a child used stays in the sum when the child ends. */
  seconds: number;
}

/** Of /proc/PID/stat. The name, in brackets, may hold anything. */
export function processTime(stat: string): ProcessTime {
  const pid = Number.parseInt(stat, 10);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  const kernel = (Number(fields[6]) & KERNEL_THREAD) !== 0;
  return { pid, parent: Number(fields[1]), kernel, seconds: ticks / TICKS_PER_SECOND };
}

/** Of processes that neither descend from `own` nor are the kernel's. */
export function secondsOfOthers(processes: readonly ProcessTime[], own: number): number {
  const parents = new Map(processes.map((p) => [p.pid, p.parent]));
  const isOwn = (pid: number): boolean => {
    // Numbers are read one after the other and used again meanwhile: what they say may be a circle.
    const seen = new Set<number>();
    for (let at: number | undefined = pid; at && !seen.has(at); at = parents.get(at)) {
      if (at === own) return true;
      seen.add(at);
    }
    return false;
  };
  return processes.reduce((sum, p) => sum + (p.kernel || isOwn(p.pid) ? 0 : p.seconds), 0);
}

function othersSeconds(outerProc: string): number {
  const own = Number(readlinkSync(`${outerProc}/self`));
  const processes: ProcessTime[] = [];
  for (const name of readdirSync(outerProc)) {
    if (!/^\d+$/.test(name)) continue;
    try {
      processes.push(processTime(readFileSync(`${outerProc}/${name}/stat`, 'utf8')));
    } catch {
      // It has ended.
    }
  }
  return secondsOfOthers(processes, own);
}
