/** The service table of one host: at which addresses each kind of service answers, and who is behind each of them. */
import t from 'tap';
import type { CompileMemory } from '../../src/control/compile.ts';
import { compileServices } from '../../src/control/compile-services.ts';
import type { ClusterNode } from '../../src/control/model.ts';
import type { ProxyDefaults } from '../../src/control/service-mode.ts';
import type { KubeObject, Service } from '../../src/kube/objects.ts';
import type { ServiceEndpoint } from '../../src/tables/services.ts';
import { formatAddress, parseAddress, type Words } from '../../src/wire/address.ts';
import { dualA, dualB, endpointSlice, hosta, hostb, modelOf, modelWith, node, pod, service } from './sample-objects.ts';

const labels = { app: 'web' };
const web = (spec: Partial<Service['spec']>, annotations?: Record<string, string>): Service => {
  const made = service('web', { clusterIP: '10.96.0.80', selector: labels, ports: [{ port: 80 }], ...spec });
  return annotations ? { ...made, metadata: { ...made.metadata, annotations } } : made;
};
const pods = [pod('a', { ip: '10.244.1.5', labels }), pod('b', { ip: '10.244.2.5', labels, node: 'hostb' })];

interface Host {
  on?: string;
  proxy?: ProxyDefaults;
  proxyPorts?: ReadonlyMap<string, number>;
}

function entries(objects: readonly KubeObject[], { on = 'hosta', ...host }: Host = {}, memory = NOTHING) {
  const model = modelOf(...objects);
  const self = model.nodes.get(on) as ClusterNode;
  const relayAddresses = [parseAddress('10.244.1.1') as Words];
  const done = compileServices(model, self, { nodeName: on, relayAddresses, ...host }, [], memory);
  const show = (list: readonly ServiceEndpoint[]) => list.map((e) => `${formatAddress(e.address)}:${e.port}`).sort();
  const table = Object.fromEntries(
    done.ports.map((p) => {
      const flags = [p.shared && 'shared', p.masquerade && 'masquerade', p.whenEmpty].filter(Boolean).join(' ');
      const outside = p.outside ? ` outside ${show(p.outside).join()}` : '';
      return [
        `${formatAddress(p.address)}:${p.port}/${p.protocol}`,
        `${show(p.endpoints).join()}${outside} ${flags}`.trim(),
      ];
    }),
  );
  return { ...done, table };
}
const NOTHING: Pick<CompileMemory, 'services' | 'nextEpoch'> = { services: new Map(), nextEpoch: 1 };
const BOTH = '10.244.1.5:80,10.244.2.5:80';

t.test('a cluster address', async (t) => {
  t.same(entries([hosta, hostb, ...pods, web({})]).table, { '10.96.0.80:80/6': `${BOTH} masquerade` });
  const local = [hosta, hostb, ...pods, web({ internalTrafficPolicy: 'Local' })];
  t.same(entries(local).table, { '10.96.0.80:80/6': '10.244.1.5:80 masquerade' });
  t.same(entries(local, { on: 'hostb' }).table, { '10.96.0.80:80/6': '10.244.2.5:80 masquerade' });
  t.same(entries(local.filter((o) => o !== pods[0])).table, { '10.96.0.80:80/6': 'masquerade' }, 'refused');
});

t.test('node ports: where the kernel leads what comes from outside, and for pods on the own addresses', async (t) => {
  const kind: Partial<Service['spec']> = { type: 'NodePort', ports: [{ port: 80, nodePort: 30_080 }] };
  t.same(entries([hosta, hostb, ...pods, web(kind)]).table, {
    '10.96.0.80:80/6': `${BOTH} masquerade`,
    '169.254.96.1:30080/6': `${BOTH} masquerade`,
    '172.31.0.11:30080/6': `${BOTH} shared masquerade`,
  });
  t.same(entries([hosta, hostb, ...pods, web({ ...kind, externalTrafficPolicy: 'Local' })]).table, {
    '10.96.0.80:80/6': `${BOTH} masquerade`,
    '169.254.96.1:30080/6': `${BOTH} outside 10.244.1.5:80`,
    '172.31.0.11:30080/6': `${BOTH} outside 10.244.1.5:80 shared`,
  });
  const elsewhere = [hosta, hostb, pods[1] as KubeObject, web({ ...kind, externalTrafficPolicy: 'Local' })];
  const { table } = entries(elsewhere);
  t.equal(table['169.254.96.1:30080/6'], '10.244.2.5:80 outside  drop', 'nobody here: dropped, others have some');
  t.equal(
    entries([hosta, hostb, web({ ...kind, externalTrafficPolicy: 'Local' })]).table['169.254.96.1:30080/6'],
    'outside',
    'nobody anywhere: refused',
  );
});

