/** From objects to the model: who has which address, who is left out, and what is said about it. */
import t from 'tap';
import { buildModel } from '../../src/control/model-builder.ts';
import { objectSet } from '../../src/kube/objects.ts';
import { formatAddress, formatAddress4, formatMac } from '../../src/wire/address.ts';
import { formatPrefix } from '../../src/wire/prefix.ts';
import {
  dualA,
  dualB,
  endpoints,
  hosta,
  hostb,
  messagesOf,
  modelOf,
  node,
  pod,
  SETTINGS,
  service,
} from './sample-objects.ts';

const addressOf = (model: ReturnType<typeof modelOf>, key: string) => {
  const found = model.pods.get(key);
  return found && formatAddress(found.address);
};

t.test('nodes', async (t) => {
  const model = modelOf(hostb, hosta);
  t.same(messagesOf(model), []);
  t.same([...model.nodes.keys()], ['hosta', 'hostb'], 'in name order');
  const a = model.nodes.get('hosta');
  t.ok(a);
  if (!a) return;
  t.equal(formatAddress(a.address), '172.31.0.11');
  t.equal(formatAddress4(a.gateway4), '10.244.1.1');
  t.equal(formatAddress4(a.vtepAddress4), '10.244.1.0');
  t.equal(formatMac(a.mac ?? new Uint8Array(6)), '0a:58:ac:1f:00:0b');
});

t.test('a VTEP MAC may be written down, published by flannel, or learned', async (t) => {
  const mac = (annotations: Record<string, string>) => {
    const model = modelOf(node('n', '10.244.3.0/24', '172.31.0.13', annotations));
    const found = model.nodes.get('n');
    return [found?.mac && formatMac(found.mac), found?.vni, messagesOf(model).length];
  };
  const flannel = 'flannel.alpha.coreos.com/backend-data';
  const own = '0a:58:ac:1f:00:0d';
  t.same(mac({ 'weft.dev/vtep-mac': '02:00:00:00:00:01' }), ['02:00:00:00:00:01', undefined, 0]);
  t.same(mac({ 'weft.dev/vtep-mac': 'learn' }), [undefined, undefined, 0]);
  t.same(mac({ 'weft.dev/vtep-mac': '01:00:5e:00:00:01' }), [own, undefined, 1], 'multicast is no VTEP');
  t.same(mac({ [flannel]: '{"VNI":4,"VtepMAC":"02:00:00:00:00:02"}' }), ['02:00:00:00:00:02', 4, 0]);
  t.same(mac({ [flannel]: 'null' }), [own, undefined, 0]);
  t.same(mac({ [flannel]: '{"VtepMAC":7}' }), [own, undefined, 1]);
  t.same(mac({ [flannel]: '{' }), [own, undefined, 1]);
});

t.test('a node that cannot be used is left out and named; the others stay', async (t) => {
  const cases: [Parameters<typeof node>, RegExp][] = [
    [
      ['x', '10.244.1.128/25', '172.31.0.20'],
      /Node x: spec.podCIDR: 10.244.1.128\/25 overlaps 10.244.1.0\/24 of Node hosta/,
    ],
    [['x', '10.244.0.0/16', '172.31.0.20'], /overlaps 10.244.1.0\/24 of Node hosta/],
    [['x', '10.99.1.0/24', '172.31.0.20'], /outside the cluster's 10.244.0.0\/16/],
    [['x', '10.244.9.0/31', '172.31.0.20'], /no room for a pod/],
    [['x', 'fd00:10:244:9::/64', '172.31.0.20'], /fd00:10:244:9::\/64 is not IPv4, which every node has/],
    [['x', '10.244.9.0/24', '172.31.0.11'], /has an InternalIP of Node hosta/],
    [['x', '10.244.9.0/24', '10.244.7.1'], /holds the InternalIP 10.244.7.1/],
    [['x', '10.244.9.0/24', '10.96.7.1'], /holds the InternalIP 10.96.7.1/],
  ];
  for (const [wish, wanted] of cases) {
    const model = modelOf(node(...wish), hosta, hostb, pod('a', { node: 'x' }));
    t.same([...model.nodes.keys()], ['hosta', 'hostb'], String(wanted));
    t.equal(messagesOf(model).length, 2);
    t.match(messagesOf(model)[0], wanted);
    t.match(messagesOf(model)[1], /Pod default\/a: spec.nodeName: Node x is not known or not usable/);
  }
  const bare = modelOf({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'bare' } });
  t.same(messagesOf(bare), [
    'Node bare: spec.podCIDR: is missing: left out',
    'Node bare: status.addresses: has no InternalIP: left out',
  ]);
  const hostBits = modelOf(node('n', '10.244.3.9/24', '172.31.0.13'));
  t.same(messagesOf(hostBits), ['Node n: spec.podCIDR: has host bits set: read as 10.244.3.0/24']);
  t.equal(hostBits.nodes.size, 1);
});

