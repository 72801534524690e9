/** Node ports: the same on every host, no two services with one, the written ones first. */
import fc from 'fast-check';
import t from 'tap';
import { parsePortRange } from '../../src/control/node-ports.ts';
import type { Service } from '../../src/kube/objects.ts';
import { messagesOf, modelWith, service } from './sample-objects.ts';

function portsOf(settings: { nodePortRange?: string }, ...services: Service[]) {
  const model = modelWith(settings, ...services);
  const ports: Record<string, (number | undefined)[]> = {};
  for (const { name, ports: list } of model.services.values()) ports[name] = list.map((p) => p.nodePort);
  return { ports, said: messagesOf(model) };
}

const nodePort = (name: string, ...written: (number | undefined)[]) =>
  service(name, {
    type: 'NodePort',
    ports: written.map((port, i) => ({ name: `p${i}`, port: 80 + i, ...(port ? { nodePort: port } : {}) })),
  });

t.test('by hash of the name, TCP and UDP of one port alike', async (t) => {
  const both = service('dns', {
    type: 'NodePort',
    ports: [
      { name: 't', port: 53 },
      { name: 'u', port: 53, protocol: 'UDP' },
      { name: 's', port: 53, protocol: 'SCTP' },
    ],
  });
  const { ports } = portsOf({}, both, service('plain', { ports: [{ port: 80 }] }), nodePort('web', undefined));
  // Every host and every version must come to these.
  t.same(ports, { dns: [30_979, 30_979], plain: [undefined], web: [31_414] });
});

t.test('written ports first; a second owner is named with the first', async (t) => {
  const taken = portsOf({}, nodePort('a', undefined)).ports.a?.[0];
  const { ports, said } = portsOf({}, nodePort('a', undefined), nodePort('b', taken), nodePort('c', 30_080, taken));
  t.not(ports.a?.[0], taken, 'who wrote it has it');
  t.same(ports.b, [taken]);
  t.same(ports.c, [30_080, undefined], 'the other ports of the loser are opened');
  t.same(said, [
    `Service default/c: spec.ports[1].nodePort: ${taken}/TCP is already that of Service default/b: not opened`,
  ]);
});

t.test('the range', async (t) => {
  const { ports, said } = portsOf(
    { nodePortRange: '4000-4001' },
    nodePort('a', 30_080),
    nodePort('b', undefined, 0, 0),
  );
  t.same(ports.a, [undefined]);
  t.same([...(ports.b ?? [])].sort(), [4000, 4001, undefined]);
  t.match(said, [
    /Service default\/a: spec.ports\[0\].nodePort: 30080 is outside the node ports 4000-4001 \(--service-node-port-range\)/,
    /Service default\/b: spec.ports\[\d\].nodePort: no port is free in 4000-4001: not opened/,
  ]);
  t.same(parsePortRange('1-65535'), { first: 1, last: 65_535 });
  for (const bad of ['', '30000', '30000-', '5-4', '0-9', '1-65536', '1 - 2', '-1-2']) {
    t.equal(parsePortRange(bad), undefined, bad);
  }
  t.throws(() => modelWith({ nodePortRange: '9' }), {
    code: 'WEFT_SETTINGS',
    message: /^nodePortRange: 9 is no range/,
  });
});

t.test('LoadBalancers have node ports unless they say not, and a health check where the policy is Local', async (t) => {
  const balancer = (name: string, spec: Partial<Service['spec']>) =>
    service(name, { type: 'LoadBalancer', loadBalancerIP: '192.0.2.1', ports: [{ port: 80 }], ...spec });
  const only = (spec: Partial<Service['spec']>) => modelWith({}, balancer('lb', spec)).services.get('default/lb');
  t.type(only({})?.ports[0]?.nodePort, 'number');
  t.equal(only({})?.healthCheckNodePort, undefined);
  t.equal(only({ allocateLoadBalancerNodePorts: false })?.ports[0]?.nodePort, undefined);
  const written = { allocateLoadBalancerNodePorts: false, ports: [{ port: 80, nodePort: 30_080 }] };
  t.equal(only(written)?.ports[0]?.nodePort, 30_080);
  const local = only({ externalTrafficPolicy: 'Local' });
  t.type(local?.healthCheckNodePort, 'number');
  t.not(local?.healthCheckNodePort, local?.ports[0]?.nodePort);
  const fixed = { externalTrafficPolicy: 'Local', healthCheckNodePort: 30_500 } as const;
  t.equal(only(fixed)?.healthCheckNodePort, 30_500);
  t.match(messagesOf(modelWith({}, balancer('lb', fixed), nodePort('a', 30_500))), [
    /Service default\/lb: spec.healthCheckNodePort: 30500\/TCP is already that of Service default\/a/,
  ]);
});

t.test('any order of services gives the same, and no port twice', async () => {
  const wish = fc.record({ n: fc.nat(60), written: fc.option(fc.nat(30), { nil: undefined }) });
  fc.assert(
    fc.property(fc.uniqueArray(wish, { maxLength: 40, selector: (w) => w.n }), fc.nat(), (wishes, turn) => {
      const services = wishes.map(({ n, written }) =>
        nodePort(`s${n}`, written === undefined ? undefined : 30_000 + written),
      );
      const other = [
        ...services.slice(turn % (services.length + 1)),
        ...services.slice(0, turn % (services.length + 1)),
      ];
      const settings = { nodePortRange: '30000-30031' };
      const one = portsOf(settings, ...services);
      const given = Object.values(one.ports).flatMap(([port]) => port ?? []);
      return (
        JSON.stringify(one) === JSON.stringify(portsOf(settings, ...other)) && new Set(given).size === given.length
      );
    }),
    { seed: 8 },
  );
});
