/**
 * Finds and reads the files under the paths that manifests come from: regular files only, bounded in size and number,
 * UTF-8. A name that cannot be read becomes a sentence, never an exception.
 */
import { constants } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import path from 'node:path';

export const FILE_BYTES_LIMIT = 10 * 1024 * 1024;
export const FILE_COUNT_LIMIT = 4096;
const EXTENSIONS = new Set(['.yaml', '.yml', '.json']);

export interface Listing {
  /** In the order of the paths given, within a folder by name; without doubles. */
  files: readonly string[];
  /** Paths, files or folders, that could not be listed: path to reason. */
  failed: ReadonlyMap<string, string>;
}

/** Folders are read one level deep; names that begin with a dot are passed over (editors, projected volumes). */
export async function listManifests(paths: readonly string[]): Promise<Listing> {
  const files = new Set<string>();
  const failed = new Map<string, string>();
  for (const given of paths) {
    try {
      const found = await filesAt(given);
      const room = Math.max(0, FILE_COUNT_LIMIT - files.size);
      if (found.length > room) failed.set(given, `holds too many files: ${FILE_COUNT_LIMIT} are read at most`);
      for (const file of found.slice(0, room)) files.add(file);
    } catch (error) {
      failed.set(given, reason(error));
    }
  }
  return { files: [...files], failed };
}

async function filesAt(given: string): Promise<string[]> {
  if (!(await stat(given)).isDirectory()) return [given];
  const names = await readdir(given);
  return names
    .filter((name) => !name.startsWith('.') && EXTENSIONS.has(path.extname(name).toLowerCase()))
    .sort()
    .map((name) => path.join(given, name));
}

export type FileReading =
  | { kind: 'text'; text: string; stamp: string; settled: boolean }
  /** The stamp is the one given: nothing was read. */
  | { kind: 'same' }
  | { kind: 'failed'; reason: string }
  | { kind: 'absent' };

/**
 * Writes within one tick of the file system's clock leave no trace in the stamp: one that young is not settled. The
 * change time, since the modification time can be set back.
 */
const SETTLE_MS = 2000;

/** Reads a file, unless `known`, a settled stamp of an earlier reading, still holds. */
export async function readManifestFile(file: string, known: string | undefined): Promise<FileReading> {
  try {
    // Not blocking, so that a named pipe cannot hold us here.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const s = await handle.stat({ bigint: true });
      if (!s.isFile()) return { kind: 'failed', reason: 'is not a regular file' };
      const stamp = `${s.dev} ${s.ino} ${s.size} ${s.mtimeNs} ${s.ctimeNs}`;
      if (stamp === known) return { kind: 'same' };
      if (s.size > FILE_BYTES_LIMIT) return { kind: 'failed', reason: `is larger than ${FILE_BYTES_LIMIT} bytes` };
      const bytes = new Uint8Array(Number(s.size));
      let length = 0;
      while (length < bytes.length) {
        const { bytesRead } = await handle.read(bytes, length, bytes.length - length, length);
        if (bytesRead === 0) break;
        length += bytesRead;
      }
      const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, length));
      return { kind: 'text', text, stamp, settled: Date.now() - Number(s.ctimeMs) > SETTLE_MS };
    } finally {
      await handle.close();
    }
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? { kind: 'absent' }
      : { kind: 'failed', reason: reason(error) };
  }
}

function reason(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return 'does not exist';
    case 'EACCES':
    case 'EPERM':
      return 'must not be read: permission denied';
    case 'ERR_ENCODING_INVALID_ENCODED_DATA':
      return 'is not UTF-8 text';
    default:
      return `cannot be read: ${(error as Error).message}`;
  }
}
