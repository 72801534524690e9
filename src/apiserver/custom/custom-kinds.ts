/**
 * Custom kinds come and go with their definitions. Every API server follows these by its watch cache, so that each
 * serves the same kinds; all may write the conditions that say so, which come out the same.
 */
import { isDeepStrictEqual } from 'node:util';
import { ApiError } from '../api-error.ts';
import { type ApiObject, timestamp } from '../api-object.ts';
import { SYSTEM_CLOCK } from '../controllers/clock.ts';
import { Informer } from '../controllers/informer.ts';
import { WorkQueue } from '../controllers/work-queue.ts';
import { CLEANUP_FINALIZER, DEFINITIONS } from '../kinds/extensions.ts';
import type { Resource } from '../kinds/resource.ts';
import type { ResourceTable } from '../kinds/resource-table.ts';
import type { ObjectStore } from '../objects/object-store.ts';
import type { WatchCache } from '../watch/watch-cache.ts';
import { customResources, type DefinitionSpec, specOf, storageVersionOf } from './custom-resource.ts';

const CLEANUP_PAGE = 500;
/** Objects that others hold by finalizers are looked for again after so long. */
const HELD_MS = 500;

export interface CustomKindsParts {
  table: ResourceTable;
  objects: ObjectStore;
  cache: WatchCache;
  log(message: string): void;
}

interface Condition {
  type: string;
  status: 'True' | 'False';
  reason: string;
  message: string;
}

export class CustomKinds {
  readonly #parts: CustomKindsParts;
  readonly #definitions: Informer;
  readonly #queue: WorkQueue;
  /** What is in the table, by the definition's name. */
  readonly #served = new Map<string, Resource[]>();

  constructor(parts: CustomKindsParts) {
    this.#parts = parts;
    this.#definitions = new Informer(parts, DEFINITIONS);
    this.#definitions.onChange((before, after) => this.#follow(before, after));
    this.#queue = new WorkQueue({
      name: 'CustomResourceDefinition',
      clock: SYSTEM_CLOCK,
      work: (name) => this.#settle(name),
      log: parts.log,
    });
  }

  /** Resolves when the kinds of now are served. */
  async start(): Promise<void> {
    await this.#definitions.start();
    this.#queue.start();
  }

  async stop(): Promise<void> {
    this.#definitions.close();
    await this.#queue.stop();
  }

  #follow(before: ApiObject | undefined, after: ApiObject | undefined): void {
    const { name } = (after ?? before)?.metadata ?? { name: '' };
    if (after) {
      // Who follows a kind begins anew with each new entry of the table.
      if (!before || !this.#served.has(name) || !isSame(before, after)) this.#serve(after);
      this.#queue.add(name);
    } else {
      this.#unserve(name);
      // Names that it had may be another's now.
      for (const { metadata } of this.#definitions.list()) this.#queue.add(metadata.name);
    }
  }

  #serve(definition: ApiObject): void {
    const { name } = definition.metadata;
    if (this.#conflict(definition)) return;
    this.#unserve(name);
    const resources = customResources(definition);
    for (const resource of resources) this.#parts.table.add(resource);
    this.#served.set(name, resources);
  }

  #unserve(name: string): void {
    for (const resource of this.#served.get(name) ?? []) this.#parts.table.remove(resource);
    this.#served.delete(name);
  }

  /** The word that another kind of its group has already: who was first keeps it. */
  #conflict(definition: ApiObject): string | undefined {
    const { group, names } = specOf(definition);
    const own = this.#served.get(definition.metadata.name);
    const words = [names.plural, names.singular ?? '', ...(names.shortNames ?? [])].filter((word) => word !== '');
    for (const other of this.#parts.table) {
      if (other.group !== group || own?.includes(other)) continue;
      if (other.kind === names.kind) return names.kind;
      const taken = new Set([other.plural, other.singular, ...(other.shortNames ?? [])]);
      const word = words.find((one) => taken.has(one));
      if (word) return word;
    }
    return undefined;
  }

  async #settle(name: string): Promise<void> {
    const definition = this.#definitions.get(undefined, name);
    if (!definition) return;
    if (definition.metadata.deletionTimestamp !== undefined) {
      if (definition.metadata.finalizers?.includes(CLEANUP_FINALIZER)) await this.#cleanUp(definition);
      return;
    }
    if (!this.#served.has(name)) this.#serve(definition);
    const conflict = this.#served.has(name) ? undefined : this.#conflict(definition);
    await this.#update(name, (current) => withStatus(current, conflict), 'status');
  }

  /** Its objects go before it does. */
  async #cleanUp(definition: ApiObject): Promise<void> {
    const { objects } = this.#parts;
    const { name } = definition.metadata;
    // A version that is not served any more names the same objects.
    const [resource] = customResources({
      ...definition,
      spec: { ...definition.spec, versions: specOf(definition).versions.map((v) => ({ ...v, served: true })) },
    });
    if (!resource) return;
    const page = await objects.list(resource, { limit: CLEANUP_PAGE });
    for (const { metadata } of page.items) {
      try {
        await objects.delete({ resource, namespace: metadata.namespace, name: metadata.name });
      } catch (error) {
        if (!(error instanceof ApiError) || error.reason !== 'NotFound') throw error;
      }
    }
    if (page.items.length > 0) {
      const isHeld = page.items.every(({ metadata }) => metadata.deletionTimestamp !== undefined);
      this.#queue.addAfter(name, isHeld ? HELD_MS : 1);
      return;
    }
    await this.#update(name, ({ metadata, ...rest }) => {
      const finalizers = (metadata.finalizers ?? []).filter((one) => one !== CLEANUP_FINALIZER);
      return { ...rest, metadata: { ...metadata, finalizers } };
    });
  }

  async #update(name: string, change: (current: ApiObject) => ApiObject, subresource?: 'status'): Promise<void> {
    try {
      await this.#parts.objects.update({ resource: DEFINITIONS, namespace: undefined, name }, change, { subresource });
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'NotFound') throw error;
    }
  }
}

/** As far as what is served of it goes. */
function isSame(before: ApiObject, after: ApiObject): boolean {
  const going = (definition: ApiObject) => definition.metadata.deletionTimestamp !== undefined;
  return going(before) === going(after) && isDeepStrictEqual(before.spec, after.spec);
}

/** `conflict`: a name that another has. */
function withStatus(definition: ApiObject, conflict: string | undefined): ApiObject {
  const spec: DefinitionSpec = specOf(definition);
  const status = definition.status ?? {};
  const stored = Array.isArray(status.storedVersions) ? (status.storedVersions as string[]) : [];
  const accepted: Condition = conflict
    ? {
        type: 'NamesAccepted',
        status: 'False',
        reason: 'NameConflict',
        message: `${JSON.stringify(conflict)} is already in use`,
      }
    : { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts', message: 'no conflicts found' };
  const established: Condition = conflict
    ? { type: 'Established', status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' }
    : {
        type: 'Established',
        status: 'True',
        reason: 'InitialNamesAccepted',
        message: 'the initial names have been accepted',
      };
  const before = (status.conditions ?? []) as (Condition & { lastTransitionTime: string })[];
  const conditions = [accepted, established].map((condition) => {
    const same = before.find((one) => one.type === condition.type && one.status === condition.status);
    return { ...condition, lastTransitionTime: same?.lastTransitionTime ?? timestamp() };
  });
  return {
    ...definition,
    status: {
      ...status,
      conditions,
      acceptedNames: conflict ? (status.acceptedNames ?? { plural: '', kind: '' }) : spec.names,
      storedVersions: [...new Set([...stored, storageVersionOf(spec)])],
    },
  };
}
