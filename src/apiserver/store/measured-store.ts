/** A store whose commits are timed; everything else it passes on. */
import type {
  Committed,
  LeaseId,
  RangeAnswer,
  RangeRequest,
  Store,
  Transaction,
  Watch,
  WatchRequest,
} from './store.ts';

export type CommitResult = 'written' | 'refused' | 'error';

export class MeasuredStore implements Store {
  readonly #store: Store;
  readonly #onCommit: (result: CommitResult, seconds: number) => void;

  constructor(store: Store, onCommit: (result: CommitResult, seconds: number) => void) {
    this.#store = store;
    this.#onCommit = onCommit;
  }

  async commit(transaction: Transaction): Promise<Committed> {
    const begun = performance.now();
    let result: CommitResult = 'error';
    try {
      const done = await this.#store.commit(transaction);
      result = done.succeeded ? 'written' : 'refused';
      return done;
    } finally {
      this.#onCommit(result, (performance.now() - begun) / 1000);
    }
  }

  revision(): Promise<number> {
    return this.#store.revision();
  }

  range(request: RangeRequest): Promise<RangeAnswer> {
    return this.#store.range(request);
  }

  watch(request: WatchRequest): Watch {
    return this.#store.watch(request);
  }

  compact(revision: number): Promise<void> {
    return this.#store.compact(revision);
  }

  grantLease(ttlSeconds: number): Promise<LeaseId> {
    return this.#store.grantLease(ttlSeconds);
  }

  renewLease(lease: LeaseId): Promise<void> {
    return this.#store.renewLease(lease);
  }

  revokeLease(lease: LeaseId): Promise<void> {
    return this.#store.revokeLease(lease);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
