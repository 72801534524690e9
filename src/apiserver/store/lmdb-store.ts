/**
 * The store in a folder: LMDB with every version of every key until it is compacted. Commits that come together go to
 * the disk together, in one LMDB transaction, and are acknowledged when that is durable. One process at a time.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { FlushPace } from './flush-pace.ts';
import { FolderLock } from './folder-lock.ts';
import { LeaseClock } from './lease-clock.ts';
import { checkLmdbFile } from './lmdb-check.ts';
import { LmdbFeed } from './lmdb-feed.ts';
import {
  compareKeys,
  decodeRecord,
  encodeNumber,
  encodeRecord,
  isDeleted,
  keyOfVersion,
  leasedKey,
  logKey,
  readNumber,
  versionKey,
} from './lmdb-records.ts';
import {
  type Committed,
  checkTransaction,
  type KeyRange,
  type LeaseId,
  type RangeAnswer,
  type RangeRequest,
  type Store,
  type StoredValue,
  StoreError,
  type StoreEvent,
  type Transaction,
  type Watch,
  type WatchRequest,
  type Write,
} from './store.ts';

type Table = Database<Buffer, Buffer>;

/** Entries of the log that one LMDB transaction of a compaction takes: others wait for it. */
const COMPACTION_STEP = 1000;
/** Keys of an ended lease that are deleted in one commit. */
const LEASE_STEP = 1000;
const REVISION = Buffer.from('revision');
const COMPACTED = Buffer.from('compacted');
const NEXT_LEASE = Buffer.from('lease');
const NOTHING = Buffer.alloc(0);
const LAST_PLACE = 0xffff_ffff;

interface Waiting {
  transaction: Transaction;
  resolve(committed: Committed): void;
  reject(error: unknown): void;
}

export interface LmdbStoreOptions {
  /** Folder, made where it is missing. */
  path: string;
}

export class LmdbStore implements Store {
  readonly #lock: FolderLock;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #current: Table;
  readonly #versions: Table;
  readonly #log: Table;
  readonly #leases: Table;
  readonly #leased: Table;
  readonly #meta: Table;
  readonly #feed: LmdbFeed;
  readonly #waiting: Waiting[] = [];
  /** A restart gives all leases their full time again. */
  readonly #clock = new LeaseClock((lease) => this.#endLease(lease));
  #revision: number;
  #compacted: number;
  #flushing = false;
  readonly #pace = new FlushPace();
  #closed = false;

