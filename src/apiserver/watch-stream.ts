/** One client's watch: events as lines of JSON, bookmarks in between, an end in time. */
import type { ApiError } from './api-error.ts';
import type { ApiObject } from './api-object.ts';
import { type TableForm, tableOf } from './api-table.ts';
import type { LineStream } from './request.ts';
import { apiVersionOf } from './resource.ts';
import type { Subscription, WatchCache } from './watch-cache.ts';

/** A watch that names no end has one, so that clients spread anew over servers from time to time. */
const LONGEST_SECONDS = 3600;
const BOOKMARK_MS = 10_000;

export interface WatchStreamOptions {
  cache: WatchCache;
  wanted: Omit<Subscription, 'onEvent' | 'onEnd'>;
  /** What there is at `wanted.after`, told first. */
  initial: readonly ApiObject[];
  table: TableForm | undefined;
  bookmarks: boolean;
  seconds: number | undefined;
}

export class WatchStream implements LineStream {
  readonly #options: WatchStreamOptions;
  #saidColumns = false;

  constructor(options: WatchStreamOptions) {
    this.#options = options;
  }

  /** Throws ApiError Expired where the past that is asked for is gone. */
  start(write: (line: string) => boolean, end: () => void): { close(): void } {
    const { cache, wanted, initial, bookmarks, seconds = LONGEST_SECONDS } = this.#options;
    let subscription: { close(): void } | undefined;
    const timers: NodeJS.Timeout[] = [];
    const close = () => {
      for (const timer of timers) clearTimeout(timer);
      subscription?.close();
    };
    const finish = () => {
      close();
      end();
    };
    const say = (type: string, object: unknown) => {
      if (!write(`${JSON.stringify({ type, object })}\n`)) finish();
    };
    const fail = (error: ApiError) => {
      say('ERROR', error.status());
      finish();
    };
    for (const object of initial) say('ADDED', this.#form(object));
    subscription = cache.subscribe({
      ...wanted,
      onEvent: ({ type, object }) => say(type, this.#form(object)),
      onEnd: fail,
    });
    timers.push(setTimeout(finish, Math.min(seconds, LONGEST_SECONDS) * 1000));
    if (bookmarks) timers.push(setInterval(() => say('BOOKMARK', this.#bookmark(cache.revision)), BOOKMARK_MS));
    return { close };
  }

  #form(object: ApiObject): unknown {
    const { table, wanted } = this.#options;
    if (!table) return object;
    const head = !this.#saidColumns;
    this.#saidColumns = true;
    const { resourceVersion } = object.metadata;
    return tableOf(wanted.resource, [object], table, { resourceVersion }, head);
  }

  #bookmark(revision: number): unknown {
    const { resource } = this.#options.wanted;
    const metadata = { resourceVersion: `${revision}`, creationTimestamp: null };
    return { kind: resource.kind, apiVersion: apiVersionOf(resource), metadata };
  }
}
