/**
 * Manifests in files and folders, watched, of whatever kinds their reader knows. Notices come from the kernel where it gives them (fs.watch) and from
 * looking once a second where it does not (shared folders of containers, NFS). Files that are replaced, half
 * written, become bad or vanish are handled here; what is in force afterwards is decided in file-merge.ts.
 */
import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { type FileState, type Merged, mergeFiles, nextFileState, unreadableFile } from './file-merge.ts';
import { type Manifest, type ManifestKinds, type ManifestObject, parseManifest } from './manifest.ts';
import { type FileReading, listManifests, readManifestFile } from './manifest-files.ts';
import type { NamedObject } from './objects.ts';
import { formatProblem, type Problem } from './problem.ts';

const POLL_MS = 1000;
/** Writers pause: a change is read once nothing has happened for this long, or after SETTLED_BY_MS at the latest. */
const DEBOUNCE_MS = 100;
const SETTLED_BY_MS = 1000;

interface WatchedFile<T extends NamedObject> {
  text: string | undefined;
  /** Set when an unchanged stamp means an unchanged file. */
  stamp: string | undefined;
  state: FileState<T>;
}

export class ManifestFolder<T extends NamedObject> {
  readonly #kinds: ManifestKinds<T>;
  readonly #paths: readonly string[];
  readonly #listeners: (() => void)[] = [];
  readonly #watchers = new Map<string, FSWatcher>();
  /** In the order of the last listing. */
  #files = new Map<string, WatchedFile<T>>();
  #failed: ReadonlyMap<string, string> = new Map();
  #merged: Merged<T> = mergeFiles<T>([]);
  #poll: NodeJS.Timeout | undefined;
  #debounce: NodeJS.Timeout | undefined;
  #firstNotice = 0;
  #scanning: Promise<void> | undefined;
  #again = false;
  #closed = false;

  constructor(paths: readonly string[], kinds: ManifestKinds<T>) {
    this.#kinds = kinds;
    // As given, so that problems name a file as its writer does; without a trailing slash.
    this.#paths = [...new Set(paths.map((p) => path.normalize(p).replace(/(.)\/+$/, '$1')))];
  }

  /** Resolves when the first reading is done; current() is complete from then on. */
  async start(): Promise<void> {
    await this.#scan();
    this.#poll = setInterval(() => void this.#scan(), POLL_MS);
  }

  /** What is in force now, by identity: immutable, a new one for every change. */
  current(): ReadonlyMap<string, ManifestObject<T>> {
    return this.#merged.objects;
  }

  /** What is wrong now with what was read, in a stable order. */
  problems(): readonly Problem[] {
    return this.#merged.problems;
  }

  /** Called after current() or problems() changed. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#poll);
    clearTimeout(this.#debounce);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
    await this.#scanning;
  }

  /** One reading at a time; a request during one makes it run once more. */
  #scan(): Promise<void> {
    this.#again = true;
    this.#scanning ??= (async () => {
      try {
        while (this.#again && !this.#closed) {
          this.#again = false;
          await this.#readAll();
        }
      } finally {
        this.#scanning = undefined;
      }
    })();
    return this.#scanning;
  }

  async #readAll(): Promise<void> {
    // Watched before it is read: what changes in between is noticed.
    await this.#watchFolders();
    const listing = await listManifests(this.#paths);
    // One that comes back is another folder: the old watcher would stay silent.
    for (const given of listing.failed.keys()) this.#unwatch(given);
    const files = new Map<string, WatchedFile<T>>();
    let changed = false;
    for (const file of listing.files) {
      const known = this.#files.get(file);
      const next = update(file, known, await readManifestFile(file, known?.stamp), this.#kinds);
      if (next) files.set(file, next);
      changed ||= next?.state !== known?.state;
    }
    for (const [file, known] of this.#files) {
      if (files.has(file)) continue;
      // A given path that cannot be listed says nothing about its files; a file that left its folder is gone.
      if (listing.failed.has(file) || listing.failed.has(path.dirname(file))) files.set(file, known);
      else changed = true;
    }
    const sameFailures = formatFailures(listing.failed) === formatFailures(this.#failed);
    if ((!changed && sameFailures) || this.#closed) {
      this.#files = files;
      return;
    }
    this.#files = files;
    this.#failed = listing.failed;
    this.#publish();
  }

  #publish(): void {
    const failures: FileState<T>[] = [...this.#failed].map(([place, message]) => ({
      fresh: [],
      retained: [],
      problems: [{ place, message, severity: 'error' }],
    }));
    this.#merged = mergeFiles([...[...this.#files.values()].map((f) => f.state), ...failures]);
    for (const listener of this.#listeners) listener();
  }

  /** Folders that appear later are watched later; without a watcher the look once a second remains. */
  async #watchFolders(): Promise<void> {
    for (const given of this.#paths) {
      const folder = await stat(given).then(
        (s) => (s.isDirectory() ? given : path.dirname(given)),
        () => undefined,
      );
      if (folder === undefined || this.#closed) continue;
      if (this.#watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, () => this.#notice());
        watcher.on('error', () => this.#unwatch(folder));
        this.#watchers.set(folder, watcher);
      } catch {
        // No inotify watches left: polling does.
      }
    }
  }

  #unwatch(folder: string): void {
    this.#watchers.get(folder)?.close();
    this.#watchers.delete(folder);
  }

  #notice(): void {
    if (this.#closed) return;
    const now = Date.now();
    if (this.#debounce === undefined) this.#firstNotice = now;
    else if (now - this.#firstNotice > SETTLED_BY_MS - DEBOUNCE_MS) return;
    clearTimeout(this.#debounce);
    this.#debounce = setTimeout(() => {
      this.#debounce = undefined;
      void this.#scan();
    }, DEBOUNCE_MS);
  }
}

/** What is known of a file after a reading; undefined: nothing, it is gone. */
function update<T extends NamedObject>(
  file: string,
  known: WatchedFile<T> | undefined,
  reading: FileReading,
  kinds: ManifestKinds<T>,
): WatchedFile<T> | undefined {
  switch (reading.kind) {
    case 'absent':
      return undefined;
    case 'same':
      return known;
    case 'failed': {
      const problem: Problem = { place: file, message: reading.reason, severity: 'error' };
      const before = known?.state.problems[0];
      if (known && before && formatProblem(before) === formatProblem(problem)) return known;
      return { text: undefined, stamp: undefined, state: unreadableFile(known?.state, problem) };
    }
    case 'text': {
      const stamp = reading.settled ? reading.stamp : undefined;
      if (known && known.text === reading.text) return { ...known, stamp };
      const manifest = manifestOf(file, reading.text, known, kinds);
      return { text: reading.text, stamp, state: nextFileState(known?.state, manifest) };
    }
  }
}

/** A file of ours that is suddenly empty has been cut off by its writer, not emptied: removing it is the way to do that. */
function manifestOf<T extends NamedObject>(
  file: string,
  text: string,
  known: WatchedFile<T> | undefined,
  kinds: ManifestKinds<T>,
): Manifest<T> {
  const held = known ? known.state.fresh.length + known.state.retained.length : 0;
  if (text.length > 0 || held === 0) return parseManifest(text, file, kinds);
  const message = 'is empty: what it held stays in force until it is filled or removed';
  return { objects: [], problems: [{ place: file, message, severity: 'warning' }], refused: [], complete: false };
}

function formatFailures(failed: ReadonlyMap<string, string>): string {
  return JSON.stringify([...failed].sort());
}