  private constructor(lock: FolderLock, root: RootDatabase<Buffer, Buffer>) {
    this.#lock = lock;
    this.#root = root;
    const table = (name: string): Table =>
      root.openDB<Buffer, Buffer>({ name, encoding: 'binary', keyEncoding: 'binary' });
    this.#current = table('current');
    this.#versions = table('versions');
    this.#log = table('log');
    this.#leases = table('leases');
    this.#leased = table('leased');
    this.#meta = table('meta');
    this.#revision = this.#number(REVISION);
    this.#compacted = this.#number(COMPACTED);
    this.#feed = new LmdbFeed({
      revision: () => this.#revision,
      compacted: () => this.#compacted,
      changes: (from, to) => this.#changes(from, to),
    });
    for (const { key, value } of this.#leases.getRange()) {
      this.#clock.start(readNumber(key, 0), readNumber(value, 0) * 1000);
    }
  }

  /** Throws StoreError unavailable where the folder cannot be used: in use by another process, or damaged. */
  static open({ path }: LmdbStoreOptions): LmdbStore {
    let lock: FolderLock | undefined;
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      lock = FolderLock.take(path);
      checkLmdbFile(join(path, 'data.mdb'));
      return new LmdbStore(lock, open({ path, encoding: 'binary', keyEncoding: 'binary', maxDbs: 8 }));
    } catch (error) {
      lock?.release();
      if (error instanceof StoreError) throw error;
      throw new StoreError('unavailable', `the store in ${path} cannot be opened: ${String(error)}`, error);
    }
  }

  async revision(): Promise<number> {
    return this.#revision;
  }

  async range(request: RangeRequest): Promise<RangeAnswer> {
    this.#checkOpen();
    const { limit = Number.POSITIVE_INFINITY } = request;
    const revision = request.revision ?? this.#revision;
    if (revision > this.#revision) throw futureRevision(revision, this.#revision);
    if (revision < this.#compacted) throw compacted(revision, this.#compacted);
    const values: StoredValue[] = [];
    for (const value of revision === this.#revision ? this.#now(request) : this.#asOf(request, revision)) {
      if (values.length === limit) return { values, more: true, revision };
      values.push(value);
    }
    return { values, more: false, revision };
  }

  commit(transaction: Transaction): Promise<Committed> {
    return new Promise((resolve, reject) => {
      this.#checkOpen();
      checkTransaction(transaction);
      this.#waiting.push({ transaction, resolve, reject });
      if (this.#flushing) return;
      this.#flushing = true;
      this.#pace.next(() => this.#pace.flush(this.#waiting.length, () => this.#flush()));
    });
  }

  watch(request: WatchRequest): Watch {
    this.#checkOpen();
    return this.#feed.watch(request);
  }

  async compact(revision: number): Promise<void> {
    this.#checkOpen();
    if (revision > this.#revision) throw futureRevision(revision, this.#revision);
    if (revision <= this.#compacted) return;
    this.#compacted = revision;
    this.#feed.compacted();
    for (let done = false; !done && !this.#closed; ) {
      done = this.#root.transactionSync(() => {
        this.#meta.putSync(COMPACTED, encodeNumber(revision));
        const entries = [...this.#log.getRange({ end: logKey(revision, LAST_PLACE), limit: COMPACTION_STEP })];
        for (const { key: at, value } of entries) {
          this.#forget(value.toString('utf8'), readNumber(at, 0));
          this.#log.removeSync(at);
        }
        return entries.length < COMPACTION_STEP;
      });
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async grantLease(ttlSeconds: number): Promise<LeaseId> {
    this.#checkOpen();
    if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1) {
      throw new StoreError('bad-request', `a lease lasts whole seconds, 1 or more, not ${ttlSeconds}`);
    }
    const lease = this.#root.transactionSync(() => {
      const next = this.#number(NEXT_LEASE) + 1;
      this.#meta.putSync(NEXT_LEASE, encodeNumber(next));
      this.#leases.putSync(encodeNumber(next), encodeNumber(ttlSeconds));
      return next;
    });
    this.#clock.start(lease, ttlSeconds * 1000);
    return String(lease);
  }

  async renewLease(lease: LeaseId): Promise<void> {
    this.#checkOpen();
    this.#clock.start(Number(lease), this.#lease(lease).ttlMs);
  }

  async revokeLease(lease: LeaseId): Promise<void> {
    this.#checkOpen();
    this.#lease(lease);
    await this.#endLease(Number(lease));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#clock.close();
    this.#feed.close();
    for (const { reject } of this.#waiting.splice(0)) reject(new StoreError('closed', 'the store is closed'));
    await this.#root.close();
    this.#lock.release();
  }

  /** Everything that waits, in one LMDB transaction. */
  #flush(): void {
    this.#flushing = false;
    const batch = this.#waiting.splice(0);
    const before = this.#revision;
    const commits: { events: StoreEvent[]; revision: number }[] = [];
    const results: (Committed | StoreError)[] = [];
    if (batch.length === 0) return;
    try {
      this.#root.transactionSync(() => {
        for (const { transaction } of batch) {
          const events: StoreEvent[] = [];
          results.push(this.#leaseFault(transaction) ?? this.#apply(transaction, events));
          if (events.length > 0) commits.push({ events, revision: this.#revision });
        }
        this.#meta.putSync(REVISION, encodeNumber(this.#revision));
      });
    } catch (error) {
      // A full disk: LMDB has undone all of it.
      this.#revision = before;
      for (const { reject } of batch) reject(new StoreError('unavailable', 'the store could not be written', error));
      return;
    }
    for (const [i, { resolve, reject }] of batch.entries()) {
      const result = results[i];
      if (result instanceof StoreError) reject(result);
      else resolve(result as Committed);
    }
    for (const { events, revision } of commits) this.#feed.committed(events, revision);
  }

  #apply({ conditions, writes }: Transaction, events: StoreEvent[]): Committed {
    if (conditions.some(({ key, modRevision }) => (this.#value(key)?.modRevision ?? 0) !== modRevision)) {
      const found = conditions.map(({ key }) => this.#value(key));
      return { succeeded: false, revision: this.#revision, found };
    }
    for (const write of [...writes].sort((a, b) => compareKeys(a.key, b.key))) {
      const previous = this.#value(write.key);
      if (write.type === 'delete' && !previous) continue;
      const value = this.#write(write, previous, this.#revision + 1, events.length);
      events.push({ type: write.type, key: write.key, value });
    }
    if (events.length > 0) this.#revision++;
    return { succeeded: true, revision: this.#revision, found: [] };
  }

  #write(write: Write, previous: StoredValue | undefined, revision: number, place: number): StoredValue {
    const { key } = write;
    const keyBytes = Buffer.from(key);
    const lease = write.type === 'put' ? (write.lease ?? '') : '';
    const value: StoredValue = {
      key,
      value: write.type === 'put' ? write.value : NOTHING,
      createRevision: write.type === 'delete' ? 0 : (previous?.createRevision ?? revision),
      modRevision: revision,
      version: write.type === 'delete' ? 0 : (previous?.version ?? 0) + 1,
      lease,
    };
    const record = encodeRecord(value);
    if (write.type === 'put') this.#current.putSync(keyBytes, record);
    else this.#current.removeSync(keyBytes);
    this.#versions.putSync(versionKey(key, revision), record);
    this.#log.putSync(logKey(revision, place), keyBytes);
    if (previous && previous.lease !== lease && previous.lease !== '') {
      this.#leased.removeSync(leasedKey(Number(previous.lease), key));
    }
    if (lease !== '') this.#leased.putSync(leasedKey(Number(lease), key), NOTHING);
    return value;
  }

  #value(key: string): StoredValue | undefined {
    const record = this.#current.getBinary(Buffer.from(key));
    return record && decodeRecord(key, record);
  }

  *#now({ from, to }: KeyRange): Generator<StoredValue> {
    for (const { key, value } of this.#current.getRange({ start: Buffer.from(from), end: Buffer.from(to) })) {
      yield decodeRecord(key.toString('utf8'), value);
    }
  }

  /** The keys of a range as they stood then: of each that has or had a value, its version of that time. */
  *#asOf({ from, to }: KeyRange, revision: number): Generator<StoredValue> {
    const end = Buffer.from(to);
    for (let start = Buffer.from(from); ; ) {
      const [found] = this.#versions.getKeys({ start, end, limit: 1 });
      if (!found) return;
      const key = keyOfVersion(found);
      const value = this.#versionAt(key, revision);
      if (value) yield value;
      // Behind all versions of this one.
      start = Buffer.from(`${key}\x01`);
    }
  }

  /** The newest version of a key that is no newer than `revision`, unless it says that the key was deleted. */
  #versionAt(key: string, revision: number): StoredValue | undefined {
    const range = { start: versionKey(key, revision), end: versionKey(key, 0), reverse: true, limit: 1 };
    for (const { value } of this.#versions.getRange(range)) {
      const found = decodeRecord(key, value);
      return isDeleted(found) ? undefined : found;
    }
    return undefined;
  }

  /** What a span of revisions changed, commit by commit. */
  *#changes(from: number, to: number): Generator<{ events: StoreEvent[]; revision: number }> {
    let events: StoreEvent[] = [];
    let revision = 0;
    for (const { key: at, value: changed } of this.#log.getRange({
      start: logKey(from, 0),
      end: logKey(to, LAST_PLACE),
    })) {
      const mod = readNumber(at, 0);
      if (mod !== revision && events.length > 0) {
        yield { events, revision };
        events = [];
      }
      revision = mod;
      const key = changed.toString('utf8');
      const record = this.#versions.getBinary(versionKey(key, mod));
      if (!record) continue;
      const value = decodeRecord(key, record);
      events.push({ type: isDeleted(value) ? 'delete' : 'put', key, value });
    }
    if (events.length > 0) yield { events, revision };
  }

  /** Drops a key's versions below the one of `revision`, and that one too if the key was deleted by it. */
  #forget(key: string, revision: number): void {
    for (const at of [...this.#versions.getKeys({ start: versionKey(key, 0), end: versionKey(key, revision) })]) {
      this.#versions.removeSync(at);
    }
    const own = versionKey(key, revision);
    const record = this.#versions.getBinary(own);
    if (record && isDeleted(decodeRecord(key, record))) this.#versions.removeSync(own);
  }

  async #endLease(lease: number): Promise<void> {
    this.#clock.forget(lease);
    const range = { start: encodeNumber(lease), end: encodeNumber(lease + 1) };
    const keys = [...this.#leased.getKeys(range)].map((key) => key.subarray(8).toString('utf8'));
    for (let i = 0; i < keys.length; i += LEASE_STEP) {
      const writes = keys.slice(i, i + LEASE_STEP).map((key): Write => ({ type: 'delete', key }));
      await this.commit({ conditions: [], writes });
    }
    if (!this.#closed) this.#leases.removeSync(encodeNumber(lease));
  }

  #lease(lease: LeaseId): { ttlMs: number } {
    const known = this.#clock.find(Number(lease));
    if (!known) throw noLease(lease);
    return known;
  }

  #leaseFault({ writes }: Transaction): StoreError | undefined {
    const gone = writes.find((w) => w.type === 'put' && w.lease && !this.#clock.find(Number(w.lease)));
    return gone?.type === 'put' ? noLease(gone.lease ?? '') : undefined;
  }

  #number(key: Buffer): number {
    const value = this.#meta.getBinary(key);
    return value ? readNumber(value, 0) : 0;
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreError('closed', 'the store is closed');
  }
}

function noLease(lease: LeaseId): StoreError {
  return new StoreError('no-lease', `lease ${lease} has ended or never was`);
}

function futureRevision(revision: number, newest: number): StoreError {
  return new StoreError('future-revision', `revision ${revision} is still to come: the newest is ${newest}`);
}

function compacted(revision: number, oldest: number): StoreError {
  return new StoreError('compacted', `revision ${revision} has been compacted: the oldest is ${oldest}`);
}