t.test('the first by name stays, whoever was read first', async (t) => {
  const rival = node('aaa', '10.244.1.0/24', '172.31.0.30');
  for (const order of [
    [rival, hosta],
    [hosta, rival],
  ])
    t.same([...modelOf(...order).nodes.keys()], ['aaa']);
});

t.test('problems name the file where it is known', async (t) => {
  const places = new Map([
    ['Node hosta', 'a.yaml:1'],
    ['Node x', 'x.yaml:9'],
  ]);
  const model = buildModel(objectSet([hosta, node('x', '10.244.1.0/24', '172.31.0.20')], places), SETTINGS);
  t.match(model.problems[0], { place: 'x.yaml:9', message: /of Node hosta \(a.yaml:1\): left out/, severity: 'error' });
});

t.test('pod addresses', async (t) => {
  const model = modelOf(
    hosta,
    hostb,
    pod('fixed', { ip: '10.244.1.7' }),
    pod('observed', { node: 'hostb', status: { podIP: '10.244.2.9' } }),
    pod('both', { ip: '10.244.1.8', status: { podIP: '10.244.1.200' } }),
    pod('host', { node: 'hostb', spec: { hostNetwork: true } }),
    pod('free', { node: 'hostb' }),
    pod('free', { node: 'hostb', namespace: 'other' }),
  );
  t.same(messagesOf(model), []);
  t.equal(addressOf(model, 'default/fixed'), '10.244.1.7');
  t.equal(addressOf(model, 'default/observed'), '10.244.2.9');
  t.equal(addressOf(model, 'default/both'), '10.244.1.8', 'the wish goes before the observation');
  t.equal(addressOf(model, 'default/host'), '172.31.0.12');
  t.equal(model.pods.get('default/host')?.hostNetwork, true);
  // Every host and every version must come to these: changing them moves every pod.
  t.equal(addressOf(model, 'default/free'), '10.244.2.120');
  t.equal(addressOf(model, 'other/free'), '10.244.2.191');
});

t.test('pods that cannot be addressed are left out and named', async (t) => {
  const cases: [ReturnType<typeof pod>, RegExp][] = [
    [pod('x', { ip: '10.244.2.7' }), /10.244.2.7 is outside 10.244.1.0\/24 of Node hosta/],
    [pod('x', { ip: '10.244.1.0' }), /10.244.1.0 is reserved/],
    [pod('x', { ip: '10.244.1.1' }), /10.244.1.1 is the gateway of Node hosta/],
    [pod('x', { ip: '10.244.1.255' }), /10.244.1.255 is reserved/],
    [pod('x', { ip: '10.244.1.7' }), /10.244.1.7 is already the address of Pod default\/a/],
    [pod('x', { node: '' }), /spec.nodeName: is missing/],
    [pod('x', { node: 'nowhere' }), /Node nowhere is not known/],
  ];
  for (const [bad, wanted] of cases) {
    const model = modelOf(hosta, bad, pod('a', { ip: '10.244.1.7' }));
    t.same([...model.pods.keys()], ['default/a'], String(wanted));
    t.equal(messagesOf(model).length, 1);
    t.match(messagesOf(model)[0], wanted);
  }
});

t.test('a full podCIDR names those without a place', async (t) => {
  const small = node('s', '10.244.3.0/29', '172.31.0.13');
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  const model = modelOf(small, ...names.map((n) => pod(n, { node: 's' })));
  t.equal(model.pods.size, 5);
  t.equal(messagesOf(model).length, 2);
  t.match(messagesOf(model)[0], /no address is free in 10.244.3.0\/29 of Node s/);
  t.equal(new Set([...model.pods.values()].map((p) => p.address[3])).size, 5);
});

