/** LoadBalancer services get addresses of the pool: one alone each, as they ask, and back when they go. */
import t, { type Test } from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { LoadBalancers } from '../../../src/apiserver/controllers/load-balancers.ts';
import { serviceAllocation } from '../../../src/apiserver/kinds/service-allocation.ts';
import { clusterRanges, completeSettings } from '../../../src/control/cluster-settings.ts';
import { ClusterStore } from './cluster-store.ts';

async function open(t: Test, loadBalancerPool: string): Promise<ClusterStore> {
  const cluster = await ClusterStore.open(t);
  const ranges = clusterRanges(completeSettings({ loadBalancerPool }));
  cluster.table.add({ ...cluster.kind('Service'), allocation: serviceAllocation(ranges) });
  const { pool, cluster: pods, service: services } = ranges;
  await cluster.run([(parts) => new LoadBalancers(parts, { pool, inner: [...pods, ...services] })]);
  return cluster;
}

const balancer = (name: string, spec: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { type: 'LoadBalancer', ports: [{ port: 80 }], ...spec },
});

function ipsOf({ status }: ApiObject): string[] {
  const { ingress = [] } = (status?.loadBalancer ?? {}) as { ingress?: { ip: string }[] };
  return ingress.map(({ ip }) => ip);
}

async function given(cluster: ClusterStore, name: string): Promise<string[]> {
  const read = async () => ipsOf(await cluster.get('Service', name));
  return cluster.until(`${name} has an address`, read, (ips) => ips.length > 0);
}

t.test('given, asked for, taken, freed', async (t) => {
  const cluster = await open(t, '192.0.2.10-192.0.2.12,2001:db8::1-2001:db8::9');
  await cluster.create(balancer('asks', { loadBalancerIP: '192.0.2.11' }));
  t.same(await given(cluster, 'asks'), ['192.0.2.11']);
  await cluster.create(balancer('both', { ipFamilyPolicy: 'RequireDualStack' }));
  t.match(await given(cluster, 'both'), [/^192\.0\.2\.1[02]$/, /^2001:db8::[1-9]$/]);
  await cluster.create(balancer('another', { loadBalancerClass: 'example.com/x' }));
  await cluster.create(balancer('third'));
  await given(cluster, 'third');
  await cluster.create(balancer('late'));
  const said = await cluster.until(
    'an event',
    () => cluster.list('Event'),
    (list) => list.some(({ reason }) => reason === 'SyncLoadBalancerFailed'),
  );
  t.match(
    said.find(({ reason }) => reason === 'SyncLoadBalancerFailed'),
    { message: /no address .* is free/, involvedObject: { name: 'late' } },
  );
  t.same(ipsOf(await cluster.get('Service', 'another')), []);
  const twice = cluster.update(
    'Service',
    'late',
    (o) => (o.status = { loadBalancer: { ingress: [{ ip: '192.0.2.11' }] } }),
    true,
  );
  await t.rejects(twice, { message: /192.0.2.11 is already the address of another service/ });
  await cluster.update('Service', 'asks', (o) => (o.spec = { ...o.spec, type: 'ClusterIP' }));
  t.same(await given(cluster, 'late'), ['192.0.2.11']);
  t.same(ipsOf(await cluster.get('Service', 'asks')), []);
});
