/**
 * Joins two TCP connections into one: bytes both ways, each way no faster than its reader, an end (FIN) carried over
 * by itself so that the other direction goes on, a reset carried over as a reset.
 */
import type { Socket } from 'node:net';

/** Both sockets with allowHalfOpen. `done` is called once, when both are closed. */
export function splice(a: Socket, b: Socket, done: () => void): void {
  let open = 2;
  const closed = (): void => {
    open--;
    if (open === 0) done();
  };
  carry(a, b, closed);
  carry(b, a, closed);
}

function carry(from: Socket, to: Socket, closed: () => void): void {
  from.on('error', () => {
    // Told by 'close', which follows.
  });
  if (from.destroyed) {
    to.resetAndDestroy();
    return closed();
  }
  from.once('close', (failed) => {
    // It closes by itself only after both directions have ended; anything else is an abort, and is told as one.
    if (failed || !from.readableEnded) to.resetAndDestroy();
    closed();
  });
  from.pipe(to);
}
