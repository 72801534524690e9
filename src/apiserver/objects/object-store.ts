/**
 * Objects in the store: what creating, changing and deleting means for any kind (k8s.io/apiserver registry/generic).
 * Every change reads, decides and writes on condition that nobody else wrote in between; a lost race is run again,
 * unless the client has said which version it meant.
 */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { TEXT_FORMATS } from '../../kube/text-formats.ts';
import type { Violation } from '../../kube/violation.ts';
import { ApiError } from '../api-error.ts';
import { type ApiObject, type ObjectMeta, timestamp } from '../api-object.ts';
import { decode, decodeIfObject, encode } from '../kinds/object-encoding.ts';
import { asVersion, type Resource, resourceName, storeKey, storePrefix } from '../kinds/resource.ts';
import type { ResourceTable } from '../kinds/resource-table.ts';
import {
  type Condition,
  type LeaseId,
  prefixRange,
  type Store,
  type StoredValue,
  StoreError,
  type Write,
} from '../store/store.ts';
import { Claiming } from './claims.ts';
import { readContinue, writeContinue } from './continue-token.ts';
import { type DeleteOptions, dying, isHeld } from './deletion.ts';
import { metadataViolations } from './metadata-rules.ts';
import { alreadyExists, checkPreconditions, conflict, invalid, notFound, type ObjectPlace } from './object-errors.ts';
import { identified } from './object-identity.ts';
import { SharedLeases } from './shared-leases.ts';

export interface ChangeOptions {
  dryRun?: boolean;
  /** The object is changed by this subresource, which owns a part of it. */
  subresource?: 'status' | undefined;
  /** Status and all the rest alike, as it is given: for what the server itself changes in one step. */
  whole?: boolean;
}

export interface CreateOptions extends ChangeOptions {
  /** The namespace has to be there, when the object is written. */
  needsNamespace?: boolean;
}

export interface ListOptions {
  namespace?: string | undefined;
  limit?: number;
  /** As an earlier page gave it. */
  continue?: string | undefined;
  matches?: (object: ApiObject) => boolean;
}

/** Objects by their keys in the store; nobody changes them. */
export interface ObjectMemory {
  /** As it is known, which may be older than the store has it. */
  recall(key: string): ApiObject | undefined;
  /** It has been written. */
  foresee(key: string, object: ApiObject): void;
}

export interface ObjectPage {
  items: ApiObject[];
  resourceVersion: string;
  continue: string;
}

const MOST_RACES = 30;
/** In a range that is nearly full, all look for the same last places. */
const MOST_CLAIM_RACES = 300;
/** Values read at a time where a selector leaves out most. */
const PAGE = 500;

export class ObjectStore {
  readonly #store: Store;
  readonly #table: ResourceTable;
  readonly #memory: ObjectMemory | undefined;
  readonly #leases: SharedLeases;

  constructor(store: Store, table: ResourceTable, memory?: ObjectMemory) {
    this.#store = store;
    this.#table = table;
    this.#memory = memory;
    this.#leases = new SharedLeases(store);
  }

  async get(place: ObjectPlace): Promise<ApiObject> {
    const stored = await this.#read(place);
    if (!stored) throw notFound(place);
    return asVersion(place.resource, decode(stored));
  }

  async list(resource: Resource, options: ListOptions = {}): Promise<ObjectPage> {
    const { namespace, limit = 0, matches = () => true } = options;
    const range = prefixRange(storePrefix(resource, namespace));
    const start = options.continue ? readContinue(options.continue, resource, namespace) : undefined;
    let from = start?.from ?? range.from;
    let revision = start?.revision;
    const items: ApiObject[] = [];
    for (;;) {
      const wanted = limit > 0 ? Math.max(1, limit - items.length) : PAGE;
      const page = await this.#store.range({ from, to: range.to, limit: wanted, ...(revision ? { revision } : {}) });
      revision = page.revision;
      for (const stored of page.values) {
        const found = decodeIfObject(stored);
        const object = found && asVersion(resource, found);
        if (object && matches(object)) items.push(object);
      }
      const last = page.values.at(-1);
      if (!page.more || !last) return { items, resourceVersion: `${revision}`, continue: '' };
      from = `${last.key}\x01`;
      if (limit > 0 && items.length >= limit) {
        return { items, resourceVersion: `${revision}`, continue: writeContinue(from, revision, resource) };
      }
    }
  }

