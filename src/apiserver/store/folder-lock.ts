/**
 * One process at a time in a folder: LMDB itself would let two in, and each would number commits as if it were alone.
 * The kernel holds the lock (flock) and frees it when its owner ends, `kill -9` included; the file only says who that is.
 */
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { loadNativeAddon } from '../../io/native-addon.ts';
import { StoreError } from './store.ts';

const FILE = 'owner.pid';

export class FolderLock {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Throws StoreError unavailable where somebody else has the folder. */
  static take(folder: string): FolderLock {
    const path = join(folder, FILE);
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      if (!loadNativeAddon().lockFile(fd)) throw new StoreError('unavailable', inUse(folder, path));
      ftruncateSync(fd);
      writeSync(fd, `${process.pid}\n`, 0);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return new FolderLock(fd);
  }

  release(): void {
    // The file stays: removing it would let a third lock a new one beside a second that waits on the old.
    closeSync(this.#fd);
  }
}

function inUse(folder: string, path: string): string {
  const pid = /^\d+$/.exec(readFileSync(path, 'utf8').trim())?.[0];
  const who = pid === undefined ? 'another process' : pid === `${process.pid}` ? 'this process' : `process ${pid}`;
  return `the store in ${folder} is in use by ${who}: one API server at a time`;
}
