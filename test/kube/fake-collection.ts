/**
 * One collection of objects behind HTTP as a Kubernetes API server has it: lists in pages, watches with a history that
 * can be forgotten, and all the ways in which a server breaks off.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';

export interface FakeObject {
  metadata: { name: string; namespace: string; resourceVersion: string; [field: string]: unknown };
  [field: string]: unknown;
}

interface Event {
  type: string;
  object: FakeObject;
  version: number;
}

export class FakeCollection {
  readonly objects = new Map<string, FakeObject>();
  /** Every request's path and query, in order. */
  readonly asked: URL[] = [];
  lists = 0;
  watches = 0;
  /** Answers instead of the collection, while it returns true. */
  intercept: (url: URL, response: ServerResponse) => boolean = () => false;
  #version = 100;
  #oldest = 100;
  #events: Event[] = [];
  readonly #watchers = new Set<ServerResponse>();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** What lists showed, by their version. */
  readonly #lists = new Map<number, (FakeObject | undefined)[]>();
  readonly #at: string | undefined;

  /** `at`: the only path at which there is anything. */
  constructor(at?: string) {
    this.#at = at;
    this.#server = createServer((request, response) => this.#serve(request, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** Ends with the test. */
  static async start(t: Test, at?: string): Promise<FakeCollection> {
    const collection = new FakeCollection(at);
    await collection.listen(0);
    t.teardown(() => collection.stop());
    return collection;
  }

  /** A port that was given back may be somebody's for a moment. */
  async listen(port: number): Promise<void> {
    for (let tries = 0; ; tries++) {
      this.#server.listen(port, '127.0.0.1');
      try {
        await once(this.#server, 'listening');
        return;
      } catch (error) {
        if (tries === 50) throw error;
        await sleep(100);
      }
    }
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get watching(): number {
    return this.#watchers.size;
  }

  stop(): Promise<void> {
    this.cut();
    return new Promise((resolve) => void this.#server.close(() => resolve()));
  }

  /** Every connection ends, in the middle of whatever it is. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  put(name: string, fields: Record<string, unknown> = {}): FakeObject {
    const before = this.objects.get(name);
    this.#version++;
    const { metadata, ...rest } = fields;
    const object: FakeObject = {
      ...rest,
      metadata: {
        ...(metadata as object | undefined),
        name,
        namespace: 'default',
        resourceVersion: `${this.#version}`,
      },
    };
    this.objects.set(name, object);
    this.#tell(before ? 'MODIFIED' : 'ADDED', object);
    return object;
  }

  remove(name: string): void {
    const before = this.objects.get(name);
    if (!before) return;
    this.#version++;
    this.objects.delete(name);
    this.#tell('DELETED', { ...before, metadata: { ...before.metadata, resourceVersion: `${this.#version}` } });
  }

  /** What was before now is history that nobody knows any more. */
  compact(): void {
    this.#oldest = this.#version;
    this.#events = [];
  }

  bookmark(): void {
    for (const watcher of this.#watchers) {
      watcher.write(line('BOOKMARK', { metadata: { resourceVersion: `${this.#version}` } }));
    }
  }

  /** To everybody who watches: an error in the stream. */
  sendError(code: number, reason: string): void {
    for (const watcher of this.#watchers) watcher.end(line('ERROR', { kind: 'Status', code, reason, message: reason }));
    this.#watchers.clear();
  }

  /** What a good follower of it knows now. */
  versions(): Record<string, string> {
    return Object.fromEntries([...this.objects].sort().map(([name, o]) => [name, o.metadata.resourceVersion]));
  }

  #tell(type: string, object: FakeObject): void {
    this.#events.push({ type, object, version: this.#version });
    for (const watcher of this.#watchers) watcher.write(line(type, object));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://fake');
    this.asked.push(url);
    if (this.intercept(url, response)) return;
    if (this.#at !== undefined && url.pathname !== this.#at) this.#serveNothing(url, response);
    else if (url.searchParams.get('watch') === 'true') this.#watch(url, response);
    else this.#list(url, response);
  }

  #serveNothing(url: URL, response: ServerResponse): void {
    if (url.searchParams.get('watch') !== 'true') {
      answer(response, 200, { kind: 'FakeList', metadata: { resourceVersion: `${this.#version}` }, items: null });
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
  }

  #list(url: URL, response: ServerResponse): void {
    this.lists++;
    const limit = Number(url.searchParams.get('limit') ?? Number.POSITIVE_INFINITY);
    const [from = 0, version = this.#version] = (url.searchParams.get('continue') ?? '')
      .split('.')
      .filter(Boolean)
      .map(Number);
    if (version < this.#oldest) {
      answer(response, 410, { kind: 'Status', code: 410, reason: 'Expired', message: 'the token is too old' });
      return;
    }
    // All pages of a list are of one moment.
    const all = this.#lists.get(version) ?? [...this.objects.keys()].sort().map((name) => this.objects.get(name));
    this.#lists.set(version, all);
    const more = from + limit < all.length;
    const metadata = {
      resourceVersion: `${version}`,
      ...(more ? { continue: `${from + limit}.${version}` } : {}),
    };
    answer(response, 200, { kind: 'FakeList', metadata, items: all.slice(from, from + limit) });
  }

  #watch(url: URL, response: ServerResponse): void {
    this.watches++;
    const after = Number(url.searchParams.get('resourceVersion'));
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (after < this.#oldest) {
      response.end(line('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' }));
      return;
    }
    for (const event of this.#events) if (event.version > after) response.write(line(event.type, event.object));
    this.#watchers.add(response);
    response.once('close', () => this.#watchers.delete(response));
  }
}

/** A way to a server that breaks off after as many bytes as `budget` says next, in the middle of anything. */
export async function brittleWay(t: Test, port: number, budget: () => number): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    const onward = connect(port, '127.0.0.1');
    let left = budget();
    const end = () => {
      socket.destroy();
      onward.destroy();
    };
    for (const one of [socket, onward]) {
      sockets.add(one);
      one.on('error', end);
      one.on('close', end);
    }
    socket.pipe(onward);
    onward.on('data', (bytes: Buffer) => {
      socket.write(bytes.subarray(0, left));
      left -= bytes.length;
      if (left <= 0) socket.end(() => socket.destroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function line(type: string, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`;
}

function answer(response: ServerResponse, code: number, value: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}
