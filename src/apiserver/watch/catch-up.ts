/**
 * Whether what is in memory is as new as the store, or soon comes to be. What is on its way is waited for as long as
 * something arrives: to read the store instead, hundreds of clients at once, is what a server that lags can afford least.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { Store } from '../store/store.ts';

/** Without anything new for so long, nothing is on its way. */
const PATIENCE_MS = 1000;
const LOOK_MS = 100;
/**
 * Who shares an etcd with us raises its revision by keys that we do not watch. This one is written then: when its event
 * has come, so has everything before it. (etcd's own progress notices may run ahead of events before 3.4.25 and 3.5.8.)
 */
const PROGRESS_KEY = '/registry/progress';

interface Waiting {
  revision: number;
  /** It exists: whatever arrives brings it nearer. */
  exists: boolean;
  untilMs: number;
  resolve(reached: boolean): void;
}

export class CatchUp {
  readonly #store: Store;
  readonly #waiting = new Set<Waiting>();
  #newest = -1;
  /** What it was at the last look. */
  #seen = -1;
  #timer: NodeJS.Timeout | undefined;
  #asked: Promise<number> | undefined;
  #next: Promise<number> | undefined;
  #isNudged = false;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Whether what is in memory is, or soon comes to be, as new as the store is now. */
  async caughtUp(): Promise<boolean> {
    return this.#wait(await this.#storeRevision(), true);
  }

  /** Whether it is, or soon comes to be, as new as that. */
  reached(revision: number): Promise<boolean> {
    return this.#wait(revision, false);
  }

  /** Everything up to there is in memory. */
  advance(revision: number): void {
    this.#newest = revision;
    for (const waiting of this.#waiting) if (waiting.revision <= revision) this.#end(waiting, true);
  }

  /** Nothing is in memory any more. */
  lose(): void {
    this.#newest = -1;
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const waiting of this.#waiting) this.#end(waiting, false);
  }

  #wait(revision: number, exists: boolean): Promise<boolean> {
    if (this.#newest >= revision) return Promise.resolve(true);
    return new Promise((resolve) => {
      this.#waiting.add({ revision, exists, untilMs: performance.now() + PATIENCE_MS, resolve });
      if (this.#waiting.size === 1) this.#lookSoon();
    });
  }

  /** A read that is under way may have read before it was asked for: all who come meanwhile share the next one. */
  #storeRevision(): Promise<number> {
    const before = this.#asked;
    this.#next ??= (async () => {
      await before?.catch(() => {});
      this.#next = undefined;
      this.#asked = this.#store.revision();
      return this.#asked;
    })();
    return this.#next;
  }

  #lookSoon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      // Where the process stood still, what came meanwhile has to be read first.
      await turn();
      this.#look();
    }, LOOK_MS);
  }

  #look(): void {
    const now = performance.now();
    const moved = this.#newest > this.#seen;
    this.#seen = this.#newest;
    for (const waiting of this.#waiting) {
      if (moved && waiting.exists) waiting.untilMs = now + PATIENCE_MS;
      else if (now >= waiting.untilMs) this.#end(waiting, false);
    }
    if (this.#waiting.size === 0) return;
    if (moved) this.#isNudged = false;
    else if (!this.#isNudged && this.#newest >= 0) this.#nudge();
    this.#lookSoon();
  }

  #nudge(): void {
    if (![...this.#waiting].some(({ exists }) => exists)) return;
    this.#isNudged = true;
    const put = { type: 'put', key: PROGRESS_KEY, value: new Uint8Array(0) } as const;
    // Where it fails, patience ends.
    this.#store.commit({ conditions: [], writes: [put] }).catch(() => {});
  }

  #end(waiting: Waiting, reached: boolean): void {
    this.#waiting.delete(waiting);
    waiting.resolve(reached);
  }
}
