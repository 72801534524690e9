/**
 * Transactions that may share a commit, gathered for some milliseconds: hundreds of nodes that say each second that they
 * are alive cost the store some fifty commits then. One that comes alone goes at once.
 */
import { type Committed, StoreError, type Transaction } from './store.ts';

/** From one sending to the next. */
const PACE_MS = 20;
/** Of one commit: etcd counts operations, 128 by default (--max-txn-ops), and bytes, 1.5 MiB (--max-request-bytes). */
const MOST_TRANSACTIONS = 64;
const MOST_BYTES = 256 * 1024;

interface Waiting {
  readonly transaction: Transaction;
  resolve(committed: Committed): void;
  reject(error: unknown): void;
}

interface Batch {
  readonly waiting: Waiting[];
  readonly written: Set<string>;
  readonly read: Set<string>;
  bytes: number;
}

export class CommitBatches {
  readonly #send: (transactions: readonly Transaction[]) => Promise<Committed[]>;
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  #sentAt = Number.NEGATIVE_INFINITY;

  /** `send` commits them all at once, each on its own conditions; none writes what another one reads or writes. */
  constructor(send: (transactions: readonly Transaction[]) => Promise<Committed[]>) {
    this.#send = send;
  }

  commit(transaction: Transaction): Promise<Committed> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ transaction, resolve, reject });
      if (this.#timer !== undefined) return;
      const rest = this.#sentAt + PACE_MS - performance.now();
      if (rest <= 0) this.#flush();
      else this.#timer = setTimeout(() => this.#flush(), rest);
    });
  }

  #flush(): void {
    this.#timer = undefined;
    this.#sentAt = performance.now();
    const batches = batchesOf(this.#waiting);
    this.#waiting = [];
    for (const { waiting } of batches) void this.#commit(waiting);
  }

  async #commit(waiting: readonly Waiting[]): Promise<void> {
    try {
      const committed = await this.#send(waiting.map(({ transaction }) => transaction));
      for (const [i, { resolve }] of waiting.entries()) resolve(committed[i] as Committed);
    } catch (error) {
      // One was refused, and nothing written: the others are not to suffer for it.
      const isRefused = error instanceof StoreError && (error.code === 'bad-request' || error.code === 'no-lease');
      if (isRefused && waiting.length > 1) for (const one of waiting) void this.#commit([one]);
      else for (const { reject } of waiting) reject(error);
    }
  }
}

/** Conditions are looked at before anything is written: who depends on another one's write goes by itself. */
function batchesOf(all: readonly Waiting[]): Batch[] {
  const batches: Batch[] = [];
  for (const one of all) {
    const read = one.transaction.conditions.map(({ key }) => key);
    const written = one.transaction.writes.map(({ key }) => key);
    const bytes = one.transaction.writes.reduce((sum, w) => sum + (w.type === 'put' ? w.value.length : 0), 0);
    let batch = batches.find(
      (each) =>
        each.waiting.length < MOST_TRANSACTIONS &&
        each.bytes + bytes <= MOST_BYTES &&
        !written.some((key) => each.written.has(key) || each.read.has(key)) &&
        !read.some((key) => each.written.has(key)),
    );
    if (!batch) batches.push((batch = { waiting: [], written: new Set(), read: new Set(), bytes: 0 }));
    batch.waiting.push(one);
    batch.bytes += bytes;
    for (const key of read) batch.read.add(key);
    for (const key of written) batch.written.add(key);
  }
  return batches;
}
