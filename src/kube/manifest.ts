/**
 * From the text of a manifest to validated objects and problems: several documents, lists, comments, line numbers.
 */
import type { KubeObject } from './objects.ts';
import type { Problem } from './problem.ts';

export interface ManifestObject {
  object: KubeObject;
  /** `file.yaml:12`. */
  place: string;
}

export interface Manifest {
  objects: readonly ManifestObject[];
  problems: readonly Problem[];
  /** Titles (`Service default/web`) of objects that were recognised and refused. */
  refused: readonly string[];
  /** False when part of the text could not be attributed to an object at all. */
  complete: boolean;
}

export function parseManifest(_text: string, _file: string): Manifest {
  throw new Error('manifest is being written');
}
