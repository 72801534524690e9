/** EndpointSlices and Endpoints of services: who is in them, on which ports, in which condition, and how soon. */
import t, { type Test } from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { EndpointSlices } from '../../../src/apiserver/controllers/endpoint-slices.ts';
import { EndpointsController } from '../../../src/apiserver/controllers/endpoints.ts';
import { MirroredSlices } from '../../../src/apiserver/controllers/mirrored-slices.ts';
import type { EndpointSlice, Endpoints } from '../../../src/kube/objects.ts';
import { ClusterStore, type Written } from './cluster-store.ts';

async function open(t: Test): Promise<ClusterStore> {
  const cluster = await ClusterStore.open(t);
  await cluster.run([
    (parts) => new EndpointSlices(parts),
    (parts) => new EndpointsController(parts),
    (parts) => new MirroredSlices(parts),
  ]);
  return cluster;
}

function service(name: string, spec: Record<string, unknown> = {}): Written {
  const ports = [{ port: 80 }];
  return { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { ports, selector: { app: name }, ...spec } };
}

/** A pod that has an address, and is ready. */
async function addPod(
  cluster: ClusterStore,
  name: string,
  ips: string[],
  more: { app?: string; spec?: object; ports?: object[]; ready?: boolean } = {},
): Promise<void> {
  const { app = 'web', spec = {}, ports = [], ready = true } = more;
  await cluster.create({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app } },
    spec: { nodeName: 'a', containers: [{ name: 'c', image: 'nginx', ports }], ...spec },
  });
  const status = { phase: 'Running', podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) };
  await cluster.update('Pod', name, (o) => (o.status = { ...status, ...readiness(ready) }), true);
}

function readiness(ready: boolean) {
  return { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] };
}

function setReady(cluster: ClusterStore, name: string, ready: boolean): Promise<ApiObject> {
  return cluster.update('Pod', name, (o) => (o.status = { ...o.status, ...readiness(ready) }), true);
}

async function slicesOf(cluster: ClusterStore, service = 'web'): Promise<EndpointSlice[]> {
  const all = (await cluster.list('EndpointSlice')) as unknown as EndpointSlice[];
  return all.filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === service);
}

/** `10.244.1.1:80 ready`, of all slices of a service. */
function shown(slices: EndpointSlice[]): string[] {
  return slices
    .flatMap(({ ports = [], endpoints = [] }) =>
      endpoints.map(({ addresses, conditions: { ready, serving, terminating } = {} }) => {
        const words = [ready && 'ready', serving && 'serving', terminating && 'terminating'].filter(Boolean);
        return `${addresses}:${ports.map(({ port }) => port)} ${words.join(' ')}`;
      }),
    )
    .sort();
}

async function becomes(cluster: ClusterStore, wanted: string[], service = 'web'): Promise<void> {
  const read = async () => shown(await slicesOf(cluster, service));
  await cluster.until(`${service}: ${wanted}`, read, (now) => now.join() === wanted.join());
}

async function addresses(cluster: ClusterStore, name = 'web'): Promise<string[]> {
  const object = await cluster.get('Endpoints', name).catch(() => undefined);
  const { subsets = [] } = (object ?? {}) as unknown as Endpoints;
  return subsets.flatMap(({ addresses = [], notReadyAddresses = [], ports = [] }) => [
    ...addresses.map(({ ip }) => `${ip}:${ports.map(({ port }) => port)}`),
    ...notReadyAddresses.map(({ ip }) => `not ${ip}:${ports.map(({ port }) => port)}`),
  ]);
}

