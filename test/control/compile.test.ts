/** From the model to one host's tables: where each address leads, on both backends, and what stays from one to the next. */
import fc from 'fast-check';
import t from 'tap';
import { type Compiled, compile, emptyMemory, OVERLAY_PORT_6 } from '../../src/control/compile.ts';
import type { KubeObject } from '../../src/kube/objects.ts';
import { find, NO_VALUE } from '../../src/tables/address-map.ts';
import { ADJACENCY, ADJACENCY_KIND, ADJACENCY_WORDS } from '../../src/tables/adjacency.ts';
import { PORT, PORT_KIND, PORT_WORDS } from '../../src/tables/ports.ts';
import { lookup, lookup4, NO_ROUTE } from '../../src/tables/routes.ts';
import { ENDPOINT, ENDPOINT_WORDS, SERVICE, SERVICE_WORDS, serviceKey } from '../../src/tables/services.ts';
import type { Tables } from '../../src/tables/tables.ts';
import {
  formatAddress,
  formatAddress4,
  parseAddress,
  parseAddress4,
  type Words,
  wordsFrom4,
} from '../../src/wire/address.ts';
import {
  compileFor,
  dualA,
  dualB,
  endpoints,
  HOST,
  hosta,
  hostb,
  modelOf,
  node,
  pod,
  service,
} from './sample-objects.ts';

const KIND_NAMES = Object.fromEntries(Object.entries(ADJACENCY_KIND).map(([name, n]) => [n, name]));
const ip = (text: string): number => parseAddress4(text) ?? Number.NaN;

function word(tables: Tables, index: number, field: number): number {
  return tables.adjacencies[index * ADJACENCY_WORDS + field] ?? Number.NaN;
}

/** `peer 1 172.31.0.12`: kind and port, and the peer where there is one. */
function way(tables: Tables, address: string): string {
  const index = lookup4(tables.routes, ip(address));
  if (index === NO_ROUTE) return 'none';
  const kind = word(tables, index, ADJACENCY.kind);
  const peer = kind === ADJACENCY_KIND.peer ? ` ${formatAddress4(word(tables, index, ADJACENCY.peer + 3))}` : '';
  return `${KIND_NAMES[kind]} ${word(tables, index, ADJACENCY.port)}${peer}`;
}

function indexOf(tables: Tables, address: string): number {
  const [a, b, c, d] = parseAddress(address) as Words;
  return lookup(tables.routes, a, b, c, d);
}

/** way() for either family. */
function way6(tables: Tables, address: string): string {
  const index = indexOf(tables, address);
  if (index === NO_ROUTE) return 'none';
  const kind = word(tables, index, ADJACENCY.kind);
  const at = index * ADJACENCY_WORDS + ADJACENCY.peer;
  const [a = 0, b = 0, c = 0, d = 0] = tables.adjacencies.subarray(at, at + 4);
  const peer = kind === ADJACENCY_KIND.peer ? ` ${formatAddress([a, b, c, d])}` : '';
  return `${KIND_NAMES[kind]} ${word(tables, index, ADJACENCY.port)}${peer}`;
}

function serviceAt(tables: Tables, address: string, protocol: number, port: number) {
  const [a, b, c, d] = wordsFrom4(ip(address));
  const index = find(tables.services.byKey, a, b, c, d, serviceKey(protocol, port));
  if (index === NO_VALUE) return undefined;
  const at = (field: number) => tables.services.services[index * SERVICE_WORDS + field] ?? Number.NaN;
  const targets = Array.from({ length: at(SERVICE.count) }, (_, i) => {
    const o = (at(SERVICE.first) + i) * ENDPOINT_WORDS;
    const e = tables.services.endpoints;
    return `${formatAddress4(e[o + ENDPOINT.address + 3] ?? 0)}:${e[o + ENDPOINT.port]}`;
  });
  return { id: at(SERVICE.id), epoch: at(SERVICE.epoch), targets };
}

const isPeer = (tables: Tables, address: string): boolean => {
  const [a, b, c, d] = parseAddress(address) as Words;
  return find(tables.peers, a, b, c, d, 0) !== NO_VALUE;
};

