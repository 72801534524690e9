/**
 * Requests to a Kubernetes API server, ours or any other: JSON over connections that are kept, answers bounded in size
 * and time, errors as the server's Status says them. Watches are streams on connections of their own.
 */
import { readFileSync } from 'node:fs';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { isJsonObject } from './json-value.ts';
import type { ApiAccess } from './kubeconfig.ts';

const MOST_BYTES = 64 * 1024 * 1024;
const MOST_ERROR_BYTES = 64 * 1024;
const MOST_IDLE = 4;
const USUAL_MS = 30_000;
/** An idle connection of which the other side is silent is asked whether it is still there. */
const KEEP_ALIVE_MS = 10_000;
const TOKEN_MS = 60_000;

export type PatchType = 'merge' | 'strategic' | 'json';

const PATCH_TYPES: Readonly<Record<PatchType, string>> = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json',
};

export interface ApiRequestOptions {
  query?: Readonly<Record<string, string | number | boolean | undefined>>;
  body?: unknown;
  contentType?: string;
  /** `application/json` where it is left out. */
  accept?: string;
  timeoutMs?: number;
  signal?: AbortSignal;
}

interface SendOptions extends ApiRequestOptions {
  /** The answer may be; one without an end is read as it comes. */
  compressed?: boolean;
}

/** What a server answered that was no success, or why none answered. */
export class ApiRequestError extends Error {
  /** The HTTP status; 0 where no answer came. */
  readonly code: number;
  /** Of the Status (`NotFound`, `Conflict`); '' where none came. */
  readonly reason: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: number, reason: string, message: string, details: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ApiRequestError';
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  /** No server answered, or it says of itself that it cannot: the same request may do later. */
  get isOutage(): boolean {
    return this.code === 0 || this.code === 429 || this.code >= 500;
  }
}

export class ApiClient {
  #access: ApiAccess;
  readonly #base: URL;
  #agent: HttpAgent | HttpsAgent;
  readonly #open = new Set<Socket>();
  #token = '';
  #tokenReadAt = -TOKEN_MS;
  #closed = false;

  constructor(access: ApiAccess) {
    this.#access = access;
    this.#base = new URL(access.server);
    this.#agent = this.#newAgent();
  }

  get access(): ApiAccess {
    return this.#access;
  }

  /** The same server, and something else to show it: all connections are made anew. */
  renew(access: ApiAccess): void {
    const before = this.#agent;
    this.#access = access;
    this.#tokenReadAt = -TOKEN_MS;
    this.#agent = this.#newAgent();
    this.reset();
    before.destroy();
  }

