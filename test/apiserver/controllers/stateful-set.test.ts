/** StatefulSets: names that last, an order that is kept, updates from the highest down, and a way back. */
import t, { type Test } from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import type { ControllerSetOptions } from '../../../src/apiserver/controllers/controller-set.ts';
import { GarbageCollector } from '../../../src/apiserver/controllers/garbage-collector.ts';
import { Informer } from '../../../src/apiserver/controllers/informer.ts';
import { type Member, type StatefulGoal, statefulStep } from '../../../src/apiserver/controllers/stateful-plan.ts';
import { StatefulSetController } from '../../../src/apiserver/controllers/stateful-set.ts';
import { applyPatch } from '../../../src/apiserver/rest/patch.ts';
import { ClusterStore } from './cluster-store.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeKubelet, type FakeKubeletWords } from './fake-kubelet.ts';
import { pod, workload } from './workloads.ts';

/** Also what happened to pods, in order: `+web-0`, `-web-0`. */
async function open(t: Test, words: FakeKubeletWords = {}, options: Partial<ControllerSetOptions> = {}) {
  const cluster = await ClusterStore.open(t);
  const story: string[] = [];
  const pods = new Informer(cluster, cluster.kind('Pod'));
  pods.onChange((before, after) => {
    if (!before) story.push(`+${after?.metadata.name}`);
    if (!after) story.push(`-${before?.metadata.name}`);
  });
  await pods.start();
  const kubelet = new FakeKubelet(cluster, { anywhere: true, ...words });
  t.teardown(() => {
    pods.close();
    kubelet.stop();
  });
  await kubelet.start();
  const set = await cluster.run([(parts) => new StatefulSetController(parts)], options);
  return { cluster, story, set };
}

const web = (spec: Record<string, unknown> = {}) => workload('StatefulSet', 'web', { serviceName: 'nginx', ...spec });

const change = (cluster: ClusterStore, spec: Record<string, unknown>) =>
  cluster.update('StatefulSet', 'web', (o) => (o.spec = { ...o.spec, ...spec }));

const setImage = (cluster: ClusterStore, image: string) =>
  cluster.update('StatefulSet', 'web', (o) => {
    const template = o.spec?.template as { spec: { containers: { image: string }[] } };
    for (const container of template.spec.containers) container.image = image;
  });

const settled = (cluster: ClusterStore, status: Record<string, unknown>) =>
  cluster.until(
    `it has ${JSON.stringify(status)}`,
    () => cluster.get('StatefulSet', 'web'),
    ({ metadata, status: now = {} }) =>
      now.observedGeneration === metadata.generation &&
      Object.entries(status).every(([field, value]) => now[field] === value),
  );

/** As `kubectl rollout status` sees it. */
const complete = (cluster: ClusterStore, replicas: number) =>
  cluster.until(
    'it is complete',
    () => cluster.get('StatefulSet', 'web'),
    ({ metadata, status: s = {} }) =>
      s.observedGeneration === metadata.generation &&
      s.readyReplicas === replicas &&
      s.updatedReplicas === replicas &&
      s.currentRevision === s.updateRevision,
  );

const imageOf = ({ spec }: ApiObject) => (spec as { containers: { image: string }[] }).containers[0]?.image;

async function images(cluster: ClusterStore): Promise<string> {
  const pods = await cluster.list('Pod');
  return pods
    .map((o) => `${o.metadata.name}:${imageOf(o)}`)
    .sort()
    .join(' ');
}

