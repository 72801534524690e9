/** Time as controllers see it: passed in, so that tests need not wait for minutes to go by. */

export interface Clock {
  /** Since 1970: what is written. It may be set, forward and back. */
  nowMs(): number;
  /** Since any moment, and never set: what durations are counted by. */
  monotonicMs(): number;
  /** Calls once, unless the function that it gives back is called before. */
  after(delayMs: number, run: () => void): () => void;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const SYSTEM_CLOCK: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, Math.min(Math.max(0, delayMs), LONGEST_TIMER_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
