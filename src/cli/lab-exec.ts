/** `weft lab exec`, by itself: nothing that it does not need is imported, because people wait for it. */
import { execute, targetEntry } from '../lab/exec.ts';
import { findLab } from '../lab/lab-dir.ts';

export function labExec(target: string, command: readonly string[], options: { name?: string }): Promise<number> {
  const words = command[0] === '--' ? command.slice(1) : command;
  return execute(targetEntry(findLab(options.name), target), words.length > 0 ? words : ['sh']);
}
