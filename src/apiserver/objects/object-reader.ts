/**
 * Reads for clients: from memory where that is as new as what they may have been told already, from the store where it
 * is not, or where a page of an older list is asked for.
 */
import { ApiError } from '../api-error.ts';
import type { ApiObject } from '../api-object.ts';
import { type Resource, storeKey, storePrefix } from '../kinds/resource.ts';
import { EVERYTHING, type Matcher } from '../kinds/selectors.ts';
import { CachedObject } from '../watch/cached-object.ts';
import { firstWhere } from '../watch/kind-cache.ts';
import type { Snapshot } from '../watch/snapshot.ts';
import type { WatchCache } from '../watch/watch-cache.ts';
import { type Continue, readContinue, writeContinue } from './continue-token.ts';
import { notFound, type ObjectPlace } from './object-errors.ts';
import type { ObjectStore } from './object-store.ts';

/** How new an answer has to be: as the query parameter resourceVersion and resourceVersionMatch have it. */
export interface Freshness {
  /** '': as new as can be; '0': anything will do. */
  version: string;
  /** Of that very revision. */
  exact: boolean;
}

export interface ReadList {
  namespace: string | undefined;
  /** 0: all. */
  limit: number;
  /** As an earlier page gave it. */
  continue: string | undefined;
  matches: Matcher;
  freshness: Freshness;
}

export interface CachedPage {
  items: CachedObject[];
  resourceVersion: string;
  continue: string;
  /** Where others ask for the very same. */
  snapshot?: Snapshot;
}

export class ObjectReader {
  readonly #objects: ObjectStore;
  readonly #cache: WatchCache;

  constructor({ objects, cache }: { objects: ObjectStore; cache: WatchCache }) {
    this.#objects = objects;
    this.#cache = cache;
  }

  /** Throws ApiError NotFound. */
  async get(place: ObjectPlace, version: string): Promise<CachedObject> {
    if (!(await this.#isFresh(version))) return cachedOf(place.resource, await this.#objects.get(place));
    const found = this.#cache.get(place.resource, place.namespace, place.name);
    if (!found) throw notFound(place);
    return found;
  }

  async list(resource: Resource, options: ReadList): Promise<CachedPage> {
    const { namespace, limit, matches, freshness } = options;
    const from = options.continue ?? this.#exactly(resource, options);
    if (from !== undefined) {
      const start = readContinue(from, resource, namespace);
      const then = this.#cache.at(resource, start.revision);
      if (then) return pageOf(then.objects, resource, options, { ...start, snapshot: then });
    } else if (await this.#isFresh(freshness.version)) {
      const { revision } = this.#cache;
      if (limit === 0 && (namespace !== undefined || matches !== EVERYTHING)) {
        return pageOf(this.#cache.list(resource, namespace), resource, options, { from: '', revision });
      }
      const snapshot = this.#cache.snapshot(resource);
      return pageOf(snapshot.objects, resource, options, { from: '', revision: snapshot.revision, snapshot });
    }
    if (!this.#cache.isLoaded) {
      throw new ApiError('TooManyRequests', 'storage is (re)initializing', { retryAfterSeconds: 1 });
    }
    const page = await this.#objects.list(resource, { namespace, limit, continue: from, matches });
    return { ...page, items: page.items.map((object) => cachedOf(resource, object)) };
  }

  /**
   * Whether a watch may go on from there. Throws ApiError Expired for a version that the store has not come to: it is of
   * another history, whose watchers would hear nothing until this one has grown as long.
   */
  async checkPast(resource: Resource, revision: number): Promise<void> {
    if (await this.#cache.reached(revision)) return;
    // The cache may be behind; the store is not.
    const { resourceVersion } = await this.#objects.list(resource, { limit: 1 });
    if (revision <= Number(resourceVersion)) return;
    throw new ApiError(
      'Expired',
      `resource version ${revision} is of another history: the newest is ${resourceVersion}`,
    );
  }

  /** A list of one revision is one that goes on from before its first object. */
  #exactly(resource: Resource, { namespace, freshness }: ReadList): string | undefined {
    if (!freshness.exact) return undefined;
    return writeContinue(storePrefix(resource, namespace), revisionOf(freshness.version), resource);
  }

  /** Whether the cache may answer. Throws ApiError where a revision is asked for that does not come. */
  async #isFresh(version: string): Promise<boolean> {
    if (version === '') return this.#cache.caughtUp();
    const wanted = revisionOf(version);
    if (await this.#cache.reached(wanted)) return true;
    if (wanted === 0) return false;
    const message = `Too large resource version: ${wanted}, current: ${this.#cache.revision}`;
    // By this cause clients know that their version is of another history, and list without it.
    throw new ApiError('Timeout', message, {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
      retryAfterSeconds: 1,
    });
  }
}

interface Start extends Continue {
  /** Where all of them are of one. */
  snapshot?: Snapshot;
}

/** `all`: of the kind or of the namespace, in order. */
function pageOf(all: readonly CachedObject[], resource: Resource, wanted: ReadList, start: Start): CachedPage {
  const { namespace, limit, matches } = wanted;
  const { from, revision, snapshot } = start;
  const prefix = storePrefix(resource, namespace);
  const isShared = snapshot && namespace === undefined && matches === EVERYTHING;
  const shared = isShared ? { snapshot } : {};
  const items: CachedObject[] = [];
  const begin = from === '' ? prefix : from;
  const first = firstWhere(all.length, (i) => (all[i] as CachedObject).key >= begin);
  for (let i = first; i < all.length; i++) {
    const cached = all[i] as CachedObject;
    if (!cached.key.startsWith(prefix)) break;
    if (!matches(cached.object)) continue;
    items.push(cached);
    if (items.length !== limit || !all[i + 1]?.key.startsWith(prefix)) continue;
    const next = writeContinue(`${cached.key}\x01`, revision, resource);
    return { items, resourceVersion: `${revision}`, continue: next, ...shared };
  }
  return { items, resourceVersion: `${revision}`, continue: '', ...shared };
}

/** Throws ApiError BadRequest. */
export function revisionOf(version: string): number {
  if (/^\d{1,15}$/.test(version)) return Number(version);
  throw new ApiError('BadRequest', `resourceVersion: is none of ours: ${version.slice(0, 40)}`);
}

function cachedOf(resource: Resource, object: ApiObject): CachedObject {
  const { namespace, name } = object.metadata;
  return new CachedObject(storeKey(resource, namespace, name), object);
}
