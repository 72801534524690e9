/** Who stands behind a service (kubernetes Endpoints controller). */
import t from 'tap';
import type { KubeObject } from '../../src/kube/objects.ts';
import { formatAddress } from '../../src/wire/address.ts';
import { endpointSlice, endpoints, hosta, hostb, modelOf, pod, service } from './sample-objects.ts';

const web = { app: 'web' };
const http = (containerPort: number, protocol = 'TCP') => ({
  containers: [{ name: 'c', ports: [{ name: 'http', containerPort, protocol }] }],
});

function behind(...objects: KubeObject[]) {
  const model = modelOf(hosta, hostb, ...objects);
  const found = model.services.get('default/web');
  return {
    targets: found?.ports.map((p) => p.targets.map((e) => `${formatAddress(e.address)}:${e.port}`)),
    standby: found?.ports.map((p) => p.standby.map((e) => `${formatAddress(e.address)}:${e.port}`)),
    names: found?.endpoints.map((e) => `${formatAddress(e.address)} ${e.hostname ?? '-'} ${e.pod ?? '-'}`),
    ports: found?.endpoints.map((e) => e.ports.map((p) => `${p.name}:${p.protocol}/${p.port}`)),
  };
}

t.test('by selector', async (t) => {
  const objects = [
    service('web', { selector: web, ports: [{ port: 80, targetPort: 8080 }] }),
    pod('a', { ip: '10.244.1.5', labels: web }),
    pod('b', { ip: '10.244.2.5', labels: { ...web, tier: 'x' }, node: 'hostb' }),
    pod('c', { ip: '10.244.1.6', labels: { app: 'db' } }),
    pod('d', { ip: '10.244.1.7', labels: web, namespace: 'other' }),
  ];
  const found = behind(...objects);
  t.same(found.targets, [['10.244.1.5:8080', '10.244.2.5:8080']]);
  t.same(found.names, ['10.244.1.5 - default/a', '10.244.2.5 - default/b']);
  const narrow = { ...web, tier: 'x' };
  t.same(behind(...objects, service('web', { selector: narrow, ports: [{ port: 80 }] })).targets, [['10.244.2.5:80']]);
  t.same(
    behind(...objects, service('web', { selector: {}, ports: [{ port: 80 }] })).targets,
    [[]],
    'no selector, nobody',
  );
  t.same(behind(...objects, service('web', { ports: [{ port: 80 }] })).targets, [[]]);
});

t.test('named target ports, per pod', async (t) => {
  const ports = [
    { name: 'http', port: 80, targetPort: 'http' },
    { name: 'raw', port: 90 },
    { name: 'udp', port: 80, targetPort: 'http', protocol: 'UDP' },
  ];
  const found = behind(
    service('web', { selector: web, ports }),
    pod('a', { ip: '10.244.1.5', labels: web, spec: http(8080) }),
    pod('b', { ip: '10.244.1.6', labels: web, spec: http(9090) }),
    pod('c', { ip: '10.244.1.7', labels: web }),
    pod('d', { ip: '10.244.1.8', labels: web, spec: http(53, 'UDP') }),
  );
  t.same(found.targets, [
    ['10.244.1.5:8080', '10.244.1.6:9090'],
    ['10.244.1.5:90', '10.244.1.6:90', '10.244.1.7:90', '10.244.1.8:90'],
    ['10.244.1.8:53'],
  ]);
  t.same(found.ports?.[0], ['http:TCP/8080', 'raw:TCP/90']);
  t.same(
    behind(service('web', { selector: web, ports: [{ port: 80, targetPort: 'http' }] }), pod('c', { labels: web }))
      .names,
    [],
    'a pod without any of the ports is no endpoint',
  );
});

