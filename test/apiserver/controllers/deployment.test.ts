/** Deployments: from one template to the next without too few or too many pods, through pauses, undos and restarts. */
import t, { type Test } from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import type { ControllerFactory } from '../../../src/apiserver/controllers/controller-set.ts';
import { DeploymentController } from '../../../src/apiserver/controllers/deployment.ts';
import { findNewest } from '../../../src/apiserver/controllers/deployment-revisions.ts';
import { Informer } from '../../../src/apiserver/controllers/informer.ts';
import { isActive, isReady } from '../../../src/apiserver/controllers/pod-state.ts';
import { ReplicaSetController } from '../../../src/apiserver/controllers/replica-set.ts';
import { ClusterStore } from './cluster-store.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeKubelet, type FakeKubeletWords, setReady } from './fake-kubelet.ts';
import { workload } from './workloads.ts';

const CONTROLLERS: ControllerFactory[] = [
  (parts) => new DeploymentController(parts),
  (parts) => new ReplicaSetController(parts),
];

async function open(t: Test, words: FakeKubeletWords = {}, clock?: FakeClock) {
  const cluster = await ClusterStore.open(t);
  const kubelet = new FakeKubelet(cluster, { anywhere: true, ...words });
  t.teardown(() => kubelet.stop());
  await kubelet.start();
  const set = await cluster.run(CONTROLLERS, clock ? { clock } : {});
  return { cluster, set };
}

const setImage = (cluster: ClusterStore, image: string, name = 'web') =>
  cluster.update('Deployment', name, (o) => {
    const template = (o.spec?.template ?? {}) as { spec: { containers: { image: string }[] } };
    for (const container of template.spec.containers) container.image = image;
  });

const setSpec = (cluster: ClusterStore, spec: Record<string, unknown>, name = 'web') =>
  cluster.update('Deployment', name, (o) => (o.spec = { ...o.spec, ...spec }));

/** As `kubectl rollout status` sees it. */
function isComplete({ metadata, spec, status = {} }: ApiObject): boolean {
  const wanted = spec?.replicas;
  const numbers = [status.replicas, status.updatedReplicas, status.availableReplicas];
  return status.observedGeneration === metadata.generation && numbers.every((n) => n === wanted);
}

const complete = (cluster: ClusterStore, name = 'web') =>
  cluster.until(`${name} is complete`, () => cluster.get('Deployment', name), isComplete);

const conditionsOf = (o: ApiObject) =>
  Object.fromEntries(
    ((o.status?.conditions ?? []) as { type: string; status: string; reason: string }[]).map((c) => [
      c.type,
      `${c.status} ${c.reason}`,
    ]),
  );

const imageOf = (o: ApiObject): string =>
  ((o.spec?.template as { spec: { containers: { image: string }[] } } | undefined) ?? (o as never)).spec.containers[0]
    ?.image ?? '';

/** `two:3 one:0`, by revision, the newest first. */
async function setsOf(cluster: ClusterStore): Promise<string> {
  const revision = (o: ApiObject) => Number(o.metadata.annotations?.['deployment.kubernetes.io/revision']);
  const sets = (await cluster.list('ReplicaSet')).sort((a, b) => revision(b) - revision(a));
  return sets.map((o) => `${revision(o)}:${imageOf(o)}:${o.spec?.replicas}`).join(' ');
}

