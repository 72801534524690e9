/**
 * The objects of one kind as an API server tells them, validated as those of manifests are: a bad one is a problem
 * under its own name, what was good of it before stays in force, and the others go on. Sink of one Reflector.
 */
import { isDeepStrictEqual } from 'node:util';
import type { JsonObject } from './json-value.ts';
import { fieldOf, trimmed } from './object-trim.ts';
import type { KubeKind, KubeObject } from './objects.ts';
import type { Problem } from './problem.ts';
import type { ReflectorSink } from './reflector.ts';
import { API_VERSIONS } from './schemas.ts';
import { validate } from './validate.ts';
import { formatPath } from './violation.ts';

/** An object that is not in force as it stands in the API. */
export interface RefusedObject {
  /** As the server wrote it. */
  raw: JsonObject;
  problems: readonly Problem[];
}

interface Entries<T> {
  objects: Map<string, T>;
  refused: Map<string, RefusedObject>;
}

export class WatchedKind<T extends KubeObject> implements ReflectorSink {
  readonly kind: T['kind'] & KubeKind;
  /** Whether all there is has been read once. */
  isComplete = false;
  /** Why it is not followed, and since when; undefined: it is. */
  outage: { message: string; since: Date } | undefined;
  readonly #node: string;
  readonly #changed: () => void;
  #now: Entries<T> = { objects: new Map(), refused: new Map() };
  #listing: Entries<T> = { objects: new Map(), refused: new Map() };
  #snapshot: ReadonlyMap<string, T> | undefined;

  /** `node`: whose pods and Node are kept whole. */
  constructor(kind: T['kind'] & KubeKind, node: string, changed: () => void) {
    this.kind = kind;
    this.#node = node;
    this.#changed = changed;
  }

  /** Immutable; the same one while nothing changes. */
  get objects(): ReadonlyMap<string, T> {
    this.#snapshot ??= new Map(this.#now.objects);
    return this.#snapshot;
  }

  get refused(): ReadonlyMap<string, RefusedObject> {
    return this.#now.refused;
  }

  begin(): void {
    this.#listing = { objects: new Map(), refused: new Map() };
  }

  page(items: readonly JsonObject[]): void {
    for (const item of items) {
      const key = keyOf(item);
      if (key !== undefined) this.#take(key, item, this.#listing);
    }
  }

  replace(): void {
    const wasComplete = this.isComplete;
    this.isComplete = true;
    const next = this.#listing;
    this.begin();
    const same = sameEntries(this.#now.objects, next.objects) && sameKeys(this.#now.refused, next.refused);
    if (wasComplete && same) return;
    this.#now = next;
    this.#tell();
  }

  change(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: JsonObject): void {
    const key = keyOf(object);
    if (key === undefined) return;
    const { objects, refused } = this.#now;
    if (type === 'DELETED') {
      const wasGood = objects.delete(key);
      if (refused.delete(key) || wasGood) this.#tell();
      return;
    }
    const before = objects.get(key);
    const wasRefused = refused.delete(key);
    this.#take(key, object, this.#now);
    if (objects.get(key) !== before || wasRefused || refused.has(key)) this.#tell();
  }

  fault(message: string | undefined): void {
    const before = this.outage;
    if (message === before?.message) return;
    this.outage = message === undefined ? undefined : { message, since: before?.since ?? new Date() };
    this.#changed();
  }

  /** What is known keeps its identity where it is told again as it was. */
  #take(key: string, raw: JsonObject, into: Entries<T>): void {
    const value = trimmed(this.kind, API_VERSIONS[this.kind], raw, this.#node);
    const before = this.#now.objects.get(key);
    if (before && isDeepStrictEqual(before, value)) {
      into.objects.set(key, before);
      return;
    }
    const violations = validate(this.kind, value);
    if (violations.length === 0) {
      into.objects.set(key, value as unknown as T);
      return;
    }
    const title = `${this.kind} ${key}`;
    const problems = violations.map(({ path, message }): Problem => {
      return { place: title, message: `${title}: ${formatPath(path)}: ${message}`, severity: 'error' };
    });
    into.refused.set(key, { raw, problems });
    // Its last good version, unless that was another object of the name. What is deleted ends all the same.
    const uid = fieldOf(raw.metadata, 'uid');
    if (before && before.metadata.uid === uid) into.objects.set(key, withDeletion(before, raw));
    else into.objects.delete(key);
  }

  #tell(): void {
    this.#snapshot = undefined;
    this.#changed();
  }
}

function withDeletion<T extends KubeObject>(before: T, { metadata }: JsonObject): T {
  const deletionTimestamp = fieldOf(metadata, 'deletionTimestamp');
  const seconds = fieldOf(metadata, 'deletionGracePeriodSeconds');
  if (typeof deletionTimestamp !== 'string' || before.metadata.deletionTimestamp === deletionTimestamp) return before;
  const grace = typeof seconds === 'number' ? { deletionGracePeriodSeconds: seconds } : {};
  return { ...before, metadata: { ...before.metadata, deletionTimestamp, ...grace } };
}

/** As objectKey, of something that may be no object. */
function keyOf(raw: JsonObject): string | undefined {
  const name = fieldOf(raw.metadata, 'name');
  const namespace = fieldOf(raw.metadata, 'namespace');
  if (typeof name !== 'string') return undefined;
  return typeof namespace === 'string' ? `${namespace}/${name}` : name;
}

function sameEntries<V>(a: ReadonlyMap<string, V>, b: ReadonlyMap<string, V>): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (b.get(key) !== value) return false;
  return true;
}

function sameKeys(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): boolean {
  return a.size === b.size && [...a.keys()].every((key) => b.has(key));
}
