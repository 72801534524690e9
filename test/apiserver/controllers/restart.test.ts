/** An API server that ends in the middle of a rollout: the next one on its store goes on, and nothing is lost. */
import { join } from 'node:path';
import t from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { ApiService } from '../../../src/apiserver/api-service.ts';
import { isActive, isReady } from '../../../src/apiserver/controllers/pod-state.ts';
import type { Resource } from '../../../src/apiserver/kinds/resource.ts';
import { ResourceTable } from '../../../src/apiserver/kinds/resource-table.ts';
import { LmdbStore } from '../../../src/apiserver/store/lmdb-store.ts';
import { setReady } from './fake-kubelet.ts';
import { node, workload } from './workloads.ts';

const table = new ResourceTable();
const [pods, deployments, nodes] = [
  table.known('', 'v1', 'pods'),
  table.known('apps', 'v1', 'deployments'),
  table.known('', 'v1', 'nodes'),
];

t.test('from the first new pod to the last, through restarts', async (t) => {
  const store = LmdbStore.open({ path: join(t.testdir(), 'store') });
  const start = () =>
    ApiService.start({
      store,
      host: '127.0.0.1',
      port: 0,
      tls: undefined,
      authenticate: () => ({ name: 'nobody', groups: [] }),
      version: 'test',
      log: () => {},
      controllers: { alone: true },
    });
  let service = await start();
  t.teardown(async () => {
    await service.close();
    await store.close();
  });
  const list = async (resource: Resource) => (await service.objects.list(resource, { namespace: 'default' })).items;
  const place = { resource: deployments, namespace: 'default', name: 'web' };
  const { object, status } = node('a');
  await service.objects.create(nodes, undefined, object as unknown as ApiObject);
  const a = { resource: nodes, namespace: undefined, name: 'a' };
  await service.objects.update(a, (o) => ({ ...o, status }), { subresource: 'status' });
  const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } };
  const made = workload('Deployment', 'web', { replicas: 6, strategy }) as unknown as ApiObject;
  await service.objects.create(deployments, 'default', made);
  let least = 6;
  let most = 0;
  /** What a kubelet would do, one pod at a time; how many pods are of which image. */
  const turn = async (): Promise<{ one: number; two: number }> => {
    const all = await list(pods);
    const active = all.filter(isActive);
    most = Math.max(most, active.length);
    least = Math.min(least, active.filter(isReady).length);
    const late = all.find((o) => o.spec?.nodeName && isActive(o) && !isReady(o));
    const ending = all.find((o) => !isActive(o));
    const parts = { objects: service.objects, kind: () => pods };
    if (late) await setReady(parts, late, true);
    if (ending) {
      const { name, uid } = ending.metadata;
      const options = { gracePeriodSeconds: 0, preconditions: { uid } };
      await service.objects.delete({ resource: pods, namespace: 'default', name }, options);
    }
    const of = (image: string) => all.filter((o) => isReady(o) && JSON.stringify(o.spec).includes(`"${image}"`)).length;
    await new Promise((resolve) => setTimeout(resolve, 5));
    return { one: of('one'), two: of('two') };
  };
  const until = async (what: string, done: (now: { one: number; two: number }) => boolean) => {
    const end = Date.now() + 20_000;
    for (let now = await turn(); !done(now); now = await turn()) {
      if (Date.now() > end) throw new Error(`${what}: not after 20 s: ${JSON.stringify(now)}`);
    }
  };
  await until('six run', ({ one }) => one === 6);
  least = 6;
  await service.objects.update(place, (o) => {
    const text = JSON.stringify(o.spec).replace('"image":"one"', '"image":"two"');
    return { ...o, spec: JSON.parse(text) as Record<string, unknown> };
  });
  for (const count of [1, 2, 4]) {
    await until(`${count} are new`, ({ two }) => two >= count);
    await service.close();
    service = await start();
  }
  await until('all are new', ({ one, two }) => one === 0 && two === 6);
  t.ok(least >= 5, `${least} pods at least`);
  t.ok(most <= 7, `${most} pods at most`);
  const sets = await list(table.known('apps', 'v1', 'replicasets'));
  t.same(sets.map(({ spec }) => spec?.replicas).sort(), [0, 6], 'one set for each template');
});