t.test('a new one is rolled out, a change too; undone it is the old one again', async (t) => {
  const { cluster } = await open(t);
  await cluster.create(workload('Deployment', 'web', { replicas: 3 }));
  const first = await complete(cluster);
  t.same(conditionsOf(first), {
    Available: 'True MinimumReplicasAvailable',
    Progressing: 'True NewReplicaSetAvailable',
  });
  const [set] = await cluster.list('ReplicaSet');
  const hash = set?.metadata.labels?.['pod-template-hash'];
  t.match(hash, /^[a-z0-9]{10}$/);
  t.equal(set?.metadata.name, `web-${hash}`);
  t.match(set?.spec, { selector: { matchLabels: { app: 'web', 'pod-template-hash': hash } } });
  t.equal(first.metadata.annotations?.['deployment.kubernetes.io/revision'], '1');
  await setImage(cluster, 'two');
  await complete(cluster);
  t.equal(await setsOf(cluster), '2:two:3 1:one:0');
  // As kubectl writes it, which knows all fields and leaves them empty.
  await cluster.update('Deployment', 'web', (o) => {
    const { template } = (set as ApiObject & { spec: { template: Record<'metadata' | 'spec', object> } }).spec;
    const { metadata, spec } = template;
    const containers = [{ resources: {}, name: 'c', image: 'one', ports: null }];
    const labels = { app: 'web' };
    o.spec = {
      ...o.spec,
      template: {
        metadata: { ...metadata, labels, creationTimestamp: null },
        spec: { ...spec, containers, securityContext: {} },
      },
    };
  });
  const undone = await complete(cluster);
  t.equal(await setsOf(cluster), '3:one:3 2:two:0', 'the set of old, as a new revision');
  t.equal(undone.metadata.annotations?.['deployment.kubernetes.io/revision'], '3');
  const old = (await cluster.list('ReplicaSet')).find((o) => imageOf(o) === 'one');
  t.equal(old?.metadata.annotations?.['deployment.kubernetes.io/revision-history'], '1');
  const told = async () => (await cluster.list('Event')).map((e) => String(e.message));
  const wanted = `Scaled up replica set web-${hash} from 0 to 3`;
  await cluster.until('it is told', told, (messages) => messages.includes(wanted));
});

t.test('a set that was stored when less was filled in is still that of its template', async (t) => {
  const { cluster } = await open(t);
  await cluster.create(workload('Deployment', 'web'));
  const deployment = await complete(cluster);
  // Named as the Deployment for the labels of its template.
  const set = (image: string) => workload('ReplicaSet', 'web', {}, image) as unknown as ApiObject;
  t.equal(findNewest(deployment, [set('two')]), undefined);
  t.ok(findNewest(deployment, [set('one')]));
});

t.test('what could never be rolled out is refused', async (t) => {
  const cluster = await ClusterStore.open(t);
  const never = { strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: '0%' } } };
  await t.rejects(
    cluster.create(workload('Deployment', 'web', never)),
    /maxUnavailable: may not be 0 when `maxSurge` is 0/,
  );
  await t.rejects(cluster.create(workload('Deployment', 'web', { selector: {} })), /empty selector is invalid/);
  const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'NO NAME' }] } };
  await t.rejects(
    cluster.create(workload('Deployment', 'web', { template })),
    /spec.template.spec.containers\[0\].name/,
  );
});

t.test('old revisions go, but those that are kept', async (t) => {
  const { cluster } = await open(t);
  await cluster.create(workload('Deployment', 'web', { replicas: 1, revisionHistoryLimit: 2 }));
  for (const image of ['two', 'three', 'four', 'five']) {
    await complete(cluster);
    await setImage(cluster, image);
  }
  await complete(cluster);
  await cluster.until(
    'three are left',
    () => setsOf(cluster),
    (all) => all === '5:five:1 4:four:0 3:three:0',
  );
});

t.test('paused, nothing is rolled out but sizes; afterwards it goes on', async (t) => {
  const { cluster } = await open(t);
  await cluster.create(workload('Deployment', 'web', { replicas: 2 }));
  await complete(cluster);
  await setSpec(cluster, { paused: true });
  await setImage(cluster, 'two');
  await setSpec(cluster, { replicas: 4 });
  await cluster.until(
    'scaled',
    () => setsOf(cluster),
    (all) => all === '1:one:4',
  );
  const paused = await cluster.until(
    'said',
    () => cluster.get('Deployment', 'web'),
    (o) => o.status?.availableReplicas === 4,
  );
  t.equal(conditionsOf(paused).Progressing, 'Unknown DeploymentPaused');
  await setSpec(cluster, { paused: false });
  await complete(cluster);
  t.equal(await setsOf(cluster), '2:two:4 1:one:0');
});

