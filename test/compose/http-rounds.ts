/**
 * HTTP requests through a service, in rounds, for as long as something else goes on, and what became of them.
 */
import type { HttpLoadResult } from '../../src/lab/http-load.ts';
import type { ComposeLab } from './compose-lab.ts';

export interface RequestSum {
  requests: number;
  failed: number;
  answers: Record<string, number>;
  maxMs: number;
}

/** A request under way may wait this long for a host that is away: connections outlast a partition of 20 s. */
const TIMEOUT_MS = 45_000;

export class HttpRounds {
  readonly #loads: HttpLoadResult[] = [];
  readonly #lab: ComposeLab;
  readonly #client: string;
  #stopped = false;
  readonly #ended: Promise<void>;

  constructor(lab: ComposeLab, client: string) {
    this.#lab = lab;
    this.#client = client;
    this.#ended = this.#go();
    // Whoever stops it hears of a failure.
    this.#ended.catch(() => {});
  }

  async #go(): Promise<void> {
    const words = ['http-load', 'http://web/hostname', '--requests', '100', '--concurrency', '4'];
    while (!this.#stopped) {
      const all = [...words, '--timeout', `${TIMEOUT_MS}`];
      this.#loads.push(await this.#lab.tool<HttpLoadResult>(this.#client, all, TIMEOUT_MS * 2));
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#ended;
  }

  sum(): RequestSum {
    const sum: RequestSum = { requests: 0, failed: 0, answers: {}, maxMs: 0 };
    for (const load of this.#loads) {
      sum.requests += load.requests;
      sum.failed += load.failed;
      sum.maxMs = Math.max(sum.maxMs, load.maxMs);
      for (const [name, count] of Object.entries(load.answers)) sum.answers[name] = (sum.answers[name] ?? 0) + count;
    }
    return sum;
  }

  /** What failed in all rounds, by message. */
  failures(): string {
    const sum: Record<string, number> = {};
    for (const load of this.#loads) {
      for (const [message, count] of Object.entries(load.failures)) sum[message] = (sum[message] ?? 0) + count;
    }
    return Object.entries(sum)
      .map(([message, count]) => `${message} ${count} times`)
      .join(', ');
  }
}
