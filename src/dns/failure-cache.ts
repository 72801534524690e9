/**
 * Questions that could not be answered, not to be asked again for a moment (RFC 9520): a second, then twice as long each
 * time, so that those who repeat a question do not keep upstreams busy that are in trouble already. Beside the cache of
 * answers, beneath the resolver. Bounded; what failed longest ago goes first.
 */
import { RCODE } from './codes.ts';

/** RFC 9520 section 3.2: at least a second, at most five minutes. */
const FIRST_MS = 1000;
/** As long as CoreDNS: pods that start before their upstreams should not wait longer. */
const LONGEST_MS = 5000;
const MOST_FAILURES = 4096;

export interface Failure {
  /** What the upstream said, if it said something. */
  reply: Buffer | undefined;
  untilMs: number;
  lifeMs: number;
}

export class FailureCache {
  readonly #failures = new Map<string, Failure>();
  readonly #firstMs: number;

  /** 0: nothing is kept. */
  constructor(firstMs = FIRST_MS) {
    this.#firstMs = firstMs;
  }

  /** Nothing when the question may be asked. */
  get(key: string, nowMs: number): Failure | undefined {
    const failure = this.#failures.get(key);
    return failure && nowMs < failure.untilMs ? failure : undefined;
  }

  put(key: string, reply: Buffer | undefined, nowMs: number): void {
    if (this.#firstMs === 0) return;
    const before = this.#failures.get(key);
    const again = before && nowMs < before.untilMs + LONGEST_MS;
    const lifeMs = again ? Math.min(before.lifeMs * 2, LONGEST_MS) : this.#firstMs;
    this.#failures.delete(key);
    this.#failures.set(key, { reply: reply && Buffer.from(reply), untilMs: nowMs + lifeMs, lifeMs });
    if (this.#failures.size <= MOST_FAILURES) return;
    const [oldest = ''] = this.#failures.keys();
    this.#failures.delete(oldest);
  }

  clear(): void {
    this.#failures.clear();
  }

  forget(key: string): void {
    this.#failures.delete(key);
  }
}

/** No answer, or that somebody could not or would not give one. */
export function isFailure(reply: Buffer | undefined): boolean {
  if (!reply) return true;
  const rcode = reply.readUInt16BE(2) & 15;
  return rcode === RCODE.servFail || rcode === RCODE.refused;
}
