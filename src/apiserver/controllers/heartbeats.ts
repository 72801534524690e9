/**
 * When each node was last heard of: counted from what this process has seen itself, by its own clock, whatever times
 * stand in the leases. Time in which this process stood still, or was not there, is nobody's silence.
 */
import type { Clock } from './clock.ts';

export class Heartbeats {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #seen = new Map<string, { beat: string; atMs: number }>();
  #lookedMs: number;

  /** Silence is asked for every `intervalMs`: a longer pause was ours. */
  constructor(clock: Clock, intervalMs: number) {
    this.#clock = clock;
    this.#intervalMs = intervalMs;
    this.#lookedMs = clock.monotonicMs();
  }

  /** `beat`: what differs from one sign of life to the next. */
  heard(node: string, beat: string): void {
    if (this.#seen.get(node)?.beat !== beat) this.#seen.set(node, { beat, atMs: this.#clock.monotonicMs() });
  }

  /** All that are known are as if they had been heard of now. */
  begin(): void {
    this.#lookedMs = this.#clock.monotonicMs();
    for (const seen of this.#seen.values()) seen.atMs = this.#lookedMs;
  }

  forget(node: string): void {
    this.#seen.delete(node);
  }

  knows(node: string): boolean {
    return this.#seen.has(node);
  }

  isSilent(node: string, graceMs: number): boolean {
    return this.#clock.monotonicMs() - (this.#seen.get(node)?.atMs ?? Number.POSITIVE_INFINITY) > graceMs;
  }

  /** Nodes that were heard of once and have been silent for longer, and for how many ms. To be asked regularly. */
  silent(graceMs: number): Map<string, number> {
    const now = this.#clock.monotonicMs();
    const pause = now - this.#lookedMs - this.#intervalMs;
    this.#lookedMs = now;
    const out = new Map<string, number>();
    for (const [node, seen] of this.#seen) {
      // What came meanwhile may not have been read yet.
      if (pause > this.#intervalMs) seen.atMs += pause;
      if (now - seen.atMs > graceMs) out.set(node, now - seen.atMs);
    }
    return out;
  }
}
