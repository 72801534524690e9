/** What owned objects come to when their owners go: in the background, in the foreground, orphaned; and namespaces. */
import t, { type Test } from 'tap';
import { ApiError } from '../../../src/apiserver/api-error.ts';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { DeploymentController } from '../../../src/apiserver/controllers/deployment.ts';
import { GarbageCollector } from '../../../src/apiserver/controllers/garbage-collector.ts';
import { NamespaceController } from '../../../src/apiserver/controllers/namespace-controller.ts';
import { ReplicaSetController } from '../../../src/apiserver/controllers/replica-set.ts';
import type { Resource } from '../../../src/apiserver/kinds/resource.ts';
import { ClusterStore, type Written } from './cluster-store.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeKubelet } from './fake-kubelet.ts';
import { pod, workload } from './workloads.ts';

async function open(t: Test): Promise<ClusterStore> {
  const cluster = await ClusterStore.open(t);
  await cluster.run([(parts) => new GarbageCollector(parts), (parts) => new NamespaceController(parts)]);
  return cluster;
}

function ownedBy(...owners: ApiObject[]) {
  const ownerReferences = owners.map(({ apiVersion, kind, metadata: { name, uid } }) => ({
    apiVersion,
    kind,
    name,
    uid,
    blockOwnerDeletion: true,
  }));
  return { ownerReferences };
}

const map = (name: string, metadata: Record<string, unknown> = {}): Written => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, ...metadata },
});

const left = (cluster: ClusterStore, wanted: string[]) =>
  cluster.until(
    `${wanted} are left`,
    () => cluster.names('ConfigMap'),
    (names) => names.join() === wanted.join(),
  );

/** Time for what should not happen. */
const moment = () => new Promise((resolve) => setTimeout(resolve, 60));

t.test('background: the owner goes at once, what it owned follows, and theirs', async (t) => {
  const cluster = await open(t);
  const a = await cluster.create(map('a'));
  const b = await cluster.create(map('b', ownedBy(a)));
  await cluster.create(map('c', ownedBy(b)));
  await cluster.create(map('free'));
  await cluster.delete('ConfigMap', 'a');
  await t.rejects(cluster.get('ConfigMap', 'a'));
  await left(cluster, ['free']);
});

t.test('foreground: the owner is there until the last that blocks it has gone', async (t) => {
  const cluster = await open(t);
  const a = await cluster.create(map('a'));
  const b = await cluster.create(map('b', ownedBy(a)));
  await cluster.create(map('c', { ...ownedBy(b), finalizers: ['test.example/hold'] }));
  await cluster.delete('ConfigMap', 'a', { propagationPolicy: 'Foreground' });
  const held = await cluster.until(
    'c is going',
    () => cluster.get('ConfigMap', 'c'),
    (o) => o.metadata.deletionTimestamp !== undefined,
  );
  t.same(held.metadata.finalizers, ['test.example/hold']);
  await moment();
  t.same(await cluster.names('ConfigMap'), ['a', 'b', 'c'], 'nobody goes before c');
  await cluster.update('ConfigMap', 'c', (o) => (o.metadata.finalizers = []));
  await left(cluster, []);
});

t.test('orphan: what it owned stays, and is nobody’s', async (t) => {
  const cluster = await open(t);
  const a = await cluster.create(map('a'));
  const z = await cluster.create(map('z'));
  await cluster.create(map('b', ownedBy(a, z)));
  await cluster.create(map('c', ownedBy(a)));
  await cluster.delete('ConfigMap', 'a', { propagationPolicy: 'Orphan' });
  await left(cluster, ['b', 'c', 'z']);
  await moment();
  const owners = async (name: string) => (await cluster.get('ConfigMap', name)).metadata.ownerReferences ?? [];
  t.same(
    (await owners('b')).map(({ name }) => name),
    ['z'],
  );
  t.same(await owners('c'), []);
});

