/**
 * Keys that a controller has to look at (client-go's workqueue). A key that is added while it waits is one; while it
 * is worked on it is worked on once more afterwards, never twice at a time. Failures are tried again, ever later.
 */
import { setImmediate as immediate } from 'node:timers/promises';
import { ApiError } from '../api-error.ts';
import type { Clock } from './clock.ts';

export interface WorkQueueOptions {
  /** For messages: `ReplicaSet`. */
  name: string;
  clock: Clock;
  /** Throws: the key is tried again. */
  work(key: string): Promise<void>;
  /** Keys that are worked on at a time. */
  parallel?: number;
  log?: ((message: string) => void) | undefined;
}

const FIRST_RETRY_MS = 10;
const LONGEST_RETRY_MS = 30_000;
const PARALLEL = 4;
/** A failure is said from this one on: races with others are nobody's business. */
const SAID_FAILURE = 4;

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #parallel: number;
  /** In the order in which they came. */
  readonly #waiting = new Set<string>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #again = new Set<string>();
  readonly #later = new Map<string, { atMs: number; cancel(): void }>();
  readonly #failures = new Map<string, number>();
  #state: 'new' | 'started' | 'stopped' = 'new';

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#parallel = options.parallel ?? PARALLEL;
  }

  /** What was added before is worked on from now on. */
  start(): void {
    if (this.#state !== 'new') return;
    this.#state = 'started';
    this.#turn();
  }

  add(key: string): void {
    if (this.#state === 'stopped') return;
    if (this.#running.has(key)) this.#again.add(key);
    else this.#waiting.add(key);
    this.#turn();
  }

  /** Where it is to be added later already, the earlier time counts. */
  addAfter(key: string, delayMs: number): void {
    if (this.#state === 'stopped') return;
    if (delayMs <= 0) {
      this.add(key);
      return;
    }
    const atMs = this.#options.clock.monotonicMs() + delayMs;
    const known = this.#later.get(key);
    if (known && known.atMs <= atMs) return;
    known?.cancel();
    const cancel = this.#options.clock.after(delayMs, () => {
      this.#later.delete(key);
      this.add(key);
    });
    this.#later.set(key, { atMs, cancel });
  }

  /** Nothing is begun from now on; resolves when what was begun has ended. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#waiting.clear();
    this.#again.clear();
    for (const { cancel } of this.#later.values()) cancel();
    this.#later.clear();
    await Promise.all(this.#running.values());
  }

  /** Nothing is left to do but what was put off. */
  get idle(): boolean {
    return this.#waiting.size === 0 && this.#running.size === 0;
  }

  #turn(): void {
    if (this.#state !== 'started') return;
    for (const key of this.#waiting) {
      if (this.#running.size >= this.#parallel) return;
      this.#waiting.delete(key);
      this.#running.set(key, this.#run(key));
    }
  }

  async #run(key: string): Promise<void> {
    // Never within the caller of add(), which may be in the middle of something; and thousands of keys whose work waits
    // for nothing must not keep requests waiting.
    await immediate();
    try {
      if (this.#state === 'started') await this.#options.work(key);
      this.#failures.delete(key);
    } catch (error) {
      this.#failed(key, error);
    }
    this.#running.delete(key);
    if (this.#again.delete(key)) this.#waiting.add(key);
    this.#turn();
  }

  #failed(key: string, error: unknown): void {
    const { name, log } = this.#options;
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    // What should not happen is said at once, and ever more seldom while it lasts: a store that is away fails all keys.
    const isSaid = error instanceof ApiError ? failures === SAID_FAILURE : Number.isInteger(Math.log2(failures));
    if (isSaid) {
      log?.(`${name} ${key}: ${error instanceof ApiError ? error.message : describe(error)}`);
    }
    this.addAfter(key, Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), LONGEST_RETRY_MS));
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.stack ?? error.message}` : String(error);
}
