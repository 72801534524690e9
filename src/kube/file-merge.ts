/**
 * From what each file holds to what is in force: pure, so that every order of events can be tested. An object that
 * was refused, or stood in text that cannot be read any more, stays in force in its last good version; two objects
 * with one name are reported with both places, and the first, in the order of the files, is in force.
 */
import type { Manifest, ManifestObject } from './manifest.ts';
import { type KubeObject, type ObjectSet, objectSet, objectTitle } from './objects.ts';
import { compareProblems, type Problem } from './problem.ts';

/** One file as last read. */
export interface FileState {
  /** What stands in it now and is good. */
  fresh: readonly ManifestObject[];
  /** Last good versions of what has become bad. */
  retained: readonly ManifestObject[];
  problems: readonly Problem[];
}

/** A file that has been read anew. */
export function nextFileState(previous: FileState | undefined, manifest: Manifest): FileState {
  const fresh = new Set(manifest.objects.map((m) => objectTitle(m.object)));
  const refused = new Set(manifest.refused);
  const retained = [...(previous?.fresh ?? []), ...(previous?.retained ?? [])].filter(({ object }) => {
    const title = objectTitle(object);
    return !fresh.has(title) && (!manifest.complete || refused.has(title));
  });
  return { fresh: manifest.objects, retained, problems: manifest.problems };
}

/** A file that can no longer be read: everything it held stays. */
export function unreadableFile(previous: FileState | undefined, problem: Problem): FileState {
  return nextFileState(previous, { objects: [], problems: [problem], refused: [], complete: false });
}

export interface Merged {
  objects: ObjectSet;
  problems: readonly Problem[];
}

/** `files` in the order in which the first of two equals wins. */
export function mergeFiles(files: readonly FileState[]): Merged {
  const inForce = new Map<string, KubeObject>();
  const places = new Map<string, string>();
  const problems: Problem[] = [];
  for (const file of files) {
    for (const { object, place } of file.fresh) {
      const title = objectTitle(object);
      const first = places.get(title);
      if (first === undefined) {
        inForce.set(title, object);
        places.set(title, place);
      } else {
        const message = `${title}: stands already at ${first}: this one is ignored`;
        problems.push({ place, message, severity: 'error' });
      }
    }
  }
  // After all that is fresh: an object that moved to another file is not held back by its old one.
  for (const file of files) {
    for (const { object, place } of file.retained) {
      const title = objectTitle(object);
      if (!places.has(title)) {
        inForce.set(title, object);
        places.set(title, place);
      }
    }
  }
  const ignored = new Set<string>();
  for (const problem of files.flatMap((f) => f.problems)) {
    // A kind that is not read is said once, not once a file.
    if (problem.severity === 'warning' && ignored.has(problem.message)) continue;
    if (problem.severity === 'warning') ignored.add(problem.message);
    problems.push(problem);
  }
  return { objects: objectSet(inForce.values(), places), problems: problems.sort(compareProblems) };
}
