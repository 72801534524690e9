/**
 * All objects of all kinds by their uids, and who is owned by whom: what the garbage collector goes by. Follows the
 * table of kinds, so that custom kinds count from the moment that they are known.
 */
import type { ApiObject, OwnerReference } from '../api-object.ts';
import { apiVersionOf, type Resource, resourceName } from '../kinds/resource.ts';
import type { ResourceTable } from '../kinds/resource-table.ts';
import type { ChangeListener } from './informer.ts';
import type { InformerSet } from './informer-set.ts';

export interface OwnedEntry {
  resource: Resource;
  object: ApiObject;
}

/** Own nothing and are owned by nobody, but there are many of them. */
const LEFT_OUT = new Set(['/Event']);

export class Ownership {
  readonly #informers: InformerSet;
  readonly #table: ResourceTable;
  readonly #known = new Map<string, OwnedEntry>();
  /** Uids of what names an owner, by the owner's uid. */
  readonly #dependents = new Map<string, Set<string>>();
  readonly #followed = new Set<Resource>();
  readonly #listener: ChangeListener;

  /** The listener hears of a change when it is known here. */
  constructor(table: ResourceTable, informers: InformerSet, listener: ChangeListener) {
    this.#table = table;
    this.#informers = informers;
    this.#listener = listener;
    this.follow();
  }

  /** Follows kinds that came, and lets go of those that went. All versions of a kind show the same objects: one will do. */
  follow(): void {
    const kinds = new Map([...this.#table].map((resource) => [resourceName(resource), resource]));
    const now = new Set(kinds.values());
    for (const resource of now) if (!this.#followed.has(resource)) this.#add(resource);
    for (const resource of this.#followed) {
      if (now.has(resource)) continue;
      this.#followed.delete(resource);
      this.#informers.drop(resource);
      for (const entry of [...this.#known.values()]) {
        if (entry.resource === resource) this.#hear(resource, entry.object, undefined);
      }
    }
  }

  get(uid: string): OwnedEntry | undefined {
    return this.#known.get(uid);
  }

  *dependents(uid: string): Iterable<OwnedEntry> {
    for (const dependent of this.#dependents.get(uid) ?? []) {
      const entry = this.#known.get(dependent);
      if (entry) yield entry;
    }
  }

  resourceOf({ apiVersion, kind }: Pick<OwnerReference, 'apiVersion' | 'kind'>): Resource | undefined {
    for (const resource of this.#table) {
      if (resource.kind === kind && apiVersionOf(resource) === apiVersion) return resource;
    }
    return undefined;
  }

  #add(resource: Resource): void {
    this.#followed.add(resource);
    if (LEFT_OUT.has(`${resource.group}/${resource.kind}`)) return;
    this.#informers.of(resource).onChange((before, after) => {
      if (this.#followed.has(resource)) this.#hear(resource, before, after);
    });
  }

  #hear(resource: Resource, before: ApiObject | undefined, after: ApiObject | undefined): void {
    if (before) {
      const { uid, ownerReferences = [] } = before.metadata;
      for (const owner of ownerReferences) {
        const dependents = this.#dependents.get(owner.uid);
        dependents?.delete(uid);
        if (dependents?.size === 0) this.#dependents.delete(owner.uid);
      }
      this.#known.delete(uid);
    }
    if (after) {
      const { uid, ownerReferences = [] } = after.metadata;
      this.#known.set(uid, { resource, object: after });
      for (const owner of ownerReferences) {
        const dependents = this.#dependents.get(owner.uid) ?? new Set();
        this.#dependents.set(owner.uid, dependents.add(uid));
      }
    }
    this.#listener(before, after);
  }
}
