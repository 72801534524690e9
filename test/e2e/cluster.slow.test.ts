/**
 * End to end, slow: a cluster that kubectl drives on etcd, one of the lab's own and one that was there before, as root and as
 * an ordinary user. The API server is killed in the middle of a rollout, a member of etcd too, and the lab as a whole.
 */
import { existsSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { EtcdStoreOptions } from '../../src/apiserver/store/etcd-store.ts';
import { takeDown } from '../../src/lab/down.ts';
import { LabDir } from '../../src/lab/lab-dir.ts';
import { EtcdCluster, missingEtcd } from '../apiserver/store/etcd-cluster.ts';
import { ClusterLab, noKubectl } from './cluster-lab.ts';
import { deploymentAnswers, deployProbed, rolloutWithoutServer } from './cluster-parts.ts';
import { noUser, runAsUser } from './ordinary-user.ts';
import { noLab, ownHome, TestLab, Traces, until } from './test-lab.ts';

const skip = noLab() || noKubectl() || missingEtcd;
const home = skip ? '' : ownHome();

t.test('on an etcd of its own', { skip, timeout: 300_000 }, async (t) => {
  const cluster = await ClusterLab.up(home, { name: 'own', store: 'etcd' });
  await t.test('a Deployment of 3 answers', async (t) => void (await deploymentAnswers(t, cluster)));
  const traces = new Traces(cluster.lab.lab);
  t.ok(traces.counts.processes > 20 && traces.counts.networks >= 10, JSON.stringify(traces.counts));
  await takeDown(cluster.lab.lab);
  await allGone(traces);
});

t.test('on an etcd that was there before', { skip, timeout: 500_000 }, async (t) => {
  const testdir = () => mkdtempSync(join(home, 'etcd-'));
  const members = await EtcdCluster.start({ testdir, teardown: (end) => t.teardown(end) }, 3, { tls: true });
  const { endpoints, certificates: tls } = members;
  const etcd: EtcdStoreOptions = { endpoints, ...(tls ? { tls } : {}) };
  const up = () => ClusterLab.up(home, { name: 'joins', store: 'etcd', etcd });
  const first = await up();
  await t.test('a Deployment of 3 answers', async (t) => void (await deploymentAnswers(t, first)));
  await deployProbed(first);

  await t.test('another lab beside it has objects of its own', async (t) => {
    const { lab } = await TestLab.up({ name: 'beside', store: 'etcd', etcd, hosts: 1 });
    t.match(await first.kubectl('get', 'nodes', '-o', 'name'), 'node/hosta\nnode/hostb\nnode/hostc\n');
    t.notMatch(await first.kubectl('get', 'pods', '-A', '-o', 'name'), /web-0/);
    await takeDown(lab);
    const prefix = first.lab.topology.api?.etcd?.prefix ?? '';
    const intruder = TestLab.up({ name: 'beside', store: 'etcd', etcd: { ...etcd, prefix }, hosts: 1 });
    await t.rejects(intruder, { message: /\/joins is in use: node host. renews its Lease there/ });
  });

  await t.test('a member and the API server are killed', async (t) => {
    await members.killMember(1);
    await rolloutWithoutServer(t, first);
  });

  await t.test('the lab is killed, and finds everything again', async () => {
    const { lab } = first.lab;
    const traces = new Traces(lab);
    process.kill(lab.holder()?.holder.pid ?? 0, 'SIGKILL');
    await allGone(traces);
    const again = await up();
    await again.kubectl(
      'wait',
      '--for=condition=Available',
      'deploy/probed',
      'deploy/nginx-deployment',
      '--timeout=30s',
    );
    await until('it answers', 10_000, async () => {
      const { stdout } = await again.lab.run('client-0', ['curl', '-sm', '2', 'http://probed/hostname']);
      return stdout.startsWith('probed-');
    });
    await takeDown(lab);
  });

  await t.test('one that cannot be reached', async (t) => {
    const began = performance.now();
    const nowhere = { ...etcd, endpoints: ['https://127.0.0.1:9'] };
    await t.rejects(TestLab.up({ name: 'nowhere', store: 'etcd', etcd: nowhere }), {
      message: 'etcd does not answer: https://127.0.0.1:9: connect ECONNREFUSED 127.0.0.1:9',
    });
    const nameless = { ...etcd, endpoints: endpoints.map((url) => url.replace('localhost', '127.0.0.1')) };
    await t.rejects(TestLab.up({ name: 'nowhere', store: 'etcd', etcd: nameless }), {
      message: /IP: 127\.0\.0\.1 is not/,
    });
    t.ok(performance.now() - began < 10_000, 'within seconds');
    t.notOk(existsSync(new LabDir('nowhere').path), 'nothing was made');
  });
});

t.test('as an ordinary user', { skip: skip || noUser(), timeout: 800_000 }, (t) => runAsUser(t, ['cluster.slow']));

async function allGone(traces: Traces): Promise<void> {
  await until('all is gone', 10_000, async () => {
    const left = traces.what();
    return left.length === 0 || left.join(', ');
  });
}
