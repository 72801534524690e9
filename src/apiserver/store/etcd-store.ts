/**
 * The store in an etcd cluster, 3.4 or later, over its v3 API. Writes are sent once: whether one that got no answer took
 * place is for its conditions to tell. Reads are tried again on another member.
 */
import { noop } from 'cockatiel';
import { Etcd3, type IDeleteRangeRequest, type IPutRequest } from 'etcd3';
import { storedValue } from './etcd-records.ts';
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

/** A member that does not answer for so long is given up. */
const CALL_MS = 5000;
const READ_ATTEMPTS = 4;
/** Connections to a member that is gone are noticed by this. */
const KEEPALIVE = { 'grpc.keepalive_time_ms': 5000, 'grpc.keepalive_timeout_ms': 3000 };
/** Objects are at most as long as the contract has them; a page of them is longer. */
const MOST_MESSAGE_BYTES = 512 * 1024 * 1024;

export interface EtcdStoreOptions {
  /** `https://10.0.0.1:2379`, all members. */
  endpoints: readonly string[];
  /** For https: the authority that signed the members' certificates, and our own certificate, all PEM. */
  tls?: { ca: Buffer; certificate?: Buffer; key?: Buffer };
}

export class EtcdStore implements Store {
  readonly #client: Etcd3;
  readonly #watches = new Set<EtcdWatch>();
  #closed = false;

  constructor({ endpoints, tls }: EtcdStoreOptions) {
    this.#client = new Etcd3({
      hosts: [...endpoints],
      grpcOptions: { ...KEEPALIVE, 'grpc.max_receive_message_length': MOST_MESSAGE_BYTES },
      faultHandling: { global: noop },
      defaultCallOptions: (call) => (call.isStream ? {} : { deadline: Date.now() + CALL_MS }),
      ...(tls
        ? {
            credentials: {
              rootCertificate: tls.ca,
              ...(tls.certificate && tls.key ? { certChain: tls.certificate, privateKey: tls.key } : {}),
            },
          }
        : {}),
    });
  }

  async revision(): Promise<number> {
    const answer = await this.#read(() => this.#client.kv.range({ key: Buffer.from('\0'), count_only: true }));
    return Number(answer.header.revision);
  }

  async range({ from, to, limit, revision }: RangeRequest): Promise<RangeAnswer> {
    if (limit === 0) throw new StoreError('bad-request', 'a range has a limit of 1 or more');
    const answer = await this.#read(() =>
      this.#client.kv.range({
        key: Buffer.from(from),
        range_end: Buffer.from(to),
        ...(limit === undefined ? {} : { limit }),
        ...(revision === undefined ? {} : { revision }),
      }),
    );
    return {
      values: answer.kvs.map(storedValue),
      more: answer.more,
      revision: revision ?? Number(answer.header.revision),
    };
  }

  async commit(transaction: Transaction): Promise<Committed> {
    this.#checkOpen();
    checkTransaction(transaction);
    const { conditions, writes } = transaction;
    try {
      const answer = await this.#client.kv.txn({
        compare: conditions.map(({ key, modRevision }) => ({
          key: Buffer.from(key),
          target: 'Mod' as const,
          result: 'Equal' as const,
          mod_revision: modRevision,
        })),
        success: writes.map(requestOf),
        failure: conditions.map(({ key }) => ({ request_range: { key: Buffer.from(key) } })),
      });
      const found = answer.succeeded
        ? []
        : answer.responses.map((one) => {
            const kv = one.response_range?.kvs[0];
            return kv && storedValue(kv);
          });
      return { succeeded: answer.succeeded, revision: Number(answer.header.revision), found };
    } catch (error) {
      throw storeError(error);
    }
  }

  watch(request: WatchRequest): Watch {
    this.#checkOpen();
    const watch = new EtcdWatch(this.#client.watchClient, request, () => this.#watches.delete(watch));
    this.#watches.add(watch);
    return watch;
  }

  async compact(revision: number): Promise<void> {
    this.#checkOpen();
    try {
      await this.#client.kv.compact({ revision, physical: false });
    } catch (error) {
      const known = storeError(error);
      // Somebody else has been here: that is what was wanted.
      if (known.code !== 'compacted') throw known;
    }
  }

  async grantLease(ttlSeconds: number): Promise<LeaseId> {
    this.#checkOpen();
    if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1) {
      throw new StoreError('bad-request', `a lease lasts whole seconds, 1 or more, not ${ttlSeconds}`);
    }
    try {
      return (await this.#client.leaseClient.leaseGrant({ TTL: ttlSeconds })).ID;
    } catch (error) {
      throw storeError(error);
    }
  }

  async renewLease(lease: LeaseId): Promise<void> {
    this.#checkOpen();
    const stream = await this.#client.leaseClient.leaseKeepAlive().catch((error) => {
      throw storeError(error);
    });
    try {
      const ttl = await new Promise<number>((resolve, reject) => {
        const timer = setTimeout(() => reject(new StoreError('unavailable', 'etcd does not answer')), CALL_MS);
        stream.on('data', (answer) => {
          clearTimeout(timer);
          resolve(Number(answer.TTL));
        });
        stream.on('error', (error) => {
          clearTimeout(timer);
          reject(storeError(error));
        });
        stream.write({ ID: lease });
      });
      if (ttl <= 0) throw new StoreError('no-lease', `lease ${lease} has ended or never was`);
    } finally {
      stream.end();
    }
  }

  async revokeLease(lease: LeaseId): Promise<void> {
    this.#checkOpen();
    try {
      await this.#client.leaseClient.leaseRevoke({ ID: lease });
    } catch (error) {
      throw storeError(error);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const watch of [...this.#watches]) watch.end(new StoreError('closed', 'the store is closed'));
    this.#client.close();
  }

  async #read<T>(read: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      this.#checkOpen();
      try {
        return await read();
      } catch (error) {
        const known = storeError(error);
        if (known.code !== 'unavailable' || attempt === READ_ATTEMPTS) throw known;
      }
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreError('closed', 'the store is closed');
  }
}

function requestOf(write: Write): { request_put: IPutRequest } | { request_delete_range: IDeleteRangeRequest } {
  const key = Buffer.from(write.key);
  if (write.type === 'delete') return { request_delete_range: { key } };
  return { request_put: { key, value: Buffer.from(write.value), ...(write.lease ? { lease: write.lease } : {}) } };
}

function storeError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const said = error instanceof Error ? error.message : String(error);
  if (said.includes('has been compacted')) return new StoreError('compacted', said, error);
  if (said.includes('is a future revision')) return new StoreError('future-revision', said, error);
  if (said.includes('lease not found')) return new StoreError('no-lease', said, error);
  return new StoreError('unavailable', `etcd: ${said}`, error);
}
