/** Watches over HTTP: from a version on, through selectors, with bookmarks, and an end for who asks for too long ago. */
import { join } from 'node:path';
import t from 'tap';
import { CORE } from '../../src/apiserver/kinds/core.ts';
import type { Resource } from '../../src/apiserver/kinds/resource.ts';
import { LmdbStore } from '../../src/apiserver/store/lmdb-store.ts';
import { WatchCache } from '../../src/apiserver/watch/watch-cache.ts';
import { configMap, TestServer } from './test-server.ts';

const MAPS = '/api/v1/namespaces/default/configmaps';

t.test('from a version on, each change once and in order', async (t) => {
  const server = await TestServer.start(t);
  await server.ask('POST', MAPS, configMap('a'));
  const { resourceVersion } = (await server.get(MAPS)).body.metadata;
  await server.ask('POST', MAPS, configMap('b'));
  const seen = await server.watch(`${MAPS}?watch=true&resourceVersion=${resourceVersion}`, 4, async () => {
    await server.ask('PUT', `${MAPS}/a`, configMap('a', { x: '1' }));
    await server.ask('DELETE', `${MAPS}/b`);
    await server.ask('POST', '/api/v1/namespaces/kube-system/configmaps', configMap('elsewhere'));
    await server.ask('POST', MAPS, configMap('c'));
  });
  t.same(seen, ['ADDED b', 'MODIFIED a', 'DELETED b', 'ADDED c']);
});

t.test('without a version first what there is', async (t) => {
  const server = await TestServer.start(t);
  for (const name of ['a', 'b']) await server.ask('POST', MAPS, configMap(name));
  const during = async () => {
    await server.ask('DELETE', `${MAPS}/a`);
  };
  t.same(await server.watch(`${MAPS}?watch=1`, 3, during), ['ADDED a', 'ADDED b', 'DELETED a']);
  const one = `${MAPS}?watch=1&fieldSelector=metadata.name=b&timeoutSeconds=1`;
  t.same(await server.watch(one, 10), ['ADDED b'], 'ends by itself');
});

t.test('through a selector objects come and go as they begin and cease to match', async (t) => {
  const server = await TestServer.start(t);
  const { resourceVersion } = (await server.get(MAPS)).body.metadata;
  const path = `${MAPS}?watch=true&labelSelector=on%3Dyes&resourceVersion=${resourceVersion}`;
  const events = await server.watchEvents(path, 4, async () => {
    await server.ask('POST', MAPS, configMap('a', {}, { on: 'no' }));
    await server.ask('PUT', `${MAPS}/a`, configMap('a', {}, { on: 'yes' }));
    await server.ask('PUT', `${MAPS}/a`, configMap('a', { x: '1' }, { on: 'yes' }));
    await server.ask('PUT', `${MAPS}/a`, configMap('a', { x: '2' }, { on: 'no' }));
    await server.ask('PUT', `${MAPS}/a`, configMap('a', { x: '2' }, { on: 'yes' }));
  });
  t.same(
    events.map(({ type }) => type),
    ['ADDED', 'MODIFIED', 'DELETED', 'ADDED'],
  );
  t.match(events[2]?.object, { data: { x: '1' }, metadata: { labels: { on: 'yes' } } }, 'as it was when it matched');
  const versions = events.map(({ object }) => Number(object.metadata.resourceVersion));
  t.same(
    versions,
    [...versions].sort((a, b) => a - b),
  );
});

t.test('too far back is 410', async (t) => {
  const server = await TestServer.start(t);
  const store = LmdbStore.open({ path: join(t.testdir(), 'older') });
  for (let i = 0; i < 5; i++) {
    await store.commit({ conditions: [], writes: [{ type: 'put', key: '/registry/x', value: Buffer.from('{}') }] });
  }
  const cache = new WatchCache(store);
  await cache.start();
  t.teardown(async () => {
    cache.close();
    await store.close();
  });
  const [resource] = CORE as [Resource];
  const wanted = { resource, namespace: undefined, matches: () => true, onEvent: () => {}, onEnd: () => {} };
  t.throws(() => cache.subscribe({ ...wanted, after: 4 }), {
    name: 'ApiError',
    message: 'too old resource version: 4 (5)',
  });
  cache.subscribe({ ...wanted, after: 5 }).close();
  t.match(await server.get(`${MAPS}?watch=true&resourceVersion=abc`), { code: 400 });
});

t.test('many watchers hear the same', async (t) => {
  const server = await TestServer.start(t);
  const { resourceVersion } = (await server.get(MAPS)).body.metadata;
  const path = `${MAPS}?watch=true&resourceVersion=${resourceVersion}`;
  const heard = Promise.all(Array.from({ length: 50 }, () => server.watch(path, 20)));
  await Promise.all(Array.from({ length: 20 }, (_, i) => server.ask('POST', MAPS, configMap(`m${i}`))));
  const [first, ...others] = await heard;
  t.equal(new Set(first).size, 20);
  for (const other of others) t.same(other, first);
});
