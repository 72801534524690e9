/** One attempt to reach an endpoint over TCP, within its time. */
import { connect, type Socket } from 'node:net';
import type { Target } from './endpoint-picker.ts';

export type Dialled = { socket: Socket } | { silent: boolean; code: string };

const KEEP_ALIVE_MS = 60_000;

/** Options of all sockets of the relay: small writes at once, peers that vanish are noticed. */
export const SOCKET_OPTIONS = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: KEEP_ALIVE_MS,
} as const;

export function dial({ address, port }: Target, timeoutMs: number): Promise<Dialled> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, ...SOCKET_OPTIONS });
    let answered = false;
    const giveUp = (): void => {
      if (answered) return;
      socket.destroy();
      resolve({ silent: true, code: 'ETIMEDOUT' });
    };
    // After a busy moment the answer may be there, and is only read after the timers.
    const late = setTimeout(() => setImmediate(giveUp), timeoutMs);
    socket.once('connect', () => {
      answered = true;
      clearTimeout(late);
      resolve({ socket });
    });
    // Stays for good: an error between this answer and the next listener must not be one that nobody hears.
    socket.on('error', (error: NodeJS.ErrnoException) => {
      answered = true;
      clearTimeout(late);
      resolve({ silent: error.code === 'ETIMEDOUT', code: error.code ?? error.message });
    });
  });
}
