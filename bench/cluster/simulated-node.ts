/**
 * A node as an API server sees it, without pods: an identity of its own, its Lease renewed every second, and each
 * collection that an agent follows listed in pages and then watched. It reads no more of what it is sent than it needs.
 */
import { Agent, request } from 'node:https';
import { gunzip } from 'node:zlib';
import type { Certified } from '../../src/apiserver/access/authority.ts';
import { conditionOf } from './population.ts';

export const COLLECTIONS = ['nodes', 'pods', 'services', 'slices'] as const;
export type Collection = (typeof COLLECTIONS)[number];

const PATHS: Readonly<Record<Collection, string>> = {
  nodes: '/api/v1/nodes',
  pods: '/api/v1/pods',
  services: '/api/v1/services',
  slices: '/apis/discovery.k8s.io/v1/endpointslices',
};
const LEASES = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
const PAGE = 500;
const RENEW_MS = 1000;
const LEASE_SECONDS = 4;
const AGAIN_MS = 200;
const LINE_END = 10;
/** Stands in the annotation of the slices that the bench changes. */
const MARK = Buffer.from('"bench.weft.dev/change":"');
const ITEM = Buffer.from('"creationTimestamp":"');

export interface NodeHears {
  /** A change that the bench made has come; milliseconds of the machine's clock. */
  change(number: number, atMs: number): void;
  /** Any event. */
  event(): void;
  /** `sent`: bytes as they came, most of them compressed. */
  listed(collection: Collection, items: number, bytes: number, sent: number): void;
  /** How long the server took for it, and since the last one. */
  renewed(tookMs: number, sinceMs: number): void;
  fault(message: string): void;
}

interface Page {
  items: number;
  bytes: number;
  sent: number;
  version: string;
  token: string;
}