t.test('pods have names of their own, and come one after the other', async (t) => {
  const { cluster, story } = await open(t, { delayMs: () => 5 });
  await cluster.create(web({ replicas: 3 }));
  await complete(cluster, 3);
  t.same(story, ['+web-0', '+web-1', '+web-2']);
  const set = await cluster.get('StatefulSet', 'web');
  const first = await cluster.get('Pod', 'web-1');
  t.match(first, {
    metadata: {
      labels: {
        app: 'web',
        'statefulset.kubernetes.io/pod-name': 'web-1',
        'apps.kubernetes.io/pod-index': '1',
        'controller-revision-hash': set.status?.updateRevision as string,
      },
      ownerReferences: [{ kind: 'StatefulSet', name: 'web', controller: true }],
    },
    spec: { hostname: 'web-1', subdomain: 'nginx' },
  });
  await cluster.delete('Pod', 'web-1');
  await cluster.until(
    'it is back',
    async () => story.at(-1),
    (last) => last === '+web-1',
  );
  await complete(cluster, 3);
  story.length = 0;
  await change(cluster, { replicas: 1 });
  await settled(cluster, { replicas: 1, readyReplicas: 1 });
  t.same(story, ['-web-2', '-web-1'], 'the last that came goes first');
});

t.test('who comes up late holds up those behind it; in parallel nobody does', async (t) => {
  const { cluster, story } = await open(t, { starts: (o) => o.metadata.name !== 'web-1' });
  await cluster.create(web({ replicas: 3 }));
  await settled(cluster, { replicas: 2, readyReplicas: 1 });
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.same(story, ['+web-0', '+web-1']);
  await cluster.delete('StatefulSet', 'web');
  for (const name of ['web-0', 'web-1']) await cluster.delete('Pod', name);
  await cluster.create(web({ replicas: 3, podManagementPolicy: 'Parallel' }));
  await settled(cluster, { replicas: 3, readyReplicas: 2 });
});

t.test('updates go from the highest down; a partition keeps those below it', async (t) => {
  const { cluster, story } = await open(t);
  await cluster.create(
    web({ replicas: 3, updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } } }),
  );
  await complete(cluster, 3);
  story.length = 0;
  await setImage(cluster, 'two');
  await settled(cluster, { updatedReplicas: 1, readyReplicas: 3, currentReplicas: 2 });
  t.equal(await images(cluster), 'web-0:one web-1:one web-2:two');
  await cluster.delete('Pod', 'web-0');
  await cluster.until(
    'it is back',
    async () => story.at(-1),
    (last) => last === '+web-0',
  );
  t.equal(await images(cluster), 'web-0:one web-1:one web-2:two', 'as it was');
  await settled(cluster, { readyReplicas: 3 });
  story.length = 0;
  await change(cluster, { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } } });
  await complete(cluster, 3);
  t.same(story, ['-web-1', '+web-1', '-web-0', '+web-0']);
  t.equal(await images(cluster), 'web-0:two web-1:two web-2:two');
});

t.test('on delete: a pod is renewed when somebody deletes it', async (t) => {
  const { cluster } = await open(t);
  await cluster.create(web({ replicas: 2, updateStrategy: { type: 'OnDelete' } }));
  await settled(cluster, { readyReplicas: 2 });
  await setImage(cluster, 'two');
  await settled(cluster, { updatedReplicas: 0 });
  await cluster.delete('Pod', 'web-0');
  await settled(cluster, { updatedReplicas: 1, readyReplicas: 2 });
  t.equal(await images(cluster), 'web-0:two web-1:one');
});

t.test('a template that does not come up: what there is stays, and there is a way back', async (t) => {
  const { cluster } = await open(t, { starts: (o) => imageOf(o) !== 'broken' });
  await cluster.create(web({ replicas: 3 }));
  await complete(cluster, 3);
  await setImage(cluster, 'broken');
  await settled(cluster, { updatedReplicas: 1, readyReplicas: 2 });
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(await images(cluster), 'web-0:one web-1:one web-2:broken');
  const revisions = (await cluster.list('ControllerRevision')).sort((a, b) => Number(a.revision) - Number(b.revision));
  t.same(
    revisions.map(({ revision }) => revision),
    [1, 2],
  );
  // As `kubectl rollout undo` does it.
  const place = { resource: cluster.kind('StatefulSet'), namespace: 'default', name: 'web' };
  const type = 'application/strategic-merge-patch+json';
  await cluster.objects.update(place, (o) => applyPatch(type, o, revisions[0]?.data, place.resource) as ApiObject);
  await complete(cluster, 3);
  t.equal(await images(cluster), 'web-0:one web-1:one web-2:one');
  const renewed = (await cluster.list('ControllerRevision')).map((o) => Number(o.revision)).sort();
  t.same(renewed, [2, 3], 'the old one, as the newest');
});

