/** The objects of an API as the network reads them: trimmed, validated one by one, kept while the server is away. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ApiClient } from '../../src/kube/api-client.ts';
import { ApiSource, type ApiSourceOptions } from '../../src/kube/api-source.ts';
import { formatProblem } from '../../src/kube/problem.ts';
import { configMap, TestServer } from '../apiserver/test-server.ts';
import { apiAccess } from './api-access.ts';
import { FakeCollection } from './fake-collection.ts';

async function sourceOf(t: Test, server: string, more: Partial<ApiSourceOptions> = {}): Promise<ApiSource> {
  const client = new ApiClient(apiAccess(server, 'node-a'));
  // On a busy machine too.
  const source = new ApiSource({ client, node: 'a', firstAnswerMs: 10_000, ...more });
  t.teardown(async () => {
    await source.close();
    client.close();
  });
  await source.start();
  return source;
}

async function until(what: () => unknown, message: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!what()) {
    if (Date.now() > deadline) throw new Error(`not within 10 s: ${message}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const pods = '/api/v1/namespaces/default/pods';

function pod(name: string, nodeName: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name }, annotations: { 'weft.dev/weight': '2', note: 'x' } },
    spec: { nodeName, containers: [{ name: 'c', image: 'nginx', command: ['true'] }] },
    ...more,
  };
}

t.test('what there is, and every change of it soon after', async (t) => {
  const server = await TestServer.start(t);
  await server.ask('POST', pods, pod('mine', 'a'));
  await server.ask('POST', pods, pod('other', 'b'));
  const source = await sourceOf(t, server.url);
  t.strictSame([...source.current().pods.keys()].sort(), ['default/mine', 'default/other']);
  t.ok(source.current().slicesOnly);
  t.ok(source.isFollowing);
  const mine = source.current().pods.get('default/mine');
  t.strictSame(mine?.spec.containers[0]?.command, ['true'], 'our own pod is whole');
  t.ok(mine?.metadata.resourceVersion);
  const other = source.current().pods.get('default/other');
  t.strictSame(other?.spec, { nodeName: 'b', containers: [{ name: 'c' }] }, 'of another, what the network needs');
  t.strictSame(other?.metadata.annotations, { 'weft.dev/weight': '2' });
  t.strictSame(other?.metadata.labels, { app: 'other' });

  const before = source.current();
  let told = 0;
  source.onChange(() => told++);
  await server.ask(
    'PATCH',
    `${pods}/other/status`,
    { status: { message: 'x' } },
    { type: 'application/merge-patch+json' },
  );
  const began = performance.now();
  await server.ask(
    'PATCH',
    `${pods}/other/status`,
    { status: { podIP: '10.244.2.9' } },
    { type: 'application/merge-patch+json' },
  );
  await until(() => source.current().pods.get('default/other')?.status?.podIP, 'the address is known');
  t.comment(`told ${(performance.now() - began).toFixed(1)} ms after it was asked for`);
  t.equal(told, 1, 'what nobody reads is no change');
  t.equal(source.current().services, before.services, 'what did not change is the same');
  t.equal(before.pods.get('default/other')?.status?.podIP, undefined, 'what was given out stays as it was');
  await server.ask('DELETE', `${pods}/other?gracePeriodSeconds=0`);
  await until(() => !source.current().pods.has('default/other'), 'it is gone');
});

t.test('an object that is not good is named, and takes nobody down', async (t) => {
  const server = await FakeCollection.start(t, '/api/v1/pods');
  const good = { spec: { nodeName: 'b', containers: [{ name: 'c' }] }, status: { podIP: '10.244.2.9' } };
  server.put('good', { ...good, metadata: { uid: '1', managedFields: [{ manager: 'x' }], labels: null } });
  server.put('bad', { spec: { nodeName: 'b', containers: null }, status: null });
  server.put('strange', { spec: 7 });
  const source = await sourceOf(t, server.url);
  t.strictSame([...source.current().pods.keys()], ['default/good']);
  const messages = source.problems().map(formatProblem);
  t.ok(messages.includes('Pod default/bad: spec.containers: is required'), messages.join('\n'));
  t.ok(source.refusedPods().has('default/strange'));
  server.put('good', { spec: { ...good.spec, containers: [{ name: 'NO' }] }, metadata: { uid: '1' } });
  await until(() => source.refusedPods().has('default/good'), 'it became bad');
  t.ok(source.current().pods.has('default/good'), 'its last good version stays in force');
  const deletion = { deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 7 };
  server.put('good', { spec: { ...good.spec, containers: [{ name: 'NO' }] }, metadata: { uid: '1', ...deletion } });
  await until(() => source.current().pods.get('default/good')?.metadata.deletionTimestamp, 'what is deleted ends');
  t.match(source.current().pods.get('default/good')?.metadata, deletion);
  server.put('good', { spec: { ...good.spec, containers: [{ name: 'NO' }] }, metadata: { uid: '2' } });
  await until(() => !source.current().pods.has('default/good'), 'another of that name was never good');
  server.put('good', { ...good, metadata: { uid: '2' } });
  server.remove('strange');
  await until(() => source.refusedPods().size === 1, 'what is mended is no problem');
});

t.test('ConfigMaps, those alone that our pods name', async (t) => {
  const server = await TestServer.start(t);
  const maps = '/api/v1/namespaces/default/configmaps';
  for (const name of ['one', 'two', 'other']) await server.ask('POST', maps, configMap(name, { x: name }));
  const env = [{ name: 'X', valueFrom: { configMapKeyRef: { name: 'one', key: 'x' } } }];
  const envFrom = [{ configMapRef: { name: 'late' } }];
  const spec = (nodeName: string) => ({ nodeName, containers: [{ name: 'c', image: 'i', env, envFrom }] });
  await server.ask('POST', pods, pod('mine', 'a', { spec: spec('a') }));
  const source = await sourceOf(t, server.url);
  const mine = source.current().pods.get('default/mine');
  t.ok(mine);
  if (!mine) return;
  await until(() => source.isKnown(mine), 'what it names is known, there or not');
  t.strictSame([...source.current().configMaps.keys()], ['default/one']);
  await server.ask('POST', maps, configMap('late', { y: '2' }));
  await until(() => source.current().configMaps.get('default/late')?.data?.y === '2', 'a late one');
  await server.ask('DELETE', `${pods}/mine?gracePeriodSeconds=0`);
  await until(() => source.current().configMaps.size === 0, 'nobody names them any more');
});

t.test('while the server is away the last it said stays in force, also for who begins then', async (t) => {
  const copyPath = join(t.testdir(), 'objects.jsonl');
  const first = await FakeCollection.start(t, '/api/v1/pods');
  const { port, url } = first;
  const fields = { spec: { nodeName: 'b', containers: [{ name: 'c' }] } };
  first.put('web', fields);
  const source = await sourceOf(t, url, { copyPath });
  await until(() => readCount(copyPath) === 2, 'a copy is written');
  await first.stop();
  await until(() => source.problems().length === 1, 'the outage is a problem');
  t.match(source.problems()[0], {
    place: `API server ${url}`,
    message: /not followed since .* UTC.*(ECONN|broke off)/,
  });
  t.ok(source.current().pods.has('default/web'));
  const since = source.problems()[0]?.message.slice(0, 40);

  const began = performance.now();
  const other = await sourceOf(t, url, { copyPath });
  t.ok(performance.now() - began < 1400, 'a server that refuses is not waited for');
  t.ok(other.current().pods.has('default/web'), 'from the copy');
  t.ok(other.current().slicesOnly);
  t.notOk(other.isFollowing);
  const stranger = await sourceOf(t, 'http://127.0.0.1:1', { copyPath });
  t.equal(stranger.current().pods.size, 0, 'the copy of another cluster is none');

  const second = new FakeCollection('/api/v1/pods');
  second.put('old', fields);
  second.remove('old');
  second.put('new', fields);
  second.compact();
  await second.listen(port);
  t.teardown(() => second.stop());
  t.equal(source.problems()[0]?.message.slice(0, 40), since, 'since when does not move');
  for (const one of [source, other]) {
    await until(() => one.current().pods.has('default/new'), 'it is followed again');
    t.notOk(one.current().pods.has('default/web'));
    await until(() => one.problems().length === 0, 'no problem any more');
    t.ok(one.isFollowing);
  }
  // They write their copies for the last time before its folder goes.
  for (const one of [source, other, stranger]) await one.close();
});

t.test('a server that never answers is not waited for, a damaged copy is used as far as it goes', async (t) => {
  const server = await FakeCollection.start(t, '/api/v1/pods');
  server.intercept = () => true;
  const copyPath = join(t.testdir(), 'objects.jsonl');
  const good = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'b' } };
  const bad = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'b', namespace: 'x' } };
  const lines = [{ version: 1, origin: server.url }, good, bad].map((value) => JSON.stringify(value));
  writeFileSync(copyPath, [...lines, '{"apiVersion":"v1","ki', ''].join('\n'));
  const source = await sourceOf(t, server.url, { copyPath, firstAnswerMs: 20 });
  t.strictSame([...source.current().nodes.keys()], ['b']);
  t.equal(source.current().pods.size, 0);
});

function readCount(path: string): number {
  try {
    return readFileSync(path, 'utf8').split('\n').length - 1;
  } catch {
    return 0;
  }
}
