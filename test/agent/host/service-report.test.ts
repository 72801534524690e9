/** What a host says of its services: counts of all their addresses, who stands behind them, what is wrong. */
import t from 'tap';
import { type ReportParts, serviceReports } from '../../../src/agent/host/service-report.ts';
import { compile, emptyMemory } from '../../../src/control/compile.ts';
import { buildModel } from '../../../src/control/model-builder.ts';
import { DEFAULT_PROXY } from '../../../src/control/service-mode.ts';
import { type KubeObject, objectSet } from '../../../src/kube/objects.ts';
import { endpointSlice, endpoints, HOST, hosta, hostb, pod, SETTINGS, service } from '../../control/sample-objects.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');

function report(objects: KubeObject[], change: (parts: ReportParts) => Partial<ReportParts> = () => ({})) {
  const set = objectSet([hosta, hostb, ...objects]);
  const model = buildModel(set, SETTINGS);
  const { memory, problems } = compile(model, HOST, emptyMemory());
  const parts: ReportParts = {
    model,
    objects: set,
    problems: [...model.problems, ...problems],
    node: 'hosta',
    defaults: DEFAULT_PROXY,
    compiled: memory.services,
    counters: {},
    relay: new Map(),
    nowMs: NOW,
    names: [],
  };
  return serviceReports({ ...parts, ...change(parts) });
}

const labels = { app: 'web' };
const two = [pod('a', { ip: '10.244.1.5', labels }), pod('b', { ip: '10.244.2.5', labels, node: 'hostb' })];

t.test('who stands behind it, and the counts of all addresses together', async (t) => {
  const web = service('web', {
    type: 'NodePort',
    clusterIP: '10.96.0.50',
    selector: labels,
    ports: [{ name: 'http', port: 80, targetPort: 8080, nodePort: 30_080 }],
  });
  const [told] = report([web, ...two], ({ compiled }) => {
    const idsOf = (address: string) =>
      [...compiled.values()].flatMap((memory) =>
        memory.endpoints.filter(
          (e) => (e.address[3] & 0xff) === 5 && ((e.address[3] >>> 8) & 0xff) === Number(address),
        ),
      );
    t.ok(idsOf('1').length > 1, 'its cluster address and its node port count by themselves');
    const counters = Object.fromEntries([
      ...idsOf('1').map((e) => [e.id, { begun: 10, active: 2, failures: 0, ejections: 0, ejectedForMs: 0 }]),
      ...idsOf('2').map((e, i) => [
        e.id,
        { begun: 3, active: 0, failures: 3, ejections: 1, ejectedForMs: i === 0 ? 2000 : 0 },
      ]),
    ]);
    return { counters };
  });
  const addresses = told?.ports[0]?.endpoints[0]?.connections ?? 0;
  t.equal(addresses % 10, 0);
  t.match(told, {
    namespace: 'default',
    name: 'web',
    type: 'NodePort',
    clusterIps: ['10.96.0.50'],
    mode: 'failover',
    problems: [],
    ports: [
      {
        name: 'http',
        protocol: 'TCP',
        port: 80,
        nodePort: 30_080,
        relays: [],
        endpoints: [
          {
            address: '10.244.1.5:8080',
            pod: 'default/a',
            node: 'hosta',
            state: 'ready',
            failures: 0,
            ejectedUntil: '',
          },
          { address: '10.244.2.5:8080', pod: 'default/b', node: 'hostb', ejectedUntil: '2026-01-01T00:00:02.000Z' },
        ],
      },
    ],
  });
});

t.test('modes', async (t) => {
  const moded = (name: string, mode: string) => {
    const object = service(name, { ports: [{ port: 80 }] });
    return { ...object, metadata: { ...object.metadata, annotations: { 'weft.dev/proxy-mode': mode } } };
  };
  const headless = service('none', { clusterIP: 'None', ports: [{ port: 80 }] });
  const all = [moded('a', 'iptables'), moded('b', 'ipvs:mh'), moded('c', 'userspace'), headless];
  t.same(
    report(all).map(({ name, mode }) => `${name} ${mode}`),
    ['a iptables', 'b ipvs:mh', 'c userspace', 'none '],
  );
  const local = moded('d', 'userspace');
  local.spec.internalTrafficPolicy = 'Local';
  t.equal(report([local])[0]?.mode, 'failover', 'with a policy the dataplane serves by itself');
});

