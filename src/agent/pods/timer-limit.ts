/** Times that users choose may be longer than a timer can wait: Node.js would not wait at all (setTimeout: 2 ** 31 - 1). */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export function timerMs(ms: number): number {
  return Math.min(Math.max(0, ms), LONGEST_TIMER_MS);
}