t.test('readiness goes into the slice, and soon', async (t) => {
  const cluster = await open(t);
  await cluster.create(service('web'));
  await cluster.until(
    'an empty slice says that there is nobody',
    () => slicesOf(cluster),
    (all) => all.length === 1,
  );
  await addPod(cluster, 'one', ['10.244.1.1']);
  await addPod(cluster, 'late', ['10.244.1.2'], { ready: false });
  await addPod(cluster, 'stranger', ['10.244.1.9'], { app: 'other' });
  await becomes(cluster, ['10.244.1.1:80 ready serving', '10.244.1.2:80 ']);
  const [slice] = await slicesOf(cluster);
  const { uid } = (await cluster.get('Service', 'web')).metadata;
  t.match(slice, {
    metadata: {
      name: /^web-/,
      labels: { 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io' },
      ownerReferences: [{ kind: 'Service', name: 'web', uid, controller: true }],
    },
    addressType: 'IPv4',
    ports: [{ name: '', port: 80, protocol: 'TCP' }],
  });
  t.match(
    slice?.endpoints?.find(({ addresses: [ip] }) => ip === '10.244.1.1'),
    {
      nodeName: 'a',
      targetRef: { kind: 'Pod', namespace: 'default', name: 'one' },
    },
  );
  const times: number[] = [];
  for (let i = 0; i < 10; i++) {
    await new Promise((resolve) => setTimeout(resolve, 25));
    await setReady(cluster, 'late', i % 2 === 0);
    const from = performance.now();
    await becomes(cluster, ['10.244.1.1:80 ready serving', `10.244.1.2:80 ${i % 2 === 0 ? 'ready serving' : ''}`]);
    times.push(performance.now() - from);
  }
  const median = times.sort((a, b) => a - b)[5] as number;
  t.comment(`from readiness to the slice: median ${median.toFixed(1)} ms, most ${times.at(-1)?.toFixed(1)} ms`);
  t.ok(median < 100, `${median} ms; 20 on a machine with nothing else to do`);
  await cluster.delete('Pod', 'one', { gracePeriodSeconds: 30 });
  await becomes(cluster, ['10.244.1.1:80 serving terminating', '10.244.1.2:80 ']);
  await cluster.delete('Pod', 'one', { gracePeriodSeconds: 0 });
  await becomes(cluster, ['10.244.1.2:80 ']);
  await cluster.update('Pod', 'late', (o) => (o.status = { ...o.status, phase: 'Succeeded' }), true);
  await becomes(cluster, []);
  t.equal((await slicesOf(cluster)).length, 1);
  await cluster.delete('Service', 'web');
  await cluster.until(
    'the slices go with their service',
    () => slicesOf(cluster),
    (all) => all.length === 0,
  );
  await cluster.until(
    'and its Endpoints',
    () => cluster.names('Endpoints'),
    (all) => all.length === 0,
  );
});

t.test('ports, families, names and zones', async (t) => {
  const cluster = await open(t);
  await cluster.create({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'a', labels: { 'topology.kubernetes.io/zone': 'east' } },
  });
  const ports = [
    { name: 'http', port: 80, targetPort: 'web' },
    { name: 'admin', port: 81, targetPort: 9000 },
  ];
  await cluster.create(service('web', { clusterIP: 'None', ipFamilies: ['IPv4', 'IPv6'], ports }));
  const named = (containerPort: number) => ({ ports: [{ name: 'web', containerPort }] });
  const spec = { hostname: 'zero', subdomain: 'web' };
  await addPod(cluster, 'one', ['10.244.1.1', 'fd00:10:244:1::1'], { ...named(8080), spec });
  await addPod(cluster, 'two', ['10.244.1.2'], named(8081));
  await addPod(cluster, 'three', ['10.244.1.3']);
  await becomes(cluster, [
    '10.244.1.1:9000,8080 ready serving',
    '10.244.1.2:9000,8081 ready serving',
    '10.244.1.3:9000 ready serving',
    'fd00:10:244:1::1:9000,8080 ready serving',
  ]);
  const slices = await slicesOf(cluster);
  t.match(
    slices.flatMap(({ endpoints = [] }) => endpoints).find(({ addresses: [ip] }) => ip === '10.244.1.1'),
    { hostname: 'zero', zone: 'east' },
  );
  t.ok(slices.every(({ metadata }) => metadata.labels?.['service.kubernetes.io/headless'] === ''));
  t.same(
    (
      await cluster.until(
        'Endpoints',
        () => addresses(cluster),
        (all) => all.length === 3,
      )
    ).sort(),
    ['10.244.1.1:9000,8080', '10.244.1.2:9000,8081', '10.244.1.3:9000'],
  );
  await cluster.update('Service', 'web', (o) => (o.spec = { ...o.spec, publishNotReadyAddresses: true }));
  await setReady(cluster, 'three', false);
  await cluster.update('Node', 'a', (o) => (o.metadata.labels = { 'topology.kubernetes.io/zone': 'west' }));
  await cluster.until(
    'the zone follows',
    () => slicesOf(cluster),
    (all) => all.every(({ endpoints = [] }) => endpoints.every(({ zone }) => zone === 'west')),
  );
  const late = async () => shown(await slicesOf(cluster)).filter((line) => line.startsWith('10.244.1.3'));
  await cluster.until('ready by order', late, (lines) => lines.join() === '10.244.1.3:9000 ready');
  await cluster.update('Pod', 'two', (o) => (o.metadata.labels = { app: 'elsewhere' }));
  await cluster.until(
    'left by its labels',
    async () => shown(await slicesOf(cluster)),
    (all) => all.length === 3,
  );
});

