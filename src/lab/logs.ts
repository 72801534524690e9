/** What a lab's hosts and pods said: prints a log, its last lines, or follows it as it grows. */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LogOptions, readLog } from '../agent/pods/container-log-reader.ts';

/** The last lines of a file; none where there is no file. */
export function tail(path: string, lines: number): string[] {
  if (!existsSync(path)) return [];
  const text = readFileSync(path, 'utf8').trimEnd();
  return text === '' || lines === 0 ? [] : text.split('\n').slice(-lines);
}

/** Folders of what a pod's containers said, one for each. */
export function containerFolders(podDirectory: string): string[] {
  return readdirSync(podDirectory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(podDirectory, entry.name))
    .sort();
}

/** What a container said in its last run; followed, also in those that come after it, until aborted. */
export async function* containerLog(
  folder: string,
  options: Pick<LogOptions, 'tailLines' | 'follow'>,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  for (let run = lastRun(folder), { tailLines } = options; ; ) {
    const isOver = (): boolean => lastRun(folder) !== run;
    const left = tailLines === undefined ? {} : { tailLines };
    const follow = options.follow ?? false;
    yield* readLog({ path: join(folder, `${run}.log`), isOver }, { ...left, follow }, signal);
    if (!follow || signal?.aborted || !existsSync(folder)) return;
    run = lastRun(folder);
    tailLines = undefined;
  }
}

function lastRun(folder: string): number {
  if (!existsSync(folder)) return -1;
  return Math.max(0, ...readdirSync(folder).map((name) => Number.parseInt(name, 10) || 0));
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
