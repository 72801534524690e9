/** What a bench is doing and how long it will still take: one line that is written over, or a few where nobody looks. */
import type { WriteStream } from 'node:tty';
import type { Progress } from './rounds.ts';

/** Between two lines in a log. */
const LOG_MS = 30_000;

export function progressOn(stream: WriteStream): Progress {
  let logged = 0;
  const clear = () => {
    if (stream.isTTY) stream.write('\r\x1b[K');
  };
  return {
    say(line) {
      clear();
      stream.write(`${line}\n`);
    },
    doing(what, left) {
      const line = Number.isNaN(left) ? what : `${timeLeft(left)}  ${what}`;
      if (stream.isTTY) {
        clear();
        stream.write(line.slice(0, (stream.columns ?? 80) - 1));
      } else if (Date.now() - logged > LOG_MS) {
        logged = Date.now();
        stream.write(`${line}\n`);
      }
    },
  };
}

/** In words that do not pretend to be exact. */
export function timeLeft(seconds: number): string {
  if (seconds < 5) return 'nearly done';
  if (seconds < 90) return `${Math.ceil(seconds / 5) * 5} s left`;
  return `${Math.ceil(seconds / 60)} min left`;
}
