/** Numbers on the command line: read strictly, refused with the range that is allowed. */
import { InvalidArgumentError } from 'commander';

/** A parser for commander's options. */
export function integer(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= low && value <= high) return value;
    throw new InvalidArgumentError(`it must be a whole number from ${low} to ${high}.`);
  };
}

export const port = integer(1, 65535);
