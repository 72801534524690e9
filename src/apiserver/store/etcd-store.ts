/**
 * The store in an etcd cluster, 3.4 or later, over its v3 API. Writes are sent once: whether one that got no answer took
 * place is for its conditions to tell. Reads are tried again on another member.
 */
import { rootCertificates } from 'node:tls';
import { noop } from 'cockatiel';
import { Etcd3, type IDeleteRangeRequest, type IPutRequest } from 'etcd3';
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
  /** Where our keys stand, `/registry` by default: without a slash at its end. */
  prefix?: string;
  /** For https: the authority that signed the members' certificates, else those that Node knows, and our own certificate; PEM. */
  tls?: EtcdTls;
  /** Whatever the environment says of proxies. */
  direct?: boolean;
}

export interface EtcdTls {
  ca?: Buffer;
  certificate?: Buffer;
  key?: Buffer;
}

export class EtcdStore implements Store {
  readonly #client: Etcd3;
  readonly #keys: EtcdKeys;
  readonly #watches = new Set<EtcdWatch>();
  #closed = false;

  constructor({ endpoints, prefix, tls, direct = false }: EtcdStoreOptions) {
    this.#keys = new EtcdKeys(prefix);
    this.#client = new Etcd3({
      hosts: [...endpoints],
      grpcOptions: {
        ...KEEPALIVE,
        'grpc.max_receive_message_length': MOST_MESSAGE_BYTES,
        'grpc.enable_http_proxy': direct ? 0 : 1,
      },
      faultHandling: { global: noop },
      defaultCallOptions: (call) => (call.isStream ? {} : { deadline: Date.now() + CALL_MS }),
      ...(tls
        ? {
            credentials: {
              rootCertificate: tls.ca ?? Buffer.from(rootCertificates.join('\n')),
              ...(tls.certificate && tls.key ? { certChain: tls.certificate, privateKey: tls.key } : {}),
            },
          }
        : {}),
    });
  }

  async revision(): Promise<number> {
    // Of our own keys: where etcd asks who may read what, we may read these.
    const key = this.#keys.outer('/registry/');
    const answer = await this.#read(() => this.#client.kv.range({ key, count_only: true }));
    return Number(answer.header.revision);
  }

  async range({ from, to, limit, revision }: RangeRequest): Promise<RangeAnswer> {
    if (limit === 0) throw new StoreError('bad-request', 'a range has a limit of 1 or more');
    const answer = await this.#read(() =>
      this.#client.kv.range({
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
    this.#checkOpen();
    checkTransaction(transaction);
    const { conditions, writes } = transaction;
    try {
      const answer = await this.#client.kv.txn({
        compare: conditions.map(({ key, modRevision }) => ({
          key: this.#keys.outer(key),
          target: 'Mod' as const,
          result: 'Equal' as const,
          mod_revision: modRevision,
        })),
        success: writes.map((write) => requestOf(write, this.#keys)),
        failure: conditions.map(({ key }) => ({ request_range: { key: this.#keys.outer(key) } })),
      });
      const found = answer.succeeded
        ? []
        : answer.responses.map((one) => {
            const kv = one.response_range?.kvs[0];
            return kv && this.#keys.stored(kv);
          });
      return { succeeded: answer.succeeded, revision: Number(answer.header.revision), found };
    } catch (error) {
      throw storeError(error);
    }
  }

  watch(request: WatchRequest): Watch {
    this.#checkOpen();
    const watch = new EtcdWatch(this.#client.watchClient, this.#keys, request, () => this.#watches.delete(watch));
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
    let first: StoreError | undefined;
    for (let attempt = 1; ; attempt++) {
      this.#checkOpen();
      try {
        return await read();
      } catch (error) {
        const known = storeError(error);
        if (known.code !== 'unavailable') throw known;
        // What comes of a member that is known to be away does not say why it is.
        first ??= known;
        if (attempt === READ_ATTEMPTS) throw first;
      }
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreError('closed', 'the store is closed');
  }
}

function requestOf(
  write: Write,
  keys: EtcdKeys,
): { request_put: IPutRequest } | { request_delete_range: IDeleteRangeRequest } {
  const key = keys.outer(write.key);
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
