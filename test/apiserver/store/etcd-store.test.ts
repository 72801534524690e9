/** The store in etcd: the suite of all stores against one member, and three of which one is killed under load. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Etcd3 } from 'etcd3';
import t from 'tap';
import { EtcdStore } from '../../../src/apiserver/store/etcd-store.ts';
import { prefixRange } from '../../../src/apiserver/store/store.ts';
import { EtcdCluster, missingEtcd } from './etcd-cluster.ts';
import { Listener, put, storeSuite } from './store-suite.ts';

t.test('suite', { skip: missingEtcd, timeout: 100_000 }, async (t) => {
  const { endpoints } = await EtcdCluster.start(t, 1);
  storeSuite(t, async (t) => {
    const store = new EtcdStore({ endpoints });
    t.teardown(() => store.close());
    return store;
  });
});

t.test('a prefix of its own', { skip: missingEtcd, timeout: 60_000 }, async (t) => {
  const { endpoints } = await EtcdCluster.start(t, 1);
  const open = (prefix?: string) => {
    const store = new EtcdStore({ endpoints, ...(prefix ? { prefix } : {}) });
    t.teardown(() => store.close());
    return store;
  };
  const [one, two, plain] = [open('/weft/one'), open('/weft/two'), open()];
  const [key, gone] = ['/registry/pods/default/web', '/registry/pods/default/gone'];
  const listener = new Listener(one, '/registry/', 1);
  t.teardown(() => listener.close());
  for (const store of [one, two]) {
    const conditions = [{ key, modRevision: 0 }];
    t.ok((await store.commit({ conditions, writes: [put(gone, '1'), put(key, '1')] })).succeeded, 'free for each');
  }
  await one.commit({ conditions: [], writes: [{ type: 'delete', key: gone }] });
  const { values } = await one.range(prefixRange('/registry/'));
  t.same(
    values.map((each) => each.key),
    [key],
    'nothing of the other',
  );
  const again = await one.commit({ conditions: [{ key, modRevision: 0 }], writes: [put(key, '2')] });
  t.equal(again.found[0]?.key, key);
  await listener.until(() => listener.heard.length >= 3);
  t.same(listener.heard, [`put ${gone}=1 v1`, `put ${key}=1 v1`, `delete ${gone} v0`]);
  const keys = (await plain.range(prefixRange('/weft/'))).values.map((each) => each.key);
  t.same(keys, ['/weft/one/pods/default/web', '/weft/two/pods/default/gone', '/weft/two/pods/default/web']);
  t.equal((await plain.range(prefixRange('/registry/'))).values.length, 0);
});

t.test(
  'those that may share a commit do, each on its own conditions',
  { skip: missingEtcd, timeout: 60_000 },
  async (t) => {
    const { endpoints } = await EtcdCluster.start(t, 1);
    const store = new EtcdStore({ endpoints, prefix: '/weft/beats' });
    t.teardown(() => store.close());
    const listener = new Listener(store, '/registry/beat/', 1);
    t.teardown(() => listener.close());
    const key = (i: number) => `/registry/beat/${i}`;
    const beat = (i: number, modRevision: number, text: string) =>
      store.commit({ conditions: [{ key: key(i), modRevision }], writes: [put(key(i), text)], mayShare: true });
    const all = Array.from({ length: 200 }, (_, i) => i);
    const first = await Promise.all(all.map((i) => beat(i, 0, 'a')));
    t.ok(first.every(({ succeeded }) => succeeded));
    const commits = new Set(first.map(({ revision }) => revision)).size;
    t.ok(commits > 1 && commits < 10, `${commits} commits`);
    // Every other one is of a revision that it does not have.
    const second = await Promise.all(all.map((i) => beat(i, i % 2 ? 1 : (first[i]?.revision ?? 0), 'b')));
    t.same(
      second.map(({ succeeded }) => succeeded),
      all.map((i) => i % 2 === 0),
    );
    t.match(second[1]?.found, [{ key: key(1), modRevision: first[1]?.revision, version: 1 }]);
    const both = await Promise.all(['c', 'd'].map((text) => beat(0, second[0]?.revision ?? 0, text)));
    t.same(both.map(({ succeeded }) => succeeded).sort(), [false, true], 'of two for one key one is too late');
    const ended = { conditions: [], writes: [put(key(300), '', '12345')], mayShare: true };
    const beside = await Promise.allSettled([
      store.commit(ended),
      beat(301, 0, 'a'),
      store.commit(ended),
      beat(302, 0, 'a'),
    ]);
    t.same(
      beside.map((one) => (one.status === 'fulfilled' ? one.value.succeeded : one.reason.code)),
      ['no-lease', true, 'no-lease', true],
      'one that is refused does no harm to the others',
    );
    await listener.until(() => listener.heard.length >= 303);
    t.equal(listener.heard.length, 303);
    t.equal(new Set(listener.revisions).size, listener.revisions.length, 'what shares a revision is heard at once');
  },
);

t.test('an etcd that is full takes no heartbeats either', { skip: missingEtcd, timeout: 60_000 }, async (t) => {
  const { endpoints } = await EtcdCluster.start(t, 1);
  const store = new EtcdStore({ endpoints });
  const client = new Etcd3({ hosts: [...endpoints] });
  t.teardown(() => client.close());
  t.teardown(() => store.close());
  const beats = async () => {
    const keys = [1, 2, 3, 4].map((i) => `/registry/beat/${i}`);
    const all = keys.map((key) => store.commit({ conditions: [], writes: [put(key, '')], mayShare: true }));
    return (await Promise.allSettled(all)).map(({ status }) => status);
  };
  t.same(new Set(await beats()), new Set(['fulfilled']));
  await client.maintenance.alarm({ action: 'Activate', alarm: 'Nospace' });
  t.same(new Set(await beats()), new Set(['rejected']), 'together or alone');
  await client.maintenance.alarm({ action: 'Deactivate', alarm: 'Nospace' });
  t.same(new Set(await beats()), new Set(['fulfilled']));
});

t.test('nobody there', { timeout: 60_000 }, async (t) => {
  const store = new EtcdStore({ endpoints: ['http://127.0.0.1:9'] });
  t.teardown(() => store.close());
  await t.rejects(store.range(prefixRange('/')), { code: 'unavailable' });
  await t.rejects(store.commit({ conditions: [], writes: [put('/a', '1')] }), { code: 'unavailable' });
  const listener = new Listener(store, '/', 1);
  await sleep(300);
  t.equal(listener.ended, undefined, 'a watch goes on trying');
  listener.close();
});

t.test('members that are not there cost no write', { skip: missingEtcd, timeout: 60_000 }, async (t) => {
  const { endpoints } = await EtcdCluster.start(t, 1);
  const store = new EtcdStore({ endpoints: ['http://127.0.0.1:9', ...endpoints, 'http://127.0.0.1:19'] });
  t.teardown(() => store.close());
  for (let i = 0; i < 30; i++) {
    const { succeeded } = await store.commit({ conditions: [], writes: [put(`/there/${i}`, '')] });
    t.ok(succeeded);
  }
});

t.test(
  'a member that was late is asked again as soon as it answers',
  { skip: missingEtcd, timeout: 60_000 },
  async (t) => {
    const cluster = await EtcdCluster.start(t, 1);
    const store = new EtcdStore({ endpoints: cluster.endpoints, callMs: 1500 });
    t.teardown(() => store.close());
    await store.commit({ conditions: [], writes: [put('/late/first', '')] });
    cluster.freeze(0);
    const late = [1, 2, 3, 4, 5].map((i) => store.commit({ conditions: [], writes: [put(`/late/${i}`, '')] }));
    for (const one of await Promise.allSettled(late)) {
      t.match(one, { status: 'rejected', reason: { code: 'unavailable', message: /DEADLINE_EXCEEDED/i } });
    }
    cluster.wake(0);
    t.ok((await store.commit({ conditions: [], writes: [put('/late/last', '')] })).succeeded);
  },
);

t.test(
  'a member of three is killed and comes back: nothing lost, no event missed or doubled',
  {
    skip: missingEtcd,
    timeout: 110_000,
  },
  async (t) => {
    const cluster = await EtcdCluster.start(t, 3);
    const store = new EtcdStore({ endpoints: cluster.endpoints });
    t.teardown(() => store.close());
    const begin = (await store.revision()) + 1;
    const listeners = Array.from({ length: 3 }, () => new Listener(store, '/load/', begin));
    for (const listener of listeners) t.teardown(() => listener.close());
    const acknowledged = new Map<string, string>();
    let unanswered = 0;
    let stop = false;
    const writer = async (w: number) => {
      for (let i = 0; !stop; i++) {
        const key = `/load/${w}-${i}`;
        try {
          const done = await store.commit({ conditions: [{ key, modRevision: 0 }], writes: [put(key, `${i}`)] });
          if (done.succeeded) acknowledged.set(key, `${i}`);
        } catch {
          // Whether it took place, nobody said: it may stand there or not.
          unanswered++;
          await sleep(20);
        }
        await sleep(2);
      }
    };
    const writers = [0, 1, 2, 3].map(writer);
    const untilMore = async (writes: number) => {
      const wanted = acknowledged.size + writes;
      for (let i = 0; i < 200 && acknowledged.size < wanted; i++) await sleep(100);
      return acknowledged.size >= wanted;
    };
    t.ok(await untilMore(100));
    for (const victim of [0, 1, 2]) {
      await cluster.killMember(victim);
      await sleep(2500);
      t.ok(
        await untilMore(100),
        `without member ${victim}: ${acknowledged.size} acknowledged, ${unanswered} unanswered`,
      );
      await cluster.startMember(victim);
      await sleep(1000);
    }
    stop = true;
    await Promise.all(writers);
    const { values } = await store.range(prefixRange('/load/'));
    const stands = new Map(values.map(({ key, value }) => [key, Buffer.from(value).toString()]));
    t.same(
      [...acknowledged].filter(([key, value]) => stands.get(key) !== value),
      [],
      'what was acknowledged stands',
    );
    for (const listener of listeners) {
      await listener.until(() => listener.revisions.length >= values.length);
      t.same(
        listener.revisions,
        values.map((v) => v.modRevision).sort((a, b) => a - b),
        'each write heard once, in order',
      );
    }
  },
);