t.test('one of two owners is enough; an owner by name alone is none', async (t) => {
  const cluster = await open(t);
  const a = await cluster.create(map('a'));
  const z = await cluster.create(map('z'));
  await cluster.create(map('b', ownedBy(a, z)));
  await cluster.delete('ConfigMap', 'a');
  const one = (o: ApiObject) => o.metadata.ownerReferences?.length === 1;
  const kept = await cluster.until('one owner is left', () => cluster.get('ConfigMap', 'b'), one);
  t.equal(kept.metadata.ownerReferences?.[0]?.name, 'z');
  const earlier = { ...z, metadata: { ...z.metadata, uid: 'of-an-earlier-z' } };
  await cluster.create(map('c', ownedBy(earlier)));
  await left(cluster, ['b', 'z']);
  const unknown = { ...z, kind: 'Gadget', apiVersion: 'example.org/v1', metadata: { ...z.metadata, uid: 'g' } };
  await cluster.create(map('d', ownedBy(unknown)));
  await moment();
  t.ok(await cluster.get('ConfigMap', 'd'), 'a kind that nobody knows may exist');
});

t.test('what is in no namespace never goes for an owner in one, and does not hold it', async (t) => {
  const cluster = await open(t);
  const a = await cluster.create(map('a'));
  await cluster.create({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n', ...ownedBy(a) } });
  await moment();
  await cluster.delete('ConfigMap', 'a', { propagationPolicy: 'Foreground' });
  await left(cluster, []);
  await moment();
  t.same(await cluster.names('Node'), ['n']);
});

t.test('two that own each other go in the foreground all the same', async (t) => {
  const cluster = await open(t);
  const a = await cluster.create(map('a'));
  const b = await cluster.create(map('b', ownedBy(a)));
  await cluster.update('ConfigMap', 'a', (o) => Object.assign(o.metadata, ownedBy(b)));
  await cluster.delete('ConfigMap', 'a', { propagationPolicy: 'Foreground' });
  await left(cluster, []);
});

t.test('what lost its owner while nobody looked goes at the start', async (t) => {
  const cluster = await ClusterStore.open(t);
  const a = await cluster.create(map('a'));
  await cluster.create(map('b', ownedBy(a)));
  await cluster.delete('ConfigMap', 'a');
  await cluster.run([(parts) => new GarbageCollector(parts)]);
  await left(cluster, []);
});

t.test('a Deployment deleted in each way', async (t) => {
  const cluster = await open(t);
  await cluster.run([(parts) => new DeploymentController(parts), (parts) => new ReplicaSetController(parts)]);
  const kubelet = new FakeKubelet(cluster, { anywhere: true });
  t.teardown(() => kubelet.stop());
  await kubelet.start();
  const make = async () => {
    await cluster.create(workload('Deployment', 'web', { replicas: 2 }));
    await cluster.until(
      'two run',
      () => cluster.get('Deployment', 'web'),
      (o) => o.status?.availableReplicas === 2,
    );
  };
  const none = (kind: string) =>
    cluster.until(
      `no ${kind}`,
      () => cluster.names(kind),
      ({ length }) => length === 0,
    );
  for (const propagationPolicy of ['Background', 'Foreground'] as const) {
    await make();
    await cluster.delete('Deployment', 'web', { propagationPolicy });
    for (const kind of ['Pod', 'ReplicaSet', 'Deployment']) await none(kind);
  }
  await make();
  const pods = await cluster.names('Pod');
  await cluster.delete('Deployment', 'web', { propagationPolicy: 'Orphan' });
  await none('Deployment');
  await moment();
  t.equal((await cluster.list('ReplicaSet')).length, 1);
  t.same(await cluster.names('Pod'), pods, 'its set and pods stay');
  await make();
  t.equal((await cluster.list('ReplicaSet')).length, 1, 'the next one of that name adopts the set');
  t.same(await cluster.names('Pod'), pods);
});

t.test('a namespace empties itself, custom kinds too, and lets nothing in meanwhile', async (t) => {
  const cluster = await open(t);
  const custom: Resource = {
    ...cluster.kind('ConfigMap'),
    group: 'example.org',
    kind: 'Gadget',
    plural: 'gadgets',
    singular: 'gadget',
  };
  cluster.table.add(custom);
  await cluster.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'n' } });
  const inside = { namespace: 'n' };
  await cluster.create(pod('ends', { nodeName: 'a' }, inside));
  await cluster.create(pod('nowhere', {}, inside));
  await cluster.create(map('held', { ...inside, finalizers: ['test.example/hold'] }));
  await cluster.create(map('elsewhere'));
  const gadget = { apiVersion: 'example.org/v1', kind: 'Gadget', metadata: { name: 'g' } } as ApiObject;
  await cluster.objects.create(custom, 'n', gadget);
  await cluster.delete('Namespace', 'n');
  const state = () => cluster.get('Namespace', 'n');
  const said = await cluster.until('it says what is left', state, (o) => {
    const message = (o.status?.conditions as { message: string }[] | undefined)?.[0]?.message;
    return (
      message === 'Some resources are remaining: configmaps has 1 resource instances, pods has 1 resource instances'
    );
  });
  t.match(said.status, {
    phase: 'Terminating',
    conditions: [
      {},
      {
        type: 'NamespaceFinalizersRemaining',
        status: 'True',
        message: 'Some content in the namespace has finalizers remaining: test.example/hold in 1 resource instances',
      },
    ],
  });
  t.same(await cluster.names('Pod'), ['ends'], 'it has its grace');
  t.same((await cluster.objects.list(custom, { namespace: 'n' })).items, []);
  await t.rejects(cluster.create(map('late', inside)), { reason: 'Forbidden', message: /it is being terminated/ });
  const place = (kind: string, name: string) => ({ resource: cluster.kind(kind), namespace: 'n', name });
  await cluster.objects.delete(place('Pod', 'ends'), { gracePeriodSeconds: 0 });
  await cluster.objects.update(place('ConfigMap', 'held'), (o) => ({
    ...o,
    metadata: { ...o.metadata, finalizers: [] },
  }));
  await cluster.until(
    'it is gone',
    () => cluster.names('Namespace'),
    (names) => !names.includes('n'),
  );
  t.same(await cluster.names('ConfigMap'), ['elsewhere']);
});

