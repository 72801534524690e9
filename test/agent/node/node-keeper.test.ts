/** A host's Node and Lease in an API: made, kept true, and what others wrote in them left alone. */
import t, { type Test } from 'tap';
import { addressesToward } from '../../../src/agent/node/host-facts.ts';
import { NodeKeeper, type NodeKeeperParts } from '../../../src/agent/node/node-keeper.ts';
import { NodeLease } from '../../../src/agent/node/node-lease.ts';
import {
  type HostFacts,
  isKubelets,
  missingMetadata,
  type NodeRecord,
  wantedStatus,
} from '../../../src/agent/node/node-record.ts';
import { ApiClient, ApiRequestError } from '../../../src/kube/api-client.ts';
import { TestServer } from '../../apiserver/test-server.ts';
import { apiAccess, silentServer } from '../../kube/api-access.ts';

const FACTS: HostFacts = {
  name: 'a',
  addresses: ['172.31.0.2', 'fd00::2'],
  addressesAreGiven: true,
  nodePort: 10250,
  cpus: 4,
  memoryBytes: 8 * 2 ** 30,
  info: {
    ...{ machineID: 'm', systemUUID: '', bootID: 'b', kernelVersion: '6.1', osImage: 'Debian' },
    ...{ containerRuntimeVersion: 'weft://1', kubeletVersion: 'v1.30.0+weft-1', kubeProxyVersion: 'v1.30.0+weft-1' },
    ...{ operatingSystem: 'linux', architecture: 'amd64' },
  },
};
const NODE = '/api/v1/nodes/a';
const MERGE = { type: 'application/merge-patch+json' };

function keeperOf(t: Test, server: TestServer, more: Partial<NodeKeeperParts> = {}): NodeKeeper {
  const client = new ApiClient(apiAccess(server.url, 'node-a'));
  const parts = { client, facts: FACTS, runsPods: true, notReady: () => '', known: () => undefined, changed: () => {} };
  const keeper = new NodeKeeper({ ...parts, ...more });
  t.teardown(async () => {
    await keeper.stop('');
    client.close();
  });
  keeper.start();
  return keeper;
}

async function until<T>(what: () => Promise<T | undefined>, message: string): Promise<T> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const value = await what();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not within 10 s: ${message}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function nodeWhen(server: TestServer, is: (node: NodeRecord) => unknown): Promise<NodeRecord> {
  return until(async () => {
    const { code, body } = await server.get(NODE);
    const node = body as NodeRecord;
    return code === 200 && is(node) ? node : undefined;
  }, 'the Node is as it should be');
}

const readiness = (node: NodeRecord) => node.status?.conditions?.find(({ type }) => type === 'Ready')?.status;

