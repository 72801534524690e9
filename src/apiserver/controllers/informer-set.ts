/** One informer a kind, shared by all controllers. */
import type { Resource } from '../kinds/resource.ts';
import { Informer, type InformerParts } from './informer.ts';

export class InformerSet {
  readonly #parts: InformerParts;
  readonly #informers = new Map<Resource, Informer>();
  #started = false;
  #closed = false;

  constructor(parts: InformerParts) {
    this.#parts = parts;
  }

  /** Made where nobody has asked for it before; after start() it begins to list at once. */
  of(resource: Resource): Informer {
    let informer = this.#informers.get(resource);
    if (!informer) {
      informer = new Informer(this.#parts, resource);
      this.#informers.set(resource, informer);
      if (this.#closed) informer.close();
      else if (this.#started) void informer.start();
    }
    return informer;
  }

  /** A kind that is no more. */
  drop(resource: Resource): void {
    this.#informers.get(resource)?.close();
    this.#informers.delete(resource);
  }

  /** Resolves when all that were asked for so far have listed. */
  async start(): Promise<void> {
    this.#started = true;
    await Promise.all([...this.#informers.values()].map((informer) => informer.start()));
  }

  close(): void {
    this.#closed = true;
    for (const informer of this.#informers.values()) informer.close();
  }
}
