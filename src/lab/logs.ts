/** What a lab's hosts and pods said: prints a log, its last lines, or follows it as it grows. */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LabDir } from './lab-dir.ts';

/** The last lines of a file; none where there is no file. */
export function tail(path: string, lines: number): string[] {
  if (!existsSync(path)) return [];
  const text = readFileSync(path, 'utf8').trimEnd();
  return text === '' || lines === 0 ? [] : text.split('\n').slice(-lines);
}

/** The log files of a host's agent, or of a pod's containers. */
export function logFiles(lab: LabDir, target: string, podDirectory: string | undefined): string[] {
  if (podDirectory === undefined) return [lab.agentLog(target)];
  return readdirSync(podDirectory)
    .filter((name) => name.endsWith('.log'))
    .sort()
    .map((name) => join(podDirectory, name));
}

/** Writes what is added to a file, from `from` on, until aborted; a file that was cut or replaced is read anew. */
export async function follow(path: string, write: (chunk: Buffer) => void, signal: AbortSignal): Promise<void> {
  let offset = 0;
  let inode = 0;
  const chunk = Buffer.allocUnsafe(65536);
  while (!signal.aborted) {
    if (existsSync(path)) {
      const stat = statSync(path);
      if (stat.ino !== inode || stat.size < offset) offset = 0;
      inode = stat.ino;
      const file = openSync(path, 'r');
      for (let read = -1; read !== 0; offset += read) {
        read = readSync(file, chunk, 0, chunk.length, offset);
        if (read > 0) write(Buffer.from(chunk.subarray(0, read)));
      }
      closeSync(file);
    }
    await sleep(100, undefined, { signal }).catch(() => {});
  }
}
