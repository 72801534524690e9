/** The scheduler: pods come to nodes that may run them, spread, and say why where they fit nowhere. */
import t, { type Test } from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import type { ControllerFactory } from '../../../src/apiserver/controllers/controller-set.ts';
import { Informer } from '../../../src/apiserver/controllers/informer.ts';
import { Scheduler } from '../../../src/apiserver/controllers/scheduler.ts';
import { ObjectStore } from '../../../src/apiserver/objects/object-store.ts';
import { ClusterStore } from './cluster-store.ts';
import { FakeClock } from './fake-clock.ts';
import { type NodeWords, node, pod } from './workloads.ts';

async function open(t: Test): Promise<ClusterStore> {
  const cluster = await ClusterStore.open(t);
  await cluster.run([(parts) => new Scheduler(parts)]);
  return cluster;
}

async function addNode(cluster: ClusterStore, name: string, words: NodeWords = {}): Promise<void> {
  const { object, status } = node(name, words);
  await cluster.create(object);
  await cluster.update('Node', name, (o) => (o.status = status), true);
}

const nodeOf = (object: ApiObject): string => (object.spec?.nodeName as string | undefined) ?? '';

async function placed(cluster: ClusterStore, name: string): Promise<string> {
  return nodeOf(
    await cluster.until(
      `${name} has a node`,
      () => cluster.get('Pod', name),
      (o) => nodeOf(o) !== '',
    ),
  );
}

/** Why it has none. */
async function refused(cluster: ClusterStore, name: string, again = ''): Promise<string> {
  const reason = (o: ApiObject) => {
    const conditions = (o.status?.conditions ?? []) as { type: string; status: string; message?: string }[];
    const found = conditions.find(({ type, status }) => type === 'PodScheduled' && status === 'False');
    return found?.message ?? '';
  };
  const done = (o: ApiObject) => reason(o) !== again;
  return reason(await cluster.until(`${name} is refused`, () => cluster.get('Pod', name), done));
}

t.test('a pod gets a node, its condition and an event, and quickly', async (t) => {
  const cluster = await open(t);
  await addNode(cluster, 'a');
  await cluster.create(pod('first'));
  t.equal(await placed(cluster, 'first'), 'a');
  t.match((await cluster.get('Pod', 'first')).status, { conditions: [{ type: 'PodScheduled', status: 'True' }] });
  const events = await cluster.until(
    'an event',
    () => cluster.list('Event'),
    (list) => list.length > 0,
  );
  t.match(events[0], {
    type: 'Normal',
    reason: 'Scheduled',
    message: 'Successfully assigned default/first to a',
    involvedObject: { kind: 'Pod', name: 'first', namespace: 'default' },
  });
  const [, nanoseconds = '0'] = events[0]?.metadata.name.split('.') ?? [];
  const toldMs = Number(BigInt(`0x${nanoseconds}`) / 1_000_000n);
  t.ok(Math.abs(toldMs - Date.parse(String(events[0]?.lastTimestamp))) < 2000, 'named by when it happened');
  const times: number[] = [];
  for (let i = 0; i < 20; i++) {
    const begun = performance.now();
    await cluster.create(pod(`p${i}`));
    await placed(cluster, `p${i}`);
    times.push(performance.now() - begun);
  }
  times.sort((x, y) => x - y);
  t.comment(`from a created pod to its node: median ${times[10]?.toFixed(1)} ms`);
  // The quickest: others may keep the machine busy, but nothing is waited for.
  t.ok((times[0] ?? 0) < 40, 'without a wait of its own');
});

t.test('who fits nowhere says why, and comes when there is room', async (t) => {
  const cluster = await open(t);
  await cluster.create(pod('web', { nodeSelector: { disk: 'ssd' } }));
  t.equal(await refused(cluster, 'web'), 'no nodes available to schedule pods');
  await addNode(cluster, 'a', { taints: [{ key: 'dedicated', value: 'db', effect: 'NoSchedule' }] });
  await addNode(cluster, 'b', { unschedulable: true });
  await addNode(cluster, 'c', { ready: false });
  await addNode(cluster, 'd');
  const why =
    "0/4 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint {dedicated: db}, 1 node(s) were not ready, 1 node(s) were unschedulable.";
  await cluster.until(
    'it says why',
    () => refused(cluster, 'web'),
    (reason) => reason === why,
  );
  const events = await cluster.until(
    'told',
    () => cluster.list('Event'),
    (l) => l.some((e) => e.message === why),
  );
  t.match(events.at(-1), { type: 'Warning', reason: 'FailedScheduling' });
  await cluster.update('Node', 'd', (o) => (o.metadata.labels = { disk: 'ssd' }));
  t.equal(await placed(cluster, 'web'), 'd');
  const conditions = (await cluster.get('Pod', 'web')).status?.conditions as { status: string }[];
  t.same(
    conditions.map(({ status }) => status),
    ['True'],
    'one condition, that holds by now',
  );
});

