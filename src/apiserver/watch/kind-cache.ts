/**
 * All objects of one kind in memory, in the order of their keys, with the last changes of that kind and those who
 * watch it. Each kind has a history of its own: the Leases that nodes renew every second push nothing else out.
 */
import { ApiError } from '../api-error.ts';
import type { Matcher } from '../kinds/selectors.ts';
import type { CachedObject } from './cached-object.ts';
import { Snapshot } from './snapshot.ts';
import { Change, type ObjectEvent } from './watch-event.ts';

/** Changes of a kind that are kept, and what they hold; a part is dropped at a time, so that it costs nothing per event. */
const MOST_CHANGES = 10_000;
const MOST_CHANGED_BYTES = 32 * 1024 * 1024;
const KEPT_SHARE = 0.9;
/** States of the past that are kept for those who read in pages, and for how long. */
const MOST_SNAPSHOTS = 8;
const SNAPSHOT_MS = 60_000;
/** One of now is given a newer version after so long: the store's past is forgotten after some minutes. */
const RENEW_MS = 10_000;

export interface Watching {
  namespace: string | undefined;
  matches: Matcher;
  /** Events after this revision. */
  after: number;
  /**
   * What came with that revision may have been heard in part only, as where a connection broke: where it brought several
   * changes, all of them are told again.
   */
  goesOn?: boolean;
  onEvent(event: ObjectEvent): void;
  /** It will hear no more, and should list again. */
  onEnd(error: ApiError): void;
}

export interface KindCounts {
  objects: number;
  /** In the history, and the JSON that it keeps. */
  changes: number;
  changedBytes: number;
  watchers: number;
}

interface Watcher {
  wanted: Watching;
  /** Up to this revision it has been told everything, or did not want it. */
  told: number;
  /** A revision that is not here yet, and that it may have heard a part of elsewhere. */
  partly: number | undefined;
  open: boolean;
}

export class KindCache {
  /** `/registry/pods/`. */
  readonly #prefix: string;
  readonly #objects = new Map<string, CachedObject>();
  /** In order. */
  readonly #keys: string[] = [];
  readonly #snapshots: Snapshot[] = [];
  /** The revision of the last change, or one since which there was none. */
  #changedAt: number;
  readonly #changes: Change[] = [];
  #changedBytes = 0;
  /** By namespace; undefined: of all. */
  readonly #watchers = new Map<string | undefined, Set<Watcher>>();
  /** Changes up to this revision have gone, or never were here. */
  #oldest: number;
  /** That one brought several changes. */
  #oldestHadMore = false;

  constructor(prefix: string, oldest: number) {
    this.#prefix = prefix;
    this.#oldest = oldest;
    this.#changedAt = oldest;
  }

  get(key: string): CachedObject | undefined {
    return this.#objects.get(key);
  }

