/**
 * All objects in memory, kept by one watch of the whole store, for all who list and watch through the API, however
 * many they are. It never goes back in time, and it knows whether it is as new as the store.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { ApiError } from '../api-error.ts';
import type { ApiObject } from '../api-object.ts';
import { kindPrefixOf, type Resource, storeKey, storePrefix } from '../kinds/resource.ts';
import {
  prefixRange,
  type Store,
  type StoredValue,
  type StoreError,
  type StoreEvent,
  type Watch,
} from '../store/store.ts';
import { type CachedObject, readCached } from './cached-object.ts';
import { CatchUp } from './catch-up.ts';
import { KindCache, type KindCounts, type Watching } from './kind-cache.ts';
import type { Snapshot } from './snapshot.ts';
import { Change } from './watch-event.ts';

const RANGE = prefixRange('/registry/');
const LOAD_PAGE = 500;
const RESTART_MS = 200;
/** Own writes that have not been heard of yet. */
const MOST_AHEAD = 10_000;

export interface Subscription extends Watching {
  resource: Resource;
}

export class WatchCache {
  readonly #store: Store;
  /** By the prefix of their keys. */
  #kinds = new Map<string, KindCache>();
  /** What those kinds know of nothing older than this. */
  #since = 0;
  #newest = 0;
  /** Newer than what stands in the kinds, by key. */
  readonly #ahead = new Map<string, ApiObject>();
  #loaded = false;
  readonly #catchUp: CatchUp;
  #watch: Watch | undefined;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  #events = 0;

  constructor(store: Store) {
    this.#store = store;
    this.#catchUp = new CatchUp(store);
  }

  /** Resolves when everything is in memory, and it watches. */
  async start(): Promise<void> {
    const kinds = new Map<string, KindCache>();
    let revision: number | undefined;
    for (let from: string | undefined = RANGE.from; from !== undefined; ) {
      const range = { from, to: RANGE.to, limit: LOAD_PAGE, ...(revision === undefined ? {} : { revision }) };
      const page = await this.#store.range(range);
      revision = page.revision;
      for (const stored of page.values) load(kinds, stored, revision);
      const last = page.values.at(-1);
      from = page.more && last ? `${last.key}\x01` : undefined;
      await turn();
    }
    if (this.#closed) return;
    this.#kinds = kinds;
    this.#since = revision ?? 0;
    this.#loaded = true;
    for (const kind of kinds.values()) kind.loaded();
    for (const [key, object] of this.#ahead) if (versionOf(object) <= this.#since) this.#ahead.delete(key);
    this.#advance(this.#since);
    this.#watch = this.#store.watch({
      ...RANGE,
      fromRevision: this.#newest + 1,
      onEvents: (events, at) => this.#hear(events, at),
      onEnd: (error) => this.#lost(error),
    });
  }

  /** Not while everything is read anew: those who were told to list again, all at once, have to wait for it. */
  get isLoaded(): boolean {
    return this.#loaded;
  }

  /** Everything up to this revision is here, and has been delivered. */
  get revision(): number {
    return this.#newest;
  }

  /** Whether it is, or soon comes to be, as new as the store is now. Throws StoreError. */
  caughtUp(): Promise<boolean> {
    return this.#catchUp.caughtUp();
  }

  /** Whether it is, or soon comes to be, as new as that. */
  reached(revision: number): Promise<boolean> {
    return this.#catchUp.reached(revision);
  }

  get(resource: Resource, namespace: string | undefined, name: string): CachedObject | undefined {
    return this.#at(storeKey(resource, namespace, name));
  }

  /** By its key in the store, as this process knows it: what it wrote itself may not have been heard of yet. */
  recall(key: string): ApiObject | undefined {
    return this.#ahead.get(key) ?? this.#at(key)?.object;
  }