t.test("both families, each of the service's", async (t) => {
  const spec: Partial<Service['spec']> = { type: 'NodePort', clusterIP: '', ports: [{ port: 80, nodePort: 30_080 }] };
  const keys = (policy: 'PreferDualStack' | 'SingleStack') =>
    Object.keys(entries([dualA, dualB, web({ ...spec, ipFamilyPolicy: policy })]).table).filter((k) =>
      k.includes('30080'),
    );
  t.same(keys('SingleStack'), ['169.254.96.1:30080/6', '172.31.0.11:30080/6']);
  t.same(keys('PreferDualStack'), [
    '169.254.96.1:30080/6',
    'fd00:77:6566:7400::1:30080/6',
    '172.31.0.11:30080/6',
    'fd00:172:31::11:30080/6',
  ]);
});

t.test('addresses outside: of their own, of this host, of another', async (t) => {
  const external = (...externalIPs: string[]) => [hosta, hostb, ...pods, web({ externalIPs })];
  t.same(Object.keys(entries(external('192.0.2.1')).table), ['10.96.0.80:80/6', '192.0.2.1:80/6']);
  t.same(entries(external('172.31.0.11')).table, {
    '10.96.0.80:80/6': `${BOTH} masquerade`,
    '172.31.0.11:80/6': `${BOTH} shared masquerade`,
    '169.254.96.2:80/6': `${BOTH} masquerade`,
  });
  t.same(
    entries(external('172.31.0.12')).table['172.31.0.12:80/6'],
    `${BOTH} shared masquerade`,
    'the other ports of another host stay its own',
  );
  const balancer = web({ type: 'LoadBalancer', loadBalancerIP: '192.0.2.7', allocateLoadBalancerNodePorts: false });
  t.same(entries([hosta, hostb, ...pods, balancer]).table, {
    '10.96.0.80:80/6': `${BOTH} masquerade`,
    '192.0.2.7:80/6': `${BOTH} masquerade`,
  });
});

t.test('those that are ending serve a host that has no other', async (t) => {
  const slice = endpointSlice('s', 'web', {
    endpoints: [
      { addresses: ['192.0.2.1'], nodeName: 'hostb' },
      { addresses: ['192.0.2.2'], nodeName: 'hosta', conditions: { ready: false, serving: true, terminating: true } },
    ],
    ports: [{ port: 80 }],
  });
  const kind: Partial<Service['spec']> = {
    type: 'NodePort',
    ports: [{ port: 80, nodePort: 30_080 }],
    externalTrafficPolicy: 'Local',
  };
  const { table } = entries([hosta, hostb, slice, web(kind)]);
  t.equal(table['169.254.96.1:30080/6'], '192.0.2.1:80 outside 192.0.2.2:80');
  t.equal(table['10.96.0.80:80/6'], '192.0.2.1:80 masquerade');
});

t.test('how endpoints are chosen: the annotation before the agent', async (t) => {
  const scheduler = (annotations: Record<string, string>, proxy?: ProxyDefaults) =>
    entries([hosta, ...pods, hostb, web({}, annotations)], proxy ? { proxy } : {}).ports[0]?.scheduler;
  const mode = (text: string) => ({ 'weft.dev/proxy-mode': text });
  t.equal(scheduler({}), 'failover');
  t.equal(scheduler({}, { mode: 'iptables', scheduler: 'rr' }), 'random');
  t.equal(scheduler({}, { mode: 'ipvs', scheduler: 'lc' }), 'lc');
  t.equal(scheduler({ 'weft.dev/ipvs-scheduler': 'mh' }, { mode: 'ipvs', scheduler: 'lc' }), 'mh');
  t.equal(scheduler(mode('failover'), { mode: 'ipvs', scheduler: 'lc' }), 'failover');
  t.equal(scheduler(mode('ipvs:sed'), { mode: 'failover', scheduler: 'lc' }), 'sed');
  t.equal(
    scheduler({ ...mode('ipvs:sed'), 'weft.dev/ipvs-scheduler': 'mh' }),
    'sed',
    'what is said together goes first',
  );
  t.equal(scheduler(mode('ipvs')), 'rr');
});

