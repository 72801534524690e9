/**
 * Deletes what nobody owns any more, and holds owners until what they own is gone or let go (kube-controller-manager
 * pkg/controller/garbagecollector): background, foreground and orphan.
 */
import { ApiError } from '../api-error.ts';
import type { ApiObject, ObjectMeta, OwnerReference } from '../api-object.ts';
import { type DeleteOptions, FOREGROUND, ORPHAN } from '../objects/deletion.ts';
import type { Controller, ControllerParts } from './controller-set.ts';
import { type OwnedEntry, Ownership } from './ownership.ts';
import { WorkQueue } from './work-queue.ts';

const PARALLEL = 16;
/** Kinds may have come or gone. */
const FOLLOW_MS = 1000;
/** A kind that an owner is of may be made known later. */
const UNKNOWN_AGAIN_MS = 30_000;

export class GarbageCollector implements Controller {
  readonly name = 'garbage-collector';
  readonly #parts: ControllerParts;
  readonly #ownership: Ownership;
  readonly #queue: WorkQueue;
  #cancel: () => void = () => {};
  #stopped = false;

  constructor(parts: ControllerParts) {
    const { table, informers, clock, log } = parts;
    this.#parts = parts;
    // By uid.
    this.#queue = new WorkQueue({
      name: 'garbage collector',
      clock,
      log,
      parallel: PARALLEL,
      work: (uid) => this.#sync(uid),
    });
    this.#ownership = new Ownership(table, informers, (before, after) => this.#heard(before, after));
  }

  start(): void {
    this.#queue.start();
    this.#follow();
  }

  stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    return this.#queue.stop();
  }

  #follow(): void {
    if (this.#stopped) return;
    this.#ownership.follow();
    this.#cancel = this.#parts.clock.after(FOLLOW_MS, () => this.#follow());
  }

  #heard(before: ApiObject | undefined, after: ApiObject | undefined): void {
    // Owners are judged when they are named, and when they go.
    const named = after && uidsOf(after).join() !== (before ? uidsOf(before).join() : '');
    if (after && (named || isHeldHere(after))) this.#queue.add(after.metadata.uid);
    if (before && !after) {
      for (const { object } of this.#ownership.dependents(before.metadata.uid)) this.#queue.add(object.metadata.uid);
    }
    // Who waits for what it owns is looked at when that changes.
    for (const { uid } of before?.metadata.ownerReferences ?? []) {
      const owner = this.#ownership.get(uid);
      if (owner && isHeldHere(owner.object)) this.#queue.add(uid);
    }
  }

  async #sync(uid: string): Promise<void> {
    const entry = this.#ownership.get(uid);
    if (!entry) return;
    const { metadata } = entry.object;
    if (metadata.deletionTimestamp !== undefined) {
      if (metadata.finalizers?.includes(ORPHAN)) return this.#letGo(entry);
      if (metadata.finalizers?.includes(FOREGROUND)) return this.#endDependents(entry);
      return;
    }
    if (metadata.ownerReferences?.length) await this.#judge(entry);
  }

  /** Whether anybody still owns it; if not, it goes. */
  async #judge(entry: OwnedEntry): Promise<void> {
    const { object, resource } = entry;
    const { uid, ownerReferences = [] } = object.metadata;
    const gone: OwnerReference[] = [];
    const waiting: OwnerReference[] = [];
    let solid = 0;
    for (const reference of ownerReferences) {
      const owner = await this.#find(reference, object);
      if (owner === 'gone') gone.push(reference);
      else if (owner === 'unknown') solid++;
      else if (owner.metadata.deletionTimestamp && owner.metadata.finalizers?.includes(FOREGROUND)) {
        waiting.push(reference);
      } else solid++;
    }
    if (solid > 0) {
      const others = new Set([...gone, ...waiting].map((reference) => reference.uid));
      if (others.size > 0) await this.#change(entry, (metadata) => without(metadata, others));
      return;
    }
    const dependents = [...this.#ownership.dependents(uid)];
    if (waiting.length > 0 && dependents.length > 0) {
      // Two that own each other would wait for each other for ever.
      if (dependents.some(({ object }) => isWaiting(object))) await this.#change(entry, unblocked);
      await this.#delete(entry, 'Foreground');
      return;
    }
    const { finalizers = [] } = object.metadata;
    const kept = finalizers.includes(ORPHAN) ? 'Orphan' : finalizers.includes(FOREGROUND) ? 'Foreground' : 'Background';
    await this.#delete({ resource, object }, kept);
  }

  /** By what is known, and by the store where that knows nothing: it may be behind. */
  async #find(reference: OwnerReference, owned: ApiObject): Promise<ApiObject | 'gone' | 'unknown'> {
    const known = this.#ownership.get(reference.uid)?.object;
    const { namespace } = owned.metadata;
    if (known && mayOwn(known, owned)) return known;
    // An owner in another namespace is none. What is in no namespace has no such owner at all, and never goes for it.
    if (known && namespace !== undefined) return 'gone';
    const resource = this.#ownership.resourceOf(reference);
    if (!resource || (resource.namespaced && namespace === undefined)) {
      this.#queue.addAfter(owned.metadata.uid, UNKNOWN_AGAIN_MS);
      return 'unknown';
    }
    const place = { resource, namespace: resource.namespaced ? namespace : undefined, name: reference.name };
    try {
      const found = await this.#parts.objects.get(place);
      return found.metadata.uid === reference.uid ? found : 'gone';
    } catch (error) {
      if (error instanceof ApiError && error.reason === 'NotFound') return 'gone';
      throw error;
    }
  }

  /** Foreground: what it owns goes first. */
  async #endDependents(entry: OwnedEntry): Promise<void> {
    const { uid } = entry.object.metadata;
    const dependents = [...this.#ownership.dependents(uid)];
    const blocks = ({ object }: OwnedEntry) =>
      mayOwn(entry.object, object) &&
      object.metadata.ownerReferences?.some((r) => r.uid === uid && r.blockOwnerDeletion === true);
    if (!dependents.some(blocks)) return this.#removeFinalizer(entry, FOREGROUND);
    for (const { object } of dependents) this.#queue.add(object.metadata.uid);
  }

  /** Orphan: what it owns stays, and is nobody's. */
  async #letGo(entry: OwnedEntry): Promise<void> {
    const owner = new Set([entry.object.metadata.uid]);
    for (const dependent of [...this.#ownership.dependents(entry.object.metadata.uid)]) {
      await this.#change(dependent, (metadata) => without(metadata, owner));
    }
    await this.#removeFinalizer(entry, ORPHAN);
  }

  #removeFinalizer(entry: OwnedEntry, finalizer: string): Promise<void> {
    return this.#change(entry, (metadata) => ({
      ...metadata,
      finalizers: (metadata.finalizers ?? []).filter((one) => one !== finalizer),
    }));
  }

  async #change({ resource, object }: OwnedEntry, change: (metadata: ObjectMeta) => ObjectMeta): Promise<void> {
    const { namespace, name, uid } = object.metadata;
    try {
      await this.#parts.objects.update({ resource, namespace, name }, (current) => {
        if (current.metadata.uid !== uid) throw new ApiError('NotFound', 'it is another by now');
        return { ...current, metadata: change(current.metadata) };
      });
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'NotFound') throw error;
    }
  }

  /** Unless it changed since it was judged: somebody may own it by now. */
  async #delete(
    { resource, object }: OwnedEntry,
    policy: NonNullable<DeleteOptions['propagationPolicy']>,
  ): Promise<void> {
    const { namespace, name, uid } = object.metadata;
    const { objects } = this.#parts;
    const place = { resource, namespace, name };
    try {
      const now = await objects.get(place);
      if (now.metadata.uid !== uid || now.metadata.deletionTimestamp !== undefined) return;
      const same = uidsOf(now).join() === uidsOf(object).join();
      if (!same) throw new ApiError('Conflict', `${resource.plural} ${name}: its owners changed`);
      const { resourceVersion } = now.metadata;
      await objects.delete(place, { propagationPolicy: policy, preconditions: { uid, resourceVersion } });
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'NotFound') throw error;
    }
  }
}

/** What is in a namespace owns nothing outside. */
function mayOwn(owner: ApiObject, owned: ApiObject): boolean {
  return owner.metadata.namespace === undefined || owner.metadata.namespace === owned.metadata.namespace;
}

const uidsOf = ({ metadata }: ApiObject): string[] => (metadata.ownerReferences ?? []).map(({ uid }) => uid);

/** It is deleted, and waits for us. */
function isHeldHere({ metadata }: ApiObject): boolean {
  const { deletionTimestamp, finalizers = [] } = metadata;
  return deletionTimestamp !== undefined && (finalizers.includes(FOREGROUND) || finalizers.includes(ORPHAN));
}

function isWaiting({ metadata }: ApiObject): boolean {
  return metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).includes(FOREGROUND);
}

function without(metadata: ObjectMeta, owners: ReadonlySet<string>): ObjectMeta {
  return { ...metadata, ownerReferences: (metadata.ownerReferences ?? []).filter(({ uid }) => !owners.has(uid)) };
}

function unblocked(metadata: ObjectMeta): ObjectMeta {
  const ownerReferences = (metadata.ownerReferences ?? []).map((r) => ({ ...r, blockOwnerDeletion: false }));
  return { ...metadata, ownerReferences };
}
