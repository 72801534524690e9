/** ReplicaSets: as many pods as wanted and never one too many, adopted and released by their labels. */
import t, { type Test } from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { byDeletion } from '../../../src/apiserver/controllers/pod-state.ts';
import { ReplicaSetController } from '../../../src/apiserver/controllers/replica-set.ts';
import { ClusterStore } from './cluster-store.ts';
import { FakeClock } from './fake-clock.ts';
import { setReady } from './fake-kubelet.ts';
import { pod, workload } from './workloads.ts';

async function open(t: Test, clock?: FakeClock): Promise<ClusterStore> {
  const cluster = await ClusterStore.open(t);
  await cluster.run([(parts) => new ReplicaSetController(parts)], clock ? { clock } : {});
  return cluster;
}

const settled = (cluster: ClusterStore, status: Record<string, number>, name = 'web') =>
  cluster.until(
    `${name} has ${JSON.stringify(status)}`,
    () => cluster.get('ReplicaSet', name),
    (set) => Object.entries(status).every(([field, value]) => (set.status?.[field] ?? 0) === value),
  );

t.test('makes pods of its template, fewer and more as it is told', async (t) => {
  const cluster = await open(t);
  await cluster.create(workload('ReplicaSet', 'web', { replicas: 3 }));
  await settled(cluster, { replicas: 3, readyReplicas: 0, fullyLabeledReplicas: 3, observedGeneration: 1 });
  const pods = await cluster.list('Pod');
  t.equal(pods.length, 3);
  t.match(pods[0], {
    metadata: {
      name: /^web-[a-z0-9]{5}$/,
      labels: { app: 'web' },
      ownerReferences: [{ kind: 'ReplicaSet', name: 'web', controller: true, blockOwnerDeletion: true }],
    },
    spec: { containers: [{ name: 'c', image: 'one' }] },
  });
  for (const one of pods) await setReady(cluster, one, true);
  await settled(cluster, { readyReplicas: 3, availableReplicas: 3 });
  await cluster.update('ReplicaSet', 'web', (set) => (set.spec = { ...set.spec, replicas: 1 }));
  await settled(cluster, { replicas: 1, observedGeneration: 2 });
  t.equal((await cluster.list('Pod')).length, 1, 'pods without a node are gone at once');
  await cluster.delete('Pod', (await cluster.names('Pod'))[0] ?? '');
  await cluster.until(
    'another one',
    () => cluster.names('Pod'),
    (names) => names.length === 1,
  );
  const told = async () => (await cluster.list('Event')).map((e) => e.reason as string).sort();
  const reasons = await cluster.until('all is told', told, (all) => all.length === 6);
  t.same(reasons, [...Array(4).fill('SuccessfulCreate'), ...Array(2).fill('SuccessfulDelete')]);
});

t.test('ready is available after a while', async (t) => {
  const clock = new FakeClock();
  const cluster = await open(t, clock);
  await cluster.create(workload('ReplicaSet', 'web', { replicas: 1, minReadySeconds: 10 }));
  await settled(cluster, { replicas: 1 });
  for (const one of await cluster.list('Pod')) await setReady(cluster, one, true, clock.nowMs());
  await settled(cluster, { readyReplicas: 1, availableReplicas: 0 });
  clock.advance(9000);
  await new Promise((resolve) => setTimeout(resolve, 30));
  await settled(cluster, { availableReplicas: 0 });
  clock.advance(1001);
  await settled(cluster, { availableReplicas: 1 });
});

t.test('adopts what its selector matches, and lets go of what it matches no longer', async (t) => {
  const cluster = await open(t);
  await cluster.create(pod('stray', {}, { labels: { app: 'web' } }));
  await cluster.create(pod('other', {}, { labels: { app: 'db' } }));
  const foreign = [{ apiVersion: 'v1', kind: 'X', name: 'x', uid: 'x', controller: true }];
  await cluster.create(pod('owned', {}, { labels: { app: 'web' }, ownerReferences: foreign }));
  await cluster.create(workload('ReplicaSet', 'web', { replicas: 2 }));
  const set = await settled(cluster, { replicas: 2 });
  const ownerOf = (object: ApiObject) => object.metadata.ownerReferences?.[0]?.uid;
  t.equal(ownerOf(await cluster.get('Pod', 'stray')), set.metadata.uid);
  t.equal(ownerOf(await cluster.get('Pod', 'owned')), 'x', 'it has an owner');
  t.equal(ownerOf(await cluster.get('Pod', 'other')), undefined);
  t.equal((await cluster.list('Pod')).length, 4, 'one was missing');
  await cluster.update('Pod', 'stray', (o) => (o.metadata.labels = { app: 'debug' }));
  await cluster.until(
    'another',
    () => cluster.list('Pod'),
    (pods) => pods.length === 5,
  );
  t.equal(ownerOf(await cluster.get('Pod', 'stray')), undefined, 'set free');
  await cluster.create(pod('late', {}, { labels: { app: 'web' } }));
  await cluster.until(
    'one too many goes',
    () => cluster.list('Pod'),
    (pods) => pods.length === 5,
  );
  await settled(cluster, { replicas: 2 });
});

