/**
 * The API server's outside: HTTP requests in, answers out. Every error ends as a Status; nothing that a client sends
 * ends the process. Requests, bodies, headers and watches are bounded.
 *
 *   request ─▶ who is it? ─▶ limits ─▶ RequestRouter ─▶ ResourceHandler ─▶ ObjectStore ─▶ Store
 *                                                            └─ watch ◀─ WatchCache ◀───────┘
 */
import { createServer as createHttpServer, type IncomingMessage, type Server, ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import {
  type AddressInfo,
  createServer as createSocketServer,
  type Socket,
  type Server as SocketServer,
} from 'node:net';
import { pipeline, type Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { ApiError } from '../api-error.ts';
import { JoinedConnections } from './joined-connections.ts';
import type { ApiRequest, BlockAnswer, LineStream, PlainAnswer, Upgraded, User } from './request.ts';
import type { Admission, RequestLimits } from './request-limits.ts';
import type { RequestRouter } from './request-router.ts';
import type { ServerMetrics } from './server-metrics.ts';

/** As etcd's limit of a request allows, with room for what JSON adds to it. */
const MOST_BODY_BYTES = 3 * 1024 * 1024;
const MOST_HEADER_BYTES = 64 * 1024;
const MOST_CONNECTIONS = 10_000;
/** Characters of one warning, and of all in an answer: clients take no more than so many headers. */
const MOST_WARNING = 500;
const MOST_WARNINGS = 4096;
/** Logs that are read, and commands. */
const MOST_STREAMS = 1000;
const HEADERS_MS = 10_000;
const BODY_MS = 60_000;
const KEEP_ALIVE_MS = 90_000;
/** Who takes nothing of an answer for so long does not want it. */
const STALL_MS = 60_000;
/** What is left of a watch when it ends. */
const GOODBYE_MS = 10_000;
/** How often slow headers and bodies are looked for. */
const CHECK_MS = 5000;
const JSON_HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-cache, private' };

export interface ServerTls {
  key: string;
  certificate: string;
  /** Of clients' certificates. */
  clientCa: string;
}

export interface ServerOptions {
  /** Undefined: plain http, on loopback only. */
  tls: ServerTls | undefined;
  /** Who sends a request. Throws ApiError Unauthorized. */
  authenticate(request: IncomingMessage, socket: TLSSocket | undefined): User;
  router: RequestRouter;
  limits: RequestLimits;
  metrics: ServerMetrics;
  log(message: string): void;
  stallMs?: number;
  goodbyeMs?: number;
}

export class ApiServer {
  readonly #options: ServerOptions;
  readonly #server: Server;
  readonly #doors: SocketServer[] = [];
  readonly #joined = new JoinedConnections(MOST_STREAMS);
  #streams = 0;

  constructor(options: ServerOptions) {
    this.#options = options;
    const { tls } = options;
    const limits = {
      maxHeaderSize: MOST_HEADER_BYTES,
      headersTimeout: HEADERS_MS,
      requestTimeout: BODY_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: CHECK_MS,
    };
    const onRequest = (request: IncomingMessage, response: ServerResponse) => void this.#serve(request, response);
    this.#server = tls
      ? createHttpsServer(
          {
            ...limits,
            key: tls.key,
            cert: tls.certificate,
            ca: tls.clientCa,
            requestCert: true,
            // Who has no certificate may have a token.
            rejectUnauthorized: false,
            minVersion: 'TLSv1.2',
            handshakeTimeout: HEADERS_MS,
          },
          onRequest,
        )
      : createHttpServer(limits, onRequest);
    this.#server.maxConnections = MOST_CONNECTIONS;
    this.#server.on('upgrade', (message, socket, head) => this.#upgrade(message, socket as Socket, head));
    this.#server.on('clientError', (_, socket) => socket.destroy());
    this.#server.on('tlsClientError', () => {});
  }

  /** Resolves with the port. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#options.log(error.message));
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Beside that: a listening socket that somebody made for us, perhaps in another network namespace. */
  listenTo(fd: number): Promise<void> {
    const door = createSocketServer((socket) => this.#server.emit('connection', socket));
    door.maxConnections = MOST_CONNECTIONS;
    this.#doors.push(door);
    return new Promise((resolve, reject) => {
      door.once('error', reject);
      door.listen({ fd }, () => {
        door.off('error', reject);
        door.on('error', (error) => this.#options.log(error.message));
        resolve();
      });
    });
  }

  close(): Promise<void> {
    for (const door of this.#doors) door.close();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
      this.#joined.close();
    });
  }

  /**
   * A request to change protocols comes with its socket and without a response (node:http, event 'upgrade'), whatever it
   * asks for: where the answer is no change of protocols it is sent as that of any other request, and the connection ends.
   */
  #upgrade(message: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on('error', () => {});
    socket.on('timeout', () => socket.destroy());
    const response = new ServerResponse(message);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.once('finish', () => socket.destroySoon());
    void this.#serve(message, response, head);
  }

  /** `head`: what came behind a request to change protocols. */
  async #serve(message: IncomingMessage, response: ServerResponse, head?: Buffer): Promise<void> {
    response.on('error', () => {});
    const { router, limits, metrics } = this.#options;
    const begun = performance.now();
    try {
      const url = parseUrl(message.url);
      const health = await router.health(url.pathname, url.searchParams.has('verbose'));
      if (health) {
        this.#send(response, health);
        return;
      }
      const user = this.#options.authenticate(message, this.#options.tls ? (message.socket as TLSSocket) : undefined);
      const admitted = limits.admit(user.name);
      response.once('close', () => admitted.done());
      const request: ApiRequest = {
        method: message.method ?? 'GET',
        path: url.pathname,
        query: url.searchParams,
        accept: message.headers.accept,
        gzip: /\bgzip\b/.test(`${message.headers['accept-encoding'] ?? ''}`),
        contentType: message.headers['content-type'] ?? '',
        user,
        ...(head ? { upgrade: upgradeHeaders(message) } : {}),
        body: () => readBody(message, admitted),
      };
      const answer = await router.answer(request);
      // What goes on for long is bounded in other ways.
      if ('lines' in answer || 'stream' in answer || 'upgraded' in answer) admitted.done();
      if ('lines' in answer) this.#stream(response, answer.lines, user);
      else if ('blocks' in answer) await this.#sendBlocks(response, answer);
      else if ('stream' in answer) this.#pass(answer, response);
      else if ('upgraded' in answer) this.#join(response, head ?? Buffer.alloc(0), answer.upgraded);
      else this.#send(response, answer);
    } catch (error) {
      const known = router.asApiError(error, { method: message.method ?? '', path: message.url ?? '' });
      if (response.headersSent) response.destroy();
      else this.#send(response, { code: known.code, json: known.status() });
    } finally {
      metrics.answered(message.method ?? '', message.url ?? '', response.statusCode, performance.now() - begun);
    }
  }

  #stream(response: ServerResponse, lines: LineStream, user: User): void {
    // The client may have gone while its list was made.
    if (response.destroyed || response.closed) return;
    const end = this.#options.limits.watch(user.name);
    response.once('close', () => {
      end();
      lines.close();
    });
    lines.start({ write: (bytes) => response.write(bytes), end: () => this.#endSoon(response) });
    response.setTimeout(0);
    response.writeHead(200, JSON_HEADERS);
    response.flushHeaders();
    response.on('drain', () => lines.drained());
  }

  /** Where the client takes what is left, else without it. */
  #endSoon(response: ServerResponse): void {
    response.end();
    const timer = setTimeout(() => response.destroy(), this.#options.goodbyeMs ?? GOODBYE_MS);
    response.once('close', () => clearTimeout(timer));
  }

  #send(response: ServerResponse, answer: PlainAnswer): void {
    response.setTimeout(this.#options.stallMs ?? STALL_MS, () => response.destroy());
    send(response, answer);
  }

  /** As fast as the client reads. */
  async #sendBlocks(response: ServerResponse, { code, blocks }: BlockAnswer): Promise<void> {
    response.setTimeout(this.#options.stallMs ?? STALL_MS, () => response.destroy());
    response.writeHead(code, JSON_HEADERS);
    for (const block of blocks) {
      if (response.destroyed) return;
      if (!response.write(block)) await drained(response);
    }
    response.end();
  }

  /** Ends with either side. */
  #pass(
    { code, stream, contentType }: { code: number; stream: Readable; contentType: string },
    to: ServerResponse,
  ): void {
    if (this.#streams >= MOST_STREAMS) {
      stream.destroy();
      throw new ApiError('TooManyRequests', `more than ${MOST_STREAMS} logs are read`, { retryAfterSeconds: 1 });
    }
    this.#streams++;
    to.setTimeout(0);
    to.writeHead(code, { 'content-type': contentType, 'cache-control': 'no-cache, private' });
    to.flushHeaders();
    pipeline(stream, to, () => {
      this.#streams--;
    });
  }

  #join(response: ServerResponse, head: Buffer, upgraded: Upgraded): void {
    const { socket } = response;
    if (!socket || socket.destroyed || this.#joined.isFull) {
      upgraded.socket.destroy();
      throw new ApiError('TooManyRequests', `more than ${MOST_STREAMS} commands and port forwards run`, {
        retryAfterSeconds: 1,
      });
    }
    response.detachSocket(socket);
    for (const each of [socket, upgraded.socket as Socket]) each.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
    this.#joined.join(socket, head, upgraded);
  }
}