t.test("the relay's counts are those of its endpoints", async (t) => {
  const web = service('web', { selector: labels, ports: [{ port: 80 }] });
  const counts = { accepted: 7, active: 1, moved: 0, failed: 0, limited: 0 };
  const target = { address: '10.244.1.5', port: 80 };
  const relay = new Map([
    [
      'default/web TCP/80',
      {
        ...{ key: 'default/web TCP/80', address: '10.244.1.1', port: 40_001, counts },
        endpoints: [{ target, counts: { connections: 7, active: 1, failures: 2 } }],
      },
    ],
  ]);
  const [told] = report([web, ...two], () => ({ relay }));
  t.match(told?.ports[0]?.endpoints[0], { address: '10.244.1.5:80', connections: 7, active: 1, failures: 2 });
  t.same(told?.ports[0]?.relays, [{ address: '10.244.1.1:40001', ...counts }]);
});

t.test('why something is not served', async (t) => {
  const problems = (...objects: KubeObject[]) => report(objects)[0]?.problems;
  t.same(problems(service('x', { selector: { app: 'none' }, ports: [{ port: 80 }] })), [
    'Service default/x: port 80/TCP has no endpoint: no pod in namespace default has the labels app=none',
  ]);
  t.match(problems(service('x', { ports: [{ port: 80, protocol: 'SCTP' }] })), [
    /Service default\/x: .*SCTP is not carried/,
  ]);
  t.match(problems(service('x', { clusterIP: '10.96.0.9', ports: [{ port: 80 }] }), endpoints('x', [])), [
    /name nobody/,
  ]);
  const fqdn = endpointSlice('x-1', 'x', { addressType: 'FQDN', endpoints: [] });
  t.match(problems(service('x', { ports: [{ port: 80 }] }), fqdn), [
    /EndpointSlice default\/x-1: addressType/,
    /name nobody/,
  ]);
  const elsewhere = service('x', { internalTrafficPolicy: 'Local', selector: labels, ports: [{ port: 80 }] });
  t.same(problems(elsewhere, two[1] as KubeObject), [
    'Service default/x: port 80/TCP: spec.internalTrafficPolicy: Local, and no endpoint is on hosta',
  ]);
  t.same(problems(elsewhere, ...two), []);
  t.same(problems(service('x', { type: 'ExternalName', externalName: 'example.com', ports: [{ port: 80 }] })), []);
});

t.test('those that are asked for', async (t) => {
  const all = ['a', 'b', 'ab'].map((name) => service(name, { ports: [{ port: 80 }] }));
  const named = (...names: string[]) => report(all, () => ({ names })).map(({ name }) => name);
  t.same(named(), ['a', 'ab', 'b']);
  t.same(named('b', 'default/ab'), ['ab', 'b']);
  t.same(named('other/a'), []);
});

t.test('a service that was refused is told of, not left out', async (t) => {
  const outside = service('x', { clusterIP: '192.0.2.1', ports: [{ port: 80 }] });
  const invalid = {
    place: 'f.yaml:1',
    message: 'Service default/y: spec.ports[0].port: must be an integer, not "80"',
    severity: 'error' as const,
  };
  const other = { ...invalid, message: 'Pod default/z: spec: …' };
  const told = report([outside], ({ problems }) => ({ problems: [...problems, invalid, other] }));
  t.match(told, [
    { namespace: 'default', name: 'x', type: '', ports: [], problems: [/spec\.clusterIP: 192\.0\.2\.1 is outside/] },
    { namespace: 'default', name: 'y', type: '', ports: [], problems: [`f.yaml:1: ${invalid.message}`] },
  ]);
  t.equal(told.length, 2);
});