const web = { app: 'web' };
const cluster: KubeObject[] = [
  hosta,
  hostb,
  pod('a', { ip: '10.244.1.5', labels: web }),
  pod('b', { ip: '10.244.1.6' }),
  pod('far', { ip: '10.244.2.5', node: 'hostb', labels: web }),
  pod('net', { spec: { hostNetwork: true } }),
  service('web', { clusterIP: '10.96.0.80', selector: web, ports: [{ port: 80, targetPort: 8080 }] }),
];

const dual: KubeObject[] = [
  dualA,
  dualB,
  pod('a', { ip: '10.244.1.5' }),
  pod('far', { ip: '10.244.2.5', node: 'hostb' }),
];

t.test("another runtime's pods are behind the host's kernel", async (t) => {
  const { tables } = compile(modelOf(...dual), { ...HOST, ports: [], podsBehindKernel: true }, emptyMemory());
  t.equal(way(tables, '10.244.1.5'), 'host 0');
  t.equal(way6(tables, 'fd00:10:244:1::105'), 'host 0');
  t.equal(way(tables, '10.244.1.1'), 'gateway 0');
  t.equal(way(tables, '10.244.2.5'), 'peer 1 172.31.0.12');
  t.equal(way(tables, '10.244.3.5'), 'unreachable 0');
});

t.test('IPv6 leads where IPv4 leads', async (t) => {
  const { tables, problems } = compileFor(modelOf(...dual));
  t.same(problems, []);
  for (const [address, wanted] of [
    ['10.244.1.5', 'pod 16'],
    ['fd00:10:244:1::105', 'pod 16'],
    ['fd00:10:244:1::106', 'unreachable 0'],
    ['fd00:10:244:1::1', 'gateway 0'],
    ['fd00:10:244:1::', 'gateway 0'],
    ['fd00:10:244:2::1', 'peer 1 172.31.0.12'],
    ['fd00:10:244:3::1', 'unreachable 0'],
    ['fd00:10:96::a', 'host 0'],
    ['fd00:10:96::80', 'unreachable 0'],
    ['2001:db8::1', 'host 0'],
    ['192.0.2.1', 'host 0'],
  ] as const) {
    t.equal(way6(tables, address), wanted, address);
  }
  const { local, ports } = tables;
  t.equal(formatAddress(local.gateway6), 'fd00:10:244:1::1');
  t.equal(formatAddress(local.vtepAddress6), 'fd00:10:244:1::');
  t.same(
    [...ports.subarray(16 * PORT_WORDS + PORT.address6, 17 * PORT_WORDS)].map((each) => each >>> 0),
    parseAddress('fd00:10:244:1::105'),
  );
  t.same(
    parseAddress('fd00:10:244:2::')?.[3],
    word(tables, indexOf(tables, 'fd00:10:244:2::9'), ADJACENCY.nextHop6 + 3),
  );
  t.equal(compileFor(modelOf(hosta, hostb)).tables.local.gateway6.join(), '0,0,0,0', 'a host without IPv6');
});

t.test('the underlay may be IPv6: first, alone, or for one peer', async (t) => {
  const mtu = (tables: Tables, address: string) => word(tables, indexOf(tables, address), ADJACENCY.mtu);
  const a6 = node('hosta', '10.244.1.0/24,fd00:10:244:1::/64', 'fd00:172:31::11,172.31.0.11');
  const first = compileFor(modelOf(a6, dualB), { podMtu: 1430 }).tables;
  t.equal(way6(first, '10.244.2.5'), 'peer 3 fd00:172:31::12', 'the family that this host names first');
  t.equal(mtu(first, '10.244.2.5'), 1430);
  t.equal(first.ports[OVERLAY_PORT_6 * PORT_WORDS + PORT.mtu], 1500);
  t.equal(formatAddress(first.local.outer), '172.31.0.11', 'tunnel GSO is the IPv4 one');
  const alone = [node('hosta', '10.244.1.0/24', 'fd00:172:31::11'), node('hostb', '10.244.2.0/24', 'fd00:172:31::12')];
  t.equal(way6(compileFor(modelOf(...alone)).tables, '10.244.2.5'), 'peer 3 fd00:172:31::12');
  const one = compileFor(modelOf(dualA, dualB, node('hostc', '10.244.3.0/24', 'fd00:172:31::13'))).tables;
  t.equal(way6(one, '10.244.2.5'), 'peer 1 172.31.0.12');
  t.equal(way6(one, '10.244.3.5'), 'peer 3 fd00:172:31::13', 'who has IPv6 alone is reached over it');
  t.equal(mtu(one, '10.244.2.5'), 1450);
  t.equal(mtu(one, '10.244.3.5'), 1430, 'whose outer header is larger');
  t.ok(
    ['172.31.0.12', 'fd00:172:31::12'].every((each) => isPeer(one, each)),
    'a peer may send from any of its addresses',
  );
});