t.test('readiness', async (t) => {
  const ready = (status: string) => ({ phase: 'Running', conditions: [{ type: 'Ready', status }] });
  const leaving = pod('e', { ip: '10.244.1.9', labels: web });
  const gone = { ...leaving, metadata: { ...leaving.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
  const objects = [
    pod('a', { ip: '10.244.1.5', labels: web, status: ready('True') }),
    pod('b', { ip: '10.244.1.6', labels: web, status: ready('False') }),
    pod('c', { ip: '10.244.1.7', labels: web, status: { phase: 'Failed' } }),
    pod('d', { ip: '10.244.1.8', labels: web }),
    gone,
  ];
  const ports = [{ port: 80 }];
  t.same(behind(service('web', { selector: web, ports }), ...objects).targets, [['10.244.1.5:80', '10.244.1.8:80']]);
  t.same(behind(service('web', { selector: web, ports, publishNotReadyAddresses: true }), ...objects).targets, [
    ['10.244.1.5:80', '10.244.1.6:80', '10.244.1.8:80', '10.244.1.9:80'],
  ]);
});

t.test('an Endpoints object goes before the selector', async (t) => {
  const subset = {
    addresses: [
      { ip: '192.0.2.7', hostname: 'x' },
      { ip: '10.244.1.5', targetRef: { kind: 'Pod', name: 'a' } },
    ],
    notReadyAddresses: [{ ip: '192.0.2.8' }],
    ports: [
      { name: 'http', port: 8080 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ],
  };
  const ports = [
    { name: 'http', port: 80 },
    { name: 'dns', port: 53, protocol: 'UDP' },
    { name: 'none', port: 99 },
  ];
  const pods = pod('z', { ip: '10.244.1.50', labels: web });
  const found = behind(service('web', { selector: web, ports }), endpoints('web', [subset]), pods);
  t.same(found.targets, [['10.244.1.5:8080', '192.0.2.7:8080'], ['10.244.1.5:53', '192.0.2.7:53'], []]);
  t.same(found.names, ['10.244.1.5 - default/a', '192.0.2.7 x -']);
  const all = behind(service('web', { ports, publishNotReadyAddresses: true }), endpoints('web', [subset]));
  t.same(all.targets?.[0], ['10.244.1.5:8080', '192.0.2.7:8080', '192.0.2.8:8080']);
  t.same(behind(service('web', { selector: web, ports }), endpoints('web', []), pods).targets, [[], [], []]);
});

t.test('an unnamed port of one is the unnamed port of the other', async (t) => {
  const written = endpoints('web', [{ addresses: [{ ip: '192.0.2.7' }], ports: [{ port: 8080 }] }]);
  t.same(behind(service('web', { ports: [{ port: 80 }] }), written).targets, [['192.0.2.7:8080']]);
});

t.test('headless: names of endpoints, with or without ports', async (t) => {
  const member = (name: string, ip: string, subdomain = 'web') =>
    pod(name, { ip, labels: web, spec: { hostname: name, subdomain } });
  const found = behind(
    service('web', { clusterIP: 'None', selector: web }),
    member('web-0', '10.244.1.5'),
    member('web-1', '10.244.1.6'),
    member('web-2', '10.244.1.7', 'other'),
    pod('plain', { ip: '10.244.1.8', labels: web, spec: { subdomain: 'web' } }),
  );
  t.same(found.names, [
    '10.244.1.5 web-0 default/web-0',
    '10.244.1.6 web-1 default/web-1',
    '10.244.1.7 - default/web-2',
    '10.244.1.8 - default/plain',
  ]);
  t.same(found.targets, []);
});

t.test('pods on one host network are one endpoint address, with the ports of all', async (t) => {
  const found = behind(
    service('web', { selector: web, ports: [{ name: 'h', port: 80, targetPort: 'http' }] }),
    pod('a', { labels: web, spec: { hostNetwork: true, ...http(8080) } }),
    pod('b', { labels: web, spec: { hostNetwork: true, ...http(8081) } }),
    pod('c', { labels: web, spec: { hostNetwork: true, ...http(8081) } }),
  );
  t.same(found.targets, [['172.31.0.11:8080', '172.31.0.11:8081']]);
  t.equal(found.names?.length, 1);
});

t.test('an ExternalName service has no endpoints', async (t) => {
  const found = behind(
    service('web', { type: 'ExternalName', externalName: 'example.org', selector: web }),
    pod('a', { labels: web }),
  );
  t.same(found.names, []);
});

t.test('slices go before an Endpoints object, all of them together', async (t) => {
  const ports = [{ name: 'http', port: 80 }];
  const http = [{ name: 'http', port: 8080 }];
  const web = service('web', { ports });
  const first = endpointSlice('web-x', 'web', { endpoints: [{ addresses: ['192.0.2.7'] }], ports: http });
  const second = endpointSlice('web-a', 'web', {
    endpoints: [{ addresses: ['192.0.2.8', '192.0.2.9'], hostname: 'x', targetRef: { kind: 'Pod', name: 'p' } }],
    ports: [...http, { name: 'sctp', port: 9, protocol: 'SCTP' }, { name: 'all' }],
  });
  const others = [
    endpoints('web', [{ addresses: [{ ip: '192.0.2.1' }], ports: http }]),
    endpointSlice('other', 'other', { endpoints: [{ addresses: ['192.0.2.2'] }], ports: http }),
    endpointSlice('names', 'web', { addressType: 'FQDN', endpoints: [{ addresses: ['a.example'] }], ports: http }),
  ];
  const found = behind(web, first, second, ...others);
  t.same(found.targets, [['192.0.2.7:8080', '192.0.2.8:8080']]);
  t.same(found.names, ['192.0.2.7 - -', '192.0.2.8 x default/p']);
  t.same(behind(...others.toReversed(), second, web, first), found, 'in any order');
  t.same(behind(web, endpointSlice('none', 'web', {}), ...others).targets, [[]], 'an empty slice is an answer too');
  t.match(modelOf(web, ...others).problems, [{ message: /^EndpointSlice default\/names: addressType: FQDN/ }]);
});

t.test('those that end still serve where nobody is ready, port by port', async (t) => {
  const conditions = (ready: boolean, serving: boolean, terminating: boolean) => ({ ready, serving, terminating });
  const slice = (name: string, port: string, ...list: [string, ReturnType<typeof conditions>][]) =>
    endpointSlice(name, 'web', {
      endpoints: list.map(([ip, c]) => ({ addresses: [ip], conditions: c })),
      ports: [{ name: port, port: 80 }],
    });
  const web = service('web', { ports: ['a', 'b'].map((name, i) => ({ name, port: 80 + i })) });
  const found = behind(
    web,
    slice('1', 'a', ['192.0.2.1', conditions(true, true, false)], ['192.0.2.2', conditions(false, true, true)]),
    slice('2', 'b', ['192.0.2.3', conditions(false, true, true)], ['192.0.2.4', conditions(false, false, true)]),
    slice('3', 'b', ['192.0.2.5', conditions(false, true, false)]),
  );
  t.same(found.targets, [['192.0.2.1:80'], ['192.0.2.3:80']]);
  t.same(found.standby, [['192.0.2.2:80'], []]);
  t.same(found.names, ['192.0.2.1 - -'], 'names are given to the ready alone');
  const all = service('web', { ...web.spec, publishNotReadyAddresses: true });
  t.same(behind(all, slice('3', 'b', ['192.0.2.5', conditions(false, false, false)])).targets, [[], ['192.0.2.5:80']]);
  const leaving = pod('a', { ip: '10.244.1.5', labels: web.metadata.labels ?? { app: 'web' } });
  const ending = { ...leaving, metadata: { ...leaving.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
  const chosen = service('web', { selector: { app: 'web' }, ports: [{ port: 80 }] });
  t.same(behind(chosen, ending).targets, [['10.244.1.5:80']], 'a pod that is being deleted');
  const dead = { ...ending, status: { conditions: [{ type: 'Ready', status: 'False' }] } };
  t.same(behind(chosen, dead).targets, [[]]);
});

t.test("both families stand side by side; an address that is a pod's is where the pod is", async (t) => {
  const model = modelOf(
    hosta,
    hostb,
    service('web', { clusterIP: 'None', ports: [{ port: 80 }] }),
    endpointSlice('v6', 'web', {
      addressType: 'IPv6',
      endpoints: [{ addresses: ['fd00:10:244:2::5'] }, { addresses: ['fd00:10:244:1::5'], nodeName: 'x' }],
      ports: [{ port: 80 }],
    }),
    endpointSlice('v4', 'web', { endpoints: [{ addresses: ['10.244.2.5'] }], ports: [{ port: 80 }] }),
    pod('p', { ip: '10.244.2.5', node: 'hostb' }),
  );
  const [port] = model.services.get('default/web')?.ports ?? [];
  t.same(
    port?.targets.map((e) => [formatAddress(e.address), e.nodeName]),
    [
      ['10.244.2.5', 'hostb'],
      ['fd00:10:244:1::5', 'x'],
      ['fd00:10:244:2::5', undefined],
    ],
  );
});

t.test('SCTP is not carried and said; the other ports are served', async (t) => {
  const ports = [
    { name: 'a', port: 80 },
    { name: 'b', port: 90, protocol: 'SCTP' },
  ];
  const objects = [service('web', { selector: web, ports }), pod('a', { ip: '10.244.1.5', labels: web })];
  t.same(behind(...objects).targets, [['10.244.1.5:80']]);
  t.same(
    modelOf(hosta, ...objects).problems.map((p) => p.message),
    ['Service default/web: spec.ports[1].protocol: SCTP is not carried: port 90 is not served'],
  );
});

t.test('weights of pods', async (t) => {
  const heavy = pod('a', { ip: '10.244.1.5', labels: web });
  heavy.metadata.annotations = { ...heavy.metadata.annotations, 'weft.dev/weight': '3' };
  const objects = [
    hosta,
    heavy,
    pod('b', { ip: '10.244.1.6', labels: web }),
    service('web', { selector: web, ports: [{ port: 80 }] }),
  ];
  const targetRef = (name: string) => ({ kind: 'Pod', namespace: 'default', name });
  const slice = endpointSlice('web-1', 'web', {
    endpoints: [
      { addresses: ['10.244.1.5'], targetRef: targetRef('a') },
      { addresses: ['10.244.1.6'], targetRef: targetRef('b') },
    ],
    ports: [{ name: '', port: 80, protocol: 'TCP' }],
  });
  for (const all of [objects, [...objects, slice]]) {
    const [port] = modelOf(...all).services.get('default/web')?.ports ?? [];
    t.same(
      port?.targets.map((e) => e.weight),
      [3, undefined],
      'also where a slice names the pods',
    );
  }
});
