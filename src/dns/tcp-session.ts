/**
 * DNS over one TCP connection (RFC 1035 section 4.2.2, RFC 7766): messages behind 16-bit lengths, as many as the
 * client likes, answered as soon as each answer is there. A client that sends no whole message for a while, reads no
 * answers, or asks faster than it is served is cut off or held back.
 */
import type { Socket } from 'node:net';

export interface TcpSessionOptions {
  /** Nothing: no answer to this message. Must not reject. */
  respond: (message: Buffer) => Promise<Buffer | undefined>;
  /** The messages of a zone transfer where the message asks for one; they are taken as the client takes them. */
  transfer: (message: Buffer) => Iterable<Buffer> | undefined;
  /** Between whole messages: a client that dribbles octets is idle too. */
  idleMs: number;
  onIdle: () => void;
}

/** Questions of one connection under way at once; then the socket is not read until some are answered. */
const IN_FLIGHT_LIMIT = 32;
/** Answers that the client has not taken; then it is cut off. */
const UNSENT_LIMIT_BYTES = 1 << 20;

export function serveTcpSession(socket: Socket, options: TcpSessionOptions): void {
  let received = Buffer.alloc(0);
  let inFlight = 0;
  let ended = false;
  const idle = setTimeout(() => {
    options.onIdle();
    socket.destroy();
  }, options.idleMs);

  const send = (reply: Buffer): void => {
    idle.refresh();
    const length = Buffer.alloc(2);
    length.writeUInt16BE(reply.length);
    socket.write(Buffer.concat([length, reply]));
    if (socket.writableLength > UNSENT_LIMIT_BYTES) socket.destroy();
  };

  const answer = async (message: Buffer): Promise<void> => {
    const transfer = options.transfer(message);
    for (const part of transfer ?? []) {
      if (socket.destroyed) break;
      send(part);
      if (socket.writableNeedDrain) await drained(socket);
    }
    const reply = transfer ? undefined : await options.respond(message);
    inFlight--;
    if (socket.destroyed) return;
    idle.refresh();
    if (reply) send(reply);
    if (ended && inFlight === 0) socket.end();
    take();
  };

  const take = (): void => {
    while (received.length >= 2 && inFlight < IN_FLIGHT_LIMIT) {
      const end = 2 + received.readUInt16BE(0);
      if (received.length < end) break;
      const message = received.subarray(2, end);
      received = received.subarray(end);
      inFlight++;
      idle.refresh();
      void answer(message);
    }
    if (inFlight >= IN_FLIGHT_LIMIT) socket.pause();
    else if (socket.isPaused()) socket.resume();
  };

  socket.on('data', (bytes) => {
    received = received.length === 0 ? bytes : Buffer.concat([received, bytes]);
    take();
  });
  // The client may close its side right after the last question; the answers still go out.
  socket.on('end', () => {
    ended = true;
    if (inFlight === 0) socket.end();
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => clearTimeout(idle));
}

/** Resolves when the client has taken what was sent, or is gone. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.once('drain', done);
    socket.once('close', done);
  });
}
