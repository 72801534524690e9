/** Manifests in files and folders, watched. */
import type { ObjectSet } from './objects.ts';
import { objectSet } from './objects.ts';
import type { Problem } from './problem.ts';
import type { ObjectSource } from './source.ts';

export class FolderSource implements ObjectSource {
  readonly paths: readonly string[];

  constructor(paths: readonly string[]) {
    this.paths = paths;
  }

  async start(): Promise<void> {
    throw new Error('folder source is being written');
  }

  current(): ObjectSet {
    return objectSet([]);
  }

  problems(): readonly Problem[] {
    return [];
  }

  onChange(_listener: () => void): void {}

  async close(): Promise<void> {}
}
