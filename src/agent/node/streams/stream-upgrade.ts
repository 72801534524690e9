/** From a request to streams: the upgrade of an HTTP connection, to a WebSocket or to SPDY/3.1, as the client asks. */
import type { IncomingMessage } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { NodeError } from '../node-error.ts';
import type { RemoteOptions, RemoteStreams } from './remote-streams.ts';
import { SPDY_PROTOCOLS, spdyCommand } from './spdy-command.ts';
import { WEB_SOCKET_PROTOCOLS, webSocketCommand } from './web-socket-command.ts';
import { WebSocketTunnel } from './web-socket-tunnel.ts';

const FORWARD_PROTOCOLS: readonly string[] = ['portforward.k8s.io'];
/** SPDY within a WebSocket, from kubectl 1.31 on. */
const TUNNEL_PROTOCOL = 'SPDY/3.1+portforward.k8s.io';

/** Clients send pieces of 32 KB. */
const MOST_MESSAGE_BYTES = 4 * 1024 * 1024;

/** Whoever writes waits for the writes before; only pongs to a client that does not read them come to so much. */
const MOST_PENDING_BYTES = 4 * 1024 * 1024;

/** A client has so long to take an answer and go. */
const GOODBYE_MS = 10_000;

const LIMITS = { noServer: true, clientTracking: false, maxPayload: MOST_MESSAGE_BYTES };

const commands = new WebSocketServer({
  ...LIMITS,
  handleProtocols: (offered) => WEB_SOCKET_PROTOCOLS.find((protocol) => offered.has(protocol)) ?? false,
});

const tunnels = new WebSocketServer(LIMITS);
tunnels.on('headers', (headers) => headers.push(`Sec-WebSocket-Protocol: ${TUNNEL_PROTOCOL}`));

/** Undefined where the client went meanwhile. Throws NodeError before the connection is upgraded. */
export async function acceptStreams(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  options: RemoteOptions,
): Promise<RemoteStreams | undefined> {
  if (transportOf(request) === 'SPDY/3.1') {
    acceptSpdy(request, socket, SPDY_PROTOCOLS);
    return spdyCommand(socket, head, options).catch(() => undefined);
  }
  choose(WEB_SOCKET_PROTOCOLS, request.headers['sec-websocket-protocol']);
  return new Promise((resolve) => {
    socket.once('close', () => resolve(undefined));
    commands.handleUpgrade(request, socket, head, (webSocket) => {
      resolve(webSocketCommand(bounded(webSocket), socket, options));
    });
  });
}

/** What carries the SPDY of a port forward; the rest as acceptStreams(). */
export async function acceptForward(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<{ carrier: Duplex; head: Buffer } | undefined> {
  if (transportOf(request) === 'SPDY/3.1') {
    acceptSpdy(request, socket, FORWARD_PROTOCOLS);
    return { carrier: socket, head };
  }
  choose([TUNNEL_PROTOCOL], request.headers['sec-websocket-protocol']);
  // Its slash is no character of a protocol's name (RFC 6455, 4.1), and so ws would refuse it.
  delete request.headers['sec-websocket-protocol'];
  return new Promise((resolve) => {
    socket.once('close', () => resolve(undefined));
    tunnels.handleUpgrade(request, socket, head, (webSocket) => {
      resolve({ carrier: new WebSocketTunnel(bounded(webSocket)), head: Buffer.alloc(0) });
    });
  });
}

/** It ends where it fails, or where only its pongs pile up. */
function bounded(webSocket: WebSocket): WebSocket {
  return webSocket
    .on('error', () => {})
    .on('ping', () => {
      if (webSocket.bufferedAmount > MOST_PENDING_BYTES) webSocket.terminate();
    });
}

/** Throws NodeError. */
function transportOf({ headers: { upgrade = '' } }: IncomingMessage): 'websocket' | 'SPDY/3.1' {
  if (upgrade.toLowerCase() === 'websocket') return 'websocket';
  if (upgrade.toLowerCase() === 'spdy/3.1') return 'SPDY/3.1';
  throw new NodeError(400, `an upgrade to ${upgrade.slice(0, 40)} is not served: use a WebSocket or SPDY/3.1`);
}

/** Throws NodeError. */
function acceptSpdy(request: IncomingMessage, socket: Duplex, known: readonly string[]): void {
  const protocol = choose(known, request.headers['x-stream-protocol-version']);
  const headers = ['Connection: Upgrade', 'Upgrade: SPDY/3.1', `X-Stream-Protocol-Version: ${protocol}`];
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headers.join('\r\n')}\r\n\r\n`);
}

/** Throws NodeError. */
function choose(known: readonly string[], offered: string | string[] | undefined): string {
  const words = [offered ?? []].flat().flatMap((line) => line.split(',').map((word) => word.trim()));
  const found = known.find((protocol) => words.includes(protocol));
  if (found !== undefined) return found;
  throw new NodeError(400, `none of the protocols is served: offered ${words.join().slice(0, 200)}, served ${known}`);
}

/** An answer on a connection that was to be upgraded, and its end. */
export function answerPlainly(socket: Duplex, code: number, text: string): void {
  if (!socket.writable) return;
  const body = Buffer.from(text);
  const head = [
    `HTTP/1.1 ${code} ${STATUS_CODES[code] ?? ''}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${body.length}`,
    'Connection: close',
  ];
  socket.end(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]));
  setTimeout(() => socket.destroy(), GOODBYE_MS).unref();
}