  /** `body` is what the client sent; it may be changed. */
  async create(
    resource: Resource,
    namespace: string | undefined,
    body: ApiObject,
    options: CreateOptions = {},
  ): Promise<ApiObject> {
    const draft = identified(resource, namespace, body);
    const { metadata } = draft;
    if (metadata.resourceVersion)
      throw new ApiError('BadRequest', 'resourceVersion should not be set on objects to be created');
    draft.metadata = {
      ...metadata,
      uid: randomUUID(),
      creationTimestamp: timestamp(),
      ...(draft.spec !== undefined || resource.custom ? { generation: 1 } : {}),
    };
    delete draft.metadata.deletionTimestamp;
    delete draft.metadata.deletionGracePeriodSeconds;
    if (resource.status) delete draft.status;
    resource.defaults?.(draft);
    this.#check(resource, draft, undefined);
    const place = { resource, namespace: draft.metadata.namespace, name: draft.metadata.name };
    const key = keyOf(place);
    const claiming = new Claiming(this.#store, place);
    for (let race = 0; race < MOST_CLAIM_RACES; race++) {
      const open = await this.#openNamespace(place, options);
      const object = resource.allocation ? structuredClone(draft) : draft;
      claiming.fill(object, undefined);
      const { gained, conditions, writes } = await claiming.change(undefined, object);
      if (options.dryRun) {
        if (await this.#read(place)) throw alreadyExists(place);
        const found = await claiming.find(gained);
        if (found.every((stored) => !stored)) return object;
        await claiming.refused(gained, found);
        continue;
      }
      const lease = await this.#leaseOf(resource);
      const done = await this.#commit(place, {
        conditions: [{ key, modRevision: 0 }, ...conditions, ...open],
        writes: [{ type: 'put', key, value: encode(resource, object), ...lease }, ...writes],
      });
      if (done.succeeded) return { ...object, metadata: { ...object.metadata, resourceVersion: `${done.revision}` } };
      if (done.found[0]) throw alreadyExists(place);
      await claiming.refused(gained, done.found.slice(1, 1 + conditions.length));
    }
    throw conflict(place);
  }

