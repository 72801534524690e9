/** Time that goes by when the test says so. */
import type { Clock } from '../../../src/apiserver/controllers/clock.ts';

export class FakeClock implements Clock {
  #nowMs = Date.parse('2026-01-01T00:00:00Z');
  /** By how much the clock on the wall is wrong. */
  #offMs = 0;
  readonly #timers = new Set<{ atMs: number; run: () => void }>();

  nowMs(): number {
    return this.#nowMs + this.#offMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  /** Somebody sets the clock on the wall, forward or back: no time goes by. */
  setBy(ms: number): void {
    this.#offMs += ms;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Rings what is due on the way, in order; what that began may still be going on. */
  advance(ms: number): void {
    const end = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#timers].filter(({ atMs }) => atMs <= end).sort((a, b) => a.atMs - b.atMs)[0];
      if (!due) break;
      this.#timers.delete(due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.run();
    }
    this.#nowMs = end;
  }

  /** The whole process stood still: what was due meanwhile rings afterwards. */
  pause(ms: number): void {
    this.#nowMs += ms;
  }

  /** In small steps, with real moments in between for what each begins. */
  async run(ms: number, stepMs = 100): Promise<void> {
    for (let gone = 0; gone < ms; gone += stepMs) {
      this.advance(Math.min(stepMs, ms - gone));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}