t.test('a kind that is known late, and loses a version, loses none of its objects', async (t) => {
  const cluster = await ClusterStore.open(t);
  const clock = new FakeClock();
  const names = { group: 'example.org', kind: 'Gadget', plural: 'gadgets', singular: 'gadget' };
  const gadgets: Resource = { ...cluster.kind('ConfigMap'), ...names };
  const later = { ...gadgets, version: 'v2' };
  await cluster.run([(parts) => new GarbageCollector(parts)], { clock });
  for (const version of [gadgets, later]) cluster.table.add(version);
  const a = await cluster.create(map('a'));
  const gadget = { apiVersion: 'example.org/v1', kind: 'Gadget', metadata: { name: 'g', ...ownedBy(a) } };
  await cluster.objects.create(gadgets, 'default', gadget as unknown as ApiObject);
  await moment();
  clock.advance(1000);
  cluster.table.remove(later);
  clock.advance(1000);
  await cluster.delete('ConfigMap', 'a');
  await cluster.until(
    'it goes with its owner',
    () => cluster.objects.list(gadgets),
    ({ items }) => items.length === 0,
  );
});

t.test('namespaces that all need stay', async (t) => {
  const cluster = await open(t);
  await cluster.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kube-system' } });
  await t.rejects(cluster.delete('Namespace', 'kube-system'), { reason: 'Forbidden', message: /may not be deleted/ });
});

t.test('nothing is left in a namespace that went while many wrote to it', async (t) => {
  const cluster = await open(t);
  for (let round = 0; round < 5; round++) {
    await cluster.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'n' } });
    // What was begun before it is deleted may come too late; nothing is begun afterwards.
    let deleted = false;
    const writers = Array.from({ length: 8 }, async (_, i) => {
      for (let j = 0; !deleted && j < 1000; j++) {
        try {
          await cluster.create(map(`m-${i}-${j}`, { namespace: 'n' }));
        } catch (error) {
          if (!(error instanceof ApiError) || error.reason !== 'Forbidden') throw error;
        }
      }
    });
    await moment();
    const going = cluster.delete('Namespace', 'n');
    deleted = true;
    await Promise.all([going, ...writers]);
    await cluster.until(
      'it is gone',
      () => cluster.names('Namespace'),
      (names) => !names.includes('n'),
    );
    t.same(await cluster.names('ConfigMap'), [], `round ${round}`);
  }
});