t.test('revisions that nobody needs go', async (t) => {
  const { cluster } = await open(t);
  await cluster.create(web({ replicas: 1, revisionHistoryLimit: 1 }));
  for (const image of ['two', 'three', 'four']) {
    await complete(cluster, 1);
    await setImage(cluster, image);
  }
  await complete(cluster, 1);
  await cluster.until(
    'two are left',
    () => cluster.list('ControllerRevision'),
    ({ length }) => length === 2,
  );
});

t.test('nor do those of templates that were never rolled out', async (t) => {
  const { cluster } = await open(t);
  const updateStrategy = { type: 'RollingUpdate', rollingUpdate: { partition: 9 } };
  await cluster.create(web({ replicas: 1, revisionHistoryLimit: 1, updateStrategy }));
  for (const image of ['two', 'three', 'four', 'five']) {
    await settled(cluster, { readyReplicas: 1 });
    await setImage(cluster, image);
  }
  await settled(cluster, { readyReplicas: 1 });
  const numbers = async () => (await cluster.list('ControllerRevision')).map(({ revision }) => Number(revision)).sort();
  await cluster.until('the first, the last, one more', numbers, (all) => all.join() === '1,4,5');
});

t.test('orphaned and made anew, it goes on with its pods and revisions', async (t) => {
  const { cluster, story } = await open(t);
  await cluster.run([(parts) => new GarbageCollector(parts)]);
  await cluster.create(web({ replicas: 2 }));
  await complete(cluster, 2);
  const { status } = await cluster.get('StatefulSet', 'web');
  await cluster.delete('StatefulSet', 'web', { propagationPolicy: 'Orphan' });
  await cluster.until(
    'it is gone',
    () => cluster.names('StatefulSet'),
    ({ length }) => length === 0,
  );
  await cluster.create(web({ replicas: 2, podManagementPolicy: 'Parallel' }));
  t.match(await complete(cluster, 2), { status: { updateRevision: status?.updateRevision } });
  t.same(story, ['+web-0', '+web-1'], 'no pod is renewed');
  t.equal((await cluster.list('ControllerRevision')).length, 1);
});

t.test('one that was stored when less was filled in keeps its revision and its pods', async (t) => {
  const { cluster, story } = await open(t);
  const resource = cluster.kind('StatefulSet');
  const written = web({ replicas: 1 }) as unknown as ApiObject;
  const template = structuredClone(written.spec?.template) as { spec: object };
  const defaults = (o: ApiObject) => {
    resource.defaults?.(o);
    o.spec = { ...o.spec, template: { ...template, spec: { restartPolicy: 'Always', ...template.spec } } };
  };
  await cluster.objects.create({ ...resource, defaults }, undefined, written);
  await complete(cluster, 1);
  const after = await change(cluster, { minReadySeconds: 0 });
  t.match(after.spec, { template: { spec: { schedulerName: 'default-scheduler' } } });
  await complete(cluster, 1);
  t.equal((await cluster.list('ControllerRevision')).length, 1);
  t.same(story, ['+web-0']);
});

t.test('controllers that end in the middle leave nothing half done', async (t) => {
  const opened = await open(t, { delayMs: () => 4 });
  const { cluster } = opened;
  let { set } = opened;
  await cluster.create(web({ replicas: 4 }));
  for (let round = 0; round < 5; round++) {
    await new Promise((resolve) => setTimeout(resolve, 12 * round));
    if (round === 2) await setImage(cluster, 'two');
    await set.stop();
    set = await cluster.run([(parts) => new StatefulSetController(parts)]);
  }
  await complete(cluster, 4);
  t.equal(await images(cluster), 'web-0:two web-1:two web-2:two web-3:two');
});

