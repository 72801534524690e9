/**
 * The way from a lab's API server to an etcd that was there before the lab. The lab's network leads nowhere; a Unix
 * socket in its folder is seen from both sides. gRPC asks for members by CONNECT (RFC 9110, section 9.3.6), as of any proxy:
 * their names are resolved outside, and TLS is between the API server and etcd alone.
 *
 *     weft apiserver ──▶ 127.0.0.1:2379, the holder ──▶ Unix socket ──▶ weft lab-tunnel ──▶ https://10.0.0.1:2379
 *     └────────────── the lab's network ──────────┘                     └────────── the machine's ──────────┘
 */
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer as createProxy } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream';
import { makeOwnDir } from './lab-dir.ts';

const PORT = 2379;
/** An API server has few: gRPC carries its calls in one for each member. */
const MOST_CONNECTIONS = 64;
const CONNECT_MS = 5000;

/** What gRPC is to find in the environment: this proxy for all addresses. It would write a line for each that does not answer. */
export const TUNNEL_ENVIRONMENT = {
  grpc_proxy: `http://127.0.0.1:${PORT}`,
  no_grpc_proxy: '',
  no_proxy: '',
  GRPC_VERBOSITY: 'NONE',
};

/** The lab's end. */
export async function openTunnel(path: string, port: number = PORT): Promise<Server> {
  const server = createServer({ noDelay: true }, (inside) => join(inside, connect(path)));
  server.maxConnections = MOST_CONNECTIONS;
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** The machine's end: leads to these members of an etcd and nowhere else. `log` is told of one when what is wrong with it changes. */
export async function serveTunnel(
  path: string,
  members: readonly string[],
  log: (message: string) => void,
): Promise<Server> {
  const known = new Map(members.map((url) => [targetOf(url), { url, said: '' }]));
  const server = createProxy((_request, response) => response.writeHead(405).end());
  server.maxConnections = MOST_CONNECTIONS;
  server.on('connect', ({ url: target = '' }, client: Socket, head: Buffer) => {
    const answer = (status: string): void => void client.write(`HTTP/1.1 ${status}\r\n\r\n`);
    const refuse = (status: string): void => {
      answer(status);
      client.destroySoon();
    };
    client.on('error', () => {});
    const member = known.get(target);
    if (member === undefined) return refuse('403 Forbidden');
    const colon = target.lastIndexOf(':');
    const outside = connect({
      host: target.slice(0, colon),
      port: Number(target.slice(colon + 1)),
      keepAlive: true,
      noDelay: true,
    });
    const say = (what: string): void => {
      if (what !== member.said) log(`${member.url}: ${what}`);
      member.said = what;
    };
    const refused = (error: NodeJS.ErrnoException): void => {
      say(error.code ?? error.message);
      refuse('502 Bad Gateway');
    };
    client.once('close', () => outside.destroy());
    outside.setTimeout(CONNECT_MS, () => outside.destroy(new Error(`no answer within ${CONNECT_MS / 1000} s`)));
    outside.once('error', refused);
    outside.once('connect', () => {
      outside.off('error', refused).setTimeout(0);
      say('connected');
      answer('200 OK');
      outside.write(head);
      join(client, outside);
    });
  });
  makeOwnDir(dirname(path));
  // One that was killed left it.
  rmSync(path, { force: true });
  const mask = process.umask(0o177);
  server.listen(path);
  process.umask(mask);
  await once(server, 'listening');
  return server;
}

/** Both ways; the end of one is the end of the other. */
function join(a: Socket, b: Socket): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.on('error', () => {});
    pipeline(from, to, () => {});
  }
}

/** As gRPC names it: without the brackets of an IPv6 address. */
function targetOf(url: string): string {
  return url.replace(/^https?:\/\//, '').replace(/[[\]]/g, '');
}