function upgradeHeaders({ headers }: IncomingMessage): Record<string, string | string[]> {
  const found: Record<string, string | string[]> = { connection: 'Upgrade' };
  for (const [name, value] of Object.entries(headers)) {
    const isWanted = name === 'upgrade' || name === 'x-stream-protocol-version' || name.startsWith('sec-websocket-');
    if (isWanted && value !== undefined) found[name] = value;
  }
  return found;
}

function parseUrl(text = '/'): URL {
  try {
    return new URL(text, 'https://server');
  } catch {
    throw new ApiError('BadRequest', 'the path cannot be read');
  }
}

function readBody(message: IncomingMessage, admitted: Admission): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // Gone before anybody looked: none of what follows would come.
    if (message.destroyed) reject(new ApiError('BadRequest', 'the body broke off'));
    const chunks: Buffer[] = [];
    let bytes = 0;
    message.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      try {
        if (bytes > MOST_BODY_BYTES) {
          throw new ApiError('RequestEntityTooLarge', `the body is longer than ${MOST_BODY_BYTES} bytes`);
        }
        admitted.body(chunk.length);
        chunks.push(chunk);
      } catch (error) {
        message.removeAllListeners('data');
        message.resume();
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
    const breakOff = () => reject(new ApiError('BadRequest', 'the body broke off'));
    message.once('end', () => {
      message.off('close', breakOff);
      resolve(Buffer.concat(chunks));
    });
    message.once('error', (error) => reject(new ApiError('BadRequest', `the body broke off: ${error.message}`)));
    message.once('close', breakOff);
  });
}

