/**
 * Names of v1 Events as client-go makes them: of the object, and when, in hexadecimal. Their times are whole seconds, so
 * that kubectl, which sorts by these, shows those of one second as they are listed: by name.
 */
import { randomInt } from 'node:crypto';

/** Names have 253 characters at most; 17 are those of the time. */
const MOST_NAME = 230;
const PER_MS = 1_000_000;

/** One for each who tells of events. */
export class EventNames {
  /** In place of nanoseconds; from anywhere on, since others tell of the same object in the same millisecond. */
  #serial = randomInt(PER_MS / 2);

  next(object: string, atMs: number): string {
    const time = BigInt(Math.floor(atMs)) * BigInt(PER_MS) + BigInt(this.#serial++ % PER_MS);
    return `${object.slice(0, MOST_NAME).replace(/[-.]+$/, '')}.${time.toString(16)}`;
  }
}