t.test('a Node that is not there is made, with all that is known of the host', async (t) => {
  const server = await TestServer.start(t);
  keeperOf(t, server);
  const node = await nodeWhen(server, readiness);
  t.match(node, {
    metadata: {
      labels: { 'kubernetes.io/hostname': 'a', 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': 'amd64' },
      annotations: { 'weft.dev/vtep-mac': '0a:58:ac:1f:00:02' },
    },
    status: {
      addresses: [
        { type: 'InternalIP', address: '172.31.0.2' },
        { type: 'InternalIP', address: 'fd00::2' },
        { type: 'Hostname', address: 'a' },
      ],
      capacity: { cpu: '4', memory: '8388608Ki', pods: '110' },
      allocatable: { pods: '110' },
      daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
      nodeInfo: FACTS.info as object,
    },
  });
  t.equal(readiness(node), 'True');
});

t.test('what stands there stays, what is missing comes to it', async (t) => {
  const server = await TestServer.start(t);
  const metadata = {
    name: 'a',
    labels: { zone: 'x', 'kubernetes.io/hostname': 'h' },
    annotations: { 'weft.dev/vtep-mac': 'learn' },
  };
  await server.ask('POST', '/api/v1/nodes', {
    apiVersion: 'v1',
    kind: 'Node',
    metadata,
    spec: { podCIDR: '10.244.7.0/24' },
  });
  const status = {
    addresses: [
      { type: 'InternalIP', address: '172.31.0.9' },
      { type: 'ExternalIP', address: '192.0.2.1' },
    ],
    conditions: [{ type: 'DiskPressure', status: 'False' }],
    capacity: { 'example.com/gpu': '2' },
  };
  await server.ask('PATCH', `${NODE}/status`, { status }, MERGE);
  keeperOf(t, server, { facts: { ...FACTS, addressesAreGiven: false } });
  const node = await nodeWhen(server, readiness);
  t.match(node.metadata.labels, { zone: 'x', 'kubernetes.io/hostname': 'h', 'kubernetes.io/os': 'linux' });
  t.match(node.metadata.annotations, { 'weft.dev/vtep-mac': 'learn' });
  t.match(node.spec, { podCIDR: '10.244.7.0/24' });
  t.strictSame(node.status?.addresses, [
    { type: 'InternalIP', address: '172.31.0.9' },
    { type: 'Hostname', address: 'a' },
    { type: 'ExternalIP', address: '192.0.2.1' },
  ]);
  t.match(node.status?.capacity, { 'example.com/gpu': '2', pods: '110' });
  t.ok(node.status?.conditions?.some(({ type }) => type === 'DiskPressure'));
});

t.test('a condition that is no longer true is mended, whoever wrote it', async (t) => {
  const server = await TestServer.start(t);
  let why = 'it is starting';
  let known: NodeRecord | undefined;
  const keeper = keeperOf(t, server, { notReady: () => why, known: () => known });
  await nodeWhen(server, (node) => readiness(node) === 'False');
  why = '';
  known = (await server.get(NODE)).body as NodeRecord;
  keeper.look();
  known = await nodeWhen(server, (node) => readiness(node) === 'True');
  const version = known.metadata.resourceVersion;
  keeper.look();
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal((await server.get(NODE)).body.metadata.resourceVersion, version, 'what is true is not written again');
  const conditions = [{ type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown' }];
  await server.ask('PATCH', `${NODE}/status`, { status: { conditions } }, MERGE);
  known = (await server.get(NODE)).body as NodeRecord;
  keeper.look();
  await nodeWhen(server, (node) => readiness(node) === 'True');
  await keeper.stop('the agent was stopped');
  const last = (await server.get(NODE)).body as NodeRecord;
  t.match(
    last.status?.conditions?.find(({ type }) => type === 'Ready'),
    { status: 'False', message: 'the agent was stopped' },
  );
});

t.test('a Node that somebody deleted is made again', async (t) => {
  const server = await TestServer.start(t);
  let absent = false;
  const keeper = keeperOf(t, server, { isAbsent: () => absent });
  const first = await nodeWhen(server, readiness);
  await server.ask('DELETE', NODE);
  keeper.look();
  t.equal((await server.get(NODE)).code, 404);
  absent = true;
  keeper.look();
  const second = await nodeWhen(server, readiness);
  t.not(second.metadata.uid, first.metadata.uid);
  await until(async () => (keeper.uid === second.metadata.uid ? true : undefined), 'its uid is known');
});

t.test("of a kubelet's Node only what the network has to say; its pods are not ours to run", async (t) => {
  const server = await TestServer.start(t);
  await server.ask('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'a' } });
  const status = {
    addresses: [{ type: 'InternalIP', address: '172.31.0.9' }],
    nodeInfo: { ...FACTS.info, kubeletVersion: 'v1.31.2' },
    conditions: [
      { type: 'Ready', status: 'False' },
      { type: 'NetworkUnavailable', status: 'True' },
    ],
  };
  await server.ask('PATCH', `${NODE}/status`, { status }, MERGE);
  const wrong = keeperOf(t, server);
  await until(async () => wrong.problem || undefined, 'it is said');
  t.match(wrong.problem, 'Node a has a kubelet (v1.31.2), which runs its pods: start the agent with --no-pods');
  t.notOk((await server.get(NODE)).body.metadata.annotations);
  const keeper = keeperOf(t, server, { runsPods: false });
  const available = (node: NodeRecord) =>
    node.status?.conditions?.some(({ type, status }) => type === 'NetworkUnavailable' && status === 'False');
  const node = await nodeWhen(server, available);
  t.equal(readiness(node), 'False');
  t.equal(node.status?.nodeInfo?.kubeletVersion, 'v1.31.2');
  t.ok(keeper.isKubelets);
});

t.test('a server that is away, or refuses, is a problem until it is not', async (t) => {
  const client = new ApiClient(apiAccess('http://127.0.0.1:1', 'node-a'));
  t.teardown(() => client.close());
  const server = await TestServer.start(t);
  const keeper = keeperOf(t, server, { client });
  await until(async () => keeper.problem || undefined, 'it is said');
  t.match(keeper.problem, 'Node a: http://127.0.0.1:1: ECONNREFUSED');
});

t.test('a server that never answers holds up no end', async (t) => {
  const client = new ApiClient(apiAccess(await silentServer(t)));
  t.teardown(() => client.close());
  const server = await TestServer.start(t);
  const keeper = keeperOf(t, server, { client });
  await new Promise((resolve) => setTimeout(resolve, 50));
  const began = performance.now();
  await keeper.stop('the agent was stopped');
  t.ok(performance.now() - began < 1000);
  t.equal(keeper.problem, '', 'and is no fault of its own');
});

t.test('another Node of the name is learned, be its status the same', async (t) => {
  const server = await TestServer.start(t);
  let known: NodeRecord | undefined;
  const keeper = keeperOf(t, server, { known: () => known });
  known = await nodeWhen(server, readiness);
  await server.ask('DELETE', NODE);
  await server.ask('POST', '/api/v1/nodes', { ...known, metadata: { ...known.metadata, resourceVersion: undefined } });
  await server.ask('PATCH', `${NODE}/status`, { status: known.status }, MERGE);
  known = (await server.get(NODE)).body as NodeRecord;
  keeper.look();
  const { uid } = known.metadata;
  await until(async () => keeper.uid === uid || undefined, 'its uid is known, which the Lease names');
});

t.test('times of conditions change no more often than they must', async (t) => {
  const node: NodeRecord = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'a' } };
  const first = { ...node, status: wantedStatus(node, FACTS, '', new Date('2026-01-01T00:00:00Z')) };
  t.strictSame(wantedStatus(first, FACTS, '', new Date('2026-01-01T00:04:59Z')), first.status);
  const later = wantedStatus(first, FACTS, '', new Date('2026-01-01T00:06:00Z'));
  t.match(later.conditions?.[0], {
    lastHeartbeatTime: '2026-01-01T00:06:00Z',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  });
  t.equal(isKubelets(first), false);
  const flannels = {
    ...node,
    metadata: { name: 'a', annotations: { 'flannel.alpha.coreos.com/backend-data': 'null' } },
  };
  t.notMatch(missingMetadata(flannels, FACTS), { annotations: {} });
});

t.test('a Lease is renewed each second, also after an earlier agent and after it was deleted', async (t) => {
  const server = await TestServer.start(t);
  const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
  const client = new ApiClient(apiAccess(server.url, 'node-a'));
  const lease = (spec: object) => ({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'a' },
    spec,
  });
  await server.ask('POST', leases, lease({ holderIdentity: 'a', leaseDurationSeconds: 40 }));
  let uid: string | undefined;
  const keeper = new NodeLease(client, 'a', () => uid);
  t.teardown(() => {
    keeper.stop();
    client.close();
  });
  const read = async () => (await server.get(`${leases}/a`)).body;
  keeper.start();
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal((await read()).spec.renewTime, undefined, 'not before there is a Node');
  uid = 'node-uid';
  const first = await until(async () => {
    const body = await read();
    return body.spec.renewTime ? body : undefined;
  }, 'it is renewed');
  t.match(first, {
    metadata: { ownerReferences: [{ kind: 'Node', name: 'a', uid: 'node-uid' }] },
    spec: { holderIdentity: 'a', leaseDurationSeconds: 4 },
  });
  await server.ask('DELETE', `${leases}/a`);
  await until(async () => (await read()).spec?.renewTime > first.spec.renewTime || undefined, 'and again');
});

t.test('what the server will not have of a Lease is said', async (t) => {
  const server = await TestServer.start(t);
  const client = new ApiClient(apiAccess(server.url, 'node-a'));
  // Another's, which a node may not write.
  const lease = new NodeLease(client, 'b', () => 'uid');
  t.teardown(() => {
    lease.stop();
    client.close();
  });
  lease.start();
  await until(async () => lease.problem || undefined, 'it is said');
  t.match(lease.problem, 'Lease kube-node-lease/b: node a may create only what has its own name');
});

t.test('a server that is slow is not left again and again', async (t) => {
  const client = new ApiClient(apiAccess('http://127.0.0.1:1'));
  let renewals = 0;
  const resets: number[] = [];
  client.request = () => {
    renewals++;
    return Promise.reject(new ApiRequestError(0, '', 'no answer in time'));
  };
  client.reset = () => resets.push(renewals);
  const lease = new NodeLease(client, 'a', () => 'uid', 2);
  lease.start();
  await until(async () => renewals > 50 || undefined, 'it is tried on and on');
  lease.stop();
  t.strictSame(resets, [3, 6, 12, 24, 48]);
});

t.test('the address on the way to the server, and its neighbour of the other family', async (t) => {
  const address = (text: string, more = {}) => ({
    ...{ address: text, family: text.includes(':') ? 'IPv6' : 'IPv4', internal: false, scopeid: 0 },
    ...more,
  });
  const interfaces = {
    lo: [address('127.0.0.1', { internal: true })],
    weft0: [address('10.244.1.1')],
    eth0: [address('10.0.0.5'), address('fe80::1', { scopeid: 2 })],
    eth1: [address('172.31.0.2'), address('fd00::2')],
  } as never;
  t.strictSame(addressesToward('172.31.0.2', interfaces), ['172.31.0.2', 'fd00::2']);
  t.strictSame(addressesToward('fd00::2', interfaces), ['fd00::2', '172.31.0.2']);
  t.strictSame(addressesToward('::ffff:10.0.0.5', interfaces), ['10.0.0.5']);
  t.strictSame(addressesToward('127.0.0.1', interfaces), ['10.0.0.5'], 'the server is on this host');
  t.strictSame(addressesToward(undefined, {}), []);
});