function send(response: ServerResponse, answer: PlainAnswer): void {
  const retry = retryAfter(answer);
  const headers = {
    'cache-control': 'no-cache, private',
    ...(retry === undefined ? {} : { 'retry-after': `${retry}` }),
    ...('encoding' in answer ? { 'content-encoding': answer.encoding } : {}),
    ...warningsOf(answer),
  };
  const write = (body: string | Buffer, contentType: string) => {
    response.writeHead(answer.code, {
      ...headers,
      'content-type': contentType,
      'content-length': Buffer.byteLength(body),
    });
    response.end(body);
  };
  if ('json' in answer) write(`${JSON.stringify(answer.json)}\n`, 'application/json');
  else if ('text' in answer) write(answer.text, answer.contentType ?? 'text/plain; charset=utf-8');
  else write(answer.bytes, answer.contentType);
}

/** Or gone. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}

/** RFC 7234, 5.5, as kubectl shows them: what it cannot carry is left out. */
function warningsOf(answer: PlainAnswer): Record<string, string[]> {
  const warnings = 'json' in answer ? (answer.warnings ?? []) : [];
  const out: string[] = [];
  let characters = 0;
  for (const text of warnings) {
    const line = text
      .replace(/[^\x20-\x7e]/g, ' ')
      .slice(0, MOST_WARNING)
      .replace(/["\\]/g, '\\$&');
    characters += line.length;
    if (characters > MOST_WARNINGS) break;
    out.push(`299 - "${line}"`);
  }
  return out.length > 0 ? { warning: out } : {};
}

function retryAfter(answer: object): number | undefined {
  const { json } = answer as { json?: { details?: { retryAfterSeconds?: number } } };
  return json?.details?.retryAfterSeconds;
}
