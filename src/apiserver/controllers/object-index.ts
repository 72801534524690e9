/** An informer's objects by something else than their names: pods by their owner, by their node. */
import type { ApiObject } from '../api-object.ts';
import type { Informer } from './informer.ts';

export class ObjectIndex {
  readonly #keysOf: (object: ApiObject) => readonly string[];
  readonly #found = new Map<string, Map<string, ApiObject>>();

  /** Listeners that were added to the informer before see the index as it was before a change. */
  constructor(informer: Informer, keysOf: (object: ApiObject) => readonly string[]) {
    this.#keysOf = keysOf;
    informer.onChange((before, after) => {
      if (before) this.#remove(before);
      if (after) this.#add(after);
    });
  }

  get(key: string): Iterable<ApiObject> {
    return this.#found.get(key)?.values() ?? [];
  }

  size(key: string): number {
    return this.#found.get(key)?.size ?? 0;
  }

  #add(object: ApiObject): void {
    for (const key of this.#keysOf(object)) {
      let objects = this.#found.get(key);
      if (!objects) {
        objects = new Map();
        this.#found.set(key, objects);
      }
      objects.set(object.metadata.uid, object);
    }
  }

  #remove(object: ApiObject): void {
    for (const key of this.#keysOf(object)) {
      const objects = this.#found.get(key);
      objects?.delete(object.metadata.uid);
      if (objects?.size === 0) this.#found.delete(key);
    }
  }
}