t.test('a pod that has finished holds no address', async (t) => {
  const model = modelOf(
    hosta,
    pod('done', { status: { phase: 'Succeeded', podIP: '10.244.1.7' } }),
    pod('next', { ip: '10.244.1.7' }),
  );
  t.same(messagesOf(model), []);
  t.same([...model.pods.keys()], ['default/next']);
});

t.test('service addresses', async (t) => {
  const ports = [{ port: 80 }];
  const model = modelOf(
    service('fixed', { clusterIP: '10.96.0.80', ports }),
    service('free', { ports }),
    service('empty', { clusterIP: '', ports }),
    service('headless', { clusterIP: 'None', ports }),
    service('outside', { type: 'ExternalName', externalName: 'example.org' }),
    service('dual', { clusterIP: '10.96.0.81', clusterIPs: ['10.96.0.81', 'fd00:10:96::81'], ports }),
    service('dns', { clusterIP: '10.96.0.10', ports }),
  );
  const ips = (name: string) => model.services.get(`default/${name}`)?.clusterIps.map(formatAddress);
  t.same(ips('fixed'), ['10.96.0.80']);
  t.same(ips('headless'), []);
  t.ok(model.services.get('default/headless')?.headless);
  t.same(ips('outside'), []);
  t.equal(model.services.get('default/outside')?.externalName, 'example.org');
  t.same(ips('dual'), ['10.96.0.81', 'fd00:10:96::81']);
  // Every host and every version must come to these.
  t.same(ips('free'), ['10.96.90.252']);
  t.same(ips('empty'), ['10.96.77.95']);
  t.same(messagesOf(model), [
    'Service default/dns: spec.clusterIP: 10.96.0.10 is the cluster DNS, which every host answers itself',
  ]);
});