t.test('nodes that share no family are named, and not reached', async (t) => {
  const six = node('hostc', '10.244.3.0/24,fd00:10:244:3::/64', 'fd00:172:31::13');
  const { tables, problems } = compileFor(modelOf(hosta, six));
  t.same(
    problems.map((p) => p.message),
    [
      'Node hostc: status.addresses: shares no family of InternalIPs with Node hosta, which has IPv4: ' +
        '10.244.3.0/24 and fd00:10:244:3::/64 is not reached',
    ],
  );
  t.equal(way6(tables, '10.244.3.5'), 'unreachable 0');
  const plain = compileFor(modelOf(dualA, node('hostc', '10.244.3.0/24,fd00:10:244:3::/64', '172.31.0.13')), {
    backend: 'host-gw',
  });
  t.same(plain.kernelRoutes, [{ destination: '10.244.3.0/24', via: '172.31.0.13' }]);
  t.match(plain.problems[0]?.message, /fd00:10:244:3::\/64 is not reached/, 'a plain route has one family');
  t.equal(way6(plain.tables, 'fd00:10:244:3::5'), 'unreachable 0');
});

t.test('host-gw has a route of each family', async (t) => {
  const { kernelRoutes } = compileFor(modelOf(...dual), { backend: 'host-gw' });
  t.same(kernelRoutes, [
    { destination: '10.244.2.0/24', via: '172.31.0.12' },
    { destination: 'fd00:10:244:2::/64', via: 'fd00:172:31::12' },
  ]);
});

t.test('where each address leads over vxlan', async (t) => {
  const { tables, problems, kernelRoutes } = compileFor(modelOf(...cluster));
  t.same(problems, []);
  t.same(kernelRoutes, []);
  const ways: [string, string][] = [
    ['10.244.1.5', 'pod 16'],
    ['10.244.1.6', 'pod 17'],
    ['10.244.1.7', 'unreachable 0'],
    ['10.244.1.1', 'gateway 0'],
    ['10.244.1.0', 'gateway 0'],
    ['10.244.2.5', 'peer 1 172.31.0.12'],
    ['10.244.2.1', 'peer 1 172.31.0.12'],
    ['10.244.3.1', 'unreachable 0'],
    ['10.96.0.10', 'host 0'],
    ['10.96.0.80', 'unreachable 0'],
    ['172.31.0.11', 'host 0'],
    ['172.31.0.12', 'host 0'],
    ['192.0.2.1', 'host 0'],
  ];
  for (const [address, wanted] of ways) t.equal(way(tables, address), wanted, address);
});

t.test('a path that is smaller than pods need is kept to, where known', async (t) => {
  const mtuFor = (pathMtu: number) => {
    const { tables } = compileFor(modelOf(...cluster), { podMtu: 1450, pathMtus: new Map([['hostb', pathMtu]]) });
    return word(tables, lookup4(tables.routes, ip('10.244.2.5')), ADJACENCY.mtu);
  };
  t.equal(mtuFor(1400), 1350);
  t.equal(mtuFor(9000), 1450);
  t.equal(mtuFor(600), 1280, 'but no less than IPv6 needs');
});