t.test('recreate: the last old pod has gone before the first new one comes', async (t) => {
  const { cluster } = await open(t, { delayMs: () => 20 });
  const seen = new Informer(cluster, cluster.kind('Pod'));
  const mixed: string[] = [];
  seen.onChange(() => {
    const images = new Set([...seen.list()].map(imageOf));
    if (images.size > 1) mixed.push([...images].join('+'));
  });
  await seen.start();
  t.teardown(() => seen.close());
  const spec = { replicas: 3, strategy: { type: 'Recreate' } };
  const template = (await cluster.create(workload('Deployment', 'web', spec))).spec?.template;
  t.ok(template);
  // Pods that take their time to end: they have a node.
  await complete(cluster);
  for (const name of await cluster.names('Pod')) {
    await cluster.update('Pod', name, (o) => (o.spec = { ...o.spec, nodeName: 'a' }));
  }
  await setImage(cluster, 'two');
  await complete(cluster);
  t.same(mixed, []);
  t.equal(await setsOf(cluster), '2:two:3 1:one:0');
});

t.test('recreated, it is not available before its pods are', async (t) => {
  const { cluster } = await open(t, { starts: () => false });
  await cluster.create(workload('Deployment', 'web', { replicas: 2, strategy: { type: 'Recreate' } }));
  const state = () => cluster.get('Deployment', 'web');
  const two = await cluster.until('two are made', state, (o) => o.status?.replicas === 2);
  t.equal(conditionsOf(two).Available, 'False MinimumReplicasUnavailable');
});

t.test('it says why its pods cannot be made', async (t) => {
  const { cluster } = await open(t);
  const spec = { containers: [{ name: 'c', image: 'x' }] };
  const labels = { app: 'web' };
  const annotations = { 'weft.dev/weight': '0' };
  await cluster.create(workload('Deployment', 'web', { template: { metadata: { labels, annotations }, spec } }));
  const state = () => cluster.get('Deployment', 'web');
  await cluster.until('it says so', state, (o) => conditionsOf(o).ReplicaFailure === 'True FailedCreate');
  await setSpec(cluster, { template: { metadata: { labels }, spec } });
  await complete(cluster);
  await cluster.until('no more', state, (o) => conditionsOf(o).ReplicaFailure === undefined);
});

t.test('a rollout that does not come up keeps what there is, and says that it is late', async (t) => {
  const clock = new FakeClock();
  const { cluster } = await open(t, { starts: (pod) => imageOf(pod) !== 'broken' }, clock);
  await cluster.create(workload('Deployment', 'web', { replicas: 4, progressDeadlineSeconds: 60 }));
  await complete(cluster);
  await setImage(cluster, 'broken');
  await cluster.until(
    'it begins',
    () => setsOf(cluster),
    (all) => all === '2:broken:2 1:one:3',
  );
  const state = () => cluster.get('Deployment', 'web');
  await cluster.until('one is missing', state, (o) => o.status?.unavailableReplicas === 2);
  for (let i = 0; i < 59; i++) clock.advance(1000);
  t.match(conditionsOf(await state()).Progressing, /^True/);
  // The last step may have been counted a little later than the first.
  const late = await cluster.until(
    'it is late',
    () => {
      clock.advance(1000);
      return state();
    },
    (o) => {
      return conditionsOf(o).Progressing === 'False ProgressDeadlineExceeded';
    },
  );
  t.equal(conditionsOf(late).Available, 'True MinimumReplicasAvailable');
  t.equal(await setsOf(cluster), '2:broken:2 1:one:3', 'nothing more was touched');
  await setImage(cluster, 'three');
  const mended = await complete(cluster);
  t.equal(conditionsOf(mended).Progressing, 'True NewReplicaSetAvailable');
});

t.test("a name that is somebody else's is not taken", async (t) => {
  const { cluster, set } = await open(t);
  await cluster.create(workload('Deployment', 'web', { replicas: 1 }));
  await complete(cluster);
  const [made] = await cluster.names('ReplicaSet');
  await set.stop();
  await cluster.delete('ReplicaSet', made ?? '');
  for (const name of await cluster.names('Pod')) await cluster.delete('Pod', name);
  await cluster.create({ ...workload('ReplicaSet', 'other', { replicas: 0 }), metadata: { name: made ?? '' } });
  await cluster.run(CONTROLLERS);
  await cluster.until(
    'a set of its own',
    () => cluster.names('ReplicaSet'),
    (names) => names.length === 2,
  );
  const deployment = await complete(cluster);
  t.equal(deployment.status?.collisionCount, 1);
});