  /** Those whose keys begin so, in order. */
  list(prefix: string): CachedObject[] {
    const found: CachedObject[] = [];
    for (let i = this.#placeOf(prefix); i < this.#keys.length; i++) {
      const key = this.#keys[i] as string;
      if (!key.startsWith(prefix)) break;
      found.push(this.#objects.get(key) as CachedObject);
    }
    return found;
  }

  /** All in order, as they stand at `newest`, which is now; `at` finds them again for a while. */
  snapshot(newest: number): Snapshot {
    const last = this.#snapshots.at(-1);
    const isNow = last?.until === Number.POSITIVE_INFINITY;
    if (last && isNow && performance.now() - last.takenAt < RENEW_MS) return last;
    const taken = new Snapshot(this.#changedAt, newest, isNow ? last.objects : this.list(this.#prefix));
    this.#snapshots.push(taken);
    if (this.#snapshots.length > MOST_SNAPSHOTS) this.#snapshots.shift();
    return taken;
  }

  /** All as they stood at that revision, if that is known still. */
  at(revision: number): Snapshot | undefined {
    // The newest of those: others have its pages at hand.
    return this.#snapshots.findLast(({ from, until }) => from <= revision && revision < until);
  }

  /** `undefined`: there is nothing at this key any more. */
  set(key: string, object: CachedObject | undefined): void {
    const known = this.#objects.has(key);
    if (object) this.#objects.set(key, object);
    else this.#objects.delete(key);
    if (known === (object !== undefined)) return;
    this.#keys.splice(this.#placeOf(key), known ? 1 : 0, ...(object ? [key] : []));
  }

  /** All have been set. What came with the last revision somebody may have heard in part, from a server that ended. */
  loaded(): void {
    const last = [...this.#objects].filter(
      ([, { object }]) => Number(object.metadata.resourceVersion) === this.#oldest,
    );
    if (last.length < 2) return;
    for (const [key, cached] of last) this.remember(new Change(this.#oldest, key, cached, cached));
  }

  remember(change: Change): void {
    this.#changes.push(change);
    this.#changedAt = change.revision;
    for (const snapshot of this.#snapshots) snapshot.until = Math.min(snapshot.until, change.revision);
    const tooOld = performance.now() - SNAPSHOT_MS;
    while ((this.#snapshots[0]?.takenAt ?? Number.POSITIVE_INFINITY) < tooOld) this.#snapshots.shift();
    this.#changedBytes += change.bytes;
    if (this.#changes.length > MOST_CHANGES || this.#changedBytes > MOST_CHANGED_BYTES) this.#forget();
  }

  tell(change: Change): void {
    const space = change.key.slice(this.#prefix.length);
    const slash = space.indexOf('/');
    this.#tellSome(change, this.#watchers.get(undefined));
    if (slash > 0) this.#tellSome(change, this.#watchers.get(space.slice(0, slash)));
  }

  /** `newest`: everything up to there has been remembered. Throws ApiError Expired. */
  watch(wanted: Watching, newest: number): { close(): void } {
    const { namespace, after, goesOn = false } = wanted;
    if (after < this.#oldest || (goesOn && after === this.#oldest && this.#oldestHadMore))
      throw new ApiError('Expired', `too old resource version: ${after} (${this.#oldest})`);
    const partly = goesOn && after > newest ? after : undefined;
    const watcher: Watcher = { wanted, told: Math.max(after, newest), partly, open: true };
    const missed = this.#changes.slice(goesOn ? this.#firstMissed(after) : this.#firstAfter(after));
    const within = namespace === undefined ? this.#prefix : `${this.#prefix}${namespace}/`;
    for (const change of missed) if (change.key.startsWith(within)) tellOne(watcher, change);
    const watchers = this.#watchers.get(namespace) ?? new Set();
    this.#watchers.set(namespace, watchers.add(watcher));
    const close = () => {
      watcher.open = false;
      if (watchers.delete(watcher) && watchers.size === 0) this.#watchers.delete(namespace);
    };
    return { close };
  }

  get counts(): KindCounts {
    let watchers = 0;
    for (const { size } of this.#watchers.values()) watchers += size;
    return { objects: this.#objects.size, changes: this.#changes.length, changedBytes: this.#changedBytes, watchers };
  }

  end(error: ApiError): void {
    const all = [...this.#watchers.values()].flatMap((watchers) => [...watchers]);
    this.#watchers.clear();
    for (const watcher of all) {
      if (!watcher.open) continue;
      watcher.open = false;
      watcher.wanted.onEnd(error);
    }
  }

  #forget(): void {
    let dropped = 0;
    const isMuch = () =>
      this.#changes.length - dropped > MOST_CHANGES * KEPT_SHARE ||
      this.#changedBytes > MOST_CHANGED_BYTES * KEPT_SHARE;
    // The rest of a commit would be half a commit.
    const isWithin = () => this.#changes[dropped]?.revision === this.#oldest;
    while (dropped < this.#changes.length && (isMuch() || isWithin())) {
      const { bytes, revision } = this.#changes[dropped++] as Change;
      this.#changedBytes -= bytes;
      this.#oldestHadMore = revision === this.#oldest;
      this.#oldest = revision;
    }
    this.#changes.splice(0, dropped);
  }

  #tellSome(change: Change, watchers: ReadonlySet<Watcher> | undefined): void {
    // Who hears may begin and end watches meanwhile.
    for (const watcher of watchers ? [...watchers] : []) {
      const { told, partly, open } = watcher;
      const isNew = change.revision > told || (change.revision === partly && this.#isShared(partly));
      if (open && isNew) tellOne(watcher, change);
    }
  }

  /** Of the key, or of the first behind it. */
  #placeOf(key: string): number {
    return firstWhere(this.#keys.length, (i) => (this.#keys[i] as string) >= key);
  }

  /** For who has heard of that revision, of all of it or of a part. */
  #firstMissed(revision: number): number {
    return this.#firstAfter(this.#isShared(revision) ? revision - 1 : revision);
  }

  /** It brought several changes. */
  #isShared(revision: number): boolean {
    return this.#firstAfter(revision) - this.#firstAfter(revision - 1) > 1;
  }

  #firstAfter(revision: number): number {
    return firstWhere(this.#changes.length, (i) => (this.#changes[i] as Change).revision > revision);
  }
}

function tellOne({ wanted }: Watcher, change: Change): void {
  const event = change.eventFor(wanted.matches);
  if (event) wanted.onEvent(event);
}

/** The first place below `length` from which on it holds, `length` where it never does. */
export function firstWhere(length: number, holds: (place: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
