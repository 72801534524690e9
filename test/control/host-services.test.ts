/** What each host's kernel has to do for services that are reached from outside; who announces which address. */
import t from 'tap';
import { announcerOf, hostServices } from '../../src/control/host-services.ts';
import type { ClusterNode, ClusterService } from '../../src/control/model.ts';
import type { KubeObject, Node, Service } from '../../src/kube/objects.ts';
import { formatAddress } from '../../src/wire/address.ts';
import { dualA, dualB, hosta, hostb, modelOf, node, pod, service } from './sample-objects.ts';

const labels = { app: 'web' };
const web = (spec: Partial<Service['spec']>, name = 'web') =>
  service(name, { selector: labels, ports: [{ port: 80 }], ...spec });
const balancer = (ip: string, spec: Partial<Service['spec']> = {}, name = 'lb') =>
  web({ type: 'LoadBalancer', loadBalancerIP: ip, allocateLoadBalancerNodePorts: false, ...spec }, name);

function on(name: string, ...objects: KubeObject[]) {
  const model = modelOf(...objects);
  return hostServices(model, model.nodes.get(name) as ClusterNode);
}

t.test('node ports of the families that service and host have', async (t) => {
  const spec: Partial<Service['spec']> = { type: 'NodePort', ports: [{ port: 80, nodePort: 30_080 }] };
  const families = (nodes: Node[], more: Partial<Service['spec']> = {}) =>
    on('hosta', ...nodes, web({ ...spec, ...more })).nodePorts.map((each) => each.family);
  t.same(families([hosta, hostb]), ['IPv4']);
  t.same(families([hosta, hostb], { ipFamilyPolicy: 'PreferDualStack' }), ['IPv4']);
  t.same(families([dualA, dualB], { ipFamilyPolicy: 'PreferDualStack' }), ['IPv4', 'IPv6']);
  t.same(families([dualA, dualB], { ipFamilies: ['IPv6'] }), ['IPv6']);
});

t.test("external addresses: routed, led on from our own, another host's left alone", async (t) => {
  const external = web({ externalIPs: ['192.0.2.1', '172.31.0.11', '172.31.0.12'] });
  const here = on('hosta', hosta, hostb, external);
  t.same(here.routes.map(formatAddress), ['192.0.2.1']);
  t.same(
    here.ownPorts.map((each) => `${formatAddress(each.address)}:${each.port} ${formatAddress(each.to)}`),
    ['172.31.0.11:80 169.254.96.2'],
  );
  t.same(here.announced, [], 'who writes externalIPs leads them here himself');
});

t.test(
  "source ranges hold for a LoadBalancer's address; of a host's own address for the service's ports alone",
  async (t) => {
    const ranges = { loadBalancerSourceRanges: ['192.0.2.0/24'] };
    const [apart] = on('hosta', hosta, hostb, balancer('192.0.2.7', ranges)).sources;
    t.equal(apart?.ports, undefined);
    for (const own of ['172.31.0.11', '172.31.0.12']) {
      const [rule] = on('hosta', hosta, hostb, balancer(own, ranges)).sources;
      t.same(rule?.ports, [{ protocol: 'TCP', port: 80 }], own);
    }
  },
);

t.test('each LoadBalancer address is announced by one host, and hosts share them out', async (t) => {
  const nodes = Array.from({ length: 8 }, (_, i) => node(`h${i}`, `10.244.${i}.0/24`, `172.31.1.${i + 1}`));
  const services = Array.from({ length: 80 }, (_, i) => balancer(`192.0.2.${i + 1}`, {}, `lb${i}`));
  const model = modelOf(...nodes, ...services);
  const announcers = (without?: string) => {
    const left = modelOf(...nodes.filter((n) => n.metadata.name !== without), ...services);
    return [...left.services].map(([key, s]) => announcerOf(left, key, s));
  };
  const all = announcers();
  const counts = nodes.map((n) => all.filter((name) => name === n.metadata.name).length);
  t.ok(Math.min(...counts) >= 4 && Math.max(...counts) <= 18, `${counts.join(' ')}`);
  for (const [name, self] of model.nodes) {
    t.equal(hostServices(model, self).announced.length, all.filter((each) => each === name).length);
    t.equal(hostServices(model, self).routes.length, 80, 'all lead them in');
  }
  const after = announcers('h3');
  t.same(
    all.flatMap((name, i) => (name !== 'h3' && name !== after[i] ? [i] : [])),
    [],
    'a host that goes moves its own alone',
  );
});

t.test('with policy Local a host with endpoints announces; a host that is not ready does not', async (t) => {
  const local = balancer('192.0.2.7', { externalTrafficPolicy: 'Local', healthCheckNodePort: 30_500 });
  const who = (...objects: KubeObject[]) => {
    const model = modelOf(...objects);
    return announcerOf(model, 'default/lb', model.services.get('default/lb') as ClusterService);
  };
  const p = (name: string, on: string) => pod(name, { node: on, labels });
  t.equal(who(hosta, hostb, p('a', 'hostb'), local), 'hostb');
  t.equal(who(hosta, hostb, p('a', 'hosta'), local), 'hosta');
  t.equal(who(hosta, hostb, local), undefined, 'nobody where nobody has one');
  const lost = (n: Node): Node => ({
    ...n,
    status: { ...n.status, conditions: [{ type: 'Ready', status: 'Unknown' }] },
  });
  const any = balancer('192.0.2.7');
  t.equal(who(hosta, lost(hostb), any), 'hosta');
  t.equal(who(lost(hosta), hostb, any), 'hostb');
  t.type(who(lost(hosta), lost(hostb), any), 'string', 'where all are said to be lost, one still does');
  t.same(on('hosta', hosta, hostb, p('a', 'hosta'), p('b', 'hosta'), p('c', 'hostb'), local).healthChecks, [
    { namespace: 'default', name: 'lb', port: 30_500, localEndpoints: 2 },
  ]);
});
