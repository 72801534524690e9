/** How the programs that stand for images end: when they are told to, as a container is. */

/** Resolves with SIGTERM, SIGINT or SIGQUIT; a second one ends the process at once. */
export function untilTold(): Promise<void> {
  return new Promise((done) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) process.once(signal, () => done());
  });
}
