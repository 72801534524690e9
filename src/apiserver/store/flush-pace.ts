/**
 * When the next write to the disk may begin. Nobody else has a turn while the disk writes: where many write, the next
 * one comes no sooner than after as long again, however slow the disk is. One alone does not wait for others.
 */

/** Writers wait for each other no longer than this. */
const MOST_MS = 50;
/** Transactions of a write that are few. */
const ALONE = 2;

export class FlushPace {
  #next = 0;

  /** A write of so many transactions. */
  flush(transactions: number, write: () => void): void {
    const began = performance.now();
    write();
    const ended = performance.now();
    this.#next = transactions > ALONE ? ended + Math.min(ended - began, MOST_MS) : ended;
  }

  /** Calls when the next one may begin, in another turn of the event loop. */
  next(flush: () => void): void {
    const rest = this.#next - performance.now();
    if (rest < 1) setImmediate(flush);
    else setTimeout(flush, rest);
  }
}
