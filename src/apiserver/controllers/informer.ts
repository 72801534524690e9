/**
 * All objects of a kind as a controller has them at hand (client-go's shared informer): those that the watch cache
 * holds, and every change of them. What it gives out is shared: nobody may change it. It may lag behind what was just written.
 */
import type { ApiObject } from '../api-object.ts';
import type { Resource } from '../kinds/resource.ts';
import type { WatchCache } from '../watch/watch-cache.ts';

/** An object came (no before), changed, or went (no after). */
export type ChangeListener = (before: ApiObject | undefined, after: ApiObject | undefined) => void;

export interface InformerParts {
  cache: WatchCache;
  log?: ((message: string) => void) | undefined;
}

/** A watch that was lost is begun again after so long. */
const AGAIN_MS = 200;

export class Informer {
  readonly resource: Resource;
  readonly #parts: InformerParts;
  readonly #namespace: string | undefined;
  readonly #objects = new Map<string, Map<string, ApiObject>>();
  readonly #listeners: ChangeListener[] = [];
  readonly #waiting = new Set<{ revision: number; resolve: () => void }>();
  #revision = 0;
  #subscription: { close(): void } | undefined;
  #started: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #resolveStart: () => void = () => {};
  #closed = false;

  /** `namespace`: of this one alone. */
  constructor(parts: InformerParts, resource: Resource, namespace?: string) {
    this.resource = resource;
    this.#parts = parts;
    this.#namespace = namespace;
  }

  /** Resolves when everything was listed and told, or it was closed. A cache that is being read anew is waited for. */
  start(): Promise<void> {
    this.#started ??= new Promise((resolve) => {
      this.#resolveStart = resolve;
      this.#follow();
    });
    return this.#started;
  }

  get(namespace: string | undefined, name: string): ApiObject | undefined {
    return this.#objects.get(namespace ?? '')?.get(name);
  }

  *list(namespace?: string): Iterable<ApiObject> {
    if (namespace !== undefined) yield* this.#objects.get(namespace)?.values() ?? [];
    else for (const objects of this.#objects.values()) yield* objects.values();
  }

  /** Listeners are called in the order in which they came; one that comes late is told of what there is. */
  onChange(listener: ChangeListener): void {
    this.#listeners.push(listener);
    for (const object of this.list()) this.#tellOne(listener, undefined, object);
  }

  /**
   * Resolves when everything up to a revision that wrote an object of this kind has been heard of: who waits for its
   * own writes never decides on what was before them.
   */
  reached(revision: number): Promise<void> {
    if (this.hasReached(revision) || this.#closed) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.add({ revision, resolve }));
  }

  hasReached(revision: number): boolean {
    return revision <= this.#revision;
  }

  close(): void {
    this.#closed = true;
    this.#reach(Number.POSITIVE_INFINITY);
    clearTimeout(this.#timer);
    this.#subscription?.close();
    this.#resolveStart();
  }

  #follow(): void {
    const { cache } = this.#parts;
    const after = cache.revision;
    try {
      this.#subscription = cache.subscribe({
        resource: this.resource,
        namespace: this.#namespace,
        matches: () => true,
        after,
        onEvent: ({ type, object }) => {
          this.#set(object, type !== 'DELETED');
          this.#reach(Number(object.metadata.resourceVersion));
        },
        onEnd: () => this.#followSoon(),
      });
    } catch {
      this.#followSoon();
      return;
    }
    // Nothing comes in between: what is told from now on is newer.
    this.#replace(cache.list(this.resource, this.#namespace).map(({ object }) => object));
    this.#reach(after);
    this.#resolveStart();
  }

  #reach(revision: number): void {
    this.#revision = Math.max(this.#revision, revision);
    for (const waiting of this.#waiting) {
      if (waiting.revision > this.#revision) continue;
      this.#waiting.delete(waiting);
      waiting.resolve();
    }
  }

  #followSoon(): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#follow(), AGAIN_MS);
    this.#timer.unref();
  }

  /** After a gap: what is not in the list has gone, whatever was missed. */
  #replace(items: readonly ApiObject[]): void {
    const listed = new Set(items.map(({ metadata }) => metadata.uid));
    for (const object of [...this.list()]) {
      if (!listed.has(object.metadata.uid)) this.#set(object, false);
    }
    for (const object of items) this.#set(object, true);
  }

  #set(object: ApiObject, stays: boolean): void {
    const { namespace = '', name, resourceVersion } = object.metadata;
    let within = this.#objects.get(namespace);
    const before = within?.get(name);
    if (!stays) {
      if (!before) return;
      within?.delete(name);
      if (within?.size === 0) this.#objects.delete(namespace);
      this.#tell(before, undefined);
      return;
    }
    if (before?.metadata.resourceVersion === resourceVersion) return;
    if (!within) {
      within = new Map();
      this.#objects.set(namespace, within);
    }
    within.set(name, object);
    this.#tell(before, object);
  }

  #tell(before: ApiObject | undefined, after: ApiObject | undefined): void {
    for (const listener of this.#listeners) this.#tellOne(listener, before, after);
  }

  #tellOne(listener: ChangeListener, before: ApiObject | undefined, after: ApiObject | undefined): void {
    try {
      listener(before, after);
    } catch (error) {
      // One that cannot read an object must not keep the others from it.
      const { namespace, name } = (after ?? before)?.metadata ?? {};
      this.#parts.log?.(`${this.resource.kind} ${namespace ? `${namespace}/` : ''}${name}: ${String(error)}`);
    }
  }
}