t.test('services that cannot be addressed are left out and named', async (t) => {
  const ports = [{ port: 80 }];
  const cases: [string, RegExp][] = [
    ['10.97.0.1', /10.97.0.1 is outside the services' 10.96.0.0\/16/],
    ['10.96.0.0', /10.96.0.0 is reserved/],
    ['10.96.255.255', /10.96.255.255 is reserved/],
    ['10.96.0.80', /10.96.0.80 is already the address of Service default\/a/],
  ];
  for (const [clusterIP, wanted] of cases) {
    const model = modelOf(service('x', { clusterIP, ports }), service('a', { clusterIP: '10.96.0.80', ports }));
    t.same([...model.services.keys()], ['default/a']);
    t.match(messagesOf(model), [wanted]);
  }
});

t.test('what an object asks for and does not get is said', async (t) => {
  const model = modelOf(
    service('x', { ports: [{ port: 80 }, { port: 81, protocol: 'SCTP' }] }),
    endpoints('x', [{ addresses: [{ ip: 'fd00::5' }], ports: [{ port: 80 }] }]),
    service('y', { type: 'LoadBalancer', ports: [{ port: 80 }] }),
    hosta,
  );
  t.same(
    model.problems.map((p) => [p.severity, p.message.split(':').slice(0, 2).join(':')]),
    [
      ['warning', 'Service default/x: endpoint fd00'],
      ['warning', 'Service default/x: spec.ports[1].protocol'],
      ['warning', 'Service default/y: spec.type'],
    ],
  );
});

t.test('settings that make no sense are refused, each fault by its setting and entry', async (t) => {
  const refuse = (settings: Partial<typeof SETTINGS>, message: RegExp) =>
    t.throws(() => buildModel(objectSet([]), { ...SETTINGS, ...settings }), { code: 'WEFT_SETTINGS', message });
  refuse({ clusterCidr: '10.244.0.0' }, /^clusterCidr: 10.244.0.0 is not a CIDR/);
  refuse({ clusterCidr: '10.244.0.0/16,' }, /^clusterCidr: entry 2 of "10.244.0.0\/16," is empty/);
  refuse(
    { clusterCidr: '10.244.0.0/16,10.245.0.0/16' },
    /^clusterCidr: 10.244.0.0\/16 and 10.245.0.0\/16 are both IPv4/,
  );
  refuse({ clusterCidr: 'fd00:10:244::/56' }, /^clusterCidr: fd00:10:244::\/56 has no IPv4 range: .* IPv6 alone/);
  refuse({ clusterCidr: '10.244.0.0/16' }, /^clusterCidr: names no IPv6 range, serviceCidr does/);
  refuse({ serviceCidr: '10.96.0.0/16' }, /^serviceCidr: names no IPv6 range, clusterCidr does/);
  refuse({ serviceCidr: '10.244.9.0/24' }, /^serviceCidr: 10.244.9.0\/24 overlaps/);
  refuse(
    { serviceCidr: '10.96.0.0/16,fd00:10:244:9::/112' },
    /^serviceCidr: fd00:10:244:9::\/112 overlaps the cluster's fd00:10:244::\/56/,
  );
  refuse({ clusterDns: 'x' }, /^clusterDns: x is not an IP address/);
  refuse({ clusterDns: '10.244.0.10' }, /^clusterDns: 10.244.0.10 is inside the cluster's 10.244.0.0\/16/);
  refuse({ clusterDns: 'fd00:10:96::a' }, /^clusterDns: fd00:10:96::a has no IPv4 address/);
  const four = { clusterCidr: '10.244.0.0/16', serviceCidr: '10.96.0.0/16' };
  refuse({ ...four, clusterDns: '10.96.0.10,fd00:10:96::a' }, /^clusterDns: fd00:10:96::a is IPv6, and clusterCidr/);
  t.same(buildModel(objectSet([]), { ...four, clusterDns: '10.96.0.10', clusterDomain: 'x' }).problems, []);
  const blanks = { ...SETTINGS, clusterCidr: 'fd00:10:244::/56, 10.244.0.0/16' };
  t.same(buildModel(objectSet([]), blanks).problems, [], 'in any order, with blanks');
});

t.test('nodes of both families', async (t) => {
  const model = modelOf(dualA, dualB);
  t.same(messagesOf(model), []);
  const a = model.nodes.get('hosta');
  t.equal(a && formatPrefix(a.podCidr), '10.244.1.0/24');
  t.equal(a?.podCidr6 && formatPrefix(a.podCidr6), 'fd00:10:244:1::/64');
  t.equal(a?.gateway6 && formatAddress(a.gateway6), 'fd00:10:244:1::1');
  t.equal(a?.vtepAddress6 && formatAddress(a.vtepAddress6), 'fd00:10:244:1::');
  t.same(a?.addresses.map(formatAddress), ['172.31.0.11', 'fd00:172:31::11']);
  t.equal(formatMac(a?.mac ?? new Uint8Array(6)), '0a:58:ac:1f:00:0b', 'of the IPv4 address, whatever comes first');
  const turned = modelOf(node('n', 'fd00:10:244:3::/64,10.244.3.0/24', 'fd00:172:31::13,172.31.0.13')).nodes.get('n');
  t.equal(turned && formatPrefix(turned.podCidr), '10.244.3.0/24');
  t.equal(turned && formatAddress(turned.address), 'fd00:172:31::13', 'the first InternalIP is the underlay');
  t.equal(formatMac(turned?.mac ?? new Uint8Array(6)), '0a:58:ac:1f:00:0d');
  const six = modelOf(node('n', '10.244.3.0/24', 'fd00:172:31::13'));
  t.same(messagesOf(six), [], 'an underlay of IPv6 alone');
  t.equal(six.nodes.get('n')?.podCidr6, undefined);
});

t.test('an IPv6 podCIDR that cannot be used costs the pods their IPv6 address alone', async (t) => {
  const cases: [string, string, RegExp][] = [
    ['fd00:99::/64', 'fd00:172:31::13', /spec.podCIDRs: fd00:99::\/64 is outside the cluster's fd00:10:244::\/56/],
    ['fd00:10:244::/55', 'fd00:172:31::13', /is outside the cluster's/],
    ['fd00:10:244:3::/127', 'fd00:172:31::13', /has no room for a pod/],
    ['fd00:10:244:1:8000::/65', 'fd00:172:31::13', /overlaps fd00:10:244:1::\/64 of Node hosta/],
    ['fd00:10:244:3::/64', 'fd00:10:244:7::1', /fd00:10:244::\/56 of pods or services holds the InternalIP/],
  ];
  for (const [podCidr, address, wanted] of cases) {
    const model = modelOf(
      dualA,
      node('x', `10.244.3.0/24,${podCidr}`, `172.31.0.13,${address}`),
      pod('p', { node: 'x' }),
    );
    t.match(messagesOf(model), [wanted]);
    t.match(messagesOf(model)[0], /: its pods get no IPv6 address$/);
    t.equal(model.pods.get('default/p')?.addresses.length, 1);
  }
  const four = { ...SETTINGS, clusterCidr: '10.244.0.0/16', serviceCidr: '10.96.0.0/16', clusterDns: '10.96.0.10' };
  const model = buildModel(objectSet([dualA, pod('p')]), four);
  t.match(messagesOf(model), [
    /Node hosta: spec.podCIDRs: fd00:10:244:1::\/64 is IPv6, and the cluster has no IPv6 range/,
  ]);
});

t.test("pods' addresses of both families", async (t) => {
  const all = (...objects: Parameters<typeof modelOf>) => {
    const model = modelOf(dualA, dualB, node('four', '10.244.4.0/24', '172.31.0.14'), ...objects);
    const found = [...model.pods].map(([key, p]) => [key.slice(8), p.addresses.map(formatAddress).join()]);
    return { ...Object.fromEntries(found), problems: messagesOf(model).join() };
  };
  t.same(
    all(
      pod('both', { ip: '10.244.1.9, fd00:10:244:1::9' }),
      pod('four', { ip: '10.244.1.8' }),
      pod('free', { node: 'hostb' }),
      pod('host', { spec: { hostNetwork: true } }),
      pod('old', { node: 'four' }),
      pod('seen', { status: { podIP: '10.244.1.7', podIPs: [{ ip: '10.244.1.7' }, { ip: 'fd00:10:244:1::77' }] } }),
      pod('six', { node: 'hostb', ip: 'fd00:10:244:2::abcd' }),
    ),
    {
      both: '10.244.1.9,fd00:10:244:1::9',
      four: '10.244.1.8,fd00:10:244:1::108',
      free: '10.244.2.120,fd00:10:244:2::278',
      host: '172.31.0.11,fd00:172:31::11',
      old: '10.244.4.128',
      seen: '10.244.1.7,fd00:10:244:1::77',
      six: '10.244.2.114,fd00:10:244:2::abcd',
      problems: '',
    },
  );
  const taken = all(pod('a', { ip: '10.244.1.9' }), pod('b', { ip: '10.244.1.8,fd00:10:244:1::109' }));
  t.equal(taken.a, '10.244.1.9,fd00:10:244:1::10a', 'the next where somebody has been given that one');
  const refused: [string, RegExp][] = [
    ['fd00:10:244:1::1', /fd00:10:244:1::1 is the gateway of Node hosta/],
    ['fd00:10:244:1::', /fd00:10:244:1:: is reserved in fd00:10:244:1::\/64/],
    ['fd00:10:244:2::5', /fd00:10:244:2::5 is outside fd00:10:244:1::\/64 of Node hosta/],
    ['fd00:10:244:1::9', /is already the address of Pod default\/a/],
  ];
  for (const [ip, wanted] of refused)
    t.match(all(pod('a', { ip: 'fd00:10:244:1::9' }), pod('x', { ip })).problems, wanted);
  const passed = all(pod('p', { node: 'four', ip: '10.244.4.9,fd00:10:244:4::9' }));
  t.equal(passed.p, '10.244.4.9');
  t.match(passed.problems, /fd00:10:244:4::9 is IPv6, and Node four has no IPv6 podCIDR: passed over/);
});

t.test('a small IPv6 podCIDR, and who finds no place in it', async (t) => {
  const small = node('s', '10.244.3.0/24,fd00:10:244:3::/126', '172.31.0.13');
  const model = modelOf(small, ...['a', 'b', 'c'].map((name) => pod(name, { node: 's' })));
  const six = [...model.pods.values()].flatMap((p) => p.addresses.slice(1).map(formatAddress));
  t.same(six.sort(), ['fd00:10:244:3::2', 'fd00:10:244:3::3']);
});
