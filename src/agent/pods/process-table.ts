/**
 * Which processes there are, from /proc: whether the one that an earlier agent started still runs (a process id
 * comes round again, together with its start time it does not), and which belong to a network namespace.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';

export interface ProcessId {
  pid: number;
  /** Clock ticks since boot (proc(5), stat field 22). */
  startTicks: number;
}

/** Fields of /proc/PID/stat after the command's name, which may hold spaces and parentheses itself. */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** Start time of a process, or undefined when there is none (any more). */
export function startTicks(pid: number): number | undefined {
  const ticks = Number(statFields(pid)?.[19]);
  return Number.isFinite(ticks) ? ticks : undefined;
}

/** Whether exactly that process still runs; one that ended and awaits its parent does not. */
export function isRunning(id: ProcessId): boolean {
  const fields = statFields(id.pid);
  if (!fields || Number(fields[19]) !== id.startTicks) return false;
  return fields[0] !== 'Z' && fields[0] !== 'X';
}

/** Where there is none any more it ended by itself. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  if (pid > 1) send(pid, signal);
}

export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  if (pid > 1) send(-pid, signal);
}

function send(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal);
  } catch {
    // It has ended.
  }
}

/** Its children, the eldest first. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  } catch {
    return [];
  }
}

/** What runs in a session, zombies apart. */
export function sessionProcesses(session: number): ProcessId[] {
  return allPids().flatMap((pid) => {
    const fields = statFields(pid);
    if (!fields || Number(fields[3]) !== session || fields[0] === 'Z' || fields[0] === 'X') return [];
    return { pid, startTicks: Number(fields[19]) };
  });
}

/** Ids of all processes in the network namespace bound at a path (`ip netns pids`, without a spawn). */
export function pidsInNetns(path: string): number[] {
  let inode: number;
  let device: number;
  try {
    ({ ino: inode, dev: device } = statSync(path));
  } catch {
    return [];
  }
  return allPids().filter((pid) => {
    try {
      const at = statSync(`/proc/${pid}/ns/net`);
      return at.ino === inode && at.dev === device;
    } catch {
      return false;
    }
  });
}

function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}