t.test('a peer as the dataplane needs it', async (t) => {
  const { tables } = compileFor(modelOf(...cluster), { vni: 7, udpPort: 8472, podMtu: 1400 });
  const index = lookup4(tables.routes, ip('10.244.2.5'));
  t.equal(word(tables, index, ADJACENCY.mtu), 1400);
  t.equal(word(tables, index, ADJACENCY.udpPort), 8472);
  t.equal(word(tables, index, ADJACENCY.vni), 7);
  t.equal(word(tables, index, ADJACENCY.macHigh), 0x0a58);
  t.equal(word(tables, index, ADJACENCY.macLow) >>> 0, ip('172.31.0.12'));
  t.equal(formatAddress4(word(tables, index, ADJACENCY.nextHop4)), '10.244.2.0');
  t.ok(isPeer(tables, '172.31.0.12'));
  t.notOk(isPeer(tables, '172.31.0.11'), 'not ourselves');
  t.notOk(isPeer(tables, '172.31.0.99'));
  t.same(tables.local, {
    gateway4: ip('10.244.1.1'),
    vtepAddress4: ip('10.244.1.0'),
    gateway6: [0, 0, 0, 0],
    vtepAddress6: [0, 0, 0, 0],
    macHigh: 0x0a58,
    macLow: ip('172.31.0.11'),
    vni: 7,
    outer: wordsFrom4(ip('172.31.0.11')),
    udpPort: 8472,
  });
  const learned = node('hostb', '10.244.2.0/24', '172.31.0.12', { 'weft.dev/vtep-mac': 'learn' });
  const unknown = compileFor(modelOf(hosta, learned)).tables;
  const at = lookup4(unknown.routes, ip('10.244.2.5'));
  t.equal(word(unknown, at, ADJACENCY.macHigh) | word(unknown, at, ADJACENCY.macLow), 0);
});

t.test('every InternalIP of a node may send, the first is sent to', async (t) => {
  const two = node('hostb', '10.244.2.0/24', '172.31.0.12');
  two.status?.addresses?.push({ type: 'InternalIP', address: '172.31.1.12' });
  const { tables } = compileFor(modelOf(hosta, two));
  t.ok(isPeer(tables, '172.31.0.12'));
  t.ok(isPeer(tables, '172.31.1.12'));
  t.equal(way(tables, '10.244.2.9'), 'peer 1 172.31.0.12');
});

t.test('host-gw leads through the kernel and knows no peers', async (t) => {
  const { tables, kernelRoutes } = compileFor(modelOf(...cluster), { backend: 'host-gw' });
  t.same(kernelRoutes, [{ destination: '10.244.2.0/24', via: '172.31.0.12' }]);
  t.equal(way(tables, '10.244.2.5'), 'host 0');
  t.equal(way(tables, '10.244.3.5'), 'unreachable 0');
  t.equal(way(tables, '10.244.1.5'), 'pod 16');
  t.notOk(isPeer(tables, '172.31.0.12'));
});

t.test('ports', async (t) => {
  const model = modelOf(...cluster);
  const { tables } = compileFor(model, {
    ports: [
      { id: 20, namespace: 'default', name: 'a' },
      { id: 21, namespace: 'default', name: 'net' },
      { id: 22, namespace: 'default', name: 'far' },
      { id: 23, namespace: 'default', name: 'nobody' },
      { id: 3, namespace: 'default', name: 'b' },
    ],
  });
  const entry = (id: number) =>
    [PORT.kind, PORT.address4, PORT.mtu].map((f) => (tables.ports[id * PORT_WORDS + f] ?? 0) >>> 0);
  t.same(entry(0), [PORT_KIND.host, 0, 1450]);
  t.same(entry(1), [PORT_KIND.overlay, 0, 1500]);
  t.same(entry(20), [PORT_KIND.pod, ip('10.244.1.5'), 1450]);
  for (const id of [2, 3, 21, 22, 23]) t.same(entry(id)[0], PORT_KIND.none, `port ${id}`);
  t.equal(way(tables, '10.244.1.6'), 'unreachable 0', 'a pod without a port of its own is not there');
});