  /**
   * Replaces an object by what `change` makes of it. What the server alone writes stays as it is; a resourceVersion in
   * the result must be the current one.
   */
  async update(
    place: ObjectPlace,
    change: (current: ApiObject) => ApiObject,
    options: ChangeOptions = {},
  ): Promise<ApiObject> {
    const claiming = new Claiming(this.#store, place);
    // What is decided by memory counts only when it is written: the store may be ahead.
    let known = options.dryRun ? undefined : this.#known(place);
    for (let race = 0; ; race++) {
      const isOld = known !== undefined;
      const current = known ?? (await this.get(place));
      const modRevision = Number(current.metadata.resourceVersion);
      known = undefined;
      let next: ApiObject;
      try {
        next = this.#succeeding({ place, current, wanted: change(structuredClone(current)), options, claiming });
      } catch (error) {
        if (isOld) continue;
        throw error;
      }
      if (isDeepStrictEqual(next, current)) {
        if (isOld) continue;
        return current;
      }
      // The last finalizer of a deleted object went.
      const ends = next.metadata.deletionTimestamp !== undefined && !isHeld(next) && isHeld(current);
      const { gained, conditions, writes } = await claiming.change(current, ends ? undefined : next);
      if (options.dryRun) {
        const found = await claiming.find(gained);
        if (found.every((one) => !one)) return next;
        await claiming.refused(gained, found);
      } else {
        const key = keyOf(place);
        const own: Write = ends
          ? { type: 'delete', key }
          : { type: 'put', key, value: encode(place.resource, next), ...(await this.#leaseOf(place.resource)) };
        const done = await this.#commit(place, {
          conditions: [{ key, modRevision }, ...conditions],
          writes: [own, ...writes],
          ...(place.resource.heartbeat ? { mayShare: true } : {}),
        });
        if (done.succeeded) {
          const written = { ...next, metadata: { ...next.metadata, resourceVersion: `${done.revision}` } };
          if (place.resource.heartbeat && !ends) this.#memory?.foresee(key, written);
          return written;
        }
        if (done.found[0]?.modRevision === modRevision) await claiming.refused(gained, done.found.slice(1));
      }
      if (race >= MOST_RACES) throw conflict(place);
    }
  }

  /** The object as it is afterwards, and whether it is gone already. */
  async delete(
    place: ObjectPlace,
    options: DeleteOptions & ChangeOptions = {},
  ): Promise<{ object: ApiObject; gone: boolean }> {
    for (let race = 0; ; race++) {
      const stored = await this.#read(place);
      if (!stored) throw notFound(place);
      const current = asVersion(place.resource, decode(stored));
      checkPreconditions(place, current, options.preconditions);
      const next = dying(place.resource, current, options);
      const gone = !isHeld(next);
      if (!gone && isDeepStrictEqual(next, current)) return { object: current, gone: false };
      if (options.dryRun) return { object: next, gone };
      const key = keyOf(place);
      const { writes } = gone ? await new Claiming(this.#store, place).change(current, undefined) : { writes: [] };
      const done = await this.#commit(place, {
        conditions: [{ key, modRevision: stored.modRevision }],
        writes: [gone ? { type: 'delete', key } : { type: 'put', key, value: encode(place.resource, next) }, ...writes],
      });
      if (done.succeeded) {
        return { object: { ...next, metadata: { ...next.metadata, resourceVersion: `${done.revision}` } }, gone };
      }
      if (race >= MOST_RACES) throw conflict(place);
    }
  }

