/** Rollouts as kubectl drives them, with a kubelet that only says that pods run. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { kubeconfig } from '../../../src/apiserver/access/kubeconfig.ts';
import { ApiService } from '../../../src/apiserver/api-service.ts';
import { ResourceTable } from '../../../src/apiserver/kinds/resource-table.ts';
import { LmdbStore } from '../../../src/apiserver/store/lmdb-store.ts';
import { WatchCache } from '../../../src/apiserver/watch/watch-cache.ts';
import { findKubectls, kubectl } from '../kubectl.ts';
import { FakeKubelet } from './fake-kubelet.ts';
import { node, workload } from './workloads.ts';

const tool = findKubectls().at(-1);

/** `kubectl WORDS…` against a server of its own, in the namespace `shop`. */
async function open(t: Test) {
  const folder = t.testdir();
  const store = LmdbStore.open({ path: join(folder, 'store') });
  const service = await ApiService.start({
    store,
    host: '127.0.0.1',
    port: 0,
    tls: undefined,
    authenticate: () => ({ name: 'admin', groups: ['system:masters'] }),
    version: 'test',
    log: (message) => t.comment(message),
    controllers: { alone: true },
  });
  const cache = new WatchCache(store);
  await cache.start();
  const table = new ResourceTable();
  const kind = (name: string) => table.known('', 'v1', `${name.toLowerCase()}s`);
  const kubelet = new FakeKubelet({ objects: service.objects, cache, kind });
  await kubelet.start();
  t.teardown(async () => {
    kubelet.stop();
    cache.close();
    await service.close();
    await store.close();
  });
  const config = join(folder, 'config');
  const server = `http://127.0.0.1:${service.port}`;
  writeFileSync(config, kubeconfig({ server, user: 'admin', authority: undefined, credentials: undefined }));
  const k = (...words: string[]) => kubectl(tool as NonNullable<typeof tool>, config, ['-n', 'shop', ...words]);
  const write = (name: string, ...objects: unknown[]) => {
    const path = join(folder, `${name}.json`);
    writeFileSync(path, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
    return path;
  };
  const nodes = ['a', 'b'].map((name) => ({ ...node(name).object, status: node(name).status }));
  await k('apply', '-f', write('nodes', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } }, ...nodes));
  for (const name of ['a', 'b']) {
    const patch = JSON.stringify({ status: node(name).status });
    await k('patch', 'node', name, '--subresource=status', '--type=merge', '-p', patch);
  }
  return { k, write };
}

t.test('rollouts', { skip: tool === undefined && 'no kubectl is on this machine', timeout: 110_000 }, async (t) => {
  const { k, write } = await open(t);
  const all = write(
    'all',
    workload('Deployment', 'web', { replicas: 3 }),
    workload('StatefulSet', 'db', { replicas: 2 }),
  );
  const image = (what: string) => k('get', what, '-o', 'jsonpath={.spec.template.spec.containers[0].image}');
  const sets = async () => (await k('get', 'rs', '-o', 'name')).trim().split('\n').filter(Boolean).length;
  await k('apply', '-f', all);
  t.match(await k('rollout', 'status', 'deploy/web', '--timeout=30s'), /deployment "web" successfully rolled out/);
  t.match(await k('rollout', 'status', 'sts/db', '--timeout=30s'), /2 new pods have been updated/);
  const nodes = (await k('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].spec.nodeName}')).split(' ');
  t.same(new Set(nodes), new Set(['a', 'b']));
  await k('set', 'image', 'deploy/web', 'c=two');
  await k('set', 'image', 'sts/db', 'c=two');
  await k('rollout', 'status', 'deploy/web', '--timeout=30s');
  await k('rollout', 'status', 'sts/db', '--timeout=30s');
  for (const what of ['deploy/web', 'sts/db']) {
    t.match(await k('rollout', 'undo', what), /rolled back/);
    await k('rollout', 'status', what, '--timeout=30s');
    t.equal(await image(what), 'one');
    t.match(await k('rollout', 'history', what), /REVISION[^\n]*\n2 [^\n]*\n3 [^\n]*\n*$/, 'the old one is the newest');
  }
  t.equal(await sets(), 2);
  t.match(await k('rollout', 'restart', 'deploy/web'), /restarted/);
  t.match(await k('rollout', 'status', 'deploy/web', '--timeout=30s'), /successfully rolled out/);
  t.equal(await sets(), 3);
  await k('scale', 'deploy/web', '--replicas=5');
  t.match(
    await k('wait', '--for=jsonpath={.status.availableReplicas}=5', 'deploy/web', '--timeout=30s'),
    /condition met/,
  );
  t.match(await k('wait', '--for=condition=Available', 'deploy/web', '--timeout=30s'), /condition met/);
  t.match(await k('describe', 'deploy', 'web'), /ScalingReplicaSet .* Scaled up replica set web-\w+ from 3 to 5/);
  await k('delete', 'deploy', 'web', '--cascade=orphan');
  t.equal(await sets(), 3, 'they stay');
  await k('apply', '-f', all);
  await k('rollout', 'status', 'deploy/web', '--timeout=30s');
  t.equal(await sets(), 3, 'and are adopted');
  await k('delete', 'deploy', 'web', '--cascade=foreground');
  t.equal(await k('get', 'rs,pods', '-l', 'app=web', '-o', 'name'), '', 'gone before it');
  await k('delete', 'namespace', 'shop');
  await t.rejects(k('get', 'namespace', 'shop'), /not found/);
  t.equal(await k('get', 'all', '-A', '-o', 'name'), 'service/kubernetes\n');
});
