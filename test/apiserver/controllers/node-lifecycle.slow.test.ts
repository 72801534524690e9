/** Real time and default settings: from the last renewal of a Lease to the node's endpoints gone. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { TestServer } from '../test-server.ts';

const PODS = '/api/v1/namespaces/default/pods';
const LEASES = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
const MOST_SECONDS = 6;

t.test('the endpoints of a silent node are gone in time, those of the others stay', async (t) => {
  const server = await TestServer.start(t, { alone: true });
  const conditions = [{ type: 'Ready', status: 'True' }];
  const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' };
  for (const [i, name] of ['silent', 'alive'].entries()) {
    await server.ask('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } });
    const merge = { type: 'application/merge-patch+json' };
    await server.ask('PATCH', `/api/v1/nodes/${name}/status`, { status: { conditions } }, merge);
    await server.ask('POST', LEASES, { ...lease, metadata: { name }, spec: {} });
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { app: 'web' } } };
    await server.ask('POST', PODS, { ...pod, spec: { nodeName: name, containers: [{ name: 'c', image: 'nginx' }] } });
    const status = { phase: 'Running', podIP: `10.244.${i}.2`, conditions };
    await server.ask('PATCH', `${PODS}/${name}/status`, { status }, merge);
  }
  await server.ask('POST', '/api/v1/namespaces/default/services', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
  });
  const renew = (name: string) =>
    server.ask('PUT', `${LEASES}/${name}`, {
      ...lease,
      metadata: { name },
      spec: { renewTime: new Date().toISOString() },
    });
  const ready = async (): Promise<string> => {
    const { items } = (await server.get('/apis/discovery.k8s.io/v1/endpointslices')).body as {
      items: { metadata: { name: string }; endpoints: { addresses: string[]; conditions: { ready: boolean } }[] }[];
    };
    const own = items.filter(({ metadata }) => metadata.name.startsWith('web-'));
    const all = own.flatMap(({ endpoints }) => endpoints.filter((e) => e.conditions.ready));
    return all
      .flatMap(({ addresses }) => addresses)
      .sort()
      .join();
  };
  for (let i = 0; i < 6; i++) {
    await Promise.all([renew('silent'), renew('alive')]);
    if (i < 5) await sleep(1000);
  }
  t.equal(await ready(), '10.244.0.2,10.244.1.2');
  const from = performance.now();
  let renewed = from;
  while ((await ready()) !== '10.244.1.2' && performance.now() < from + 20_000) {
    if (performance.now() > renewed + 1000) {
      renewed = performance.now();
      await renew('alive');
    }
    await sleep(20);
  }
  const seconds = (performance.now() - from) / 1000;
  t.comment(`from the last renewal to the endpoints gone: ${seconds.toFixed(2)} s`);
  t.ok(seconds < MOST_SECONDS, `${seconds.toFixed(2)} s`);
  t.ok(seconds > 3.5, 'and not before its time');
  t.match((await server.get('/api/v1/nodes/silent')).body.status.conditions, [{ type: 'Ready', status: 'Unknown' }]);
});
