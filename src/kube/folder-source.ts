/** The objects that the network reads, from manifests in files and folders: a source without an API server. */

import { NETWORK_KINDS } from './manifest.ts';
import { ManifestFolder } from './manifest-folder.ts';
import { type KubeObject, type ObjectSet, objectSet, objectTitle } from './objects.ts';
import type { Problem } from './problem.ts';
import type { ObjectSource } from './source.ts';

export class FolderSource implements ObjectSource {
  readonly #folder: ManifestFolder<KubeObject>;
  #read: ReturnType<ManifestFolder<KubeObject>['current']> | undefined;
  #set: ObjectSet = objectSet([]);

  constructor(paths: readonly string[]) {
    this.#folder = new ManifestFolder(paths, NETWORK_KINDS);
  }

  start(): Promise<void> {
    return this.#folder.start();
  }

  current(): ObjectSet {
    const read = this.#folder.current();
    if (read !== this.#read) {
      this.#read = read;
      const places = new Map([...read.values()].map(({ object, place }) => [objectTitle(object), place]));
      this.#set = objectSet(
        [...read.values()].map(({ object }) => object),
        places,
      );
    }
    return this.#set;
  }

  problems(): readonly Problem[] {
    return this.#folder.problems();
  }

  onChange(listener: () => void): void {
    this.#folder.onChange(listener);
  }

  close(): Promise<void> {
    return this.#folder.close();
  }
}
