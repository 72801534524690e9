/**
 * What must outlive an agent, as small JSON files that are replaced whole: a crash leaves the old one or the new one,
 * never half of one. What cannot be read back is treated as not there, and said so.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

export function writeState(path: string, value: unknown): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const next = `${path}.next`;
  writeFileSync(next, `${JSON.stringify(value)}\n`, { mode: 0o600 });
  renameSync(next, path);
}

/** The value, or undefined where there is no file, none that parses, or none that `accept` takes. */
export function readState<T>(path: string, accept: (value: unknown) => value is T): T | undefined {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
  return accept(value) ? value : undefined;
}
