/** Many of the same at once, but first one, then two, four, …: what cannot work fails once, not a thousand times. */

/** Beginning one is work too, and requests are waiting. */
const AT_ONCE = 32;

/** Resolves with what went wrong; what had begun beside it has ended. */
export async function slowStart(count: number, one: () => Promise<void>): Promise<Error | undefined> {
  let left = count;
  for (let batch = 1; left > 0; batch = Math.min(2 * batch, AT_ONCE)) {
    const size = Math.min(batch, left);
    const done = await Promise.allSettled(Array.from({ length: size }, one));
    const failure = firstFailure(done);
    if (failure) return failure;
    left -= size;
  }
  return undefined;
}

/** What went wrong first of several that were begun together. */
export function firstFailure(done: readonly PromiseSettledResult<unknown>[]): Error | undefined {
  const reason: unknown = done.find((result) => result.status === 'rejected')?.reason;
  return reason === undefined || reason instanceof Error ? reason : new Error(String(reason));
}
