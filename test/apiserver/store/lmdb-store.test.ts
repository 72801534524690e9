/** The store in a folder: the suite of all stores, and what only a folder can do. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
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
  t.same(listener.heard, ['put /a=1 v1', 'put /leased=1 v1', 'put /a=2 v2', 'delete /leased v0']);
});

t.test('a page of the past costs no more for what was written since', async (t) => {
  const store = LmdbStore.open({ path: join(t.testdir(), 'store') });
  t.teardown(() => store.close());
  const keys = Array.from({ length: 200 }, (_, i) => `/few/${i}`);
  const { revision } = await store.commit({ conditions: [], writes: keys.map((key) => put(key, '1')) });
  await store.commit({ conditions: [], writes: [put('/few/0', '2'), { type: 'delete', key: '/few/1' }] });
  const page = { ...prefixRange('/few/'), limit: 100, revision };
  const quickest = async (): Promise<number> => {
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 10; i++) {
      const began = performance.now();
      t.equal((await store.range(page)).values.length, 100);
      least = Math.min(least, performance.now() - began);
    }
    return least;
  };
  const before = await quickest();
  for (let round = 0; round < 30; round++) {
    const writes = Array.from({ length: 1000 }, (_, i) => put(`/many/${i}`, `${round}`));
    await store.commit({ conditions: [], writes });
  }
  const after = await quickest();
  t.ok(after < 5 * before, `${after} ms, ${before} ms before`);
});

t.test('a folder that cannot be used is said', async (t) => {
  const path = join(t.testdir({ file: 'text' }), 'file', 'below');
  t.throws(() => LmdbStore.open({ path }), { code: 'unavailable', message: /file.below/ });
});

t.test('one at a time: the folder is free when its owner has ended, however it ended', async (t) => {
  const path = join(t.testdir(), 'store');
  const module = new URL('../../../src/apiserver/store/lmdb-store', import.meta.url);
  const file = `${module.href}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`;
  const script = `const { LmdbStore } = await import(${JSON.stringify(file)});
    LmdbStore.open({ path: ${JSON.stringify(path)} }); console.log('open'); setInterval(() => {}, 1000);`;
  const other = spawn(process.execPath, [...process.execArgv, '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => other.kill('SIGKILL'));
  await once(other.stdout, 'data');
  const taken = {
    code: 'unavailable',
    message: new RegExp(`in use by process ${other.pid}: one API server at a time`),
  };
  t.throws(() => LmdbStore.open({ path }), taken);
  other.kill('SIGKILL');
  await once(other, 'exit');
  const store = LmdbStore.open({ path });
  t.throws(() => LmdbStore.open({ path }), { message: /in use by this process/ });
  await store.close();
  await LmdbStore.open({ path }).close();
});

t.test('a damaged file is said before LMDB maps it: mapped, it would end the process', async (t) => {
  const folder = t.testdir();
  const store = LmdbStore.open({ path: join(folder, 'good') });
  for (let i = 0; i < 200; i++)
    await store.commit({ conditions: [], writes: [put(`/k${i}`, 'x'.repeat(100 * (i % 60)))] });
  await store.close();
  const good = readFileSync(join(folder, 'good', 'data.mdb'));
  const overwritten = (from: number, to: number) => Buffer.from(good).fill(0x55, from, to);
  const damaged: [string, Buffer, RegExp][] = [
    ['half', good.subarray(0, good.length >> 1), /data\.mdb is damaged: it was cut short/],
    ['short', good.subarray(0, 100), /cut short/],
    ['text', Buffer.from('a letter\n'.repeat(2000)), /no LMDB file/],
    ['zeros', Buffer.alloc(good.length), /no LMDB file/],
    ['trees', overwritten(8192, good.length), /page \d+ is broken/],
  ];
  for (const [name, bytes, message] of damaged) {
    const path = join(folder, name);
    mkdirSync(path);
    writeFileSync(join(path, 'data.mdb'), bytes);
    t.throws(() => LmdbStore.open({ path }), { code: 'unavailable', message }, name);
  }
  const again = LmdbStore.open({ path: join(folder, 'good') });
  t.equal((await again.range(prefixRange('/k'))).values.length, 200, 'what is whole is opened');
  await again.close();
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
