/**
 * HTTP requests through a service, in rounds, for as long as something else goes on: so that failures can be told by
 * when they happened, before, while or after a host went.
 */
import type { HttpLoadResult } from '../../src/lab/http-load.ts';
import type { ComposeLab } from './compose-lab.ts';

interface Round {
  startedAt: number;
  endedAt: number;
  load: HttpLoadResult;
}

/** A request under way may wait this long for a host that is away: connections outlast a partition of 20 s. */
const TIMEOUT_MS = 45_000;

export class HttpRounds {
  readonly rounds: Round[] = [];
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
      const startedAt = Date.now();
      const all = [...words, '--timeout', `${TIMEOUT_MS}`];
      const load = await this.#lab.tool<HttpLoadResult>(this.#client, all, TIMEOUT_MS * 2);
      this.rounds.push({ startedAt, endedAt: Date.now(), load });
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#ended;
  }

  /** Sums of the rounds that began in a stretch of time. */
  between(
    from: number,
    to: number,
  ): { requests: number; failed: number; answers: Record<string, number>; maxMs: number } {
    const sum = { requests: 0, failed: 0, answers: {} as Record<string, number>, maxMs: 0 };
    for (const { startedAt, load } of this.rounds) {
      if (startedAt < from || startedAt > to) continue;
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
    for (const { load } of this.rounds) {
      for (const [message, count] of Object.entries(load.failures)) sum[message] = (sum[message] ?? 0) + count;
    }
    return Object.entries(sum)
      .map(([message, count]) => `${message} ${count} times`)
      .join(', ');
  }
}
