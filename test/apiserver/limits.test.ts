/** What clients may ask at a time, and what they may send: bounds are said in a Status, in time, and nothing else suffers. */
import { connect } from 'node:net';
import t from 'tap';
import { APPS } from '../../src/apiserver/kinds/apps.ts';
import { CORE } from '../../src/apiserver/kinds/core.ts';
import type { Resource } from '../../src/apiserver/kinds/resource.ts';
import { checkShape } from '../../src/apiserver/rest/body-shape.ts';
import { applyPatch, PATCH_TYPES } from '../../src/apiserver/rest/patch.ts';
import { RequestLimits } from '../../src/apiserver/rest/request-limits.ts';
import { configMap, pod, TestServer } from './test-server.ts';

const MAPS = '/api/v1/namespaces/default/configmaps';
const PODS = '/api/v1/namespaces/default/pods';
const service = CORE.find(({ kind }) => kind === 'Service') as Resource;

function timed<T>(run: () => T): [T, number] {
  const begun = performance.now();
  return [run(), performance.now() - begun];
}

t.test('requests of one user in a second; others do not feel it', async (t) => {
  let now = 0;
  const limits = new RequestLimits({ requestsPerSecond: 10, now: () => now });
  const ask = (user: string) => limits.admit(user).done();
  for (let i = 0; i < 20; i++) ask('a');
  t.throws(() => ask('a'), { name: 'ApiError', message: /user a asks more than 10 times a second/ });
  ask('b');
  now += 500;
  for (let i = 0; i < 5; i++) ask('a');
  t.throws(() => ask('a'), { name: 'ApiError' });
  now += 60_000;
  for (let i = 0; i < 20; i++) ask('a');
  t.throws(() => ask('a'), { name: 'ApiError' }, 'no more than the burst is saved up');
  t.equal(limits.refused, 3);
});

t.test('requests, bodies and watches at a time', async (t) => {
  const limits = new RequestLimits({ requestsAtOnce: 2, bodyBytesAtOnce: 100, watches: 3, watchesPerUser: 2 });
  const first = limits.admit('a');
  const second = limits.admit('b');
  t.throws(() => limits.admit('c'), { message: /answering 2 requests/ });
  first.body(90);
  t.throws(() => second.body(20), { message: /reading too much/ });
  first.done();
  second.body(20);
  second.done();
  const ends = [limits.watch('a'), limits.watch('a')];
  t.throws(() => limits.watch('a'), { message: /user a has 2 watches/ });
  ends.push(limits.watch('b'));
  t.throws(() => limits.watch('c'), { message: /there are 3 watches/ });
  for (const end of ends) end();
  limits.watch('a');
});

t.test('told over HTTP: 429 with the time to come again', async (t) => {
  const server = await TestServer.start(t, false, { limits: { requestsPerSecond: 5, watchesPerUser: 1 } });
  const ask = () => fetch(server.url + MAPS, { headers: { authorization: 'Bearer viewer' } });
  const answers = await Promise.all(Array.from({ length: 20 }, ask));
  const refused = answers.filter(({ status }) => status === 429);
  t.ok(refused.length >= 5, `${refused.length} of 20 refused`);
  t.equal(refused[0]?.headers.get('retry-after'), '1');
  t.match(await refused[0]?.json(), { kind: 'Status', reason: 'TooManyRequests', details: { retryAfterSeconds: 1 } });
  t.equal((await server.get('/healthz', { token: '' })).code, 200);
  const during = async () => {
    t.match(await server.get(`${MAPS}?watch=1`), { code: 429, body: { message: /user admin has 1 watches/ } });
    await server.ask('POST', MAPS, configMap('a'));
  };
  t.same(await server.watch(`${MAPS}?watch=1`, 1, during), ['ADDED a']);
});

