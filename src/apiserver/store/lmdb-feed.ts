/**
 * Watches of the LMDB store: one that starts in the past reads the log in steps until it has caught up, then hears of
 * each commit as it is made.
 */
import { StoreError, type StoreEvent, type Watch, type WatchRequest } from './store.ts';

/** Commits that are read from the log before others have their turn. */
const CATCH_UP_STEP = 200;

export interface Log {
  revision(): number;
  compacted(): number;
  /** Commits of these revisions, both ends included, in order. */
  changes(from: number, to: number): Iterable<{ events: StoreEvent[]; revision: number }>;
}

interface Watcher {
  request: WatchRequest;
  /** The next revision that it has not heard of. */
  next: number;
  /** Hears of commits as they are made. */
  live: boolean;
}

export class LmdbFeed {
  readonly #log: Log;
  readonly #watchers = new Set<Watcher>();

  constructor(log: Log) {
    this.#log = log;
  }

  watch(request: WatchRequest): Watch {
    const watcher: Watcher = { request, next: request.fromRevision, live: false };
    this.#watchers.add(watcher);
    setImmediate(() => this.#catchUp(watcher));
    return { close: () => void this.#watchers.delete(watcher) };
  }

  committed(events: readonly StoreEvent[], revision: number): void {
    for (const watcher of [...this.#watchers]) {
      if (!watcher.live || revision < watcher.next) continue;
      watcher.next = revision + 1;
      this.#deliver(watcher, events, revision);
    }
  }

  /** What still reads in the past that is gone now has lost its place. */
  compacted(): void {
    for (const watcher of [...this.#watchers]) if (!watcher.live) this.#endIfCompacted(watcher);
  }

  close(): void {
    const error = new StoreError('closed', 'the store is closed');
    for (const watcher of [...this.#watchers]) this.#end(watcher, error);
  }

  #catchUp(watcher: Watcher): void {
    if (!this.#watchers.has(watcher) || this.#endIfCompacted(watcher)) return;
    const newest = this.#log.revision();
    let commits = 0;
    for (const { events, revision } of this.#log.changes(watcher.next, newest)) {
      watcher.next = revision + 1;
      this.#deliver(watcher, events, revision);
      if (!this.#watchers.has(watcher)) return;
      if (++commits < CATCH_UP_STEP) continue;
      setImmediate(() => this.#catchUp(watcher));
      return;
    }
    watcher.live = true;
  }

  #deliver({ request }: Watcher, events: readonly StoreEvent[], revision: number): void {
    const { from, to } = request;
    const own = events.filter(({ key }) => key >= from && key < to);
    if (own.length > 0) request.onEvents(own, revision);
  }

  #endIfCompacted(watcher: Watcher): boolean {
    const oldest = this.#log.compacted();
    if (watcher.next > oldest) return false;
    const message = `revision ${watcher.next} has been compacted: the oldest is ${oldest}`;
    this.#end(watcher, new StoreError('compacted', message));
    return true;
  }

  #end(watcher: Watcher, error: StoreError): void {
    if (this.#watchers.delete(watcher)) watcher.request.onEnd(error);
  }
}