  #succeeding(parts: {
    place: ObjectPlace;
    current: ApiObject;
    wanted: ApiObject;
    options: ChangeOptions;
    claiming: Claiming;
  }): ApiObject {
    const { place, current, wanted, options, claiming } = parts;
    const { resource } = place;
    const meant = wanted.metadata?.resourceVersion;
    if (meant && meant !== current.metadata.resourceVersion) throw conflict(place);
    const object = identified(resource, place.namespace, wanted);
    if (object.metadata.name !== place.name) {
      const message = `the name of the object (${object.metadata.name}) does not match the name on the URL (${place.name})`;
      throw new ApiError('BadRequest', message);
    }
    const { uid, creationTimestamp, generation, deletionTimestamp, deletionGracePeriodSeconds } = current.metadata;
    if (object.metadata.uid && object.metadata.uid !== uid) throw conflict(place);
    const onlyStatus = options.subresource === 'status';
    const { resourceVersion } = current.metadata;
    const metadata: ObjectMeta = {
      ...(onlyStatus ? current.metadata : object.metadata),
      uid,
      creationTimestamp,
      resourceVersion,
      ...(generation === undefined ? {} : { generation }),
    };
    delete metadata.deletionTimestamp;
    delete metadata.deletionGracePeriodSeconds;
    if (deletionTimestamp !== undefined) metadata.deletionTimestamp = deletionTimestamp;
    if (deletionGracePeriodSeconds !== undefined) metadata.deletionGracePeriodSeconds = deletionGracePeriodSeconds;
    // Of a custom kind all is completed, where it stands; what stands now may be what memory shows to everybody.
    const kept = resource.custom ? structuredClone(current) : current;
    const next: ApiObject = onlyStatus ? { ...kept, metadata } : { ...object, metadata };
    if (resource.status && !options.whole) {
      const status = onlyStatus ? object.status : kept.status;
      if (status === undefined) delete next.status;
      else next.status = status;
    }
    if (!onlyStatus && !options.whole) resource.inherit?.(next, current);
    // Of a custom kind the status has defaults too.
    if (!onlyStatus || resource.custom) resource.defaults?.(next);
    this.#check(resource, next, current);
    if (!onlyStatus) claiming.fill(next, current);
    if (generation !== undefined && !isDeepStrictEqual(specOf(next), specOf(current)))
      metadata.generation = generation + 1;
    return next;
  }

  #check(resource: Resource, object: ApiObject, old: ApiObject | undefined): void {
    const { metadata } = object;
    const violations: Violation[] = [];
    if (!metadata.name) {
      violations.push({ path: ['metadata', 'name'], message: 'name or generateName is required' });
    } else {
      const format = TEXT_FORMATS[resource.nameFormat ?? 'dns-name'];
      if (!format?.matches(metadata.name)) {
        violations.push({
          path: ['metadata', 'name'],
          message: `${format?.wanted}, not ${JSON.stringify(metadata.name.slice(0, 80))}`,
        });
      }
    }
    const ending = old?.metadata.deletionTimestamp === undefined ? undefined : (old.metadata.finalizers ?? []);
    violations.push(...metadataViolations(metadata, ending));
    // The name may have been said already.
    const said = new Set(violations.map(({ path }) => path.join('.')));
    violations.push(
      ...this.#table
        .check(resource)(object)
        .filter(({ path }) => !said.has(path.join('.'))),
    );
    if (violations.length === 0) violations.push(...(resource.rules?.(object, old) ?? []));
    if (violations.length > 0) throw invalid(resource, metadata.name, violations);
  }

  /**
   * Nothing new in a namespace that is going or gone, nor in one that begins to go meanwhile. Throws ApiError Forbidden or
   * NotFound.
   */
  async #openNamespace(
    { resource, namespace, name }: ObjectPlace,
    { needsNamespace }: CreateOptions,
  ): Promise<Condition[]> {
    if (!resource.namespaced || namespace === undefined) return [];
    const own = { resource: this.#table.known('', 'v1', 'namespaces'), namespace: undefined, name: namespace };
    const stored = await this.#read(own);
    if (!stored && needsNamespace) throw notFound(own);
    if (!stored) return [];
    const { deletionTimestamp } = decode(stored).metadata;
    if (deletionTimestamp === undefined) return [{ key: stored.key, modRevision: stored.modRevision }];
    const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
    throw new ApiError('Forbidden', `${resourceName(resource)} "${name}" is forbidden: ${why}`);
  }

  /** As memory has it. */
  #known(place: ObjectPlace): ApiObject | undefined {
    const object = this.#memory?.recall(keyOf(place));
    return object && asVersion(place.resource, object);
  }

  async #read(place: ObjectPlace): Promise<StoredValue | undefined> {
    const key = keyOf(place);
    const { values } = await this.#store.range({ from: key, to: `${key}\x01`, limit: 1 });
    return values[0];
  }

  async #leaseOf({ ttlSeconds }: Resource): Promise<{ lease: LeaseId } | undefined> {
    return ttlSeconds === undefined ? undefined : { lease: await this.#leases.lasting(ttlSeconds) };
  }

  async #commit(place: ObjectPlace, transaction: Parameters<Store['commit']>[0]): ReturnType<Store['commit']> {
    try {
      return await this.#store.commit(transaction);
    } catch (error) {
      if (error instanceof StoreError && error.code === 'no-lease') this.#leases.forget();
      if (!(error instanceof StoreError) || error.code !== 'bad-request') throw error;
      throw new ApiError('RequestEntityTooLarge', `${resourceName(place.resource)} "${place.name}": ${error.message}`);
    }
  }
}

function keyOf({ resource, namespace, name }: ObjectPlace): string {
  return storeKey(resource, namespace, name);
}

/** All that is neither metadata nor status: what generation counts changes of. */
function specOf({ metadata: _, status: __, ...rest }: ApiObject): unknown {
  return rest;
}