t.test('services', async (t) => {
  const { tables } = compileFor(
    modelOf(
      ...cluster,
      service('dns', { clusterIP: '10.96.0.10', selector: web, ports: [{ port: 53, protocol: 'UDP' }] }),
      service('empty', { clusterIP: '10.96.0.81', ports: [{ port: 80 }] }),
      service('headless', { clusterIP: 'None', selector: web, ports: [{ port: 80 }] }),
      service('both', {
        clusterIP: '10.96.0.82',
        selector: web,
        ports: [
          { name: 't', port: 53 },
          { name: 'u', port: 53, protocol: 'UDP' },
        ],
      }),
    ),
  );
  t.same(serviceAt(tables, '10.96.0.80', 6, 80)?.targets.sort(), ['10.244.1.5:8080', '10.244.2.5:8080']);
  t.equal(serviceAt(tables, '10.96.0.80', 17, 80), undefined);
  t.equal(serviceAt(tables, '10.96.0.10', 17, 53), undefined, 'the cluster DNS is no service');
  t.same(serviceAt(tables, '10.96.0.81', 6, 80)?.targets, [], 'no endpoint: there to be refused');
  t.equal(serviceAt(tables, '10.96.0.82', 6, 53)?.targets.length, 2);
  t.equal(serviceAt(tables, '10.96.0.82', 17, 53)?.targets.length, 2);
  t.equal(tables.services.services.length / SERVICE_WORDS, 4);
});

t.test('a host that is not among the nodes forwards nothing, and says so', async (t) => {
  const first = compileFor(modelOf(...cluster));
  const { tables, problems, memory } = compile(modelOf(hostb), HOST, first.memory);
  t.equal(tables.generation, 2);
  t.equal(way(tables, '10.244.2.5'), 'none');
  t.match(problems, [{ message: /^Node hosta: this host is not among the usable nodes/, severity: 'error' }]);
  const again = compileFor(modelOf(...cluster), {}, memory);
  t.same(again.tables.services, first.tables.services, 'and remembers its services until it is back');
});

t.test('a VNI that a node publishes and we do not use is named', async (t) => {
  const flannel = node('f', '10.244.5.0/24', '172.31.0.15', {
    'flannel.alpha.coreos.com/backend-data': '{"VNI":4,"VtepMAC":"02:00:00:00:00:02"}',
  });
  t.match(compileFor(modelOf(hosta, flannel)).problems, [{ message: /^Node f: uses VNI 4, this host 1/ }]);
  t.same(compileFor(modelOf(hosta, flannel), { vni: 4 }).problems, []);
});

t.test('ids stay, epochs follow the set', async (t) => {
  const svc = (name: string, last: number) =>
    service(name, { clusterIP: `10.96.0.${last}`, selector: { app: name }, ports: [{ port: 80 }] });
  const p = (name: string, app: string) => pod(name, { labels: { app } });
  const base = [hosta, svc('m', 20), svc('n', 21), p('m1', 'm'), p('m2', 'm'), p('n1', 'n')];
  const one = compileFor(modelOf(...base));
  const m = (c: Compiled) => serviceAt(c.tables, '10.96.0.20', 6, 80);
  const n = (c: Compiled) => serviceAt(c.tables, '10.96.0.21', 6, 80);
  const two = compileFor(modelOf(...base, svc('a', 22), p('m3', 'm')), {}, one.memory);
  t.equal(two.tables.generation, 2);
  t.same(n(two), n(one), 'what did not change is the same');
  t.equal(m(two)?.id, m(one)?.id);
  t.not(m(two)?.epoch, m(one)?.epoch, 'a new endpoint is a new epoch');
  const three = compileFor(modelOf(...base.toReversed()), {}, two.memory);
  t.not(m(three)?.epoch, m(two)?.epoch);
  t.not(m(three)?.epoch, m(one)?.epoch, 'epochs do not come back');
  t.equal(three.memory.services.size, 2, 'what is gone is forgotten');
  const four = compileFor(modelOf(...base, svc('z', 23)), {}, three.memory);
  t.equal(serviceAt(four.tables, '10.96.0.23', 6, 80)?.id, 2, 'and its id used again');
  const swapped = compileFor(modelOf(hosta, svc('z', 23)), {}, one.memory);
  t.notOk([m(one)?.id, n(one)?.id].includes(serviceAt(swapped.tables, '10.96.0.23', 6, 80)?.id), 'not at once');
});

