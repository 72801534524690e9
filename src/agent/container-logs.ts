/**
 * Keeps containers' log files bounded. The processes hold the files open for appending, so that they can write while
 * no agent runs; a file that grew too large is copied aside and emptied in place.
 */
import { copyFileSync, statSync, truncateSync } from 'node:fs';

const LOG_BYTES = 10 * 1024 * 1024;

export function boundLogs(paths: readonly string[], limitBytes = LOG_BYTES): void {
  for (const path of paths) {
    try {
      if (statSync(path).size <= limitBytes) continue;
      copyFileSync(path, `${path}.1`);
      truncateSync(path, 0);
    } catch {
      // The pod went meanwhile, or the disk is full: the next round tries again.
    }
  }
}
