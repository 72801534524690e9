/** The API server's own Service: always there, with the addresses of those servers that others can reach. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { reachableAddress } from '../../src/apiserver/own-service.ts';
import { LmdbStore } from '../../src/apiserver/store/lmdb-store.ts';
import { TestServer } from './test-server.ts';

const SLICES =
  '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name%3Dkubernetes';
const ENDPOINTS = '/api/v1/namespaces/default/endpoints/kubernetes';

async function slices(server: TestServer): Promise<string[]> {
  const { items } = (await server.get(SLICES)).body as {
    items: { ports: { port: number }[]; endpoints: { addresses: string[] }[] }[];
  };
  return items
    .flatMap(({ ports, endpoints }) => endpoints.map(({ addresses: [ip] }) => `${ip}:${ports.map((p) => p.port)}`))
    .sort();
}

async function until(server: TestServer, wanted: string[]): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if ((await slices(server)).join() === wanted.join()) return;
    await sleep(10);
  }
  throw new Error(`not ${wanted}: ${await slices(server)}`);
}

t.test('the first address of the range, and all servers behind it', async (t) => {
  const store = LmdbStore.open({ path: join(t.testdir(), 'store') });
  t.teardown(() => store.close());
  const one = await TestServer.start(t, {}, { store, advertise: '192.0.2.1' });
  const port = new URL(one.url).port;
  t.match((await one.get('/api/v1/namespaces/default/services/kubernetes')).body.spec, {
    type: 'ClusterIP',
    clusterIP: '10.96.0.1',
    ports: [{ name: 'https', port: 443, targetPort: Number(port) }],
  });
  await until(one, [`192.0.2.1:${port}`]);
  const two = await TestServer.start(t, {}, { store, advertise: '192.0.2.2' });
  await until(one, [`192.0.2.1:${port}`, `192.0.2.2:${new URL(two.url).port}`]);
  await two.close();
  t.equal((await one.get(ENDPOINTS)).body.subsets.length, 1);
  await until(one, [`192.0.2.1:${port}`]);
});

t.test('a server on loopback has no address for others', async (t) => {
  const server = await TestServer.start(t, { alone: true });
  t.match((await server.get('/api/v1/namespaces/default/services/kubernetes')).code, 200);
  t.same((await server.get(ENDPOINTS)).body.subsets, []);
  t.equal(reachableAddress('127.0.0.1'), undefined);
  t.equal(reachableAddress('localhost'), undefined);
  t.equal(reachableAddress('192.0.2.9'), '192.0.2.9');
});