/** Milliseconds of a clock that all processes of the machine share. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export class SimulatedNode {
  readonly #name: string;
  readonly #agent: Agent;
  readonly #port: number;
  readonly #hears: NodeHears;
  #lease: Record<string, unknown> | undefined;
  #renewedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(name: string, port: number, identity: Certified & { authority: string }, hears: NodeHears) {
    this.#name = name;
    this.#port = port;
    this.#hears = hears;
    const { certificate: cert, key, authority: ca } = identity;
    this.#agent = new Agent({ keepAlive: true, ca, cert, key, servername: 'localhost' });
  }

  /** Resolves when its Lease stands for the first time; it is renewed from then on. */
  async join(): Promise<void> {
    const spec = {
      holderIdentity: this.#name,
      leaseDurationSeconds: LEASE_SECONDS,
      renewTime: new Date().toISOString(),
    };
    const metadata = { name: this.#name, namespace: 'kube-node-lease' };
    const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec };
    this.#lease = JSON.parse((await this.#ask('POST', LEASES, body)).body) as Record<string, unknown>;
    this.#renewedAt = machineMs();
    this.#timer = setTimeout(() => void this.#renew(), Math.random() * RENEW_MS);
  }

  /** Resolves when everything is listed and watched. */
  async follow(): Promise<void> {
    await Promise.all(COLLECTIONS.map((collection) => this.#follow(collection)));
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#agent.destroy();
  }

  async #renew(): Promise<void> {
    const began = machineMs();
    try {
      const path = `${LEASES}/${this.#name}`;
      // As it stands, where we were not told whether it was renewed.
      this.#lease ??= JSON.parse((await this.#ask('GET', path)).body) as Record<string, unknown>;
      const renewed = {
        ...this.#lease,
        spec: { ...(this.#lease.spec as object), renewTime: new Date().toISOString() },
      };
      this.#lease = undefined;
      this.#lease = JSON.parse((await this.#ask('PUT', path, renewed)).body) as Record<string, unknown>;
      const now = machineMs();
      const sinceMs = now - this.#renewedAt;
      this.#hears.renewed(now - began, sinceMs);
      this.#renewedAt = now;
      if (sinceMs > LEASE_SECONDS * 1000) await this.#sayReady();
    } catch (error) {
      if (!this.#closed) this.#hears.fault(`Lease ${this.#name}: ${String(error)}`);
    }
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#renew(), Math.max(0, RENEW_MS - (machineMs() - began)));
  }

  /** As an agent does when its Node has become Unknown. */
  async #sayReady(): Promise<void> {
    const status = { conditions: [conditionOf('Ready')] };
    await this.#ask(
      'PATCH',
      `${PATHS.nodes}/${this.#name}/status`,
      { status },
      'application/strategic-merge-patch+json',
    );
  }

  async #follow(collection: Collection): Promise<void> {
    const path = PATHS[collection];
    for (;;) {
      try {
        let items = 0;
        let bytes = 0;
        let sent = 0;
        let version = '';
        let token = '';
        do {
          const query = `limit=${PAGE}${token && `&continue=${encodeURIComponent(token)}`}`;
          const page = await this.#page(`${path}?${query}`);
          ({ version, token } = page);
          items += page.items;
          bytes += page.bytes;
          sent += page.sent;
        } while (token !== '');
        this.#hears.listed(collection, items, bytes, sent);
        await this.#watch(`${path}?watch=true&allowWatchBookmarks=true&resourceVersion=${version}`);
        return;
      } catch (error) {
        if (this.#closed) return;
        this.#hears.fault(`${collection} of ${this.#name}: ${String(error)}`);
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }

  /** One page: its items are counted, not read. */
  async #page(path: string): Promise<Page> {
    const { body, sent } = await this.#ask('GET', path);
    const [, head = ''] = /^(.{0,2000}?)"items":\[/s.exec(body) ?? [];
    const [, version = ''] = /"resourceVersion":"(\d+)"/.exec(head) ?? [];
    const [, token = ''] = /"continue":"([^"]*)"/.exec(head) ?? [];
    if (version === '' || !body.endsWith(']}\n')) throw new Error(`no list: ${body.slice(0, 200)}`);
    return { items: occurrences(body, ITEM.toString()), bytes: body.length, sent, version, token };
  }

  /** Resolves when it is answered. */
  #watch(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const asked = request({ ...this.#place(path), method: 'GET' }, (answer) => {
        if (answer.statusCode !== 200) {
          answer.resume();
          reject(new Error(`watch: ${answer.statusCode}`));
          return;
        }
        resolve();
        let rest: Buffer | undefined;
        answer.on('data', (chunk: Buffer) => {
          rest = this.#hear(rest ? Buffer.concat([rest, chunk]) : chunk);
        });
        answer.on('close', () => {
          if (!this.#closed) this.#hears.fault(`a watch of ${this.#name} ended`);
        });
      });
      asked.on('error', reject);
      asked.end();
    });
  }

  /** Returns the line that has not ended yet. */
  #hear(bytes: Buffer): Buffer | undefined {
    let from = 0;
    for (let end = bytes.indexOf(LINE_END); end >= 0; end = bytes.indexOf(LINE_END, from)) {
      const line = bytes.subarray(from, end);
      from = end + 1;
      this.#hears.event();
      const mark = line.indexOf(MARK);
      if (mark >= 0) this.#hears.change(Number.parseInt(line.toString('latin1', mark + MARK.length), 10), machineMs());
    }
    return from === bytes.length ? undefined : bytes.subarray(from);
  }

  #ask(
    method: string,
    path: string,
    body?: unknown,
    contentType = 'application/json',
  ): Promise<{ body: string; sent: number }> {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers = text === undefined ? { 'accept-encoding': 'gzip' } : { 'content-type': contentType };
      const asked = request({ ...this.#place(path), method, headers }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => {
          const bytes = Buffer.concat(chunks);
          const done = (error: Error | null, plain: Buffer) => {
            if (error) return reject(error);
            const said = plain.toString('latin1');
            if ((answer.statusCode ?? 500) < 300) resolve({ body: said, sent: bytes.length });
            else reject(new Error(`${method} ${path}: ${answer.statusCode} ${said.slice(0, 200)}`));
          };
          if (answer.headers['content-encoding'] === 'gzip') gunzip(bytes, done);
          else done(null, bytes);
        });
        answer.on('error', reject);
      });
      asked.on('error', reject);
      asked.end(text);
    });
  }

  #place(path: string): { agent: Agent; host: string; port: number; path: string } {
    return { agent: this.#agent, host: '127.0.0.1', port: this.#port, path };
  }
}

function occurrences(text: string, word: string): number {
  let found = 0;
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) found++;
  return found;
}
