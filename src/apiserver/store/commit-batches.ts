/**
 * Transactions that may share a commit, gathered for some milliseconds: hundreds of nodes that say each second that they
 * are alive cost the store some fifty commits then. One that comes alone goes at once.
 */
import { type Committed, StoreError, type Transaction } from './store.ts';

/** From one sending to the next. */
const PACE_MS = 20;
/**
 * Of one commit: each is an operation of it, and what each has within takes of the rest. Etcd's own limit is 128
 * (--max-txn-ops); one that has been set lower is found out.
 */
const MOST_TRANSACTIONS = 64;
/** Etcd takes 1.5 MiB (--max-request-bytes). */
const MOST_BYTES = 256 * 1024;

interface Waiting {
  readonly transaction: Transaction;
  resolve(committed: Committed): void;
  reject(error: unknown): void;
}

interface Batch {
  readonly waiting: Waiting[];
  bytes: number;
}

export class CommitBatches {
  readonly #send: (transactions: readonly Transaction[]) => Promise<Committed[]>;
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  #sentAt = Number.NEGATIVE_INFINITY;
  #most = MOST_TRANSACTIONS;

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
    const batches = batchesOf(this.#waiting, this.#most);
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
      if (!isRefused || waiting.length === 1) {
        for (const { reject } of waiting) reject(error);
        return;
      }
      if (error.message.includes('too many operations')) this.#most = Math.ceil(waiting.length / 2);
      for (const one of waiting) void this.#commit([one]);
    }
  }
}

/** Conditions are looked at before anything is written: who depends on another one's write goes in a later batch. */
function batchesOf(all: readonly Waiting[], most: number): Batch[] {
  const batches: Batch[] = [];
  /** The last batch that writes a key, and the last that reads or writes it. */
  const written = new Map<string, number>();
  const used = new Map<string, number>();
  for (const one of all) {
    const { conditions, writes } = one.transaction;
    let bytes = 0;
    let place = 0;
    for (const { key } of conditions) place = Math.max(place, (written.get(key) ?? -1) + 1);
    for (const write of writes) {
      place = Math.max(place, (used.get(write.key) ?? -1) + 1);
      if (write.type === 'put') bytes += write.value.length;
    }
    const hasRoom = (batch: Batch) => batch.waiting.length < most && batch.bytes + bytes <= MOST_BYTES;
    while (place < batches.length && !hasRoom(batches[place] as Batch)) place++;
    const batch = batches[place] ?? { waiting: [], bytes: 0 };
    batches[place] = batch;
    batch.waiting.push(one);
    batch.bytes += bytes;
    for (const { key } of [...conditions, ...writes]) used.set(key, Math.max(place, used.get(key) ?? 0));
    for (const { key } of writes) written.set(key, place);
  }
  return batches;
}
