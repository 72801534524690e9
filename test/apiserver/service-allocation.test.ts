/** Addresses and ports of services: given, honoured, refused, kept and released, whoever asks and however many at once. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ResourceTable } from '../../src/apiserver/kinds/resource-table.ts';
import { serviceAllocation } from '../../src/apiserver/kinds/service-allocation.ts';
import { CLAIMS_PREFIX, readClaims } from '../../src/apiserver/objects/claims.ts';
import { ObjectStore } from '../../src/apiserver/objects/object-store.ts';
import { LmdbStore } from '../../src/apiserver/store/lmdb-store.ts';
import type { Store } from '../../src/apiserver/store/store.ts';
import { type ClusterSettings, clusterRanges, completeSettings } from '../../src/control/cluster-settings.ts';
import { TestServer } from './test-server.ts';

const SERVICES = '/api/v1/namespaces/default/services';

interface Spec {
  type?: string;
  ports?: object[];
  [field: string]: unknown;
}

function service(name: string, spec: Spec = {}) {
  const ports = [{ port: 80 }];
  return { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { ports, selector: { app: name }, ...spec } };
}

function ranges(more: Partial<ClusterSettings> = {}) {
  return clusterRanges(completeSettings(more));
}

async function claims(store: Store): Promise<string[]> {
  const out: string[] = [];
  for await (const { name, owner } of readClaims(store)) out.push(`${name} ${owner}`);
  return out.sort();
}

function lmdb(t: Test): LmdbStore {
  const store = LmdbStore.open({ path: join(t.testdir(), 'store') });
  t.teardown(() => store.close());
  return store;
}

t.test('what is left open is given, and stays with the service until it goes', async (t) => {
  const store = lmdb(t);
  const server = await TestServer.start(t, false, { store });
  const before = await claims(store);
  const web = (await server.ask('POST', SERVICES, service('web', { type: 'NodePort' }))).body;
  t.match(web.spec, {
    clusterIP: /^10\.96\.\d+\.\d+$/,
    clusterIPs: [web.spec.clusterIP],
    ipFamilies: ['IPv4'],
    ipFamilyPolicy: 'SingleStack',
    ports: [{ port: 80, targetPort: 80, protocol: 'TCP' }],
  });
  const [{ nodePort }] = web.spec.ports;
  t.ok(nodePort > 30_085 && nodePort <= 32_767, 'the first ports are for those who choose');
  t.same(
    (await claims(store)).filter((claim) => !before.includes(claim)),
    [
      `nodeports/${nodePort}/TCP /registry/services/default/web`,
      `serviceips/${web.spec.clusterIP} /registry/services/default/web`,
    ],
  );
  const replaced = await server.ask('PUT', `${SERVICES}/web`, service('web', { type: 'NodePort', x: 1 }));
  t.match(replaced, { code: 200, body: { spec: { clusterIP: web.spec.clusterIP, ports: [{ nodePort }] } } });
  const other = {
    type: 'NodePort',
    ports: [
      { port: 81, name: 'a' },
      { port: 80, name: 'b' },
    ],
  };
  const moved = await server.ask('PUT', `${SERVICES}/web`, service('web', other));
  t.equal(
    moved.body.spec.ports[1].nodePort,
    nodePort,
    'the same port keeps its node port, whatever its place and name',
  );
  t.not(moved.body.spec.ports[0].nodePort, nodePort);
  await server.ask('DELETE', `${SERVICES}/web`);
  t.same(await claims(store), before);
});

t.test('both families', async (t) => {
  const server = await TestServer.start(t);
  const made = async (name: string, spec: Spec) => (await server.ask('POST', SERVICES, service(name, spec))).body;
  const both = await made('both', { ipFamilyPolicy: 'PreferDualStack' });
  t.match(both.spec, { clusterIPs: [/^10\.96\./, /^fd00:10:96::/], ipFamilies: ['IPv4', 'IPv6'] });
  const six = await made('six', { ipFamilies: ['IPv6'] });
  t.match(six.spec, { clusterIP: /^fd00/, ipFamilies: ['IPv6'], ipFamilyPolicy: 'SingleStack' });
  t.equal(six.spec.clusterIPs.length, 1);
  const turned = await made('turned', { ipFamilies: ['IPv6', 'IPv4'], ipFamilyPolicy: 'RequireDualStack' });
  t.match(turned.spec, { clusterIP: /^fd00/, clusterIPs: [/^fd00/, /^10\.96/] });
  const headless = await made('headless', { clusterIP: 'None' });
  t.match(headless.spec, { clusterIP: 'None', clusterIPs: ['None'], ipFamilies: ['IPv4'] });
  const outside = await made('outside', { type: 'ExternalName', externalName: 'example.com', ports: [] });
  t.notOk(outside.spec.clusterIP ?? outside.spec.ipFamilies);

  const patch = (name: string, spec: object) =>
    server.ask('PATCH', `${SERVICES}/${name}`, { spec }, { type: 'application/merge-patch+json' });
  const upgraded = await patch('six', { ipFamilyPolicy: 'PreferDualStack' });
  t.match(upgraded.body.spec, { clusterIPs: [six.spec.clusterIP, /^10\.96/], ipFamilies: ['IPv6', 'IPv4'] });
  const shrunk = await patch('six', { ipFamilyPolicy: 'SingleStack' });
  t.match(shrunk.body.spec, { clusterIP: six.spec.clusterIP, ipFamilies: ['IPv6'] });
  t.same(shrunk.body.spec.clusterIPs, [six.spec.clusterIP]);
  const [, second] = both.spec.clusterIPs;
  const taken = await server.ask('POST', SERVICES, service('taken', { ipFamilies: ['IPv6'], clusterIP: second }));
  t.match(taken, { code: 422, body: { message: /spec.clusterIPs\[0\]: .*already allocated.*default\/both/ } });

  const single = await TestServer.start(t, false, {
    ranges: ranges({ clusterCidr: '10.244.0.0/16', serviceCidr: '10.96.0.0/16', clusterDns: '10.96.0.10' }),
  });
  const asked = service('a', { ipFamilyPolicy: 'RequireDualStack' });
  t.match(await single.ask('POST', SERVICES, asked), { code: 422, body: { message: /spec.ipFamilyPolicy/ } });
});

t.test('what is asked for by name is had, or refused with its field', async (t) => {
  const server = await TestServer.start(t);
  const ask = (name: string, spec: Spec) => server.ask('POST', SERVICES, service(name, spec));
  const own = { clusterIP: '10.96.7.7', type: 'NodePort', ports: [{ port: 80, nodePort: 30_080 }] };
  t.match(await ask('own', own), {
    code: 201,
    body: { spec: { clusterIP: '10.96.7.7', clusterIPs: ['10.96.7.7'], ports: [{ nodePort: 30_080 }] } },
  });
  const field = async (name: string, spec: Spec) => (await ask(name, spec)).body.details?.causes?.[0];
  t.match(await field('a', { clusterIP: '10.96.7.7' }), {
    field: 'spec.clusterIP',
    message: /failed to allocate IP 10.96.7.7: provided IP is already allocated.*default\/own/,
  });
  t.match(await field('a', { clusterIP: '10.97.0.1' }), { field: 'spec.clusterIP', message: /not in the valid range/ });
  t.match(await field('a', { clusterIP: '10.96.0.0' }), { field: 'spec.clusterIP', message: /reserved/ });
  t.match(await field('a', { type: 'NodePort', ports: [{ port: 1, nodePort: 30_080 }] }), {
    field: 'spec.ports[0].nodePort',
    message: /provided port is already allocated/,
  });
  t.match(await field('a', { type: 'NodePort', ports: [{ port: 1, nodePort: 80 }] }), {
    field: 'spec.ports[0].nodePort',
    message: /not in the valid range/,
  });
  t.equal(
    (await server.get(SERVICES)).body.items.filter((s: { metadata: { name: string } }) => s.metadata.name === 'a')
      .length,
    0,
  );
  t.match(await ask('dns', { clusterIP: '10.96.0.10' }), { code: 201 }, 'the DNS address is had by asking alone');

  const put = async (spec: Spec) => (await server.ask('PUT', `${SERVICES}/own`, service('own', spec))).body;
  t.match(await put({ ...own, clusterIP: '10.96.7.8' }), {
    code: 422,
    details: { causes: [{ field: 'spec.clusterIPs[0]', message: /may not change once set/ }] },
  });
  const alone = { spec: { clusterIP: '10.96.7.8' } };
  t.match(
    await server.ask('PATCH', `${SERVICES}/own`, alone, { type: 'application/merge-patch+json' }),
    { code: 422, body: { details: { causes: [{ message: /^may not change once set: it is 10/ }] } } },
    'who changes it alone is not sent to the list that they did not write',
  );
  t.match(await put({ ...own, clusterIP: 'None', type: 'ClusterIP', ports: [] }), { code: 422 });
  t.match(
    await server.ask('POST', `${SERVICES}?dryRun=All`, service('dry', { clusterIP: '10.96.7.7' })),
    { code: 422 },
    'a dry run says it too',
  );
  t.match(await server.ask('POST', `${SERVICES}?dryRun=All`, service('dry')), { body: { spec: { clusterIP: /^10/ } } });
});

t.test('a change of type gives up what the new one has not', async (t) => {
  const store = lmdb(t);
  const server = await TestServer.start(t, false, { store });
  const before = await claims(store);
  const patch = async (spec: object) =>
    (await server.ask('PATCH', `${SERVICES}/web`, { spec }, { type: 'application/merge-patch+json' })).body;
  const count = async () => (await claims(store)).length - before.length;
  const local = { type: 'LoadBalancer', externalTrafficPolicy: 'Local' };
  const balancer = (await server.ask('POST', SERVICES, service('web', local))).body;
  t.ok(balancer.spec.healthCheckNodePort);
  t.equal(await count(), 3);
  const again = (await server.ask('PUT', `${SERVICES}/web`, service('web', local))).body;
  t.equal(again.spec.healthCheckNodePort, balancer.spec.healthCheckNodePort);
  const plain = await patch({ type: 'ClusterIP' });
  t.notOk(plain.spec.healthCheckNodePort ?? plain.spec.externalTrafficPolicy ?? plain.spec.ports[0].nodePort);
  t.equal(plain.spec.clusterIP, balancer.spec.clusterIP);
  t.equal(await count(), 1);
  const named = await patch({ type: 'ExternalName', externalName: 'example.com' });
  t.notOk(named.spec.clusterIP ?? named.spec.clusterIPs ?? named.spec.ipFamilies, 'no address');
  t.equal(await count(), 0);
  const back = await patch({ type: 'NodePort' });
  t.notOk(back.spec.externalName);
  t.match(back.spec, { clusterIP: /^10\.96/, ports: [{ nodePort: Number }] });
  t.equal(await count(), 2);
  const many = Array.from({ length: 60 }, (_, i) => ({ name: `p${i}`, port: i + 1 }));
  t.match(await server.ask('POST', SERVICES, service('many', { type: 'NodePort', ports: many })), {
    code: 422,
    body: { message: /61 addresses and ports/ },
  });
});

t.test('a small range is given to its last address, to many at once, by two servers', async (t) => {
  const store = lmdb(t);
  const small = ranges({
    clusterCidr: '10.244.0.0/16',
    serviceCidr: '10.96.0.0/24',
    clusterDns: '10.96.0.10',
    nodePortRange: '31000-31999',
  });
  const stores = [0, 1].map(() => {
    const table = new ResourceTable();
    const known = table.find('', 'v1', 'services');
    if (!known) throw new Error('no services');
    const resource = { ...known, allocation: serviceAllocation(small) };
    table.add(resource);
    return { objects: new ObjectStore(store, table), resource };
  });
  const create = ({ objects, resource }: (typeof stores)[number], i: number) =>
    objects.create(resource, 'default', service(`s${i}`, { type: 'NodePort' }) as never).then(
      (made) => made,
      (error: Error) => error,
    );
  const results = await Promise.all(Array.from({ length: 256 }, (_, i) => create(stores[i % 2] as never, i)));
  const made = results.filter((r) => !(r instanceof Error)) as unknown as {
    spec: { clusterIP: string; ports: { nodePort: number }[] };
  }[];
  // 254 hosts, less the DNS.
  t.equal(made.length, 253);
  t.equal(new Set(made.map(({ spec }) => spec.clusterIP)).size, 253);
  t.equal(new Set(made.map(({ spec }) => spec.ports[0]?.nodePort)).size, 253);
  t.notOk(made.some(({ spec }) => spec.clusterIP === '10.96.0.10'));
  const refused = results.filter((r) => r instanceof Error);
  for (const error of refused)
    t.match(error.message, /spec.clusterIPs\[0\]: failed to allocate IP: 10.96.0.0\/24 is full/);
  const gone = await stores[0]?.objects.delete({ resource: stores[0].resource, namespace: 'default', name: 's1' });
  const next = await create(stores[1] as never, 999);
  t.equal((next as never as { spec: { clusterIP: string } }).spec.clusterIP, gone?.object.spec?.clusterIP);
});

t.test('a start mends what does not agree', async (t) => {
  const store = lmdb(t);
  const put = (key: string, value: object) =>
    store.commit({ conditions: [], writes: [{ type: 'put', key, value: Buffer.from(JSON.stringify(value)) }] });
  const stored = (name: string, spec: Spec) => ({
    ...service(name, spec),
    metadata: { name, namespace: 'default', uid: name, creationTimestamp: '2026-01-01T00:00:00Z' },
  });
  await put('/registry/services/default/bare', stored('bare', { type: 'NodePort' }));
  await put('/registry/services/default/one', stored('one', { clusterIP: '10.96.3.3', clusterIPs: ['10.96.3.3'] }));
  await put('/registry/services/default/two', stored('two', { clusterIP: '10.96.3.3', clusterIPs: ['10.96.3.3'] }));
  await put(`${CLAIMS_PREFIX}serviceips/10.96.9.9`, { metadata: {}, owner: '/registry/services/default/gone' });
  const server = await TestServer.start(t, false, { store });
  const bare = (await server.get(`${SERVICES}/bare`)).body;
  t.match(bare.spec, { clusterIP: /^10/, ports: [{ nodePort: Number }] });
  const held = await claims(store);
  t.ok(held.includes('serviceips/10.96.3.3 /registry/services/default/one'));
  t.ok(held.includes(`serviceips/${bare.spec.clusterIP} /registry/services/default/bare`));
  t.notOk(held.some((claim) => claim.includes('10.96.9.9')));
  t.match(server.log, [/services\/default\/two: .*10.96.3.3.*services\/default\/one: delete one/]);
  await server.ask('DELETE', `${SERVICES}/two`);
  t.ok((await claims(store)).includes('serviceips/10.96.3.3 /registry/services/default/one'), "another's stays");
});

t.test('one node port for two ports of a service is refused, whichever store it is', async (t) => {
  const server = await TestServer.start(t, false, { store: lmdb(t) });
  const local = { type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: 30_005 };
  const answer = await server.ask(
    'POST',
    SERVICES,
    service('web', { ...local, ports: [{ port: 80, nodePort: 30_005 }] }),
  );
  const message = /spec.healthCheckNodePort: provided port is already allocated, to another port of this service/;
  t.match(answer, { code: 422, body: { message } });
});
