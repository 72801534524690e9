/** Files that hold keys: for their owner alone, there whole or not at all. */
import { renameSync, writeFileSync } from 'node:fs';

export function writePrivate(path: string, text: string): void {
  const draft = `${path}.${process.pid}.new`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, path);
}
