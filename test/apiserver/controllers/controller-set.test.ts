/** The controllers' lease: one set of several leads, and never two, whoever dies, stalls or is cut off. */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { Controller, ControllerFactory } from '../../../src/apiserver/controllers/controller-set.ts';
import { ControllerSet } from '../../../src/apiserver/controllers/controller-set.ts';
import { ReplicaSetController } from '../../../src/apiserver/controllers/replica-set.ts';
import { ObjectStore } from '../../../src/apiserver/objects/object-store.ts';
import { type Store, StoreError } from '../../../src/apiserver/store/store.ts';
import { WatchCache } from '../../../src/apiserver/watch/watch-cache.ts';
import { ClusterStore } from './cluster-store.ts';
import { FakeClock } from './fake-clock.ts';
import { workload } from './workloads.ts';

/** Names of those that run, and the most that ever ran at a time. */
class Running {
  readonly now = new Set<string>();
  most = 0;

  of(name: string): ControllerFactory {
    return (): Controller => ({
      name,
      start: () => {
        this.now.add(name);
        this.most = Math.max(this.most, this.now.size);
      },
      stop: async () => void this.now.delete(name),
    });
  }
}

/** A set that can be cut off from the store, as a stalled process or a dead network would be. */
async function server(t: Test, cluster: ClusterStore, clock: FakeClock, running: Running, name: string) {
  const state = { cut: false };
  const store = new Proxy(cluster.store, {
    get: (target, property) => {
      const value = Reflect.get(target, property) as unknown;
      if (typeof value !== 'function') return value;
      return (...words: unknown[]) => {
        if (state.cut) throw new StoreError('unavailable', 'cut off');
        return (value as (...words: unknown[]) => unknown).apply(target, words);
      };
    },
  });
  const objects = new ObjectStore(store, cluster.table);
  const { cache, table } = cluster;
  const log = (message: string) => void cluster.said.push(`${name}: ${message}`);
  const set = new ControllerSet({ objects, cache, table, log, clock }, [running.of(name)]);
  t.teardown(() => set.stop());
  await set.start();
  return { set, cut: () => (state.cut = true), mend: () => (state.cut = false) };
}

const holder = async (cluster: ClusterStore) =>
  (await cluster.get('Lease', 'weft-controllers', 'kube-system')).spec as { leaseTransitions: number };

t.test('one leads; it gives the lease back when it ends, and the other begins', async (t) => {
  const cluster = await ClusterStore.open(t);
  const clock = new FakeClock();
  const running = new Running();
  const a = await server(t, cluster, clock, running, 'a');
  const b = await server(t, cluster, clock, running, 'b');
  await clock.run(60_000, 500);
  t.same([...running.now], ['a']);
  t.ok(a.set.leads);
  t.notOk(b.set.leads);
  await a.set.stop();
  await cluster.until(
    'b runs',
    async () => [...running.now],
    (names) => names.join() === 'b',
    1,
  );
  t.equal(running.most, 1);
});

t.test('one that died is followed when its lease is over, not before', async (t) => {
  const cluster = await ClusterStore.open(t);
  const clock = new FakeClock();
  const running = new Running();
  const a = await server(t, cluster, clock, running, 'a');
  const b = await server(t, cluster, clock, running, 'b');
  await clock.run(7000);
  a.cut();
  await clock.run(9000);
  t.notOk(b.set.leads, 'the lease was renewed 9 s ago');
  await clock.run(6500);
  t.ok(b.set.leads, 'within 15 s and a step');
  t.same([...running.now], ['b']);
  t.equal(running.most, 1, 'the first ended its own before');
  a.mend();
  await clock.run(30_000, 500);
  t.same([...running.now], ['b'], 'who comes back waits');
  t.match(await holder(cluster), { leaseTransitions: 1 });
});

t.test('who finds the lease taken stops at once', async (t) => {
  const cluster = await ClusterStore.open(t);
  const clock = new FakeClock();
  const running = new Running();
  const a = await server(t, cluster, clock, running, 'a');
  const place = { resource: cluster.kind('Lease'), namespace: 'kube-system', name: 'weft-controllers' };
  const spec = { holderIdentity: 'another', leaseDurationSeconds: 15 };
  await cluster.objects.update(place, (lease) => ({ ...lease, spec: { ...lease.spec, ...spec } }));
  await clock.run(2000);
  t.notOk(a.set.leads);
  t.same([...running.now], []);
  await clock.run(14_500);
  t.notOk(a.set.leads, 'the other has its time');
  await clock.run(2000);
  t.same([...running.now], ['a']);
});

t.test('on a store of its own nobody is waited for', async (t) => {
  const cluster = await ClusterStore.open(t);
  const running = new Running();
  await cluster.create({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'weft-controllers', namespace: 'kube-system' },
    spec: { holderIdentity: 'the one before kill -9', leaseDurationSeconds: 15 },
  });
  await cluster.run([running.of('a')], { alone: true });
  await cluster.until(
    'it runs',
    async () => running.now.size,
    (n) => n === 1,
    1,
  );
});

t.test('a clock that somebody sets makes nobody lead', async (t) => {
  const cluster = await ClusterStore.open(t);
  const clocks = { a: new FakeClock(), b: new FakeClock() };
  const running = new Running();
  const a = await server(t, cluster, clocks.a, running, 'a');
  await server(t, cluster, clocks.b, running, 'b');
  const go = async (ms: number) => void (await Promise.all([clocks.a.run(ms, 500), clocks.b.run(ms, 500)]));
  await go(5000);
  clocks.b.setBy(3_600_000);
  await go(10_000);
  clocks.a.setBy(-3_600_000);
  await go(10_000);
  t.ok(a.set.leads);
  t.equal(running.most, 1);
});

t.test('who leads next knows what the last one made, however late it is told', async (t) => {
  const cluster = await ClusterStore.open(t);
  await cluster.create(workload('ReplicaSet', 'web', { replicas: 3 }));
  const late: (() => void)[] = [];
  const watch: Store['watch'] = (wanted) =>
    cluster.store.watch({ ...wanted, onEvents: (...words) => void late.push(() => wanted.onEvents(...words)) });
  const store = new Proxy(cluster.store, {
    get: (target, property) => {
      const value: unknown = property === 'watch' ? watch : Reflect.get(target, property);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  const cache = new WatchCache(store);
  t.teardown(() => cache.close());
  await cache.start();
  const controllers: ControllerFactory[] = [(parts) => new ReplicaSetController(parts)];
  const first = await cluster.run(controllers);
  await cluster.until(
    'three are made',
    () => cluster.names('Pod'),
    ({ length }) => length === 3,
  );
  const made = await cluster.names('Pod');
  await first.stop();
  const next = await cluster.run(controllers, { cache });
  t.ok(next.leads);
  await sleep(50);
  for (const tell of late) tell();
  await sleep(50);
  t.same(await cluster.names('Pod'), made);
});

t.test('many servers, cut off at random: never two at a time, and always one in the end', async (t) => {
  const cluster = await ClusterStore.open(t);
  const clock = new FakeClock();
  const running = new Running();
  const servers = await Promise.all(['a', 'b', 'c'].map((name) => server(t, cluster, clock, running, name)));
  let seed = 7;
  const random = () => (seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
  for (let round = 0; round < 60; round++) {
    const one = servers[Math.floor(random() * servers.length)];
    if (random() < 0.5) one?.cut();
    else one?.mend();
    await clock.run(random() * 8000, 1000);
  }
  t.equal(running.most, 1);
  for (const one of servers) one.mend();
  await clock.run(20_000, 500);
  t.equal(running.now.size, 1);
});
