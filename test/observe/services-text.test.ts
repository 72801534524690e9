/** What people read of services. */
import { stripVTControlCharacters } from 'node:util';
import t from 'tap';
import type { EndpointReport, PortReport, ServiceReport } from '../../src/agent/host/service-report.ts';
import { serviceDetailText, servicesText } from '../../src/observe/services-text.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');

const endpoint = (address: string, change: Partial<EndpointReport> = {}): EndpointReport => ({
  address,
  pod: 'default/web-0',
  node: 'hosta',
  state: 'ready',
  connections: 10,
  active: 1,
  failures: 0,
  ejections: 0,
  ejectedUntil: '',
  ...change,
});
const port = (change: Partial<PortReport> = {}): PortReport => ({
  name: 'http',
  protocol: 'TCP',
  port: 80,
  nodePort: 0,
  endpoints: [endpoint('10.244.1.5:80')],
  relays: [],
  ...change,
});
const service = (change: Partial<ServiceReport> = {}): ServiceReport => ({
  namespace: 'default',
  name: 'web',
  type: 'ClusterIP',
  headless: false,
  clusterIps: ['10.96.0.50'],
  externalIps: [],
  externalName: '',
  mode: 'failover',
  ports: [port()],
  problems: [],
  ...change,
});
const lines = (text: string) => stripVTControlCharacters(text).split('\n');

t.test('all of them', async (t) => {
  const node = service({
    ...{ name: 'shop', type: 'LoadBalancer', externalIps: ['192.0.2.9'], mode: 'ipvs:wlc' },
    ports: [port({ nodePort: 30_080 }), port({ port: 53, protocol: 'UDP', endpoints: [] })],
    problems: ['Service default/shop: port 53/UDP has no endpoint: …'],
  });
  const name = service({
    ...{ name: 'far', type: 'ExternalName', clusterIps: [], externalName: 'example.com', mode: '', ports: [] },
  });
  t.same(lines(servicesText([service(), node, name])), [
    'SERVICE       TYPE          CLUSTER-IP  EXTERNAL-IP  PORTS                MODE      ENDPOINTS  CONNECTIONS  ACTIVE',
    'default/web   ClusterIP     10.96.0.50  none         80/TCP               failover  1          10           1',
    'default/shop  LoadBalancer  10.96.0.50  192.0.2.9    80:30080/TCP,53/UDP  ipvs:wlc  none       10           1',
    'default/far   ExternalName  none        example.com                                            0            0',
    '',
    'PROBLEMS',
    'Service default/shop: port 53/UDP has no endpoint: …',
  ]);
  t.equal(servicesText([]), 'There are no services.');
});

t.test('one of them', async (t) => {
  const endpoints = [
    endpoint('10.244.1.5:80'),
    endpoint('10.244.2.5:80', { pod: '', failures: 3, ejections: 1, ejectedUntil: '2026-01-01T00:00:01.500Z' }),
    endpoint('10.244.2.6:80', { state: 'ending', ejectedUntil: '2025-12-31T00:00:00Z' }),
  ];
  const relays = [{ address: '10.244.1.1:40001', accepted: 20, active: 1, moved: 2, failed: 0, limited: 0 }];
  const told = service({ mode: 'userspace', ports: [port({ endpoints, relays }), port({ port: 81, endpoints: [] })] });
  t.same(lines(serviceDetailText([told], NOW)), [
    'SERVICE    default/web',
    'type       ClusterIP',
    'addresses  10.96.0.50',
    'mode       userspace',
    'ports      80/TCP, 81/TCP',
    '',
    'PORT    ENDPOINT       POD            NODE   CONNECTIONS  ACTIVE  FAILURES  LEFT OUT',
    '80/TCP  10.244.1.5:80  default/web-0  hosta  10           1       0         0',
    '        10.244.2.5:80                 hosta  10           1       3         1         for 2 s more',
    '        10.244.2.6:80  default/web-0  hosta  10           1       0         0         ending',
    '81/TCP  none',
    '',
    'PORT    RELAYED BY        ACCEPTED  ACTIVE  MOVED  FAILED  TURNED AWAY',
    '80/TCP  10.244.1.1:40001  20        1       2      0       0',
  ]);
});

t.test('one that was refused', async (t) => {
  const told = service({
    name: 'x',
    type: '',
    clusterIps: [],
    mode: '',
    ports: [],
    problems: ['Service default/x: …'],
  });
  t.same(lines(serviceDetailText([told], NOW)), [
    'SERVICE  default/x',
    'type     refused',
    '',
    'PROBLEMS',
    'Service default/x: …',
  ]);
  t.match(lines(servicesText([told]))[1], /^default\/x  refused +none +none/);
});
