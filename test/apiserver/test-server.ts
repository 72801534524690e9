/** An API server on loopback for one test, with a client that speaks JSON. */
import { join } from 'node:path';
import type { Test } from 'tap';
import { ADMINISTRATORS, Authenticator, NODES, VIEWERS } from '../../src/apiserver/access/access.ts';
import type { ApiObject } from '../../src/apiserver/api-object.ts';
import { ApiService, type ApiServiceOptions } from '../../src/apiserver/api-service.ts';
import type { ControllerSettings } from '../../src/apiserver/controllers/controller-list.ts';
import type { ObjectStore } from '../../src/apiserver/objects/object-store.ts';
import { LmdbStore } from '../../src/apiserver/store/lmdb-store.ts';

export interface Answer {
  code: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests read what they expect, and fail where it is not there
  body: any;
}

export class TestServer {
  readonly url: string;
  readonly log: string[];
  readonly objects: ObjectStore;
  readonly #service: ApiService;
  #closed: Promise<void> | undefined;

  private constructor(service: ApiService, log: string[]) {
    this.url = `http://127.0.0.1:${service.port}`;
    this.objects = service.objects;
    this.#service = service;
    this.log = log;
  }

  /**
   * Ends with the test, and its store where none is given. Without controllers, unless it says which: objects stay as
   * they were written.
   */
  static async start(
    t: Test,
    controllers: ControllerSettings | false = false,
    options: Partial<ApiServiceOptions> = {},
  ): Promise<TestServer> {
    const store = options.store ?? LmdbStore.open({ path: join(t.testdir(), 'store') });
    const log: string[] = [];
    const authenticator = new Authenticator([
      { token: 'admin', user: { name: 'admin', groups: [ADMINISTRATORS] } },
      { token: 'viewer', user: { name: 'viewer', groups: [VIEWERS] } },
      { token: 'nobody', user: { name: 'nobody', groups: [] } },
      { token: 'node-a', user: { name: 'system:node:a', groups: [NODES] } },
    ]);
    const service = await ApiService.start({
      store,
      host: '127.0.0.1',
      port: 0,
      tls: undefined,
      authenticate: (request, socket) => authenticator.userOf(request, socket),
      version: 'test',
      log: (message) => log.push(message),
      controllers,
      ...options,
    });
    const server = new TestServer(service, log);
    t.teardown(async () => {
      await server.close();
      if (!options.store) await store.close();
    });
    return server;
  }

  /** Before the test ends. */
  close(): Promise<void> {
    this.#closed ??= this.#service.close();
    return this.#closed;
  }

  async ask(
    method: string,
    path: string,
    body?: unknown,
    options: { token?: string; type?: string; accept?: string } = {},
  ): Promise<Answer> {
    const { token = 'admin', type = 'application/json', accept } = options;
    const raw = typeof body === 'string' || body === undefined ? body : JSON.stringify(body);
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(raw === undefined ? {} : { 'content-type': type }),
        ...(accept ? { accept } : {}),
      },
      ...(raw === undefined ? {} : { body: raw }),
    });
    const text = await response.text();
    return { code: response.status, body: text.startsWith('{') ? JSON.parse(text) : text };
  }

  get(path: string, options?: { token?: string; accept?: string }): Promise<Answer> {
    return this.ask('GET', path, undefined, options);
  }

  /** Lines of a watch as `ADDED name`, until `count` have come. */
  async watch(path: string, count: number, during: () => Promise<unknown> = async () => {}): Promise<string[]> {
    const events = await this.watchEvents(path, count, during);
    return events.map(({ type, object }) => `${type} ${object.metadata?.name ?? object.code}`);
  }

  async watchEvents(
    path: string,
    count: number,
    during: () => Promise<unknown> = async () => {},
  ): Promise<{ type: string; object: ApiObject }[]> {
    const stop = new AbortController();
    const response = await fetch(this.url + path, { headers: { authorization: 'Bearer admin' }, signal: stop.signal });
    const events: { type: string; object: ApiObject }[] = [];
    const done = during();
    let rest = '';
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      const lines = (rest + Buffer.from(chunk).toString()).split('\n');
      rest = lines.pop() ?? '';
      events.push(...lines.map((line) => JSON.parse(line) as { type: string; object: ApiObject }));
      if (events.length >= count) break;
    }
    await done;
    stop.abort();
    return events;
  }
}

export function configMap(name: string, data: Record<string, string> = {}, labels?: Record<string, string>): unknown {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...(labels ? { labels } : {}) }, data };
}

export function pod(name: string, more: { labels?: Record<string, string>; nodeName?: string } = {}): unknown {
  const { labels = {}, nodeName } = more;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels },
    spec: { containers: [{ name: 'c', image: 'nginx' }], ...(nodeName ? { nodeName } : {}) },
  };
}

export function deployment(name: string, replicas = 1): unknown {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image: 'nginx' }] } },
    },
  };
}
