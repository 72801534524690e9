/** Where LoadBalancer services of a lab get their addresses by themselves. */
import t from 'tap';
import { clusterRanges } from '../../src/control/cluster-settings.ts';
import { loadBalancerPool } from '../../src/lab/load-balancer-pool.ts';
import { resolveTopology } from '../../src/lab/topology.ts';
import { SETTINGS } from '../control/sample-objects.ts';

t.test('near the end of the underlay, of the families that it has', async (t) => {
  const { underlay } = resolveTopology({}).topology;
  const pool = loadBalancerPool(underlay);
  t.equal(pool, '172.31.0.240-172.31.0.249,fd00:172:31::240-fd00:172:31::249');
  t.doesNotThrow(() => clusterRanges({ ...SETTINGS, loadBalancerPool: pool }), 'an agent takes it');
  t.equal(loadBalancerPool({ ...underlay, family: 'ipv4' }), '172.31.0.240-172.31.0.249');
  t.equal(loadBalancerPool({ ...underlay, family: 'ipv6' }), 'fd00:172:31::240-fd00:172:31::249');
  t.equal(
    loadBalancerPool({ ...underlay, cidr: '10.9.0.0/20', prefixBits: 20, family: 'ipv4' }),
    '10.9.15.240-10.9.15.249',
  );
  const small = { ...underlay, cidr: '10.9.0.0/28', prefixBits: 28, cidr6: 'fd00::/120' };
  t.equal(loadBalancerPool(small), '', 'no room: none');
});
