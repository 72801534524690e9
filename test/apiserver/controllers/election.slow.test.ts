/** Two `weft apiserver` on one etcd: one runs the controllers; when it is killed, the other does within the lease. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { EtcdCluster, missingEtcd } from '../store/etcd-cluster.ts';

const main = fileURLToPath(
  new URL(`../../../src/cli/main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);

interface Server {
  process: ChildProcess;
  url: string;
}

async function start(t: Test, name: string, etcd: readonly string[]): Promise<Server> {
  const data = join(t.testdirName, name);
  const words = ['--plain-http', '--port', '0', '--data', data, '--store', 'etcd', '--etcd-servers', ...etcd];
  const child = spawn(process.execPath, [...process.execArgv, main, 'apiserver', ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const said = await new Promise<string>((resolve) => child.stdout.once('data', (chunk) => resolve(String(chunk))));
  return { process: child, url: /http:\/\/[\d.]+:\d+/.exec(said)?.[0] ?? '' };
}

const LEASE = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/weft-controllers';

async function holder({ url }: Server): Promise<string> {
  const answer = await fetch(url + LEASE);
  return ((await answer.json()) as { spec?: { holderIdentity?: string } }).spec?.holderIdentity ?? '';
}

/** Milliseconds until a ReplicaSet of this name has its pod. */
async function timeOfPod({ url }: Server, name: string): Promise<number> {
  const begun = Date.now();
  const labels = { app: name };
  const spec = {
    replicas: 1,
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'x' }] } },
  };
  const body = JSON.stringify({ apiVersion: 'apps/v1', kind: 'ReplicaSet', metadata: { name }, spec });
  const headers = { 'content-type': 'application/json' };
  const made = await fetch(`${url}/apis/apps/v1/namespaces/default/replicasets`, { method: 'POST', headers, body });
  if (made.status !== 201) throw new Error(await made.text());
  for (;;) {
    const pods = (await (await fetch(`${url}/api/v1/namespaces/default/pods?labelSelector=app%3D${name}`)).json()) as {
      items: unknown[];
    };
    if (pods.items.length > 1) throw new Error(`${pods.items.length} pods for one`);
    if (pods.items.length === 1) {
      // Two who both believe to lead would make another.
      await sleep(200);
      return Date.now() - begun;
    }
    if (Date.now() - begun > 30_000) throw new Error(`${name} has no pod after 30 s`);
    await sleep(20);
  }
}

t.test('kill -9 of the one that leads', { skip: missingEtcd, timeout: 90_000 }, async (t) => {
  const cluster = await EtcdCluster.start(t, 1);
  const a = await start(t, 'a', cluster.endpoints);
  t.ok((await timeOfPod(a, 'first')) < 5000);
  const b = await start(t, 'b', cluster.endpoints);
  const first = await holder(b);
  t.not(first, '');
  await sleep(5000);
  t.equal(await holder(b), first, 'the second waits');
  a.process.kill('SIGKILL');
  const begun = Date.now();
  const taken = await timeOfPod(b, 'second');
  t.comment(`the other made a pod ${taken} ms after the kill`);
  t.ok(taken < 17_000, 'within the lease of 15 s');
  t.not(await holder(b), first);
  t.ok(Date.now() - begun < 20_000);
  const c = await start(t, 'c', cluster.endpoints);
  const second = await holder(c);
  b.process.kill('SIGTERM');
  const released = await timeOfPod(c, 'third');
  t.comment(`after an orderly end: ${released} ms`);
  t.ok(released < 5000, 'it gave the lease back');
  t.not(await holder(c), second);
});
