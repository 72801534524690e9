/**
 * Where the API server keeps its objects: the contract that every store fulfils, after etcd's. One counter of
 * revisions numbers every commit; a key's value can be read as of any revision that has not been compacted, and be
 * watched from there without a gap. Keys are text in byte order, at most KEY_BYTES long; values are bytes.
 */

/** Longest key in bytes of UTF-8: what LMDB takes, less what its own indices append. */
export const KEY_BYTES = 1024;
/** Longest value: etcd's own limit of a request, less room for the rest of it. */
export const VALUE_BYTES = 1_400_000;

/** `''` is no lease. */
export type LeaseId = string;

export interface StoredValue {
  key: string;
  value: Uint8Array;
  /** Revision that made the key, and the one that wrote it last. */
  createRevision: number;
  modRevision: number;
  /** 1 for a new key, one more with each write. */
  version: number;
  lease: LeaseId;
}

/** Keys from `from` on, below `to`. */
export interface KeyRange {
  from: string;
  to: string;
}

export interface RangeRequest extends KeyRange {
  /** Values at most; all by default. */
  limit?: number;
  /** As of this revision; the newest by default. */
  revision?: number;
}

export interface RangeAnswer {
  values: StoredValue[];
  /** More keys stand behind the limit. */
  more: boolean;
  /** The store's revision when it was read; for a read of the past that past's. */
  revision: number;
}

/** Holds when the key was written last by this revision; 0: when there is no such key. */
export interface Condition {
  key: string;
  modRevision: number;
}

export type Write = { type: 'put'; key: string; value: Uint8Array; lease?: LeaseId } | { type: 'delete'; key: string };

/** All writes or none. A key is written at most once. */
export interface Transaction {
  conditions: readonly Condition[];
  writes: readonly Write[];
  /** It may share its commit, and so its revision, with others that come at the same time. */
  mayShare?: boolean;
}

export interface Committed {
  succeeded: boolean;
  /** Of the commit; where it did not succeed or changed nothing, the store's. */
  revision: number;
  /** Where it did not succeed: what stands at the conditions' keys, in their order. */
  found: (StoredValue | undefined)[];
}

export interface StoreEvent {
  type: 'put' | 'delete';
  key: string;
  /** What was written; for a delete the key with an empty value and the delete's revision as modRevision. */
  value: StoredValue;
}

export interface WatchRequest extends KeyRange {
  /** First revision that is of interest. */
  fromRevision: number;
  /** All events of one commit at once; commits in order, none twice, none left out. */
  onEvents(events: readonly StoreEvent[], revision: number): void;
  /** It will hear no more: 'compacted' when it began too far in the past. Not called after close(). */
  onEnd(error: StoreError): void;
}

export interface Watch {
  close(): void;
}

export interface Store {
  /** The newest revision; 0 in a store that never was written. */
  revision(): Promise<number>;
  range(request: RangeRequest): Promise<RangeAnswer>;
  /** Resolves when what was written survives the end of the process. */
  commit(transaction: Transaction): Promise<Committed>;
  watch(request: WatchRequest): Watch;
  /** Forgets what is needed only for reads and watches of revisions below this one. */
  compact(revision: number): Promise<void>;
  /** A lease that ends when it is not renewed for so long; keys that were put under it are deleted then. */
  grantLease(ttlSeconds: number): Promise<LeaseId>;
  renewLease(lease: LeaseId): Promise<void>;
  revokeLease(lease: LeaseId): Promise<void>;
  close(): Promise<void>;
}

export type StoreErrorCode = 'compacted' | 'future-revision' | 'bad-request' | 'no-lease' | 'unavailable' | 'closed';

export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StoreError';
    this.code = code;
  }
}

/** The range of all keys that begin so. */
export function prefixRange(prefix: string): KeyRange {
  const last = prefix.charCodeAt(prefix.length - 1);
  return { from: prefix, to: prefix.slice(0, -1) + String.fromCharCode(last + 1) };
}

/** Throws StoreError bad-request. */
export function checkTransaction({ conditions, writes }: Transaction): void {
  const written = new Set<string>();
  for (const { key } of conditions) checkKey(key);
  for (const write of writes) {
    checkKey(write.key);
    if (written.has(write.key)) throw new StoreError('bad-request', `key ${write.key} is written twice`);
    written.add(write.key);
    if (write.type === 'put' && write.value.length > VALUE_BYTES) {
      throw new StoreError('bad-request', `the value of ${write.key} is longer than ${VALUE_BYTES} bytes`);
    }
  }
}

function checkKey(key: string): void {
  const bytes = Buffer.byteLength(key);
  if (bytes === 0 || bytes > KEY_BYTES || key.includes('\0')) {
    throw new StoreError('bad-request', `a key has 1 to ${KEY_BYTES} bytes, none of them 0: ${key.slice(0, 80)}`);
  }
}