t.test('endpoints keep their ids as long as they stand behind their service port', async (t) => {
  const objects = (...names: string[]) => [
    hosta,
    service('m', { clusterIP: '10.96.0.20', selector: web, ports: [{ port: 80 }, { port: 81, name: 'b' }] }),
    ...names.map((name) => pod(name, { ip: `10.244.1.${name}`, labels: web })),
  ];
  const ids = (c: Compiled) => {
    const { endpoints: e } = c.tables.services;
    const entries = Array.from({ length: e.length / ENDPOINT_WORDS }, (_, n): [string, number] => {
      const o = n * ENDPOINT_WORDS;
      return [`${e[o + 3]! & 0xff}:${e[o + ENDPOINT.port]}`, e[o + ENDPOINT.id]!];
    });
    return new Map(entries);
  };
  const one = compileFor(modelOf(...objects('5', '6')));
  t.same([...ids(one).values()].sort(), [0, 1, 2, 3], 'small, and each its own');
  const two = compileFor(modelOf(...objects('6', '7')), {}, one.memory);
  t.equal(ids(two).get('6:80'), ids(one).get('6:80'), 'who stays keeps it');
  t.ok(ids(two).get('7:80')! > 3, 'who left does not hand it on at once');
  const three = compileFor(modelOf(...objects('6', '7', '8')), {}, two.memory);
  t.same(
    [ids(three).get('7:80'), ids(three).get('8:80')! < 4],
    [ids(two).get('7:80'), true],
    'a generation later it is used again',
  );
});

t.test('targets are shuffled by host and service, and still', async (t) => {
  const addresses = Array.from({ length: 8 }, (_, i) => ({ ip: `192.0.2.${i + 1}` }));
  const subset = { addresses, ports: [{ port: 80 }] };
  const services = ['p', 'q'].map((name, i) =>
    service(name, { clusterIP: `10.96.0.${20 + i}`, ports: [{ port: 80 }] }),
  );
  const model = modelOf(hosta, hostb, ...services, endpoints('p', [subset]), endpoints('q', [subset]));
  const order = (nodeName: string, address: string) =>
    serviceAt(compileFor(model, { nodeName }).tables, address, 6, 80)?.targets ?? [];
  const first = order('hosta', '10.96.0.20');
  t.equal(new Set(first).size, 8);
  t.notSame(first, [...first].sort(), 'not in address order');
  t.notSame(order('hostb', '10.96.0.20'), first, 'another host goes round otherwise');
  t.notSame(order('hosta', '10.96.0.21'), first, 'so does another service');
  const firsts = new Set(
    Array.from({ length: 40 }, (_, i) => {
      const nodes = node(`h${i}`, `10.244.${i + 10}.0/24`, `172.31.1.${i}`);
      const one = modelOf(nodes, ...services, endpoints('p', [subset]));
      return serviceAt(compileFor(one, { nodeName: `h${i}` }).tables, '10.96.0.20', 6, 80)?.targets[0];
    }),
  );
  t.ok(firsts.size >= 6, `40 hosts begin at ${firsts.size} of 8 targets`);
});

t.test('for schedulers that hash, targets stand in one order on every host', async (t) => {
  const ips = Array.from({ length: 8 }, (_, i) => ({ ip: `192.0.2.${i + 1}` }));
  for (const mode of ['ipvs:sh', 'ipvs:dh', 'ipvs:mh', 'ipvs:rr']) {
    const one = service('p', { clusterIP: '10.96.0.20', ports: [{ port: 80 }] });
    one.metadata.annotations = { 'weft.dev/proxy-mode': mode };
    const model = modelOf(hosta, hostb, one, endpoints('p', [{ addresses: ips, ports: [{ port: 80 }] }]));
    const order = (nodeName: string) => serviceAt(compileFor(model, { nodeName }).tables, '10.96.0.20', 6, 80)?.targets;
    if (mode === 'ipvs:rr') t.notSame(order('hosta'), order('hostb'), mode);
    else t.same(order('hosta'), order('hostb'), mode);
  }
});

