/**
 * One watch of the whole store, kept for a while, for all who watch through the API: they read from here, however many
 * they are. Holds the last events; who asks for older ones has to list again (410 Expired).
 */
import { ApiError } from './api-error.ts';
import type { ApiObject } from './api-object.ts';
import { decode } from './object-store.ts';
import { type Resource, storePrefix } from './resource.ts';
import type { Matcher } from './selectors.ts';
import { prefixRange, type Store, type StoreError, type StoreEvent, type Watch } from './store/store.ts';

const RANGE = prefixRange('/registry/');
const MOST_EVENTS = 20_000;
/** Dropped from the front at a time, so that dropping costs nothing per event. */
const DROP_EVENTS = 2000;
const RESTART_MS = 200;

/** A change of one object, with both of its states. */
interface Change {
  revision: number;
  key: string;
  before: ApiObject | undefined;
  /** Undefined where it was deleted. */
  after: ApiObject | undefined;
}

export interface ObjectEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: ApiObject;
}

export interface Subscription {
  resource: Resource;
  namespace: string | undefined;
  matches: Matcher;
  /** Events after this revision. */
  after: number;
  onEvent(event: ObjectEvent): void;
  /** It will hear no more, and should list again. */
  onEnd(error: ApiError): void;
}

export class WatchCache {
  readonly #store: Store;
  readonly #changes: Change[] = [];
  readonly #subscriptions = new Set<{ wanted: Subscription; prefix: string }>();
  #watch: Watch | undefined;
  /** Events up to this revision have gone, or never were here. */
  #oldest = 0;
  #newest = 0;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Resolves when it watches. */
  async start(): Promise<void> {
    this.#oldest = await this.#store.revision();
    this.#newest = this.#oldest;
    if (this.#closed) return;
    this.#watch = this.#store.watch({
      ...RANGE,
      fromRevision: this.#oldest + 1,
      onEvents: (events, revision) => this.#hear(events, revision),
      onEnd: (error) => this.#lost(error),
    });
  }

  /** Everything up to this revision has been delivered. */
  get revision(): number {
    return this.#newest;
  }

  /** Throws ApiError Expired where the past that is asked for is gone. */
  subscribe(wanted: Subscription): { close(): void } {
    if (wanted.after < this.#oldest) throw expired(wanted.after, this.#oldest);
    const subscriber = { wanted, prefix: storePrefix(wanted.resource, wanted.namespace) };
    for (const change of this.#changes) {
      if (change.revision > wanted.after) deliver(subscriber, change);
    }
    this.#subscriptions.add(subscriber);
    return { close: () => void this.#subscriptions.delete(subscriber) };
  }

  get subscribers(): number {
    return this.#subscriptions.size;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#watch?.close();
    this.#endAll(new ApiError('ServiceUnavailable', 'the server is shutting down'));
  }

  #hear(events: readonly StoreEvent[], revision: number): void {
    this.#newest = revision;
    for (const { type, key, value, previous } of events) {
      const change: Change = {
        revision,
        key,
        before: previous && decode(previous),
        after: type === 'put' ? decode(value) : undefined,
      };
      this.#changes.push(change);
      for (const subscriber of [...this.#subscriptions]) deliver(subscriber, change);
    }
    if (this.#changes.length <= MOST_EVENTS) return;
    const dropped = this.#changes.splice(0, DROP_EVENTS);
    this.#oldest = dropped.at(-1)?.revision ?? this.#oldest;
    // The rest of that commit would be half a commit.
    while (this.#changes[0]?.revision === this.#oldest) this.#changes.shift();
  }

  /** The store's history went on without us: everybody lists again. */
  #lost(error: StoreError): void {
    if (this.#closed) return;
    this.#changes.length = 0;
    this.#endAll(new ApiError('Expired', `the watch was lost: ${error.message}`));
    const restart = () => {
      this.start().catch(() => {
        this.#timer = setTimeout(restart, RESTART_MS);
      });
    };
    this.#timer = setTimeout(restart, RESTART_MS);
  }

  #endAll(error: ApiError): void {
    for (const subscriber of [...this.#subscriptions]) {
      this.#subscriptions.delete(subscriber);
      subscriber.wanted.onEnd(error);
    }
  }
}

/** Seen through a selector, an object that begins to match is added, and one that ceases to is deleted. */
function deliver({ wanted, prefix }: { wanted: Subscription; prefix: string }, change: Change): void {
  const { key, before, after, revision } = change;
  if (!key.startsWith(prefix)) return;
  const was = before !== undefined && wanted.matches(before);
  const is = after !== undefined && wanted.matches(after);
  if (is) wanted.onEvent({ type: was ? 'MODIFIED' : 'ADDED', object: after });
  else if (was) {
    const object = { ...before, metadata: { ...before.metadata, resourceVersion: `${revision}` } };
    wanted.onEvent({ type: 'DELETED', object });
  }
}

function expired(wanted: number, oldest: number): ApiError {
  return new ApiError('Expired', `too old resource version: ${wanted} (${oldest})`);
}
