/** The store in a folder: the suite of all stores, and what only a folder can do. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { LmdbStore } from '../../../src/apiserver/store/lmdb-store.ts';
import { prefixRange } from '../../../src/apiserver/store/store.ts';
import { Listener, put, storeSuite } from './store-suite.ts';

t.test('suite', async (t) => {
  storeSuite(t, async (t) => {
    const store = LmdbStore.open({ path: join(t.testdir(), 'store') });
    t.teardown(() => store.close());
    return store;
  });
});

t.test('a folder that is opened again holds all of it, revisions, history and leases too', async (t) => {
  const path = join(t.testdir(), 'store');
  const before = LmdbStore.open({ path });
  const lease = await before.grantLease(1);
  const first = await before.commit({ conditions: [], writes: [put('/a', '1'), put('/leased', '1', lease)] });
  await before.commit({ conditions: [], writes: [put('/a', '2')] });
  await before.close();
  const after = LmdbStore.open({ path });
  t.teardown(() => after.close());
  t.equal(await after.revision(), first.revision + 1);
  t.equal(
    Buffer.from(
      (await after.range({ ...prefixRange('/a'), revision: first.revision })).values[0]?.value ?? [],
    ).toString(),
    '1',
  );
  const listener = new Listener(after, '/', first.revision);
  t.teardown(() => listener.close());
  await listener.until(() => listener.heard.length >= 4);
  t.same(listener.heard, ['put /a=1 v1', 'put /leased=1 v1', 'put /a=2 v2 was 1', 'delete /leased v0 was 1']);
});

t.test('a folder that cannot be used is said', async (t) => {
  const path = join(t.testdir({ file: 'text' }), 'file', 'below');
  t.throws(() => LmdbStore.open({ path }), { code: 'unavailable', message: /file.below/ });
});

t.test('compaction gives its room back to later writes', async (t) => {
  const path = join(t.testdir(), 'store');
  const store = LmdbStore.open({ path });
  t.teardown(() => store.close());
  const size = () => readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
  const write = async () => {
    for (let i = 0; i < 300; i++) await store.commit({ conditions: [], writes: [put('/busy', 'x'.repeat(20_000))] });
    await store.compact(await store.revision());
  };
  await write();
  const once = size();
  await write();
  await write();
  t.ok(size() < once * 1.5, `${size()} bytes after three rounds, ${once} after one`);
});
