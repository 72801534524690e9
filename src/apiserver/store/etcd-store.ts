/**
 * The store in an etcd cluster, 3.4 or later, over its v3 API. A write that some member may have heard is sent once:
 * where it got no answer, its conditions tell whether it took place. Reads are tried again on another member.
 */
import type { Etcd3, IDeleteRangeRequest, IPutRequest, ITxnRequest, ITxnResponse } from 'etcd3';
import { CommitBatches } from './commit-batches.ts';
import { EtcdMembers, type EtcdMembersOptions } from './etcd-members.ts';
import { EtcdKeys } from './etcd-records.ts';
import { EtcdWatch } from './etcd-watch.ts';
import {
  type Committed,
  checkTransaction,
  type LeaseId,
  type RangeAnswer,
  type RangeRequest,
  type Store,
  StoreError,
  type Transaction,
  type Watch,
  type WatchRequest,
  type Write,
} from './store.ts';

/** Until a lease is renewed. */
const RENEWAL_MS = 5000;

export interface EtcdStoreOptions extends EtcdMembersOptions {
  /** `https://10.0.0.1:2379`, all members. */
  endpoints: readonly string[];
  /** Where our keys stand, `/registry` by default: without a slash at its end. */
  prefix?: string;
}

export class EtcdStore implements Store {
  readonly #members: EtcdMembers;
  readonly #keys: EtcdKeys;
  readonly #watches = new Set<EtcdWatch>();
  readonly #batches = new CommitBatches((transactions) => this.#commitTogether(transactions));
  #closed = false;

  constructor({ endpoints, prefix, ...options }: EtcdStoreOptions) {
    this.#keys = new EtcdKeys(prefix);
    this.#members = new EtcdMembers(endpoints, options);
  }

  async revision(): Promise<number> {
    // Of our own keys: where etcd asks who may read what, we may read these.
    const key = this.#keys.outer('/registry/');
    const answer = await this.#again(({ kv }) => kv.range({ key, count_only: true }));
    return Number(answer.header.revision);
  }

  async range({ from, to, limit, revision }: RangeRequest): Promise<RangeAnswer> {
    if (limit === 0) throw new StoreError('bad-request', 'a range has a limit of 1 or more');
    const answer = await this.#again(({ kv }) =>
      kv.range({
        key: this.#keys.outer(from),
        range_end: this.#keys.outer(to),
        ...(limit === undefined ? {} : { limit }),
        ...(revision === undefined ? {} : { revision }),
      }),
    );
    return {
      values: answer.kvs.map((kv) => this.#keys.stored(kv)),
      more: answer.more,
      revision: revision ?? Number(answer.header.revision),
    };
  }

  async commit(transaction: Transaction): Promise<Committed> {
    checkTransaction(transaction);
    return transaction.mayShare ? this.#batches.commit(transaction) : this.#commitAlone(transaction);
  }

