/** When leases end that nobody renews. */

const LONGEST_TIMER_MS = 1_000_000;
/** An end that could not be carried out is tried again. */
const AGAIN_MS = 1000;

export class LeaseClock {
  readonly #leases = new Map<number, { ttlMs: number; endMs: number }>();
  readonly #end: (lease: number) => Promise<void>;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(end: (lease: number) => Promise<void>) {
    this.#end = end;
  }

  /** A lease's time begins, for the first time or anew. */
  start(lease: number, ttlMs: number): void {
    this.#leases.set(lease, { ttlMs, endMs: Date.now() + ttlMs });
    this.#arm();
  }

  find(lease: number): { ttlMs: number } | undefined {
    return this.#leases.get(lease);
  }

  forget(lease: number): void {
    this.#leases.delete(lease);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#closed || this.#leases.size === 0) return;
    let soonest = Infinity;
    for (const { endMs } of this.#leases.values()) soonest = Math.min(soonest, endMs);
    this.#timer = setTimeout(() => this.#ring(), Math.min(Math.max(0, soonest - Date.now()), LONGEST_TIMER_MS));
    this.#timer.unref();
  }

  #ring(): void {
    const now = Date.now();
    for (const [lease, { endMs }] of [...this.#leases]) {
      if (endMs <= now) this.#end(lease).catch(() => this.start(lease, AGAIN_MS));
    }
    this.#arm();
  }
}