  #newAgent(): HttpAgent | HttpsAgent {
    const options = { keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS, maxFreeSockets: MOST_IDLE };
    return this.#base.protocol === 'https:' ? new HttpsAgent({ ...options, ...this.tls() }) : new HttpAgent(options);
  }

  /** What node:tls needs to know of both sides. */
  tls(): Record<string, unknown> {
    const { authority, certificate, key, serverName, insecure } = this.access;
    return {
      ...(authority ? { ca: authority } : {}),
      ...(certificate ? { cert: certificate, key } : {}),
      ...(serverName ? { servername: serverName } : {}),
      ...(insecure ? { rejectUnauthorized: false } : {}),
    };
  }

  /** The address that packets to the server leave from, once a connection was made. */
  get localAddress(): string | undefined {
    for (const socket of this.#open) if (socket.localAddress) return socket.localAddress;
    return undefined;
  }

  get<T = unknown>(path: string, options: ApiRequestOptions = {}): Promise<T> {
    return this.request('GET', path, options);
  }

  post<T = unknown>(path: string, body: unknown, options: ApiRequestOptions = {}): Promise<T> {
    return this.request('POST', path, { ...options, body });
  }

  put<T = unknown>(path: string, body: unknown, options: ApiRequestOptions = {}): Promise<T> {
    return this.request('PUT', path, { ...options, body });
  }

  patch<T = unknown>(path: string, type: PatchType, body: unknown, options: ApiRequestOptions = {}): Promise<T> {
    return this.request('PATCH', path, { ...options, body, contentType: PATCH_TYPES[type] });
  }

  delete<T = unknown>(path: string, options: ApiRequestOptions = {}): Promise<T> {
    return this.request('DELETE', path, options);
  }

  /** The answer's JSON. Throws ApiRequestError. */
  async request<T = unknown>(method: string, path: string, options: ApiRequestOptions = {}): Promise<T> {
    const timeout = AbortSignal.timeout(options.timeoutMs ?? USUAL_MS);
    const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
    const answer = await this.#send(method, path, { ...options, signal, compressed: true });
    const text = await readText(answer, MOST_BYTES);
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw new ApiRequestError(0, '', `${method} ${path}: the answer is no JSON`, {}, cause);
    }
  }

  /** An answer without an end: whoever asked reads it, and destroys it. Throws ApiRequestError. */
  stream(path: string, options: ApiRequestOptions = {}): Promise<IncomingMessage> {
    return this.#send('GET', path, options);
  }

  /** All connections end, watches too: what was under way fails, what comes next connects anew. */
  reset(): void {
    for (const socket of this.#open) socket.destroy();
  }

  close(): void {
    this.#closed = true;
    this.reset();
    this.#agent.destroy();
  }

  /** An idle connection may be closed by the server as we take it up again: nothing was done then, so once more. */
  async #send(method: string, path: string, options: SendOptions): Promise<IncomingMessage> {
    const answer = await this.#once(method, path, options).catch((error: unknown) => {
      const stale = error instanceof StaleConnection && !options.signal?.aborted && !this.#closed;
      if (stale) return this.#once(method, path, options);
      throw error;
    });
    const code = answer.statusCode ?? 0;
    if (code >= 200 && code < 300) return answer;
    throw asStatus(code, await readText(answer, MOST_ERROR_BYTES).catch(() => ''), `${method} ${path}`, answer.headers);
  }

  #once(
    method: string,
    path: string,
    {
      query = {},
      body,
      contentType = 'application/json',
      accept = 'application/json',
      signal,
      compressed,
    }: SendOptions,
  ): Promise<IncomingMessage> {
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const options: RequestOptions = {
      method,
      agent: this.#agent,
      protocol: this.#base.protocol,
      // Brackets are for addresses in text.
      hostname: this.#base.hostname.replace(/^\[|\]$/g, ''),
      port: this.#base.port,
      path: `${this.#base.pathname.replace(/\/$/, '')}${path}${queryText(query)}`,
      headers: {
        accept,
        ...(compressed ? { 'accept-encoding': 'gzip' } : {}),
        'user-agent': 'weft',
        ...this.authorization(),
        ...(bytes ? { 'content-type': contentType, 'content-length': bytes.length } : {}),
      },
      ...(signal ? { signal } : {}),
    };
    return new Promise((resolve, reject) => {
      const request = (this.#base.protocol === 'https:' ? httpsRequest : httpRequest)(options);
      request.on('socket', (socket) => this.#keep(socket));
      request.once('response', resolve);
      request.once('error', (error: NodeJS.ErrnoException) => {
        const stale = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
        const why = signal?.aborted ? 'no answer in time' : (error.code ?? error.message);
        const message = `${this.access.server}: ${why}`;
        reject(stale ? new StaleConnection(message, error) : new ApiRequestError(0, '', message, {}, error));
      });
      request.end(bytes);
    });
  }

  #keep(socket: Socket): void {
    if (this.#open.has(socket)) return;
    this.#open.add(socket);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.setNoDelay(true);
    socket.once('close', () => this.#open.delete(socket));
  }

  /** The header that says who we are, where no certificate does. */
  authorization(): { authorization?: string } {
    const { token, tokenFile } = this.access;
    if (tokenFile && performance.now() - this.#tokenReadAt > TOKEN_MS) {
      try {
        this.#token = readFileSync(tokenFile, 'utf8').trim();
        this.#tokenReadAt = performance.now();
      } catch {
        // The last one may do still; where not, the server says so.
      }
    }
    const own = tokenFile ? this.#token : token;
    return own ? { authorization: `Bearer ${own}` } : {};
  }
}

class StaleConnection extends ApiRequestError {
  constructor(message: string, cause: unknown) {
    super(0, '', message, {}, cause);
  }
}

/** A segment of a path. */
export function pathSegment(text: string): string {
  return encodeURIComponent(text);
}

function queryText(query: NonNullable<ApiRequestOptions['query']>): string {
  const parts = Object.entries(query).flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(value)}`],
  );
  return parts.length > 0 ? `?${parts.join('&')}` : '';
}

async function readText(answer: IncomingMessage, mostBytes: number): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    const isCompressed = answer.headers['content-encoding'] === 'gzip';
    const parted = isCompressed ? pipeline(answer, createGunzip(), () => {}) : answer;
    for await (const part of parted as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > mostBytes) throw new Error(`the answer is longer than ${mostBytes} bytes`);
      parts.push(part);
    }
  } catch (cause) {
    throw new ApiRequestError(0, '', `the answer broke off: ${(cause as Error).message}`, {}, cause);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** An answer that was no success, as its Status says it, or whoever stood in between. */
function asStatus(code: number, text: string, what: string, headers: IncomingMessage['headers']): ApiRequestError {
  let status: unknown;
  try {
    status = JSON.parse(text);
  } catch {
    // A proxy may speak HTML.
  }
  const { reason = '', message = '', details } = isJsonObject(status) ? status : {};
  const said = String(message) || `${what}: ${code} ${text.slice(0, 200)}`.trim();
  const seconds = Number(headers['retry-after']);
  const wait = Number.isFinite(seconds) && seconds > 0 ? { retryAfterSeconds: seconds } : {};
  return new ApiRequestError(code, String(reason), said, { ...wait, ...(isJsonObject(details) ? details : {}) });
}
