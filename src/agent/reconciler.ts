/**
 * Runs one piece of work at a time, again when it was asked for meanwhile, and again by itself, with growing waits,
 * when it did not get all done. However many changes arrive, the work runs once after the last.
 */
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 10_000;

export class Reconciler {
  /** Resolves to whether all is as it should be. */
  readonly #work: () => Promise<boolean>;
  #running: Promise<void> | undefined;
  #wanted = false;
  #retryMs = FIRST_RETRY_MS;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(work: () => Promise<boolean>) {
    this.#work = work;
  }

  /** Resolves when the work has run after this call. Rejects when the work itself throws. */
  request(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    this.#wanted = true;
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<void> {
    try {
      while (this.#wanted && !this.#stopped) {
        this.#wanted = false;
        clearTimeout(this.#timer);
        if (await this.#work()) {
          this.#retryMs = FIRST_RETRY_MS;
        } else if (!this.#stopped) {
          this.#timer = setTimeout(() => void this.request(), this.#retryMs);
          this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
        }
      }
    } finally {
      // Here and not behind the promise: what is asked for between the two would be run by nobody.
      this.#running = undefined;
    }
  }

  /** Lets the work under way finish; nothing begins any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running?.catch(() => {});
  }
}
