/**
 * Which objects belong to a workload (client-go's ControllerRefManager): those that name it as their controller and
 * that its selector matches. One that matches and has no controller is adopted; one that matches no longer is released.
 */
import type { LabelSelector } from 'kubernetes-types/meta/v1.js';
import { selects } from '../../kube/selector.ts';
import { ApiError } from '../api-error.ts';
import type { ApiObject, ObjectMeta } from '../api-object.ts';
import type { ObjectStore } from '../objects/object-store.ts';
import type { Informer } from './informer.ts';
import { ObjectIndex } from './object-index.ts';
import { controllerOf, controllerReference, keyOf } from './object-key.ts';

export interface OwnedObjectsParts {
  objects: ObjectStore;
  /** Workloads, with a `spec.selector`. */
  owners: Informer;
  owned: Informer;
  /** What an object must be beside its labels. */
  fits?: (owner: ApiObject, object: ApiObject) => boolean;
}

export class OwnedObjects {
  readonly #parts: OwnedObjectsParts;
  /** By the uid of their controller; `/NAMESPACE`: those without. */
  readonly #index: ObjectIndex;

  /** To be made before others listen to the informers. */
  constructor(parts: OwnedObjectsParts) {
    this.#parts = parts;
    this.#index = new ObjectIndex(parts.owned, (object) => [
      controllerOf(object)?.uid ?? `/${object.metadata.namespace ?? ''}`,
    ]);
  }

  /** `wake`: this workload (`namespace/name`) changed, or what it owns or may adopt. */
  onChange(wake: (owner: string) => void): void {
    const { owners, owned } = this.#parts;
    owners.onChange((before, after) => wake(keyOf((after ?? before) as ApiObject)));
    owned.onChange((before, after) => {
      for (const object of [before, after]) if (object) for (const owner of this.concerned(object)) wake(owner);
    });
  }

  /** Keys of the workloads whose business an object is. */
  *concerned(object: ApiObject): Iterable<string> {
    const { owners } = this.#parts;
    const { namespace } = object.metadata;
    const controller = controllerOf(object);
    if (controller) {
      if (controller.kind === owners.resource.kind) yield `${namespace ?? ''}/${controller.name}`;
      return;
    }
    for (const owner of owners.list(namespace)) if (this.#matches(owner, object)) yield keyOf(owner);
  }

  /** What is the owner's already, as the informer has it. */
  of(owner: ApiObject): ApiObject[] {
    return [...this.#index.get(owner.metadata.uid)].filter((object) => this.#matches(owner, object));
  }

  /** Adopts and releases; what is the owner's afterwards. The informer has heard of all changes by then. */
  async claim(owner: ApiObject): Promise<ApiObject[]> {
    const own = this.of(owner);
    const { uid, namespace = '', deletionTimestamp } = owner.metadata;
    if (deletionTimestamp !== undefined) return own;
    let newest = 0;
    const strangers = [...this.#index.get(uid)].filter((object) => !this.#matches(owner, object));
    for (const object of strangers) newest = Math.max(newest, await this.#release(object, uid));
    const free = [...this.#index.get(`/${namespace}`)].filter(
      (object) => object.metadata.deletionTimestamp === undefined && this.#matches(owner, object),
    );
    // What we know of the owner may be old: it could be gone.
    if (free.length > 0 && (await this.#stands(owner))) {
      for (const object of free) {
        const adopted = await this.#adopt(object, owner);
        if (!adopted) continue;
        own.push(adopted);
        newest = Math.max(newest, Number(adopted.metadata.resourceVersion));
      }
    }
    await this.#parts.owned.reached(newest);
    return own;
  }

  #matches(owner: ApiObject, object: ApiObject): boolean {
    const { fits = () => true } = this.#parts;
    return selects(selectorOf(owner), object.metadata.labels ?? {}) && fits(owner, object);
  }

  async #stands({ metadata: { namespace, name, uid } }: ApiObject): Promise<boolean> {
    const { objects, owners } = this.#parts;
    const { metadata } = await objects.get({ resource: owners.resource, namespace, name });
    return metadata.uid === uid && metadata.deletionTimestamp === undefined;
  }

  async #release(object: ApiObject, ownerUid: string): Promise<number> {
    const change = (metadata: ObjectMeta) => ({
      ...metadata,
      ownerReferences: (metadata.ownerReferences ?? []).filter(({ uid }) => uid !== ownerUid),
    });
    return Number((await this.#change(object, change))?.metadata.resourceVersion ?? 0);
  }

  #adopt(object: ApiObject, owner: ApiObject): Promise<ApiObject | undefined> {
    return this.#change(object, (metadata) => {
      if (metadata.ownerReferences?.some(({ controller }) => controller)) return undefined;
      const others = (metadata.ownerReferences ?? []).filter(({ uid }) => uid !== owner.metadata.uid);
      return { ...metadata, ownerReferences: [...others, controllerReference(owner)] };
    });
  }

  /** Undefined where it is gone, or somebody else's by now. */
  async #change(
    object: ApiObject,
    change: (metadata: ObjectMeta) => ObjectMeta | undefined,
  ): Promise<ApiObject | undefined> {
    const { objects, owned } = this.#parts;
    const { namespace, name, uid } = object.metadata;
    const gone = () => new ApiError('NotFound', 'it is another by now');
    try {
      return await objects.update({ resource: owned.resource, namespace, name }, (current) => {
        const metadata = current.metadata.uid === uid ? change(current.metadata) : undefined;
        if (!metadata) throw gone();
        return { ...current, metadata };
      });
    } catch (error) {
      if (error instanceof ApiError && error.reason === 'NotFound') return undefined;
      throw error;
    }
  }
}

export function selectorOf(owner: ApiObject): LabelSelector {
  return owner.spec?.selector ?? {};
}
