/** How to start this very weft again: the same Node, its options, and the command line's entry beside this file. */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Program and first arguments; the subcommand follows. */
export function weftCommand(): string[] {
  const here = fileURLToPath(import.meta.url);
  const main = fileURLToPath(new URL(`../cli/main${extname(here)}`, import.meta.url));
  return [process.execPath, ...process.execArgv, main];
}

/**
 * The same for an agent. What it needs on the way is little and soon forgotten; left to itself V8 gives that 32 MB which
 * it returns late, and an agent shares its host's memory with the pods.
 */
export function agentCommand(): string[] {
  const [node = '', ...words] = weftCommand();
  return [node, '--max-semi-space-size=4', ...words];
}

/** A shell script that is `weft` wherever it is on the PATH. */
export function weftScript(): string {
  const quoted = weftCommand().map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  return `#!/bin/sh\nexec ${quoted.join(' ')} "$@"\n`;
}
