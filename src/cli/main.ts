#!/usr/bin/env node
/**
 * The command line's entry. Reads the words, hands them to one command, and turns whatever goes wrong into one line on
 * standard error and an exit code: 0 done, 1 failed, 2 not understood.
 */
import { describeFailure } from './failure.ts';

try {
  if (process.argv[2] === 'image') {
    const { runImageProgram } = await import('./image-program.ts');
    process.exit(await runImageProgram(process.argv.slice(3)));
  }
  const { buildProgram } = await import('./program.ts');
  await buildProgram().parseAsync();
} catch (error) {
  const { CommanderError } = await import('commander');
  if (error instanceof CommanderError) {
    // commander has said it already; help and version are no failures.
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    console.error(describeFailure(error));
    process.exitCode = 1;
  }
}
