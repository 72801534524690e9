/** How a service is served: its annotations, the agent's defaults, and what userspace mode has in the tables. */
import t from 'tap';
import { compile, emptyMemory } from '../../src/control/compile.ts';
import type { ClusterModel } from '../../src/control/model.ts';
import { schedulerOf, writtenProxy } from '../../src/control/service-mode.ts';
import type { Service } from '../../src/kube/objects.ts';
import { find } from '../../src/tables/address-map.ts';
import { ENDPOINT, ENDPOINT_WORDS, SCHEDULER, SERVICE, SERVICE_WORDS, serviceKey } from '../../src/tables/services.ts';
import { formatAddress, parseAddress, type Words } from '../../src/wire/address.ts';
import { endpoints, HOST, hosta, modelOf, service } from './sample-objects.ts';

function moded(name: string, annotations: Record<string, string>, clusterIP: string): Service {
  const out = service(name, { clusterIP, ports: [{ port: 80 }] });
  return { ...out, metadata: { ...out.metadata, annotations } };
}

function compiled(model: ClusterModel, change: Partial<typeof HOST>, address: string) {
  const { services } = compile(model, { ...HOST, ...change }, emptyMemory()).tables;
  const [a, b, c, d] = parseAddress(address) as Words;
  const o = find(services.byKey, a, b, c, d, serviceKey(6, 80)) * SERVICE_WORDS;
  const first = services.services[o + SERVICE.first] as number;
  const count = services.services[o + SERVICE.count] as number;
  const ends = Array.from({ length: count }, (_, i) => {
    const e = (first + i) * ENDPOINT_WORDS;
    const words = [...services.endpoints.subarray(e, e + 4)] as unknown as Words;
    return `${formatAddress(words)}:${services.endpoints[e + ENDPOINT.port]}`;
  });
  const number = services.services[o + SERVICE.scheduler];
  return { scheduler: Object.entries(SCHEDULER).find(([, value]) => value === number)?.[0], ends: ends.sort() };
}

const two = (name: string) =>
  endpoints(name, [{ addresses: [{ ip: '10.244.2.7' }, { ip: '10.244.2.8' }], ports: [{ port: 8080 }] }]);

t.test('annotations go before the agent', async (t) => {
  const failover = { mode: 'failover', scheduler: 'rr' } as const;
  const of = (
    annotations: Record<string, string>,
    defaults: { mode: 'failover' | 'ipvs' | 'userspace'; scheduler: 'rr' | 'wlc' } = failover,
  ) => schedulerOf(writtenProxy(annotations), defaults);
  t.equal(of({}), 'failover');
  t.equal(of({ 'weft.dev/proxy-mode': 'iptables' }), 'random');
  t.equal(of({ 'weft.dev/proxy-mode': 'userspace' }), 'plain');
  t.equal(of({ 'weft.dev/proxy-mode': 'ipvs' }), 'rr');
  t.equal(of({ 'weft.dev/proxy-mode': 'ipvs:mh' }), 'mh');
  t.equal(of({ 'weft.dev/proxy-mode': 'ipvs', 'weft.dev/ipvs-scheduler': 'sed' }), 'sed');
  t.equal(of({ 'weft.dev/ipvs-scheduler': 'sed' }), 'failover', 'a scheduler alone changes no mode');
  t.equal(of({}, { mode: 'ipvs', scheduler: 'wlc' }), 'wlc');
  t.equal(of({ 'weft.dev/ipvs-scheduler': 'sed' }, { mode: 'ipvs', scheduler: 'wlc' }), 'sed');
  t.equal(of({ 'weft.dev/proxy-mode': 'failover' }, { mode: 'userspace', scheduler: 'rr' }), 'failover');
});

t.test('each service of the tables has its scheduler', async (t) => {
  const model = modelOf(hosta, moded('a', { 'weft.dev/proxy-mode': 'ipvs:lc' }, '10.96.0.50'), two('a'));
  t.same(compiled(model, {}, '10.96.0.50'), { scheduler: 'lc', ends: ['10.244.2.7:8080', '10.244.2.8:8080'] });
});

t.test("userspace mode leads to the relay's port on the gateway, or nowhere", async (t) => {
  const object = moded('a', { 'weft.dev/proxy-mode': 'userspace' }, '10.96.0.50');
  const proxyPorts = new Map([['default/a TCP/80', 40_001]]);
  const served = modelOf(hosta, object, two('a'));
  t.same(compiled(served, { proxyPorts }, '10.96.0.50'), { scheduler: 'plain', ends: ['10.244.1.1:40001'] });
  t.same(compiled(served, {}, '10.96.0.50').ends, [], 'no port could be opened: refused');
  t.same(compiled(modelOf(hosta, object), { proxyPorts }, '10.96.0.50').ends, [], 'nobody behind it: refused');
  const all = { proxy: { mode: 'userspace', scheduler: 'rr' } as const, proxyPorts };
  const plain = modelOf(hosta, moded('a', {}, '10.96.0.50'), two('a'));
  t.same(compiled(plain, all, '10.96.0.50').ends, ['10.244.1.1:40001'], 'as the agent is told');
});