t.test('sizes change in the middle of a rollout: it keeps its course, in proportion', async (t) => {
  const { cluster } = await open(t, { starts: (pod) => imageOf(pod) !== 'slow' });
  await cluster.create(workload('Deployment', 'web', { replicas: 10 }));
  await complete(cluster);
  await setSpec(cluster, { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } } });
  await setImage(cluster, 'slow');
  await cluster.until(
    'it begins',
    () => setsOf(cluster),
    (all) => all === '2:slow:5 1:one:8',
  );
  await setSpec(cluster, { replicas: 15 });
  // As the example in Kubernetes' documentation: 5 more, of which 3 are the old ones' and 2 the new ones'.
  await cluster.until(
    'grown',
    () => setsOf(cluster),
    (all) => all === '2:slow:7 1:one:11',
  );
});

t.test('many changes at random, controllers that end in the middle: never too few, never too many', async (t) => {
  let seed = 5;
  const random = (n: number) => Math.floor(((seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31) * n);
  for (const [maxSurge, maxUnavailable] of [
    [1, 0],
    [0, 2],
    ['25%', '25%'],
  ] as const) {
    await t.test(`surge ${maxSurge}, unavailable ${maxUnavailable}`, async (t) => {
      const { cluster, set } = await open(t, { delayMs: () => random(25) });
      let controllers = set;
      const replicas = 6;
      const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } };
      await cluster.create(workload('Deployment', 'web', { replicas, strategy }));
      await complete(cluster);
      const share = (value: string | number, round: (n: number) => number) =>
        typeof value === 'number' ? value : round((Number.parseInt(value, 10) * replicas) / 100);
      const most = replicas + share(maxSurge, Math.ceil);
      const least = replicas - share(maxUnavailable, Math.floor);
      const seen = new Informer(cluster, cluster.kind('Pod'));
      await seen.start();
      t.teardown(() => seen.close());
      const wrong: string[] = [];
      let steps = 0;
      seen.onChange(() => {
        const active = [...seen.list()].filter(isActive);
        const ready = active.filter(isReady).length;
        steps++;
        if (active.length > most) wrong.push(`${active.length} pods, at most ${most}`);
        if (ready < least) wrong.push(`${ready} are ready, at least ${least}`);
      });
      for (let round = 0; round < 4; round++) {
        await setImage(cluster, `image-${round % 3}`);
        await new Promise((resolve) => setTimeout(resolve, random(80)));
        if (random(2) === 0) {
          await controllers.stop();
          controllers = await cluster.run(CONTROLLERS);
        }
        if (random(3) === 0) await complete(cluster);
      }
      const last = await complete(cluster);
      const pods = await cluster.until(
        'the old have gone',
        () => cluster.list('Pod'),
        ({ length }) => length === replicas,
      );
      t.same(new Set(pods.map(imageOf)), new Set([imageOf(last)]));
      t.ok(steps > 20);
      t.same(wrong, []);
    });
  }
});

t.test('pods that fail and come back are told, and end nothing', async (t) => {
  const { cluster } = await open(t);
  await cluster.create(
    workload('Deployment', 'web', { replicas: 2, strategy: { rollingUpdate: { maxUnavailable: 0 } } }),
  );
  await complete(cluster);
  const [pod] = await cluster.list('Pod');
  await setReady(cluster, pod as ApiObject, false);
  const state = () => cluster.get('Deployment', 'web');
  const less = await cluster.until('one is not ready', state, (o) => o.status?.readyReplicas === 1);
  t.same(conditionsOf(less), {
    Available: 'False MinimumReplicasUnavailable',
    Progressing: 'True NewReplicaSetAvailable',
  });
  await setReady(cluster, pod as ApiObject, true);
  t.match(conditionsOf(await complete(cluster)).Available, /^True/);
});
