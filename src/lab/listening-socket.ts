/**
 * A listening socket of this network namespace, for a process in another one to serve: a socket stays where it was
 * made, so that whoever is outside of a lab reaches what is inside.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

export interface ListeningSocket {
  port: number;
  /** For the `stdio` of a child, which inherits it. */
  fd: number;
  /** Of this process: children keep theirs. */
  close(): void;
}

/** On loopback, at any port that is free. */
export async function listenOnLoopback(): Promise<ListeningSocket> {
  const server = createServer((socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // Node keeps the number to itself, and offers no other way to hand a listening socket to a program that is not Node.
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  return { port: (server.address() as AddressInfo).port, fd, close: () => server.close() };
}
