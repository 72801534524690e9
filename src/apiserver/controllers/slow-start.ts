/** Many of the same at once, but first one, then two, four, …: what cannot work fails once, not a thousand times. */

/** Resolves with what went wrong; what had begun beside it has ended. */
export async function slowStart(count: number, one: () => Promise<void>): Promise<unknown> {
  let left = count;
  for (let batch = 1; left > 0; batch *= 2) {
    const size = Math.min(batch, left);
    const done = await Promise.allSettled(Array.from({ length: size }, one));
    const failed = done.find((result) => result.status === 'rejected');
    if (failed) return failed.reason;
    left -= size;
  }
  return undefined;
}