t.test('any order of the same objects gives the same tables, problems and memory', async () => {
  const label = fc.constantFrom('x', 'y');
  const wishes = fc.record({
    nodes: fc.uniqueArray(fc.nat(6), { maxLength: 5 }),
    pods: fc.uniqueArray(
      fc.record({ n: fc.nat(20), on: fc.nat(6), fixed: fc.option(fc.nat(4)), app: label, host: fc.boolean() }),
      { selector: (p) => p.n, maxLength: 14 },
    ),
    services: fc.uniqueArray(fc.record({ n: fc.nat(9), fixed: fc.option(fc.nat(3)), app: label }), {
      selector: (s) => s.n,
      maxLength: 6,
    }),
    shuffle: fc.infiniteStream(fc.nat()),
    backend: fc.constantFrom('vxlan' as const, 'host-gw' as const),
  });
  fc.assert(
    fc.property(wishes, ({ nodes, pods, services, shuffle, backend }) => {
      const objects: KubeObject[] = [
        hosta,
        // Every third rivals another's podCIDR or address.
        ...nodes.map((n) => node(`n${n}`, `10.244.${n === 3 ? 4 : n + 1}.0/24`, `172.31.0.${n === 5 ? 24 : 20 + n}`)),
        ...pods.map((p) =>
          pod(`p${p.n}`, {
            node: p.on === 0 ? 'hosta' : `n${p.on}`,
            labels: { app: p.app },
            spec: { hostNetwork: p.host },
            ...(p.fixed === null ? {} : { ip: `10.244.${p.on + 1}.${p.fixed}` }),
          }),
        ),
        ...services.map((s) =>
          service(`s${s.n}`, {
            selector: { app: s.app },
            ports: [{ port: 80, targetPort: 8000 }],
            ...(s.fixed === null ? {} : { clusterIP: `10.96.0.${9 + s.fixed}` }),
          }),
        ),
      ];
      const keyed = objects.map((object) => ({ object, rank: shuffle.next().value as number }));
      const other = keyed.sort((a, b) => a.rank - b.rank).map((k) => k.object);
      const snapshot = (list: KubeObject[]) => {
        const model = modelOf(...list);
        const first = compileFor(model, { backend });
        const ports = [...model.pods.values()].map((p, i) => ({ id: 16 + i, namespace: p.namespace, name: p.name }));
        const second = compileFor(
          model,
          { backend, ports: list === objects ? ports : ports.toReversed() },
          first.memory,
        );
        return JSON.stringify([model.problems, first, second, [...second.memory.services]]);
      };
      return snapshot(objects) === snapshot(other);
    }),
    { seed: 5, numRuns: 300 },
  );
});

t.test('every host agrees on every address', async () => {
  const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,3}$/), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(names, (list) => {
      const model = modelOf(hosta, hostb, ...list.map((n, i) => pod(n, { node: i % 2 ? 'hosta' : 'hostb' })));
      const here = compileFor(model, { nodeName: 'hosta' }).tables;
      const there = compileFor(model, { nodeName: 'hostb' }).tables;
      return [...model.pods.values()].every((p) => {
        const address = formatAddress4(p.address[3]);
        const [own, other] = p.nodeName === 'hosta' ? [here, there] : [there, here];
        return way(own, address).startsWith('pod ') && way(other, address).startsWith('peer ');
      });
    }),
    { seed: 6, numRuns: 100 },
  );
});

t.test('a thousand services of ten endpoints compile at once', async (t) => {
  const labels = (i: number) => ({ app: `s${i % 1000}` });
  const nodes = Array.from({ length: 50 }, (_, i) => node(`n${i}`, `10.244.${i + 1}.0/24`, `172.31.1.${i}`));
  const pods = Array.from({ length: 10_000 }, (_, i) => pod(`p${i}`, { node: `n${i % 50}`, labels: labels(i) }));
  const services = Array.from({ length: 1000 }, (_, i) =>
    service(`s${i}`, { selector: labels(i), ports: [{ port: 80 }] }),
  );
  const model = modelOf(...nodes, ...pods, ...services);
  const memory = compileFor(model, { nodeName: 'n0' }).memory;
  let fastest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    compileFor(model, { nodeName: 'n0' }, memory);
    fastest = Math.min(fastest, performance.now() - start);
  }
  t.comment(`${fastest.toFixed(1)} ms`);
  t.ok(fastest < 100, `${fastest} ms`);
  t.equal(model.services.get('default/s7')?.endpoints.length, 10);
});
