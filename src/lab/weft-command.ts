/** How to start this very weft again: the same Node, its options, and the command line's entry beside this file. */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Program and first arguments; the subcommand follows. */
export function weftCommand(): string[] {
  const here = fileURLToPath(import.meta.url);
  const main = fileURLToPath(new URL(`../cli/main${extname(here)}`, import.meta.url));
  return [process.execPath, ...process.execArgv, main];
}

/** A shell script that is `weft` wherever it is on the PATH. */
export function weftScript(): string {
  const quoted = weftCommand().map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  return `#!/bin/sh\nexec ${quoted.join(' ')} "$@"\n`;
}