t.test('what cannot be made is said, in the status and by an event, and tried again', async (t) => {
  const cluster = await open(t);
  const labels = { app: 'web' };
  const spec = { containers: [{ name: 'c', image: 'x' }] };
  // Of a template's annotations nobody knows more than that they are texts.
  const template = { metadata: { labels, annotations: { 'weft.dev/weight': '0' } }, spec };
  await cluster.create(workload('ReplicaSet', 'web', { replicas: 3, template }));
  const set = await cluster.until(
    'it says so',
    () => cluster.get('ReplicaSet', 'web'),
    (o) => (o.status?.conditions as unknown[] | undefined)?.length === 1,
  );
  t.match(set.status?.conditions, [
    {
      type: 'ReplicaFailure',
      status: 'True',
      reason: 'FailedCreate',
      message: /must be a whole number from 1 to 99999/,
    },
  ]);
  await cluster.until(
    'told',
    () => cluster.list('Event'),
    (l) => l.some(({ reason }) => reason === 'FailedCreate'),
  );
  await cluster.update('ReplicaSet', 'web', (o) => (o.spec = { ...o.spec, template: { metadata: { labels }, spec } }));
  const mended = await settled(cluster, { replicas: 3 });
  t.same(mended.status?.conditions, [], 'nothing of it is left');
});

t.test('never one too many, though many change its size and delete its pods', async (t) => {
  const cluster = await open(t);
  let most = 0;
  await cluster.create(workload('ReplicaSet', 'web', { replicas: 0 }));
  let seed = 11;
  const random = (n: number) => Math.floor(((seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31) * n);
  let allowed = 0;
  for (let round = 0; round < 40; round++) {
    const replicas = random(8);
    allowed = Math.max(allowed, replicas);
    await cluster.update('ReplicaSet', 'web', (set) => (set.spec = { ...set.spec, replicas }));
    const pods = await cluster.list('Pod');
    most = Math.max(most, pods.length);
    const victim = pods[random(pods.length || 1)];
    if (victim) await cluster.delete('Pod', victim.metadata.name).catch(() => undefined);
    if (random(3) === 0) {
      await cluster.until(
        'it has them',
        () => cluster.list('Pod'),
        ({ length }) => length === replicas,
      );
      allowed = replicas;
    }
    t.ok((await cluster.list('Pod')).length <= allowed, `round ${round}`);
  }
});

t.test('which pod goes first', async (t) => {
  const at = (seconds: number) => new Date(Date.UTC(2026, 0, 1) + seconds * 1000).toISOString();
  const one = (
    name: string,
    words: { node?: string; phase?: string; ready?: number; made?: number; cost?: string; restarts?: number },
  ): ApiObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      uid: name,
      resourceVersion: '1',
      creationTimestamp: at(words.made ?? 0),
      ...(words.cost ? { annotations: { 'controller.kubernetes.io/pod-deletion-cost': words.cost } } : {}),
    },
    spec: words.node === '' ? {} : { nodeName: words.node ?? name },
    status: {
      phase: words.phase ?? 'Running',
      conditions:
        words.ready === undefined ? [] : [{ type: 'Ready', status: 'True', lastTransitionTime: at(words.ready) }],
      containerStatuses: [{ restartCount: words.restarts ?? 0 }],
    },
  });
  const order = [
    one('no-node', { node: '', phase: 'Pending' }),
    one('pending', { phase: 'Pending' }),
    one('not-ready', {}),
    one('cheap', { ready: 1, cost: '-5' }),
    one('crowded-1', { ready: 5, node: 'n' }),
    one('crowded-2', { ready: 4, node: 'n' }),
    one('fresh', { ready: 9 }),
    one('restarted', { ready: 3, restarts: 2 }),
    one('young', { ready: 3, made: 3 }),
    one('old', { ready: 3, made: 1 }),
    one('dear', { ready: 9, cost: '100', phase: 'Running' }),
  ];
  const shuffled = [...order].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  t.same(
    byDeletion(shuffled).map(({ metadata }) => metadata.name),
    order.map(({ metadata }) => metadata.name),
  );
});