t.test('taints, affinity, ports and amounts decide', async (t) => {
  const cluster = await open(t);
  await addNode(cluster, 'a', {
    labels: { zone: 'x', size: '3' },
    allocatable: { cpu: '1', memory: '1Gi', pods: '3' },
    taints: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }],
  });
  await addNode(cluster, 'b', { labels: { zone: 'y', size: '10' }, allocatable: { cpu: '500m', memory: '1Gi' } });
  const tolerations = [{ key: 'gpu', operator: 'Exists' }];
  const terms = (key: string, operator: string, values: string[]) => ({
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key, operator, values }] }],
      },
    },
  });
  const asking = (cpu: string) => [{ name: 'c', image: 'x', resources: { requests: { cpu } } }];
  await cluster.create(pod('large', { tolerations, containers: asking('800m') }));
  t.equal(await placed(cluster, 'large'), 'a', 'b has less than it asks for');
  await cluster.create(pod('sized', { tolerations, affinity: terms('size', 'Gt', ['5']), containers: asking('0.4') }));
  t.equal(await placed(cluster, 'sized'), 'b');
  await cluster.create(pod('more', { containers: asking('200m') }));
  t.equal(
    await refused(cluster, 'more'),
    '0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {gpu: yes}.',
  );
  await cluster.delete('Pod', 'sized', { gracePeriodSeconds: 0 });
  t.equal(await placed(cluster, 'more'), 'b', 'there is room again');
  const port = { containers: [{ name: 'c', image: 'x', ports: [{ containerPort: 80, hostPort: 8080 }] }] };
  await cluster.create(pod('port-1', port));
  t.equal(await placed(cluster, 'port-1'), 'b');
  await cluster.create(pod('port-2', port));
  t.match(await refused(cluster, 'port-2'), /1 node\(s\) didn't have free ports for the requested pod ports/);
  await cluster.create(pod('zoned', { tolerations, affinity: terms('zone', 'NotIn', ['y']) }));
  t.equal(await placed(cluster, 'zoned'), 'a');
  await cluster.create(pod('other', { schedulerName: 'mine' }));
  await cluster.create(pod('gated', { schedulingGates: [{ name: 'wait' }] }));
  await cluster.create(pod('last', { tolerations, affinity: terms('zone', 'In', ['x']) }));
  t.equal(await placed(cluster, 'last'), 'a', 'the third pod there');
  await cluster.create(pod('one-more', { tolerations, affinity: terms('zone', 'In', ['x']) }));
  t.match(await refused(cluster, 'one-more'), /1 Too many pods/);
  t.equal(nodeOf(await cluster.get('Pod', 'other')), '', 'another scheduler has it');
  t.equal(nodeOf(await cluster.get('Pod', 'gated')), '');
});

t.test('pods of an owner spread, all at once as well as one by one', async (t) => {
  const cluster = await open(t);
  for (const name of ['a', 'b', 'c']) await addNode(cluster, name);
  const owned = (owner: string) => ({
    labels: { app: owner },
    ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: owner, uid: owner, controller: true }],
  });
  await cluster.create(pod('alone', { nodeSelector: { 'kubernetes.io/hostname': 'a' } }));
  await placed(cluster, 'alone');
  const names = Array.from({ length: 9 }, (_, i) => `web-${i}`);
  await Promise.all(names.map((name) => cluster.create(pod(name, {}, owned('web')))));
  const nodes = await Promise.all(names.map((name) => placed(cluster, name)));
  const count = (name: string) => nodes.filter((n) => n === name).length;
  t.same(['a', 'b', 'c'].map(count), [3, 3, 3], 'of each owner as many everywhere');
  await cluster.create(pod('single'));
  t.not(await placed(cluster, 'single'), 'a', 'fewest pods of all');
});

