/**
 * One watch of an etcd cluster: a stream of its own to some member. When that is lost, another one is opened that goes
 * on with the first revision not heard of, so that nothing is missed or heard twice.
 */
import type { IEvent, IWatchResponse, WatchClient } from 'etcd3';
import type { EtcdMembers } from './etcd-members.ts';
import type { EtcdKeys } from './etcd-records.ts';
import { StoreError, type StoreEvent, type Watch, type WatchRequest } from './store.ts';

const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 2000;

type Stream = Awaited<ReturnType<WatchClient['watch']>>;
type CallOptions = NonNullable<Parameters<WatchClient['watch']>[0]>;
type InterceptedCall = ReturnType<NonNullable<CallOptions['interceptors']>[number]>;

/** A member that is cut off from the others ends its watches, which would stay silent else (clientv3.WithRequireLeader). */
const WITH_LEADER: CallOptions = {
  interceptors: [
    (options, next) => {
      const call = next(options);
      const start = call.start.bind(call);
      call.start = (metadata, listener) => {
        metadata.set('hasleader', 'true');
        start(metadata, listener);
      };
      return call as InterceptedCall;
    },
  ],
};

export class EtcdWatch implements Watch {
  readonly #members: EtcdMembers;
  readonly #keys: EtcdKeys;
  readonly #request: WatchRequest;
  readonly #ended: () => void;
  #next: number;
  #stream: Stream | undefined;
  #timer: NodeJS.Timeout | undefined;
  #waitMs = FIRST_WAIT_MS;
  #closed = false;

  /** `ended` is called once, whatever ends it. */
  constructor(members: EtcdMembers, keys: EtcdKeys, request: WatchRequest, ended: () => void) {
    this.#members = members;
    this.#keys = keys;
    this.#request = request;
    this.#ended = ended;
    this.#next = Math.max(1, request.fromRevision);
    void this.#open();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#stream?.cancel();
    this.#ended();
  }

  end(error: StoreError): void {
    if (this.#closed) return;
    this.close();
    this.#request.onEnd(error);
  }

  async #open(): Promise<void> {
    const member = this.#members.next();
    let stream: Stream;
    try {
      stream = await member.client.watchClient.watch(WITH_LEADER);
    } catch {
      member.fail();
      this.#again();
      return;
    }
    if (this.#closed) {
      stream.cancel();
      return;
    }
    this.#stream = stream;
    const lost = () => {
      if (this.#stream !== stream) return;
      this.#stream = undefined;
      member.fail();
      this.#again();
    };
    stream.on('data', (answer) => {
      if (this.#stream !== stream) return;
      if (answer.canceled) this.#cancelled(answer, lost);
      else this.#hear(answer);
    });
    stream.on('error', lost);
    stream.on('end', lost);
    stream.write({
      create_request: {
        key: this.#keys.outer(this.#request.from),
        range_end: this.#keys.outer(this.#request.to),
        start_revision: this.#next,
        progress_notify: true,
      },
    });
  }

  #cancelled(answer: IWatchResponse, lost: () => void): void {
    const oldest = Number(answer.compact_revision);
    if (oldest > 0) {
      const message = `revision ${this.#next} has been compacted: the oldest is ${oldest}`;
      this.end(new StoreError('compacted', message));
    } else {
      lost();
    }
  }

  /** Events of several commits may come as one answer. */
  #hear(answer: IWatchResponse): void {
    this.#waitMs = FIRST_WAIT_MS;
    let events: StoreEvent[] = [];
    for (const [i, event] of answer.events.entries()) {
      const revision = Number(event.kv.mod_revision);
      if (revision < this.#next) continue;
      events.push(storeEvent(event, this.#keys));
      const following = answer.events[i + 1];
      if (following && Number(following.kv.mod_revision) === revision) continue;
      this.#next = revision + 1;
      this.#request.onEvents(events, revision);
      if (this.#closed) return;
      events = [];
    }
    // Told from time to time where nothing happens: a watch that is taken up later need not begin in the far past.
    if (answer.events.length === 0 && !answer.created) {
      this.#next = Math.max(this.#next, Number(answer.header.revision) + 1);
    }
  }

  #again(): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#open(), this.#waitMs * (0.5 + Math.random() / 2));
    this.#waitMs = Math.min(this.#waitMs * 2, LONGEST_WAIT_MS);
  }
}

function storeEvent(event: IEvent, keys: EtcdKeys): StoreEvent {
  const value = keys.stored(event.kv);
  return { type: event.type === 'Delete' ? 'delete' : 'put', key: value.key, value };
}
