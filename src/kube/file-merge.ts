/**
 * From what each file holds to what is in force: pure, so that every order of events can be tested. An object that
 * was refused, or stood in text that cannot be read any more, stays in force in its last good version; two objects
 * with one name are reported with both places, and the first, in the order of the files, is in force.
 */
import type { Manifest, ManifestObject } from './manifest.ts';
import { type KubeObject, type NamedObject, objectIdentity, objectTitle } from './objects.ts';
import { compareProblems, type Problem } from './problem.ts';

/** One file as last read. */
export interface FileState<T extends NamedObject = KubeObject> {
  /** What stands in it now and is good. */
  fresh: readonly ManifestObject<T>[];
  /** Last good versions of what has become bad. */
  retained: readonly ManifestObject<T>[];
  problems: readonly Problem[];
}

/** A file that has been read anew. */
export function nextFileState<T extends NamedObject>(
  previous: FileState<T> | undefined,
  manifest: Manifest<T>,
): FileState<T> {
  const fresh = new Set(manifest.objects.map((m) => objectIdentity(m.object)));
  const refused = new Set(manifest.refused);
  const retained = [...(previous?.fresh ?? []), ...(previous?.retained ?? [])].filter(({ object }) => {
    const identity = objectIdentity(object);
    return !fresh.has(identity) && (!manifest.complete || refused.has(identity));
  });
  return { fresh: manifest.objects, retained, problems: manifest.problems };
}

/** A file that can no longer be read: everything it held stays. */
export function unreadableFile<T extends NamedObject>(
  previous: FileState<T> | undefined,
  problem: Problem,
): FileState<T> {
  return nextFileState(previous, { objects: [], problems: [problem], refused: [], complete: false });
}

export interface Merged<T extends NamedObject = KubeObject> {
  /** By identity. */
  objects: ReadonlyMap<string, ManifestObject<T>>;
  problems: readonly Problem[];
}

/** `files` in the order in which the first of two equals wins. */
export function mergeFiles<T extends NamedObject>(files: readonly FileState<T>[]): Merged<T> {
  const inForce = new Map<string, ManifestObject<T>>();
  const problems: Problem[] = [];
  for (const file of files) {
    for (const found of file.fresh) {
      const identity = objectIdentity(found.object);
      const first = inForce.get(identity);
      if (first === undefined) inForce.set(identity, found);
      else {
        const message = `${objectTitle(found.object)}: stands already at ${first.place}: this one is ignored`;
        problems.push({ place: found.place, message, severity: 'error' });
      }
    }
  }
  // After all that is fresh: an object that moved to another file is not held back by its old one.
  for (const file of files) {
    for (const found of file.retained) {
      const identity = objectIdentity(found.object);
      if (!inForce.has(identity)) inForce.set(identity, found);
    }
  }
  const ignored = new Set<string>();
  for (const problem of files.flatMap((f) => f.problems)) {
    // A kind that is not read is said once, not once a file.
    if (problem.severity === 'warning' && ignored.has(problem.message)) continue;
    if (problem.severity === 'warning') ignored.add(problem.message);
    problems.push(problem);
  }
  return { objects: inForce, problems: problems.sort(compareProblems) };
}
