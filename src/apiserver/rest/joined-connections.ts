/**
 * Connections that were joined end to end after a change of protocols: a client's and a node's. Bytes go through as
 * they come, no faster than the other side takes them; what ends on one side ends on the other.
 */
import type { Duplex } from 'node:stream';
import type { Upgraded } from './request.ts';

/** What one side still has to be told when the other is gone has so long to get there. */
const GOODBYE_MS = 10_000;

export class JoinedConnections {
  readonly #most: number;
  readonly #sockets = new Set<Duplex>();

  constructor(most: number) {
    this.#most = most;
  }

  get isFull(): boolean {
    return this.#sockets.size >= this.#most;
  }

  /** `head`: what the client sent behind its request. */
  join(client: Duplex, head: Buffer, upgraded: Upgraded): void {
    const { socket: node, rawHeaders } = upgraded;
    this.#sockets.add(client);
    client.once('close', () => this.#sockets.delete(client));
    const lines = ['HTTP/1.1 101 Switching Protocols'];
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
    client.write(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), upgraded.head]));
    if (head.length > 0) node.write(head);
    follow(client, node);
    follow(node, client);
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

function follow(from: Duplex, to: Duplex): void {
  from.on('error', () => {});
  if (from.destroyed) {
    to.destroy();
    return;
  }
  from.pipe(to);
  from.once('close', () => {
    if (!from.readableEnded || to.writableFinished) {
      to.destroy();
      return;
    }
    // The pipe has ended it behind all that came.
    const timer = setTimeout(() => to.destroy(), GOODBYE_MS);
    to.once('close', () => clearTimeout(timer));
    to.once('finish', () => to.destroy());
  });
}