t.test('a pod of that name that is not the set’s is waited for; volumes are spoken of', async (t) => {
  // It never tries again by itself: the name that comes free has to tell it.
  const { cluster } = await open(t, {}, { clock: new FakeClock() });
  await cluster.create(pod('web-1'));
  await cluster.create(web({ replicas: 2, volumeClaimTemplates: [{ metadata: { name: 'data' } }] }));
  await settled(cluster, { replicas: 1 });
  const [first] = (await cluster.list('Pod')).filter(({ metadata }) => metadata.name === 'web-0');
  t.match(first?.spec?.volumes, [{ name: 'data', persistentVolumeClaim: { claimName: 'data-web-0' } }]);
  const told = async () => (await cluster.list('Event')).map(({ reason, message }) => `${reason}: ${message}`);
  await cluster.until('told', told, (all) => all.some((one) => one.startsWith('VolumesNotServed')));
  await cluster.until('told', told, (all) => all.includes('FailedCreate: Error creating: pods "web-1" already exists'));
  await cluster.delete('Pod', 'web-1');
  await complete(cluster, 2);
});

t.test('the plan, by itself', async (t) => {
  const goal = (words: Partial<StatefulGoal> = {}): StatefulGoal => {
    return { start: 0, replicas: 3, ordered: true, update: { revision: 'b', from: 0 }, ...words };
  };
  const member = (ordinal: number, words: Partial<Member> = {}): Member => {
    return { ordinal, name: `${ordinal}`, revision: 'b', ended: false, ending: false, healthy: true, ...words };
  };
  const step = (g: StatefulGoal, ...members: Member[]) => {
    const { create, remove } = statefulStep(g, members);
    return [...create.map((n) => `+${n}`), ...remove.map(({ name }) => `-${name}`)].join(' ');
  };
  t.equal(step(goal()), '+0');
  t.equal(step(goal({ ordered: false })), '+0 +1 +2');
  t.equal(step(goal({ start: 5, replicas: 1 })), '+5');
  t.equal(step(goal(), member(0, { ended: true })), '-0', 'what failed is made anew');
  t.equal(step(goal(), member(0, { ending: true })), '');
  t.equal(step(goal({ replicas: 1 }), member(0), member(1), member(2)), '-2');
  t.equal(step(goal({ replicas: 1, ordered: false }), member(0), member(1), member(2)), '-2 -1');
  t.equal(step(goal({ replicas: 1 }), member(0), member(1), member(2, { ending: true })), '');
  t.equal(step(goal({ replicas: 1 }), member(0), member(1, { healthy: false }), member(2)), '-2');
  t.equal(step(goal({ replicas: 1 }), member(0), member(1, { healthy: false }), member(2, { healthy: false })), '');
  const old = { revision: 'a' };
  t.equal(step(goal(), member(0, old), member(1, old), member(2, old)), '-2');
  t.equal(step(goal(), member(0, old), member(1, old), member(2, { healthy: false })), '');
  t.equal(step(goal(), member(0, old), member(1, old), member(2, { ...old, healthy: false })), '-2');
  t.equal(step(goal({ update: { revision: 'b', from: 2 } }), member(0, old), member(1, old), member(2)), '');
  const unwell = { healthy: false };
  t.equal(step(goal(), member(0, old), member(1, { ...old, ...unwell }), member(2, unwell)), '', 'one at a time');
  t.equal(step(goal(), member(0, old), member(1, { ...old, ...unwell }), member(2, { ...old, ending: true })), '');
  const all = [0, 1, 2].map((ordinal) => member(ordinal, { ...old, ...unwell }));
  t.equal(step(goal({ ordered: false }), ...all), '-0', 'and never all');
  t.equal(statefulStep(goal({ ordered: false, replicas: 2_000_000_000 }), []).create.length, 500, 'a part at a time');
  t.equal(step(goal({ update: undefined }), member(0, old), member(1, old), member(2, old)), '');
});
