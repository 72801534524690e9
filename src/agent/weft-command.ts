/**
 * The `weft` command inside pods: a script in a folder of their PATH that runs this very installation, so that a
 * manifest can say `command: [weft, netexec]` without an image.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of this installation's package.json. */
export function packageRoot(from = fileURLToPath(import.meta.url)): string {
  for (let folder = dirname(from); folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
  }
  throw new Error(`no package.json above ${from}: the installation is incomplete`);
}

export function weftVersion(): string {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string };
  return version;
}

export function writeWeftCommand(stateDir: string): void {
  const folder = join(stateDir, 'bin');
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const main = join(packageRoot(), 'dist/src/cli/main.js');
  writeFileSync(join(folder, 'weft'), `#!/bin/sh\nexec ${quoted(process.execPath)} ${quoted(main)} "$@"\n`, {
    mode: 0o755,
  });
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