  watch(request: WatchRequest): Watch {
    this.#checkOpen();
    const watch = new EtcdWatch(this.#members, this.#keys, request, () => this.#watches.delete(watch));
    this.#watches.add(watch);
    return watch;
  }

  async compact(revision: number): Promise<void> {
    try {
      await this.#again(({ kv }) => kv.compact({ revision, physical: false }));
    } catch (error) {
      // Somebody else has been here: that is what was wanted.
      if (!(error instanceof StoreError) || error.code !== 'compacted') throw error;
    }
  }

  async grantLease(ttlSeconds: number): Promise<LeaseId> {
    if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1) {
      throw new StoreError('bad-request', `a lease lasts whole seconds, 1 or more, not ${ttlSeconds}`);
    }
    // One that nobody uses ends by itself.
    return (await this.#again(({ leaseClient }) => leaseClient.leaseGrant({ TTL: ttlSeconds }))).ID;
  }

  async renewLease(lease: LeaseId): Promise<void> {
    const ttl = await this.#again((client) => renewed(client, lease));
    if (ttl <= 0) throw new StoreError('no-lease', `lease ${lease} has ended or never was`);
  }

  async revokeLease(lease: LeaseId): Promise<void> {
    await this.#once(({ leaseClient }) => leaseClient.leaseRevoke({ ID: lease }));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const watch of [...this.#watches]) watch.end(new StoreError('closed', 'the store is closed'));
    this.#members.close();
  }

  async #commitAlone(transaction: Transaction): Promise<Committed> {
    const answer = await this.#once(({ kv }) => kv.txn(txnOf(transaction, this.#keys)));
    return committedOf(answer, Number(answer.header.revision), this.#keys);
  }

  /** Each a transaction within one that has no conditions, and so never fails. */
  async #commitTogether(transactions: readonly Transaction[]): Promise<Committed[]> {
    const [first] = transactions;
    if (first && transactions.length === 1) return [await this.#commitAlone(first)];
    const success = transactions.map((transaction) => ({ request_txn: txnOf(transaction, this.#keys) }));
    // Whether there is room etcd asks for writes on the outside alone: this one stands for those within.
    const failure = [{ request_put: { key: this.#keys.outer('/registry/never'), value: Buffer.alloc(0) } }];
    const { header, responses } = await this.#once(({ kv }) => kv.txn({ success, failure }));
    return responses.map((each) => committedOf(each.response_txn, Number(header.revision), this.#keys));
  }

  /** What may take place twice. */
  #again<T>(ask: (client: Etcd3) => Promise<T>): Promise<T> {
    return this.#call(ask, true);
  }

  /** What must not. */
  #once<T>(ask: (client: Etcd3) => Promise<T>): Promise<T> {
    return this.#call(ask, false);
  }

  async #call<T>(ask: (client: Etcd3) => Promise<T>, twice: boolean): Promise<T> {
    return this.#members.call((client) => {
      this.#checkOpen();
      return ask(client);
    }, twice);
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreError('closed', 'the store is closed');
  }
}

function txnOf({ conditions, writes }: Transaction, keys: EtcdKeys): ITxnRequest {
  return {
    compare: conditions.map(({ key, modRevision }) => ({
      key: keys.outer(key),
      target: 'Mod' as const,
      result: 'Equal' as const,
      mod_revision: modRevision,
    })),
    success: writes.map((write) => requestOf(write, keys)),
    failure: conditions.map(({ key }) => ({ request_range: { key: keys.outer(key) } })),
  };
}

/** `found`: what the failed one read at the keys of its conditions. */
function committedOf({ succeeded, responses }: ITxnResponse, revision: number, keys: EtcdKeys): Committed {
  const found = succeeded
    ? []
    : responses.map((one) => {
        const kv = one.response_range?.kvs[0];
        return kv && keys.stored(kv);
      });
  return { succeeded, revision, found };
}

function requestOf(
  write: Write,
  keys: EtcdKeys,
): { request_put: IPutRequest } | { request_delete_range: IDeleteRangeRequest } {
  const key = keys.outer(write.key);
  if (write.type === 'delete') return { request_delete_range: { key } };
  return { request_put: { key, value: Buffer.from(write.value), ...(write.lease ? { lease: write.lease } : {}) } };
}

/** The seconds that it has from now on; none where there is no such lease. */
async function renewed({ leaseClient }: Etcd3, lease: LeaseId): Promise<number> {
  const stream = await leaseClient.leaseKeepAlive();
  try {
    return await new Promise<number>((resolve, reject) => {
      const timer = setTimeout(() => reject(new StoreError('unavailable', 'etcd does not answer')), RENEWAL_MS);
      stream.on('data', (answer) => {
        clearTimeout(timer);
        resolve(Number(answer.TTL));
      });
      stream.on('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      stream.write({ ID: lease });
    });
  } finally {
    stream.end();
  }
}