t.test('a body has bounds in bytes, depth and number', async (t) => {
  const server = await TestServer.start(t);
  t.match(await server.ask('POST', MAPS, `{"a":"${'x'.repeat(4 << 20)}"}`), {
    code: 413,
    body: { reason: 'RequestEntityTooLarge' },
  });
  t.match(await server.ask('POST', MAPS, configMap('big', { x: 'x'.repeat(2 << 20) })), {
    code: 413,
    body: { kind: 'Status' },
  });
  t.match(await server.ask('POST', MAPS, '['.repeat(100_000)), { code: 400, body: { reason: 'BadRequest' } });
  t.match(await server.ask('POST', MAPS, '['.repeat(500) + ']'.repeat(500)), {
    code: 400,
    body: { message: /nested more than/ },
  });
  t.match(await server.ask('POST', MAPS, `[${'1,'.repeat(200_000)}1]`), {
    code: 400,
    body: { message: /more than 100000 values/ },
  });
  const yaml = { type: 'application/yaml' };
  const laughs = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
    .split('')
    .map((name, i) => `${name}: &${name} [${`*${'abcdefgh'[i]},`.repeat(9)}]`)
    .join('\n')}\n`;
  t.match(await server.ask('POST', MAPS, laughs, yaml), { code: 400, body: { reason: 'BadRequest' } });
  t.match(await server.ask('POST', MAPS, `a: ${'['.repeat(5000)}`, yaml), { code: 400 });
  t.match(await server.ask('POST', MAPS, `a: ${'x'.repeat(300_000)}`, yaml), {
    code: 400,
    body: { message: /YAML has at most/ },
  });
  t.match(await server.ask('POST', MAPS, 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\n', yaml), {
    code: 201,
  });
  const printed: Error[] = [];
  const hear = (warning: Error) => void printed.push(warning);
  process.on('warning', hear);
  t.teardown(() => process.off('warning', hear));
  t.match(await server.ask('POST', MAPS, 'apiVersion: !odd v1\n? [a, b]\n: c\n', yaml), { code: 400 });
  await new Promise(setImmediate);
  t.same(printed, [], 'what is odd in a body is not printed by the server');
  t.equal((await server.get(`${MAPS}?labelSelector=${'a,'.repeat(6000)}`)).code, 400);
  t.equal((await server.get(`${MAPS}?fieldSelector=${'metadata.name=a,'.repeat(1000)}`)).code, 400);
  t.throws(() => checkShape({ a: Array.from({ length: 100_001 }, () => 1) }), { name: 'ApiError' });
  t.same(server.log, []);
});

t.test('what every object has is of the right types', async (t) => {
  const server = await TestServer.start(t);
  for (const [metadata, field] of [
    [{ name: 5 }, 'metadata.name'],
    [{ generateName: {} }, 'metadata.generateName'],
    [{ name: 'a', labels: { a: 1 } }, 'metadata.labels'],
    [{ name: 'a', deletionTimestamp: 1 }, 'metadata.deletionTimestamp'],
  ] as const) {
    const answer = await server.ask('POST', MAPS, { apiVersion: 'v1', kind: 'ConfigMap', metadata });
    t.match(answer, { code: 400, body: { message: new RegExp(`${field} must be`) } }, field);
  }
  t.match(await server.ask('POST', PODS, { ...(pod('a') as object), status: 'fine' }), { code: 400 });
  const nothing = { name: 'a', creationTimestamp: null, labels: null };
  t.match(await server.ask('POST', MAPS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: nothing }), { code: 201 });
});

t.test('patches that grow, or are long, end in time', async (t) => {
  const target = { spec: { a: 'x'.repeat(1000), ports: [] } };
  const doubling = Array.from({ length: 60 }, (_, i) => ({ op: 'copy', from: '/spec', path: `/spec/a${i}` }));
  const [, grown] = timed(() =>
    t.throws(() => applyPatch(PATCH_TYPES.json, target, doubling, service), { message: /copies more than/ }),
  );
  t.ok(grown < 1000, `${grown} ms`);
  const long = Array.from({ length: 10_000 }, (_, i) => ({ op: 'add', path: '/spec/ports/0', value: { port: i } }));
  const [patched, took] = timed(() => applyPatch(PATCH_TYPES.json, target, long, service));
  t.equal((patched as typeof target).spec.ports.length, 10_000);
  t.ok(took < 1000, `${took} ms for 10,000 operations`);
  t.throws(() => applyPatch(PATCH_TYPES.json, target, [...long, long[0]], service), {
    message: /at most 10000 operations/,
  });
  const ports = (from: number) => ({ spec: { ports: Array.from({ length: 20_000 }, (_, i) => ({ port: from + i })) } });
  const [merged, merging] = timed(() => applyPatch(PATCH_TYPES.strategic, ports(0), ports(10_000), service));
  t.equal((merged as ReturnType<typeof ports>).spec.ports.length, 30_000);
  t.ok(merging < 1000, `${merging} ms to merge lists`);
  const keys = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, i]));
  const deployment = APPS.find(({ kind }) => kind === 'Deployment') as Resource;
  const retained = { spec: { strategy: { $retainKeys: Object.keys(keys) } } };
  const [, retaining] = timed(() =>
    applyPatch(PATCH_TYPES.strategic, { spec: { strategy: keys } }, retained, deployment),
  );
  t.ok(retaining < 1000, `${retaining} ms to retain keys`);
});

t.test('who says nothing, or too much in front, is let go', async (t) => {
  const server = await TestServer.start(t);
  const { port } = new URL(server.url);
  const talk = (text: string): Promise<string> =>
    new Promise((resolve) => {
      let heard = '';
      const socket = connect(Number(port), '127.0.0.1', () => socket.write(text));
      socket.setEncoding('utf8').on('data', (chunk: string) => (heard += chunk));
      socket.once('error', () => resolve(heard)).once('close', () => resolve(heard));
    });
  await talk(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`);
  await talk('\x16\x03\x01 this is no HTTP\r\n\r\n');
  t.match(await talk(`GET ${MAPS} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`), /^HTTP\/1.1 401/);
  t.equal((await server.get(MAPS)).code, 200, 'and others are served');
});