t.test('spread constraints and pod affinity hold, for pods that come together too', async (t) => {
  const cluster = await open(t);
  for (const [name, zone] of [
    ['a', 'x'],
    ['b', 'x'],
    ['c', 'y'],
  ] as const)
    await addNode(cluster, name, { labels: { zone } });
  const selector = { matchLabels: { app: 'web' } };
  const constraint = { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: selector };
  const names = ['w1', 'w2', 'w3', 'w4'];
  const spec = { topologySpreadConstraints: [constraint] };
  await Promise.all(names.map((name) => cluster.create(pod(name, spec, { labels: { app: 'web' } }))));
  const nodes = await Promise.all(names.map((name) => placed(cluster, name)));
  t.equal(nodes.filter((n) => n === 'c').length, 2, 'two in each zone');
  const apart = (app: string) => ({
    affinity: {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { labelSelector: { matchLabels: { app } }, topologyKey: 'kubernetes.io/hostname' },
        ],
      },
    },
  });
  const singles = ['s1', 's2', 's3'];
  await Promise.all(singles.map((name) => cluster.create(pod(name, apart('db'), { labels: { app: 'db' } }))));
  const apartNodes = await Promise.all(singles.map((name) => placed(cluster, name)));
  t.same([...apartNodes].sort(), ['a', 'b', 'c']);
  await cluster.create(pod('s4', apart('db'), { labels: { app: 'db' } }));
  t.match(await refused(cluster, 's4'), /3 node\(s\) didn't match pod anti-affinity rules/);
  await cluster.create(pod('s5', {}, { labels: { app: 'db' } }));
  t.match(await refused(cluster, 's5'), /3 node\(s\) didn't satisfy existing pods anti-affinity rules/);
});

t.test('many that fit nowhere are not held against all nodes with each pod that goes', async (t) => {
  const cluster = await ClusterStore.open(t);
  const clock = new FakeClock();
  let looks = 0;
  const scheduler: ControllerFactory = (parts) => {
    const nodes = parts.informers.of(cluster.kind('Node'));
    const list = nodes.list.bind(nodes);
    nodes.list = (...words) => {
      looks++;
      return list(...words);
    };
    return new Scheduler(parts);
  };
  await cluster.run([scheduler], { clock });
  await addNode(cluster, 'a', { allocatable: { pods: '20', cpu: '1' } });
  const small = Array.from({ length: 20 }, (_, i) => `small-${i}`);
  await Promise.all(small.map((name) => cluster.create(pod(name))));
  await Promise.all(small.map((name) => placed(cluster, name)));
  const large = Array.from({ length: 10 }, (_, i) => `large-${i}`);
  const containers = [{ name: 'c', image: 'nginx', resources: { requests: { cpu: '2' } } }];
  await Promise.all(large.map((name) => cluster.create(pod(name, { containers }))));
  await Promise.all(large.map((name) => refused(cluster, name)));
  looks = 0;
  for (const name of small) {
    await cluster.delete('Pod', name, { gracePeriodSeconds: 0 });
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  t.ok(looks < 50, `${looks} looks for 10 pods that wait and 20 that went`);
  await addNode(cluster, 'b', { allocatable: { cpu: '64' } });
  clock.advance(500);
  for (const name of large) t.equal(await placed(cluster, name), 'b');
});

t.test('a pod that somebody else placed meanwhile counts where it is', async (t) => {
  const cluster = await ClusterStore.open(t);
  const seen = new Informer(cluster, cluster.kind('Pod'));
  await seen.start();
  t.teardown(() => seen.close());
  class Rival extends ObjectStore {
    override async update(...words: Parameters<ObjectStore['update']>): Promise<ApiObject> {
      const [place, , options] = words;
      if (place.name === 'first' && options?.whole) {
        const taken = await super.update(place, (o) => ({ ...o, spec: { ...o.spec, nodeName: 'a' } }));
        await seen.reached(Number(taken.metadata.resourceVersion));
      }
      return super.update(...words);
    }
  }
  await cluster.run([(parts) => new Scheduler(parts)], { objects: new Rival(cluster.store, cluster.table) });
  for (const name of ['a', 'b']) await addNode(cluster, name);
  await cluster.create(pod('first'));
  await placed(cluster, 'first');
  await new Promise((resolve) => setTimeout(resolve, 20));
  await cluster.create(pod('second'));
  t.equal(await placed(cluster, 'second'), 'b');
});