  /** What was written: known from now on, shown when it has been heard of. */
  foresee(key: string, object: ApiObject): void {
    const known = this.#ahead.get(key);
    const version = versionOf(object);
    // Answers of two members may come in another order than their commits.
    if (version <= Math.max(this.#newest, known ? versionOf(known) : 0)) return;
    if (known || this.#ahead.size < MOST_AHEAD) this.#ahead.set(key, object);
  }

  /** In order of namespace and name, as of `revision`. */
  list(resource: Resource, namespace?: string): CachedObject[] {
    return this.#kinds.get(storePrefix(resource))?.list(storePrefix(resource, namespace)) ?? [];
  }

  /** All of a kind as they stand; `at` finds them again for a while, for the pages that follow. */
  snapshot(resource: Resource): Snapshot {
    return this.#kind(storePrefix(resource)).snapshot(this.#newest);
  }

  /** All of a kind as they stood at that revision, if that is known still. */
  at(resource: Resource, revision: number): Snapshot | undefined {
    return this.#kinds.get(storePrefix(resource))?.at(revision);
  }

  /** Throws ApiError Expired where the past that is asked for is gone. */
  subscribe(wanted: Subscription): { close(): void } {
    if (!this.#loaded) {
      throw new ApiError('ServiceUnavailable', 'the objects are being read from the store', { retryAfterSeconds: 1 });
    }
    return this.#kind(storePrefix(wanted.resource)).watch(wanted, this.#newest);
  }

  get subscribers(): number {
    let all = 0;
    for (const { counts } of this.#kinds.values()) all += counts.watchers;
    return all;
  }

  /** Events heard of so far, and what is held of each kind, by the prefix of its keys. */
  figures(): { events: number; kinds: Map<string, KindCounts> } {
    return { events: this.#events, kinds: new Map([...this.#kinds].map(([prefix, kind]) => [prefix, kind.counts])) };
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#watch?.close();
    this.#catchUp.close();
    this.#endAll(new ApiError('ServiceUnavailable', 'the server is shutting down'));
  }

  #at(key: string): CachedObject | undefined {
    return this.#kinds.get(kindPrefixOf(key) ?? '')?.get(key);
  }

  #kind(prefix: string): KindCache {
    let kind = this.#kinds.get(prefix);
    if (!kind) this.#kinds.set(prefix, (kind = new KindCache(prefix, this.#since)));
    return kind;
  }

  /** All of a commit stands here before anybody hears of a part of it. */
  #hear(events: readonly StoreEvent[], revision: number): void {
    const changes: { kind: KindCache; change: Change }[] = [];
    for (const { type, key, value } of events) {
      const prefix = kindPrefixOf(key);
      if (prefix === undefined) continue;
      const ahead = this.#ahead.get(key);
      if (ahead && versionOf(ahead) <= revision) this.#ahead.delete(key);
      const kind = this.#kind(prefix);
      const before = kind.get(key);
      const after = type === 'put' ? readCached(value) : undefined;
      if (!before && !after) continue;
      const change = new Change(revision, key, before, after);
      kind.set(key, after);
      kind.remember(change);
      changes.push({ kind, change });
    }
    this.#events += changes.length;
    this.#advance(revision);
    for (const { kind, change } of changes) kind.tell(change);
  }

  #advance(revision: number): void {
    this.#newest = revision;
    this.#catchUp.advance(revision);
  }

  /** The store's history went on without us: everything is read anew, and everybody lists again. */
  #lost(error: StoreError): void {
    if (this.#closed) return;
    this.#loaded = false;
    this.#catchUp.lose();
    this.#endAll(new ApiError('Expired', `the watch was lost: ${error.message}`));
    this.#kinds.clear();
    const restart = () => {
      this.start().catch(() => {
        this.#timer = setTimeout(restart, RESTART_MS);
      });
    };
    this.#timer = setTimeout(restart, RESTART_MS);
  }

  #endAll(error: ApiError): void {
    for (const kind of this.#kinds.values()) kind.end(error);
  }
}

function versionOf({ metadata }: ApiObject): number {
  return Number(metadata.resourceVersion);
}

function load(kinds: Map<string, KindCache>, stored: StoredValue, revision: number): void {
  const prefix = kindPrefixOf(stored.key);
  const object = readCached(stored);
  if (prefix === undefined || !object) return;
  let kind = kinds.get(prefix);
  if (!kind) kinds.set(prefix, (kind = new KindCache(prefix, revision)));
  kind.set(stored.key, object);
}