t.test('metrics for who may read', async (t) => {
  const server = await TestServer.start(t);
  await server.ask('POST', MAPS, configMap('a'));
  await server.ask('POST', MAPS, configMap('a'));
  await server.get(`${MAPS}/b`);
  await server.get('/apis/nonsense.example/v1/things/x');
  t.equal((await server.get('/metrics', { token: 'node-a' })).code, 403);
  t.equal((await server.get('/metrics', { token: '' })).code, 401);
  const { code, body } = await server.get('/metrics', { token: 'viewer' });
  t.equal(code, 200);
  for (const line of [
    'apiserver_request_total{verb="POST",resource="configmaps",subresource="",code="201"} 1',
    'apiserver_request_total{verb="POST",resource="configmaps",subresource="",code="409"} 1',
    'apiserver_request_total{verb="GET",resource="configmaps",subresource="",code="404"} 1',
    'apiserver_request_total{verb="GET",resource="",subresource="",code="404"} 1',
    'apiserver_request_duration_seconds_count{verb="POST",resource="configmaps",subresource=""} 2',
    'apiserver_request_duration_seconds_bucket{verb="POST",resource="configmaps",subresource="",le="+Inf"} 2',
    'apiserver_storage_objects{resource="configmaps"} 1',
    '# TYPE apiserver_request_duration_seconds histogram',
  ]) {
    t.ok((body as string).includes(`${line}\n`), line);
  }
  t.match(body, /weft_store_commit_duration_seconds_count\{result="written"\} \d+/);
  t.match(body, /process_resident_memory_bytes \d+/);
  t.match(body, /weft_watch_cache_events_total [1-9]/);
  t.match(await server.get('/readyz?verbose', { token: '' }), {
    code: 200,
    body: /\[\+\]store ok\nreadyz check passed/,
  });
});
