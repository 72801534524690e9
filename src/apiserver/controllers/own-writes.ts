/**
 * What a controller wrote and its informer has not heard of yet: laid over the informer's objects until it has. Without
 * it, a second look that comes too early would create again what has just been created.
 */
import type { ApiObject } from '../api-object.ts';
import type { Informer } from './informer.ts';
import type { ObjectIndex } from './object-index.ts';
import { keyOf } from './object-key.ts';

interface Written {
  /** As the index has it. */
  key: string;
  /** Undefined: deleted. */
  object: ApiObject | undefined;
}

export class OwnWrites {
  readonly #informer: Informer;
  readonly #index: ObjectIndex;
  /** By `namespace/name`. */
  readonly #written = new Map<string, Written>();

  constructor(informer: Informer, index: ObjectIndex) {
    this.#informer = informer;
    this.#index = index;
    informer.onChange((before, after) => {
      const id = keyOf((after ?? before) as ApiObject);
      const own = this.#written.get(id);
      if (own && (!after || !own.object || versionOf(after) >= versionOf(own.object))) this.#written.delete(id);
    });
  }

  /** `key`: under which the index has the object. */
  wrote(key: string, object: ApiObject): void {
    if (!this.#informer.hasReached(versionOf(object))) this.#written.set(keyOf(object), { key, object });
  }

  deleted(namespace: string, name: string): void {
    const id = `${namespace}/${name}`;
    if (this.#informer.get(namespace, name)) this.#written.set(id, { key: '', object: undefined });
    else this.#written.delete(id);
  }

  /** Whether a change that the informer tells is what was written. Ask in a listener that was added before this. */
  isKnown(before: ApiObject | undefined, after: ApiObject | undefined): boolean {
    const own = this.#written.get(keyOf((after ?? before) as ApiObject));
    if (!own || !after) return own !== undefined && own.object === after;
    return own.object !== undefined && versionOf(after) <= versionOf(own.object);
  }

  list(key: string): ApiObject[] {
    const out: ApiObject[] = [];
    for (const object of this.#index.get(key)) if (!this.#written.has(keyOf(object))) out.push(object);
    for (const written of this.#written.values()) if (written.key === key && written.object) out.push(written.object);
    return out;
  }
}

function versionOf({ metadata }: ApiObject): number {
  return Number(metadata.resourceVersion);
}
