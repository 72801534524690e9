/** Nodes get ranges for their pods: one of each family, never one that another has, as they come back last. */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { NodeRanges, nodeRangeSettings } from '../../../src/apiserver/controllers/node-ranges.ts';
import { ObjectStore } from '../../../src/apiserver/objects/object-store.ts';
import { clusterRanges, completeSettings } from '../../../src/control/cluster-settings.ts';
import { ClusterStore } from './cluster-store.ts';

async function open(t: Test, clusterCidr: string, mask4 = 24, mask6 = 64): Promise<ClusterStore> {
  const cluster = await ClusterStore.open(t);
  const { cluster: blocks } = clusterRanges(completeSettings({ clusterCidr }));
  await cluster.run([(parts) => new NodeRanges(parts, nodeRangeSettings(blocks, mask4, mask6))]);
  return cluster;
}

const node = (name: string, spec: object = {}) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name }, spec });

async function cidrs(cluster: ClusterStore, name: string): Promise<string> {
  const read = async () => ((await cluster.get('Node', name)).spec as { podCIDRs?: string[] }).podCIDRs ?? [];
  return (await cluster.until(`${name} has ranges`, read, (list) => list.length > 0)).join();
}

t.test('both families, beside what is written', async (t) => {
  const cluster = await open(t, '10.244.0.0/16,fd00:10:244::/56');
  await cluster.create(node('written', { podCIDR: '10.244.0.0/24', podCIDRs: ['10.244.0.0/24'] }));
  await cluster.create(node('odd', { podCIDR: '10.244.2.128/25' }));
  await cluster.create(node('a'));
  t.equal(await cidrs(cluster, 'a'), '10.244.1.0/24,fd00:10:244::/64');
  t.equal((await cluster.get('Node', 'a')).spec?.podCIDR, '10.244.1.0/24');
  await cluster.create(node('b'));
  t.equal(await cidrs(cluster, 'b'), '10.244.3.0/24,fd00:10:244:1::/64', 'half of the third is written');
  const twin = cluster.create(node('twin', { podCIDR: '10.244.3.0/24' }));
  await t.rejects(twin, { message: /spec.podCIDR: 10.244.3.0\/24 is already allocated/ });
  await cluster.update('Node', 'a', (o) => (o.spec = { unschedulable: true }));
  t.match(
    (await cluster.get('Node', 'a')).spec,
    { podCIDR: '10.244.1.0/24' },
    'who leaves it out does not take it away',
  );
  t.equal(await cidrs(cluster, 'written'), '10.244.0.0/24');
});

t.test('a range comes back last, and at once to who waits for it', async (t) => {
  const cluster = await open(t, '10.244.0.0/22');
  const names = ['a', 'b', 'c'];
  for (const name of names) await cluster.create(node(name));
  await Promise.all(names.map((name) => cidrs(cluster, name)));
  await cluster.delete('Node', 'b');
  await cluster.create(node('d'));
  t.equal(await cidrs(cluster, 'd'), '10.244.3.0/24');
  await cluster.create(node('e'));
  t.equal(await cidrs(cluster, 'e'), '10.244.1.0/24');
  await cluster.create(node('f'));
  const events = () => cluster.list('Event');
  const said = await cluster.until('an event', events, (list) => list.length > 0);
  t.match(said[0], { reason: 'CIDRNotAvailable', message: /10.244.0.0\/22/, involvedObject: { name: 'f' } });
  await cluster.delete('Node', 'a');
  t.equal(await cidrs(cluster, 'f'), '10.244.0.0/24');
});

t.test('many at once get one each', async (t) => {
  const cluster = await open(t, '10.244.0.0/16');
  const names = Array.from({ length: 100 }, (_, i) => `n${i}`);
  await Promise.all(names.map((name) => cluster.create(node(name))));
  const all = await Promise.all(names.map((name) => cidrs(cluster, name)));
  t.equal(new Set(all).size, names.length);
});

t.test('one that goes while its range is written may come back', async (t) => {
  const cluster = await ClusterStore.open(t);
  class LateAnswers extends ObjectStore {
    override async update(...words: Parameters<ObjectStore['update']>): Promise<ApiObject> {
      const written = await super.update(...words);
      await sleep(40);
      return written;
    }
  }
  const { cluster: blocks } = clusterRanges(completeSettings({ clusterCidr: '10.244.0.0/24' }));
  const objects = new LateAnswers(cluster.store, cluster.table);
  await cluster.run([(parts) => new NodeRanges(parts, nodeRangeSettings(blocks, 24, 64))], { objects });
  await cluster.create(node('a'));
  t.equal(await cidrs(cluster, 'a'), '10.244.0.0/24');
  await cluster.delete('Node', 'a');
  await sleep(60);
  await cluster.create(node('a'));
  t.equal(await cidrs(cluster, 'a'), '10.244.0.0/24');
});

t.test('masks that make no sense', async (t) => {
  const { cluster } = clusterRanges(completeSettings({}));
  t.throws(() => nodeRangeSettings(cluster, 15, 64), { message: /--node-cidr-mask-size: must be between 16 and 30/ });
  t.throws(() => nodeRangeSettings(cluster, 24, 48), { message: /--node-cidr-mask-size-ipv6: must be between 56/ });
});
