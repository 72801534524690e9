/**
 * The members of an etcd cluster, each with a client of its own. A call goes to one that answered of late; what
 * certainly never left us goes to another one, and so does what may be done twice. Whether anything else took place is
 * for whoever asked to find out.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { rootCertificates } from 'node:tls';
import { noop } from 'cockatiel';
import { Etcd3 } from 'etcd3';
import { StoreError } from './store.ts';

/** A member that does not answer for so long is given up; connections that are dead are noticed before. */
const CALL_MS = 10_000;
/** No more often than every 5 s: a member hangs up on who asks more. */
const KEEPALIVE = { 'grpc.keepalive_time_ms': 6000, 'grpc.keepalive_timeout_ms': 3000 };
/** Objects are at most as long as the contract has them; a page of them is longer. */
const MOST_MESSAGE_BYTES = 512 * 1024 * 1024;
/** One that failed is left alone for so long, while others answer. */
const REST_MS = 5000;
const LEAST_ATTEMPTS = 4;
const FIRST_PAUSE_MS = 50;
/** How grpc-js says that a call was never begun. */
const NEVER_SENT = /No connection established|Channel closed before call started|Name resolution failed/;

/** For https, all PEM: the authority that signed the members' certificates, else those that Node knows; and our own. */
export interface EtcdTls {
  ca?: Buffer;
  certificate?: Buffer;
  key?: Buffer;
}

export interface EtcdMembersOptions {
  tls?: EtcdTls;
  /** Whatever the environment says of proxies. */
  direct?: boolean;
  /** How long a call may take. */
  callMs?: number;
}

export interface EtcdMember {
  readonly client: Etcd3;
  /** It did not answer: for a while others are asked first. */
  fail(): void;
}

interface Member extends EtcdMember {
  /** By the clock of performance.now. */
  failedAt: number;
}

export class EtcdMembers {
  readonly #members: Member[];

  constructor(endpoints: readonly string[], { tls, direct = false, callMs = CALL_MS }: EtcdMembersOptions) {
    this.#members = endpoints.map((endpoint) => {
      const client = new Etcd3({
        hosts: endpoint,
        grpcOptions: {
          ...KEEPALIVE,
          'grpc.max_receive_message_length': MOST_MESSAGE_BYTES,
          'grpc.enable_http_proxy': direct ? 0 : 1,
        },
        // Its own would refuse every call for seconds where a few were late.
        faultHandling: { global: noop, host: () => noop },
        defaultCallOptions: (call) => (call.isStream ? {} : { deadline: Date.now() + callMs }),
        ...(tls
          ? {
              credentials: {
                rootCertificate: tls.ca ?? Buffer.from(rootCertificates.join('\n')),
                ...(tls.certificate && tls.key ? { certChain: tls.certificate, privateKey: tls.key } : {}),
              },
            }
          : {}),
      });
      const member: Member = {
        client,
        failedAt: Number.NEGATIVE_INFINITY,
        fail: () => {
          member.failedAt = performance.now();
        },
      };
      return member;
    });
  }

  /** Any that did not fail of late; where all did, the one of which that is longest ago. */
  next(): EtcdMember {
    return this.#next();
  }

  /** `twice`: no harm is done if it takes place twice. Throws StoreError. */
  async call<T>(ask: (client: Etcd3) => Promise<T>, twice: boolean): Promise<T> {
    const attempts = Math.max(LEAST_ATTEMPTS, this.#members.length + 1);
    let first: StoreError | undefined;
    for (let attempt = 1; ; attempt++) {
      const member = this.#next();
      try {
        const answer = await ask(member.client);
        member.failedAt = Number.NEGATIVE_INFINITY;
        return answer;
      } catch (error) {
        const known = storeError(error);
        if (known.code !== 'unavailable') throw known;
        member.fail();
        if (!(twice || NEVER_SENT.test(known.message))) throw known;
        // What comes later may not say why.
        first ??= known;
        if (attempt === attempts) throw first;
      }
      // Once all have been asked: one may be about to come back, or a leader to be found.
      const rounds = Math.floor(attempt / this.#members.length);
      if (attempt % this.#members.length === 0) await sleep(FIRST_PAUSE_MS * 2 ** (rounds - 1));
    }
  }

  close(): void {
    for (const { client } of this.#members) client.close();
  }

  #next(): Member {
    const since = performance.now() - REST_MS;
    const sound = this.#members.filter(({ failedAt }) => failedAt < since);
    const any = sound[Math.floor(Math.random() * sound.length)];
    return any ?? this.#members.reduce((longest, member) => (member.failedAt < longest.failedAt ? member : longest));
  }
}

function storeError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const said = error instanceof Error ? error.message : String(error);
  if (said.includes('has been compacted')) return new StoreError('compacted', said, error);
  if (said.includes('is a future revision')) return new StoreError('future-revision', said, error);
  if (said.includes('lease not found')) return new StoreError('no-lease', said, error);
  if (/request is too large|too many operations/.test(said)) return new StoreError('bad-request', said, error);
  return new StoreError('unavailable', `etcd: ${said}`, error);
}
