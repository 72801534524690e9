/** What of an API's objects a network can use already: nothing that is half made, our own pods with our addresses. */
import t from 'tap';
import { liveObjects } from '../../src/control/live-objects.ts';
import { buildModel } from '../../src/control/model-builder.ts';
import { type KubeObject, objectSet } from '../../src/kube/objects.ts';
import { formatAddress, parseAddress, type Words } from '../../src/wire/address.ts';

const SETTINGS = {
  clusterCidr: '10.244.0.0/16',
  serviceCidr: '10.96.0.0/16',
  clusterDns: '10.96.0.10',
  clusterDomain: 'cluster.local',
};

function node(name: string, octet: number, podCIDR?: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    spec: podCIDR === undefined ? {} : { podCIDR },
    status: { addresses: [{ type: 'InternalIP', address: `172.31.0.${octet}` }] },
  };
}

function pod(name: string, nodeName?: string, status = {}, spec = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'd', labels: { app: 'web' } },
    spec: { ...(nodeName ? { nodeName } : {}), containers: [{ name: 'c' }], ...spec },
    status,
  };
}

function service(name: string, clusterIP?: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'd' },
    spec: { selector: { app: 'web' }, ports: [{ port: 80 }], ...(clusterIP ? { clusterIP } : {}) },
  };
}

const OBJECTS: KubeObject[] = [
  node('a', 1, '10.244.1.0/24'),
  node('b', 2, '10.244.2.0/24'),
  node('fresh', 3),
  pod('mine', 'a'),
  pod('mine-later', 'a'),
  pod('mine-moved', 'a', { podIP: '10.244.1.99', phase: 'Running' }),
  pod('mine-done', 'a', { podIP: '10.244.1.98', phase: 'Succeeded' }),
  pod('mine-host', 'a', {}, { hostNetwork: true }),
  pod('other', 'b', { podIP: '10.244.2.5' }),
  pod('other-later', 'b'),
  pod('unscheduled'),
  service('web', '10.96.0.5'),
  service('later'),
];
const slice: KubeObject = {
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'web-1', namespace: 'd', labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  endpoints: [{ addresses: ['10.244.2.5'] }],
  ports: [{ port: 8080 }],
};
const own = new Map<string, readonly Words[]>([
  ['d/mine', [parseAddress('10.244.1.7') as Words]],
  ['d/mine-moved', [parseAddress('10.244.1.8') as Words]],
  ['d/mine-host', []],
]);

t.test('what is half made is not there yet, and no problem', async (t) => {
  const model = buildModel(liveObjects({ ...objectSet([...OBJECTS, slice]), slicesOnly: true }, 'a', own), SETTINGS);
  t.strictSame(model.problems, []);
  t.strictSame([...model.nodes.keys()], ['a', 'b']);
  const addresses = Object.fromEntries([...model.pods].map(([key, { address }]) => [key, formatAddress(address)]));
  t.strictSame(addresses, {
    'd/mine': '10.244.1.7',
    'd/mine-host': '172.31.0.1',
    'd/mine-moved': '10.244.1.8',
    'd/other': '10.244.2.5',
  });
  t.strictSame([...model.services.keys()], ['d/web']);
});

t.test('endpoints are those of slices alone', async (t) => {
  const targets = (objects: KubeObject[], slicesOnly: boolean) => {
    const set = { ...objectSet(objects), slicesOnly };
    const web = buildModel(liveObjects(set, 'a', own), SETTINGS).services.get('d/web');
    return web?.ports[0]?.targets.map(({ address, port }) => `${formatAddress(address)}:${port}`);
  };
  t.strictSame(targets([...OBJECTS, slice], true), ['10.244.2.5:8080']);
  t.strictSame(targets(OBJECTS, true), [], 'no slice, nobody');
  t.ok((targets(OBJECTS, false)?.length ?? 0) > 1, 'from manifests pods are selected');
});

t.test('where another runtime runs the pods, the API says their addresses', async (t) => {
  const { pods } = liveObjects(objectSet(OBJECTS), 'a', undefined);
  t.strictSame([...pods.keys()].sort(), ['d/mine-done', 'd/mine-host', 'd/mine-moved', 'd/other']);
  t.equal(pods.get('d/mine-moved')?.status?.podIP, '10.244.1.99');
});

t.test('our own Node is there as it is, so that it can be said what it lacks', async (t) => {
  const { nodes } = liveObjects(objectSet(OBJECTS), 'fresh', new Map());
  t.ok(nodes.has('fresh'));
});