t.test('affinity', async (t) => {
  const seconds = (spec: Partial<Service['spec']>, annotations?: Record<string, string>) =>
    entries([hosta, hostb, ...pods, web(spec, annotations)]).ports[0]?.affinitySeconds;
  t.equal(seconds({}), undefined);
  t.equal(seconds({ sessionAffinity: 'ClientIP' }), 10_800);
  t.equal(seconds({ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 5 } } }), 5);
  t.equal(seconds({ sessionAffinityConfig: { clientIP: { timeoutSeconds: 5 } } }), undefined);
  t.equal(
    seconds({ sessionAffinity: 'ClientIP' }, { 'weft.dev/proxy-mode': 'userspace' }),
    undefined,
    'the relay keeps it',
  );
});

t.test('userspace: one endpoint, the relay, unless nobody is behind it', async (t) => {
  const annotations = { 'weft.dev/proxy-mode': 'userspace' };
  const kind: Partial<Service['spec']> = {
    type: 'NodePort',
    ports: [{ port: 80, nodePort: 30_080 }],
    sessionAffinity: 'ClientIP',
  };
  const host = { proxyPorts: new Map([['default/web TCP/80', 41_000]]) };
  const { table, ports } = entries([hosta, hostb, ...pods, web(kind, annotations)], host);
  t.same(Object.values(table), [
    '10.244.1.1:41000 masquerade',
    '10.244.1.1:41000 masquerade',
    '10.244.1.1:41000 shared masquerade',
  ]);
  t.same(
    ports.map((p) => [p.scheduler, p.affinitySeconds]),
    [1, 2, 3].map(() => ['plain', undefined]),
  );
  t.equal(entries([hosta, web(kind, annotations)], host).table['10.96.0.80:80/6'], 'masquerade', 'refused');
  const local = entries([hosta, hostb, ...pods, web({ ...kind, externalTrafficPolicy: 'Local' }, annotations)], host);
  t.equal(local.table['169.254.96.1:30080/6'], `${BOTH} outside 10.244.1.5:80`, 'what may go here alone goes itself');
  t.same(
    local.ports.map((p) => p.scheduler),
    ['plain', 'failover', 'failover'],
  );
});

t.test('ids and epochs of every entry stay; an endpoint has one id behind an entry', async (t) => {
  const kind: Partial<Service['spec']> = {
    type: 'NodePort',
    ports: [{ port: 80, nodePort: 30_080 }],
    externalTrafficPolicy: 'Local',
  };
  const objects = [hosta, hostb, ...pods, web(kind)];
  const one = entries(objects);
  const two = entries([...objects.toReversed(), service('a', { ports: [{ port: 1 }] })], {}, one);
  const only = (list: typeof one.ports) => list.filter((p) => p.port !== 1);
  t.same(only(two.ports), one.ports);
  t.equal(new Set(two.ports.map((p) => p.id)).size, 4);
  const [, inner] = one.ports;
  t.equal(inner?.outside?.[0]?.id, inner?.endpoints.find((e) => e.address[3] === inner.outside?.[0]?.address[3])?.id);
  const ids = one.ports.flatMap((p) => p.endpoints.map((e) => e.id));
  t.equal(new Set(ids).size, ids.length);
  const three = entries([hosta, hostb, pods[0] as KubeObject, web(kind)], {}, two);
  t.not(three.ports[1]?.epoch, two.ports[1]?.epoch);
  t.equal(three.ports[1]?.endpoints[0]?.id, inner?.endpoints.find((e) => e.address[3] === 0x0af40105)?.id);
});

t.test('ten thousand plain services', async (t) => {
  const services = Array.from({ length: 10_000 }, (_, i) =>
    service(`s${i}`, { selector: { app: `s${i % 1000}` }, ports: [{ port: 80 }] }),
  );
  const all = Array.from({ length: 2000 }, (_, i) => pod(`p${i}`, { node: 'big', labels: { app: `s${i % 1000}` } }));
  const began = performance.now();
  const big = node('big', '10.244.128.0/17', '172.31.0.13');
  const model = modelWith(
    { serviceCidr: '10.96.0.0/12', clusterDns: '10.96.0.10', clusterCidr: '10.244.0.0/16' },
    hosta,
    hostb,
    big,
    ...services,
    ...all,
  );
  const built = performance.now() - began;
  const self = model.nodes.get('hosta') as ClusterNode;
  const host = { nodeName: 'hosta', relayAddresses: [] };
  const first = compileServices(model, self, host, [], NOTHING);
  let fastest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    compileServices(model, self, host, [], first);
    fastest = Math.min(fastest, performance.now() - start);
  }
  t.comment(`model ${built.toFixed(0)} ms, service entries ${fastest.toFixed(1)} ms`);
  t.equal(first.ports.length, 10_000);
  t.ok(fastest < 1000, `${fastest} ms`);
});
