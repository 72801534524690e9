/**
 * How much clients may ask for at a time: requests in a second and watches of one user, requests, bodies and watches of
 * all together. Far more than nodes and people need; who asks for more is told when to come again (429, Retry-After).
 */
import { ApiError } from '../api-error.ts';

export interface LimitSettings {
  /** Of one user; twice as many may come at once after a quiet second. */
  requestsPerSecond?: number;
  watchesPerUser?: number;
  watches?: number;
  requestsAtOnce?: number;
  bodyBytesAtOnce?: number;
  /** Milliseconds, for tests. */
  now?: () => number;
}

const DEFAULTS = {
  requestsPerSecond: 2000,
  watchesPerUser: 5000,
  watches: 20_000,
  requestsAtOnce: 5000,
  bodyBytesAtOnce: 256 * 1024 * 1024,
  now: () => performance.now(),
};
const BURST_SECONDS = 2;
/** Users whose requests are counted: those that were quiet for longest are forgotten, and are full again. */
const MOST_USERS = 10_000;

interface Bucket {
  tokens: number;
  atMs: number;
}

/** What was taken of the limits by one request. */
export interface Admission {
  /** Throws ApiError TooManyRequests. */
  body(bytes: number): void;
  /** When it has been answered; once more is no harm. */
  done(): void;
}

export class RequestLimits {
  readonly #limits: Required<LimitSettings>;
  /** In the order of their last request. */
  readonly #buckets = new Map<string, Bucket>();
  readonly #watchesOf = new Map<string, number>();
  #watches = 0;
  #requests = 0;
  #bodyBytes = 0;
  #refused = 0;

  constructor(settings: LimitSettings = {}) {
    this.#limits = { ...DEFAULTS, ...settings };
  }

  /** Requests that were told to come again. */
  get refused(): number {
    return this.#refused;
  }

  get requests(): number {
    return this.#requests;
  }

  /** Throws ApiError TooManyRequests. */
  admit(user: string): Admission {
    this.#spend(user);
    const { requestsAtOnce, bodyBytesAtOnce } = this.#limits;
    if (this.#requests >= requestsAtOnce) throw this.#refusal(`the server is answering ${requestsAtOnce} requests`, 1);
    this.#requests++;
    let own = 0;
    let ended = false;
    return {
      body: (bytes) => {
        if (ended) return;
        if (this.#bodyBytes + bytes > bodyBytesAtOnce) throw this.#refusal('the server is reading too much', 1);
        own += bytes;
        this.#bodyBytes += bytes;
      },
      done: () => {
        if (ended) return;
        ended = true;
        this.#requests--;
        this.#bodyBytes -= own;
      },
    };
  }

  /** The result ends it, once. Throws ApiError TooManyRequests. */
  watch(user: string): () => void {
    const { watches, watchesPerUser } = this.#limits;
    const own = this.#watchesOf.get(user) ?? 0;
    if (this.#watches >= watches) throw this.#refusal(`there are ${watches} watches already`, 5);
    if (own >= watchesPerUser) throw this.#refusal(`user ${user} has ${watchesPerUser} watches already`, 5);
    this.#watches++;
    this.#watchesOf.set(user, own + 1);
    return () => {
      this.#watches--;
      const left = (this.#watchesOf.get(user) ?? 1) - 1;
      if (left > 0) this.#watchesOf.set(user, left);
      else this.#watchesOf.delete(user);
    };
  }

  #spend(user: string): void {
    const { requestsPerSecond, now } = this.#limits;
    const atMs = now();
    const most = requestsPerSecond * BURST_SECONDS;
    const before = this.#buckets.get(user);
    const gained = before ? ((atMs - before.atMs) / 1000) * requestsPerSecond : 0;
    const tokens = Math.min(most, before ? before.tokens + gained : most);
    this.#buckets.delete(user);
    this.#buckets.set(user, { tokens: Math.max(0, tokens - 1), atMs });
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > MOST_USERS && oldest !== undefined) this.#buckets.delete(oldest);
    if (tokens >= 1) return;
    throw this.#refusal(`user ${user} asks more than ${requestsPerSecond} times a second`, 1);
  }

  #refusal(why: string, retryAfterSeconds: number): ApiError {
    this.#refused++;
    return new ApiError('TooManyRequests', `too many requests: ${why}; try again later`, { retryAfterSeconds });
  }
}