t.test('more than a hundred, more than a thousand; bursts are few writes', async (t) => {
  const cluster = await open(t);
  await cluster.create(service('web'));
  const ip = (i: number) => `10.244.${i >> 8}.${i & 255 || 1}`;
  let written = 0;
  const resource = cluster.kind('EndpointSlice');
  const onEvent = () => void written++;
  cluster.cache.subscribe({
    resource,
    namespace: undefined,
    matches: () => true,
    after: cluster.cache.revision,
    onEvent,
    onEnd() {},
  });
  const numbers = Array.from({ length: 1050 }, (_, i) => i).filter((i) => (i & 255) > 1);
  await Promise.all(numbers.map((i) => addPod(cluster, `p${i}`, [ip(i)])));
  await cluster.until(
    'all',
    async () => shown(await slicesOf(cluster)).length,
    (count) => count === numbers.length,
    60,
  );
  const sizes = (await slicesOf(cluster)).map(({ endpoints = [] }) => endpoints.length);
  t.ok(sizes.length <= Math.ceil(numbers.length / 100) + 2 && Math.max(...sizes) <= 100, sizes.join());
  t.comment(`${written} writes for ${numbers.length} pods`);
  t.ok(written < numbers.length / 3, `${written} writes`);
  const full = await cluster.until(
    'Endpoints are cut',
    () => cluster.get('Endpoints', 'web'),
    (o) => o.metadata.annotations?.['endpoints.kubernetes.io/over-capacity'] === 'truncated',
  );
  t.equal((full as unknown as Endpoints).subsets?.[0]?.addresses?.length, 1000);
  await Promise.all(numbers.slice(0, 100).map((i) => cluster.delete('Pod', `p${i}`, { gracePeriodSeconds: 0 })));
  await cluster.until(
    'and whole again',
    () => cluster.get('Endpoints', 'web'),
    (o) => o.metadata.annotations === undefined,
  );
  await cluster.until(
    'all slices',
    async () => shown(await slicesOf(cluster)).length,
    (count) => count === numbers.length - 100,
  );
});

t.test('what others write stays theirs; what is ours is mended', async (t) => {
  const cluster = await open(t);
  await cluster.create(service('web'));
  await addPod(cluster, 'one', ['10.244.1.1']);
  await becomes(cluster, ['10.244.1.1:80 ready serving']);
  const foreign = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'by-hand', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    ports: [{ name: '', port: 99, protocol: 'TCP' }],
    endpoints: [{ addresses: ['192.0.2.1'], conditions: { ready: true } }],
  };
  await cluster.create(foreign);
  await setReady(cluster, 'one', false);
  await becomes(cluster, ['10.244.1.1:80 ', '192.0.2.1:99 ready']);
  const own = (await slicesOf(cluster)).find(({ metadata }) => metadata.name !== 'by-hand');
  await cluster.update('EndpointSlice', own?.metadata.name ?? '', (o) => (o.endpoints = []));
  await becomes(cluster, ['10.244.1.1:80 ', '192.0.2.1:99 ready']);
  await cluster.delete('EndpointSlice', own?.metadata.name ?? '');
  await becomes(cluster, ['10.244.1.1:80 ', '192.0.2.1:99 ready']);
  await cluster.delete('Service', 'web');
  await cluster.until(
    'ours go',
    () => slicesOf(cluster),
    (all) => all.length === 1,
  );
  t.equal((await slicesOf(cluster))[0]?.metadata.name, 'by-hand');
});

t.test('Endpoints that people write are mirrored', async (t) => {
  const cluster = await open(t);
  await cluster.create(service('web', { selector: undefined }));
  await cluster.create({
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: 'web' },
    subsets: [
      {
        addresses: [{ ip: '192.0.2.1' }, { ip: '2001:db8::1' }],
        notReadyAddresses: [{ ip: '192.0.2.2' }],
        ports: [{ port: 8080 }],
      },
    ],
  });
  await becomes(cluster, ['192.0.2.1:8080 ready serving', '192.0.2.2:8080 ', '2001:db8::1:8080 ready serving']);
  const slices = await slicesOf(cluster);
  t.same(slices.map(({ addressType }) => addressType).sort(), ['IPv4', 'IPv6']);
  t.match(slices[0]?.metadata, { ownerReferences: [{ kind: 'Endpoints', name: 'web' }] });
  await cluster.update('Endpoints', 'web', (o) => (o.subsets = [{ addresses: [{ ip: '192.0.2.3' }] }]));
  await becomes(cluster, ['192.0.2.3: ready serving']);
  await cluster.update('Service', 'web', (o) => (o.spec = { ...o.spec, selector: { app: 'web' } }));
  await addPod(cluster, 'one', ['10.244.1.1']);
  await becomes(cluster, ['10.244.1.1:80 ready serving']);
  const read = () => addresses(cluster);
  await cluster.until('Endpoints are ours now', read, (all) => all.join() === '10.244.1.1:80');
});

t.test('an empty selector is none: what people write is theirs', async (t) => {
  const cluster = await open(t);
  await cluster.create(service('web', { selector: {} }));
  await cluster.create({
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: 'web' },
    subsets: [{ addresses: [{ ip: '192.0.2.1' }], ports: [{ port: 8080 }] }],
  });
  await becomes(cluster, ['192.0.2.1:8080 ready serving']);
  t.same(await addresses(cluster), ['192.0.2.1:8080']);
});
