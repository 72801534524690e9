/**
 * Requests as nobody should send them, 20,000 of them made from good ones by seeded mutations: bodies, patches, paths,
 * queries, selectors, types. Each gets an answer, every failure is a Status, none takes long, none costs memory.
 */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ADMINISTRATORS, authorize } from '../../src/apiserver/access/access.ts';
import { ApiError } from '../../src/apiserver/api-error.ts';
import { CustomKinds } from '../../src/apiserver/custom/custom-kinds.ts';
import { ResourceTable } from '../../src/apiserver/kinds/resource-table.ts';
import { ObjectStore } from '../../src/apiserver/objects/object-store.ts';
import { NodeParts } from '../../src/apiserver/rest/node-parts.ts';
import type { ApiAnswer, ApiRequest } from '../../src/apiserver/rest/request.ts';
import { RequestRouter } from '../../src/apiserver/rest/request-router.ts';
import { ResourceHandler } from '../../src/apiserver/rest/resource-handler.ts';
import { LmdbStore } from '../../src/apiserver/store/lmdb-store.ts';
import { WatchCache } from '../../src/apiserver/watch/watch-cache.ts';
import { configMap, deployment, pod } from './test-server.ts';

const ROUNDS = 20_000;
const SLOWEST_MS = 1000;
/** A version that does not come is waited for: a second of nothing, and a look's time. */
const WAIT_MS = 1200;
const SEED = 20261121;

/** Mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Sent {
  method: string;
  path: string;
  query: string;
  type: string;
  accept: string;
  body: Buffer;
}

const JSON_TYPE = 'application/json';
const PATCHES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
];
const ODD: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1e308,
  2 ** 53,
  0.5,
  '',
  'x',
  '\u0000',
  '__proto__',
  'constructor',
  '../..',
  '🐟'.repeat(50),
  'a'.repeat(5000),
  [],
  {},
  [[]],
  [null],
  { __proto__: null },
  JSON.parse('{"__proto__":{"polluted":true}}'),
  JSON.parse('{"constructor":{"prototype":{"polluted":true}}}'),
  { $patch: 'delete' },
  { $patch: 'replace' },
  { $retainKeys: ['a'] },
  { $patch: 7 },
  [{ $patch: 'delete' }],
  '2026-01-01T00:00:00Z',
  '10.0.0.1',
  65536,
];
const WORDS = [
  'api',
  'apis',
  'v1',
  'apps',
  'namespaces',
  'default',
  'pods',
  'services',
  'nodes',
  'deployments',
  'configmaps',
  'status',
  'scale',
  'finalize',
  'log',
  'exec',
  'events',
  'leases',
  'customresourcedefinitions',
  'a',
  '%2e%2e',
  '%00',
  '%ff',
  '..',
  '',
  '%2F',
  'x'.repeat(300),
  'boats',
  'example.com',
  'watch',
];
const QUERIES = [
  'watch=1',
  'watch=true&resourceVersion=1',
  'limit=1',
  'limit=-1',
  'limit=99999999999999999999',
  'continue=abc',
  'continue=W10',
  'resourceVersion=0',
  'resourceVersion=9999999',
  'resourceVersion=x',
  'resourceVersionMatch=Exact&resourceVersion=3',
  'resourceVersionMatch=Odd',
  'labelSelector=a%3Db',
  'labelSelector=%21%21a',
  'labelSelector=a%20in%20(b,c',
  'labelSelector=((((',
  'fieldSelector=metadata.name%3Da',
  'fieldSelector=__proto__.x%3Da',
  'fieldSelector=spec.nodeName%21%3Da',
  'dryRun=All',
  'dryRun=Some',
  'fieldValidation=Strict',
  'gracePeriodSeconds=-5',
  'gracePeriodSeconds=0',
  'propagationPolicy=Foreground',
  'propagationPolicy=Sideways',
  'timeoutSeconds=0',
  'timeoutSeconds=1e9',
  'allowWatchBookmarks=1',
  'includeObject=Object',
  '%',
  '&&&',
  '=',
];

const CRD = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'boats.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'boats', kind: 'Boat' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                properties: { name: { type: 'string', pattern: '^(a|b)*$' }, n: { type: 'integer', default: 1 } },
              },
            },
          },
        },
        additionalPrinterColumns: [{ name: 'N', type: 'integer', jsonPath: '.spec.n' }],
      },
    ],
  },
};
const SERVICE = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 's' },
  spec: { selector: { a: 'b' }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
};
const SEEDS: readonly [string, object][] = [
  ['/api/v1/namespaces/default/pods', pod('a', { labels: { a: 'b' }, nodeName: 'n' }) as object],
  ['/api/v1/namespaces/default/configmaps', configMap('a', { x: '1' }) as object],
  ['/api/v1/namespaces/default/services', SERVICE],
  ['/apis/apps/v1/namespaces/default/deployments', deployment('a') as object],
  ['/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'a' }, spec: { podCIDR: '10.0.0.0/24' } }],
  ['/apis/apiextensions.k8s.io/v1/customresourcedefinitions', CRD],
  [
    '/apis/example.com/v1/namespaces/default/boats',
    { apiVersion: 'example.com/v1', kind: 'Boat', metadata: { name: 'a' }, spec: { name: 'ab' } },
  ],
  [
    '/apis/coordination.k8s.io/v1/namespaces/default/leases',
    { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'a' }, spec: { holderIdentity: 'a' } },
  ],
];
const OPERATIONS: readonly unknown[] = [
  { op: 'add', path: '/metadata/labels', value: { a: 'b' } },
  { op: 'remove', path: '/spec' },
  { op: 'copy', from: '/spec', path: '/spec/again' },
  { op: 'move', from: '/metadata', path: '/metadata/in' },
  { op: 'test', path: '/kind', value: 'Pod' },
  { op: 'add', path: '/__proto__/polluted', value: 1 },
  { op: 'add', path: '/constructor/prototype/polluted', value: 1 },
  { op: 'replace', path: '', value: [] },
  { op: 'add', path: '/spec/ports/-', value: {} },
  { op: 'odd' },
  null,
  7,
  { op: 'add', path: 'x' },
  { op: 'remove', path: '/metadata/name' },
];

class Mutator {
  readonly random: () => number;

  constructor(seed: number) {
    this.random = randomOf(seed);
  }

  below(end: number): number {
    return Math.floor(this.random() * end);
  }

  one<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  request(): Sent {
    const [collection, good] = this.one(SEEDS);
    const method = this.one(['GET', 'POST', 'POST', 'PUT', 'PATCH', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD']);
    const named = method === 'POST' ? '' : `/${(good as { metadata: { name: string } }).metadata.name}`;
    let path =
      collection +
      (this.random() < 0.9 ? named : '') +
      (this.random() < 0.15 ? `/${this.one(['status', 'scale', 'x'])}` : '');
    if (this.random() < 0.1) path = this.mutatedPath(path);
    const type =
      method === 'PATCH'
        ? this.one(PATCHES)
        : this.random() < 0.9
          ? JSON_TYPE
          : this.one(['application/yaml', 'text/plain', '', 'application/vnd.kubernetes.protobuf']);
    const query =
      this.random() < 0.4 ? Array.from({ length: 1 + this.below(3) }, () => this.one(QUERIES)).join('&') : '';
    const accept =
      this.random() < 0.2
        ? 'application/json;as=Table;v=v1;g=meta.k8s.io'
        : this.one([JSON_TYPE, '*/*', ';;;,', 'application/json;as=Table']);
    return { method, path, query, type, accept, body: this.body(good, type) };
  }

  mutatedPath(path: string): string {
    const words = path.split('/');
    words[this.below(words.length)] = this.one(WORDS);
    if (this.random() < 0.3) words.splice(this.below(words.length), 0, this.one(WORDS));
    return words.join('/');
  }

  body(good: object, type: string): Buffer {
    const value =
      type === PATCHES[0] && this.random() < 0.8
        ? Array.from({ length: 1 + this.below(6) }, () => this.one(OPERATIONS))
        : this.mutated(this.renamed(good), 1 + this.below(3));
    const bytes = Buffer.from(JSON.stringify(value) ?? '');
    if (this.random() < 0.85) return bytes;
    if (this.random() < 0.5) return bytes.subarray(0, this.below(bytes.length + 1));
    for (let i = 0; i < 3; i++) if (bytes.length > 0) bytes[this.below(bytes.length)] = this.below(256);
    return bytes;
  }

  /** Half of them another object. */
  renamed(good: object): object {
    const copy = structuredClone(good) as { metadata: { name: string } };
    if (this.random() < 0.5) copy.metadata.name = `m${this.below(1000)}`;
    return copy;
  }

  mutated(value: unknown, times: number): unknown {
    let out = value;
    for (let i = 0; i < times; i++) out = this.mutatedOnce(out);
    return out;
  }

  mutatedOnce(value: unknown): unknown {
    if (typeof value !== 'object' || value === null || this.random() < 0.12) return this.one(ODD);
    if (Array.isArray(value)) {
      if (value.length === 0 || this.random() < 0.2) return [...value, this.one(ODD)];
      const at = this.below(value.length);
      return this.random() < 0.3
        ? [...value, value[at]]
        : value.map((item, i) => (i === at ? this.mutatedOnce(item) : item));
    }
    const keys = Object.keys(value);
    const key =
      keys.length === 0 || this.random() < 0.15
        ? this.one([
            'x',
            '__proto__',
            'finalizers',
            'ownerReferences',
            'labels',
            'status',
            '$patch',
            'generateName',
            'deletionTimestamp',
          ])
        : this.one(keys);
    const out: Record<string, unknown> = { ...value };
    if (this.random() < 0.12) delete out[key];
    else
      Object.defineProperty(out, key, {
        value: this.mutatedOnce(out[key]),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    return out;
  }
}

async function router(t: Test): Promise<{ router: RequestRouter; log: string[] }> {
  const store = LmdbStore.open({ path: join(t.testdir(), 'store') });
  const log: string[] = [];
  const said = (message: string) => void log.push(message);
  const table = new ResourceTable();
  const objects = new ObjectStore(store, table);
  const cache = new WatchCache(store);
  await cache.start();
  const customKinds = new CustomKinds({ table, objects, cache, log: said });
  await customKinds.start();
  t.teardown(async () => {
    await customKinds.stop();
    cache.close();
    await store.close();
  });
  const nodeParts = new NodeParts({ objects, table, identity: undefined });
  const handler = new ResourceHandler({ table, objects, cache, nodeParts });
  const ready = async () => true;
  return {
    router: new RequestRouter({ authorize, version: 'test', table, handler, ready, metrics: () => '', log: said }),
    log,
  };
}

function requestOf({ method, path, query, type, accept, body }: Sent): ApiRequest {
  const user = { name: 'admin', groups: [ADMINISTRATORS] };
  return { method, path, query: new URLSearchParams(query), accept, contentType: type, user, body: async () => body };
}

/** Takes all of an answer; of a watch its beginning. */
function consume(answer: ApiAnswer): void {
  if ('json' in answer) JSON.stringify(answer.json);
  if ('blocks' in answer) for (const block of answer.blocks) JSON.stringify(block.length);
  if ('lines' in answer) {
    answer.lines.start({ write: () => true, end: () => {} });
    answer.lines.close();
  }
}

t.test(`${ROUNDS} mutations`, { timeout: 600_000 }, async (t) => {
  const { router: server, log } = await router(t);
  const mutator = new Mutator(SEED);
  /** Of the last answer that was none. */
  let said = '';
  const send = async (sent: Sent): Promise<number> => {
    try {
      const answer = await server.answer(requestOf(sent));
      consume(answer);
      return answer.code;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      said = JSON.stringify(error.status());
      return error.code;
    }
  };
  for (const name of ['default', 'kube-system']) {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
    await send({
      method: 'POST',
      path: '/api/v1/namespaces',
      query: '',
      type: JSON_TYPE,
      accept: '',
      body: Buffer.from(JSON.stringify(namespace)),
    });
  }
  const codes = new Map<number, number>();
  let slowest = 0;
  let slowestOf = '';
  let heap = 0;
  for (let round = 0; round < ROUNDS; round++) {
    if (round % 50 === 0) {
      for (const [path, good] of SEEDS) {
        await send({
          method: 'POST',
          path,
          query: '',
          type: JSON_TYPE,
          accept: '',
          body: Buffer.from(JSON.stringify(good)),
        });
      }
    }
    const sent = mutator.request();
    const begun = performance.now();
    const code = await send(sent);
    const took = performance.now() - begun - (code === 504 || code === 410 ? WAIT_MS : 0);
    if (took > slowest) {
      slowest = took;
      slowestOf = `${code} for ${sent.method} ${sent.path} ${sent.type} ${sent.body.toString().slice(0, 500)}`;
    }
    // Who asks for the future is told to come again, as Kubernetes does.
    if (code >= 500 && !said.includes('Too large resource version'))
      t.fail(`${code} for round ${round}`, {
        sent: { ...sent, body: sent.body.toString().slice(0, 500) },
        said,
        log: log.at(-1),
      });
    codes.set(code, (codes.get(code) ?? 0) + 1);
    if (round === ROUNDS / 2) {
      global.gc?.();
      heap = process.memoryUsage().heapUsed;
    }
  }
  global.gc?.();
  const grown = (process.memoryUsage().heapUsed - heap) / 2 ** 20;
  t.comment(
    `answers: ${[...codes]
      .sort()
      .map(([code, count]) => `${count} × ${code}`)
      .join(', ')}; slowest ${slowest.toFixed(0)} ms (${slowestOf.slice(0, 120)}), ${grown.toFixed(0)} MB more`,
  );
  t.ok(slowest < SLOWEST_MS, `slowest ${slowest} ms: ${slowestOf}`);
  t.ok(grown < 100, `${grown} MB more after the second half`);
  t.ok(
    (codes.get(200) ?? 0) > 100 && (codes.get(201) ?? 0) > 100 && (codes.get(422) ?? 0) > 100,
    'all kinds of answers',
  );
  t.equal((Object.prototype as { polluted?: unknown }).polluted, undefined);
});
