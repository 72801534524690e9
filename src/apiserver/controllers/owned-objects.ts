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
import { controllerOf, controllerReference } from './object-key.ts';

export class OwnedObjects {
  readonly #objects: ObjectStore;
  readonly #informer: Informer;
  /** By the uid of their controller; `/NAMESPACE`: those without. */
  readonly #index: ObjectIndex;

  /** To be made before others listen to the informer. */
  constructor(objects: ObjectStore, informer: Informer) {
    this.#objects = objects;
    this.#informer = informer;
    this.#index = new ObjectIndex(informer, (object) => [
      controllerOf(object)?.uid ?? `/${object.metadata.namespace ?? ''}`,
    ]);
  }

  /** Whatever their labels are. */
  namedBy(uid: string): Iterable<ApiObject> {
    return this.#index.get(uid);
  }

  /**
   * Adopts and releases; what is the owner's afterwards. The informer has heard of all changes by then.
   * `fits`: what it must be beside its labels.
   */
  async claim(
    owner: ApiObject,
    selector: LabelSelector,
    mayAdopt: () => Promise<boolean>,
    fits: (object: ApiObject) => boolean = () => true,
  ): Promise<ApiObject[]> {
    const { uid, namespace = '', deletionTimestamp } = owner.metadata;
    const matches = (object: ApiObject) => selects(selector, object.metadata.labels ?? {}) && fits(object);
    const own: ApiObject[] = [];
    let newest = 0;
    for (const object of [...this.#index.get(uid)]) {
      if (matches(object)) own.push(object);
      else if (deletionTimestamp === undefined) newest = Math.max(newest, await this.#release(object, uid));
    }
    const strays = deletionTimestamp === undefined ? [...this.#index.get(`/${namespace}`)].filter(matches) : [];
    const free = strays.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    // What we know of the owner may be old: it could be gone.
    if (free.length > 0 && (await mayAdopt())) {
      for (const object of free) {
        const adopted = await this.#adopt(object, owner);
        if (!adopted) continue;
        own.push(adopted);
        newest = Math.max(newest, Number(adopted.metadata.resourceVersion));
      }
    }
    await this.#informer.reached(newest);
    return own;
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
    const { namespace, name, uid } = object.metadata;
    const gone = () => new ApiError('NotFound', 'it is another by now');
    try {
      return await this.#objects.update({ resource: this.#informer.resource, namespace, name }, (current) => {
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
