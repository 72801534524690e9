/** A watch as its client hears it: where it begins, and how it ends for who does not listen. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { ResourceTable } from '../../../src/apiserver/kinds/resource-table.ts';
import { ObjectStore } from '../../../src/apiserver/objects/object-store.ts';
import { WatchStream, type WatchStreamOptions } from '../../../src/apiserver/rest/watch-stream.ts';
import { LmdbStore } from '../../../src/apiserver/store/lmdb-store.ts';
import { WatchCache } from '../../../src/apiserver/watch/watch-cache.ts';
import { configMap, TestServer } from '../test-server.ts';

const MAPS = '/api/v1/namespaces/default/configmaps';

async function opened(t: Test) {
  const store = LmdbStore.open({ path: join(t.testdir(), 'store') });
  const table = new ResourceTable();
  const objects = new ObjectStore(store, table);
  const cache = new WatchCache(store);
  await cache.start();
  t.teardown(async () => {
    cache.close();
    await store.close();
  });
  const resource = table.known('', 'v1', 'configmaps');
  const put = (name: string, bytes = 1) =>
    objects.create(resource, 'default', configMap(name, { x: 'x'.repeat(bytes) }) as ApiObject);
  const stream = (more: Partial<WatchStreamOptions> & { after: number }) => {
    const wanted = { resource, namespace: undefined, matches: () => true, after: more.after };
    const usual = { table: undefined, bookmarks: false, marksInitial: false, seconds: 0 };
    return new WatchStream({ ...usual, cache, wanted, initial: [], ...more });
  };
  return { cache, put, stream };
}

t.test('who missed more than may wait lists again: nothing of it is lost without a word', async (t) => {
  const { cache, put, stream } = await opened(t);
  await put('first');
  const after = cache.revision;
  for (let i = 0; i < 14; i++) await put(`m${i}`, 1_300_000);
  const late = stream({ after });
  const sink = { write: () => true, end: () => t.fail('it never began') };
  t.throws(() => late.start(sink), { reason: 'Expired', message: /too much has changed since resource version/ });
  t.equal(cache.subscribers, 0);
});

t.test('a watch whose time is over ends, though its client takes nothing', async (t) => {
  const { cache, put, stream } = await opened(t);
  for (const takes of [true, false]) {
    await put(`takes-${takes}`);
    let blocks = 0;
    await new Promise<void>((end) => {
      stream({ after: cache.revision - 1, seconds: 0.02 }).start({ write: () => ++blocks > 0 && takes, end });
    });
    t.equal(blocks, 1);
  }
  t.equal(cache.subscribers, 0);
});

t.test('initial events, with a mark behind them', async (t) => {
  const server = await TestServer.start(t);
  for (const name of ['a', 'b']) await server.ask('POST', MAPS, configMap(name));
  const { resourceVersion } = (await server.get(MAPS)).body.metadata;
  const asked = `${MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`;
  for (const version of ['', '0', resourceVersion]) {
    const [a, b, mark] = await server.watchEvents(`${asked}&resourceVersion=${version}`, 3);
    t.same(
      [a, b].map((event) => `${event?.type} ${event?.object.metadata.name}`),
      ['ADDED a', 'ADDED b'],
    );
    t.match(mark, {
      type: 'BOOKMARK',
      object: {
        kind: 'ConfigMap',
        metadata: { resourceVersion, annotations: { 'k8s.io/initial-events-end': 'true' } },
      },
    });
  }
  const during = () => server.ask('POST', MAPS, configMap('c'));
  t.same(await server.watch(`${MAPS}?watch=1&sendInitialEvents=false`, 1, during), ['ADDED c'], 'or none of them');
});

t.test('a version of another history is no place to go on from', async (t) => {
  const server = await TestServer.start(t);
  t.match(await server.get(`${MAPS}?watch=1&resourceVersion=999999`), {
    code: 410,
    body: { reason: 'Expired', message: /another history/ },
  });
  const tooLarge = { reason: 'Timeout', details: { causes: [{ reason: 'ResourceVersionTooLarge' }] } };
  t.match(await server.get(`${MAPS}?resourceVersion=999999`), { code: 504, body: tooLarge });
});

t.test('timeoutSeconds=0 is as good as none', async (t) => {
  const server = await TestServer.start(t);
  const during = () => server.ask('POST', MAPS, configMap('a'));
  t.same(await server.watch(`${MAPS}?watch=1&timeoutSeconds=0`, 1, during), ['ADDED a']);
});
