/** The web servers that stand for images: each serves on its port until its pod is told to end. */
import type { Server } from 'node:http';
import { untilTold } from './signals.ts';

/** Resolves when a signal has ended it; requests under way are answered still. Rejects where the port is taken. */
export async function serveUntilTold(server: Server, port: number): Promise<void> {
  server.on('clientError', (_error, socket) => socket.destroy());
  await new Promise<void>((done, fail) => {
    server.once('error', fail);
    server.listen({ port, backlog: 511 }, done);
  });
  await untilTold();
  server.close();
  server.closeIdleConnections();
}
