/** A work queue that answers the first change of a key at once, and what follows in a burst together. */
import type { Clock } from './clock.ts';
import { WorkQueue, type WorkQueueOptions } from './work-queue.ts';

/** Keys whose last time is remembered before those that are over are forgotten. */
const MOST_KEYS = 1000;

export class PacedQueue {
  readonly #queue: WorkQueue;
  readonly #clock: Clock;
  readonly #paceMs: number;
  readonly #last = new Map<string, number>();

  /** A key is not worked on again before `paceMs` have gone by since it was begun. */
  constructor(options: WorkQueueOptions & { paceMs: number }) {
    this.#clock = options.clock;
    this.#paceMs = options.paceMs;
    this.#queue = new WorkQueue({
      ...options,
      work: (key) => {
        this.#begun(key);
        return options.work(key);
      },
    });
  }

  start(): void {
    this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  add(key: string): void {
    const last = this.#last.get(key);
    this.#queue.addAfter(key, last === undefined ? 0 : last + this.#paceMs - this.#clock.monotonicMs());
  }

  #begun(key: string): void {
    const now = this.#clock.monotonicMs();
    this.#last.delete(key);
    this.#last.set(key, now);
    // In order of time.
    for (const [old, at] of this.#last) {
      if (this.#last.size <= MOST_KEYS && at + this.#paceMs > now) break;
      this.#last.delete(old);
    }
  }
}
