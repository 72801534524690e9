/** Addresses outside of the cluster's ranges: externalIPs and LoadBalancers, out of the pool and written down. */
import fc from 'fast-check';
import t from 'tap';
import { parsePool, poolAddress, poolOffsets, poolSize } from '../../src/control/load-balancer-pool.ts';
import type { Service } from '../../src/kube/objects.ts';
import { formatAddress, parseAddress, type Words } from '../../src/wire/address.ts';
import { formatPrefix } from '../../src/wire/prefix.ts';
import { hosta, messagesOf, modelWith, service } from './sample-objects.ts';

const POOL = { loadBalancerPool: '172.31.0.200-172.31.0.209,fd00:31::/120' };
const ports = [{ port: 80 }];
const balancer = (name: string, spec: Partial<Service['spec']> = {}) =>
  service(name, { type: 'LoadBalancer', ports, ...spec });

function addressesOf(settings: { loadBalancerPool?: string }, ...services: Service[]) {
  const model = modelWith(settings, hosta, ...services);
  const ips: Record<string, string[]> = {};
  for (const s of model.services.values()) ips[s.name] = [...s.loadBalancerIps, ...s.externalIps].map(formatAddress);
  return { ips, said: messagesOf(model) };
}

t.test('out of the pool by hash, of each family that the service has', async (t) => {
  const both = balancer('both', { ipFamilyPolicy: 'PreferDualStack' });
  const { ips, said } = addressesOf(POOL, balancer('web'), both, service('plain', { ports }));
  // Every host and every version must come to these.
  t.same(ips, { web: ['172.31.0.202'], both: ['172.31.0.205', 'fd00:31::2d'], plain: [] });
  t.same(said, []);
});

t.test('written ones go before: the status, then the wish; a second owner is named with the first', async (t) => {
  const ingress = (ip: string, more = {}) => ({ status: { loadBalancer: { ingress: [{ ip, ...more }] } } });
  const observed = { ...balancer('observed', { loadBalancerIP: '172.31.0.201' }), ...ingress('172.31.0.202') };
  const proxied = { ...balancer('proxied'), ...ingress('192.0.2.77', { ipMode: 'Proxy' }) };
  const { ips, said } = addressesOf(
    POOL,
    balancer('web'),
    observed,
    balancer('wish', { loadBalancerIP: '192.0.2.9' }),
    balancer('zrival', { loadBalancerIP: '192.0.2.9' }),
    proxied,
  );
  t.same(ips.observed, ['172.31.0.202']);
  t.not(ips.web?.[0], '172.31.0.202', 'who would have it by hash gets another');
  t.same(ips.wish, ['192.0.2.9'], 'the pool need not have it');
  t.match(ips.proxied?.[0], /^172\.31\.0\.20\d$/, 'what a proxy answers is not ours');
  t.match(said, [
    /^Service default\/zrival: spec.loadBalancerIP: 192.0.2.9 is already the address of Service default\/wish: not served/,
  ]);
});

t.test("an address that no host can have is nobody's", async (t) => {
  for (const ip of ['127.0.0.1', '169.254.96.1', '224.0.0.1', '0.0.0.0', '::1', 'fe80::1']) {
    const { ips, said } = addressesOf({}, balancer('web', { loadBalancerIP: ip }));
    t.same(ips.web, [], ip);
    t.match(said.join(), /spec.loadBalancerIP: .* must not be a loopback, link-local, multicast/, ip);
  }
});

t.test('without a pool it says how to give one', async (t) => {
  const { ips, said } = addressesOf({}, balancer('web'), balancer('other', { loadBalancerClass: 'example.org/x' }));
  t.same(ips, { other: [], web: [] });
  t.match(said, [
    /Service default\/other: spec.loadBalancerClass: example.org\/x is none of ours/,
    /Service default\/web: spec.type: LoadBalancer has no address, for there is no pool: .*--load-balancer-pool/,
  ]);
  const full = addressesOf({ loadBalancerPool: '192.0.2.1-192.0.2.2' }, ...['a', 'b', 'c'].map((n) => balancer(n)));
  t.match(full.said, [/spec.type: LoadBalancer has no address, for no address of its families is free/]);
});

t.test('addresses of hosts are never given out', async (t) => {
  const { ips } = addressesOf({ loadBalancerPool: '172.31.0.11-172.31.0.12' }, balancer('a'), balancer('b'));
  t.same(Object.values(ips).sort(), [[], ['172.31.0.12']]);
});

t.test('externalIPs may be shared, their ports not', async (t) => {
  const external = (name: string, port: number, ...externalIPs: string[]) =>
    service(name, { ports: [{ port }], externalIPs });
  const { ips, said } = addressesOf(
    POOL,
    external('a', 80, '192.0.2.1', '172.31.0.11'),
    external('b', 81, '192.0.2.1'),
    external('c', 80, '192.0.2.1', '192.0.2.2'),
    external('d', 80, '10.96.3.4', '10.244.3.4'),
    service('headless', { clusterIP: 'None', externalIPs: ['192.0.2.5'] }),
  );
  t.same(ips, { a: ['192.0.2.1', '172.31.0.11'], b: ['192.0.2.1'], c: ['192.0.2.2'], d: [], headless: [] });
  t.same(said, [
    'Service default/c: spec.externalIPs[0]: 192.0.2.1 port 80/TCP is already that of Service default/a: not served',
    'Service default/d: spec.externalIPs[0]: 10.96.3.4 is inside 10.96.0.0/16 of pods or services: not served',
    'Service default/d: spec.externalIPs[1]: 10.244.3.4 is inside 10.244.0.0/16 of pods or services: not served',
  ]);
});

t.test('source ranges', async (t) => {
  const model = modelWith(POOL, balancer('web', { loadBalancerSourceRanges: ['192.0.2.0/24', 'fd00::/8'] }));
  const ranges = model.services.get('default/web')?.loadBalancerSources.map(formatPrefix);
  t.same(ranges, ['192.0.2.0/24', 'fd00::/8']);
});

t.test('pools', async (t) => {
  const sizes = (text: string) => {
    const pool = parsePool(text);
    return typeof pool === 'string' ? pool : [poolSize(pool.v4), poolSize(pool.v6)];
  };
  t.same(sizes(''), [0, 0]);
  t.same(sizes('192.0.2.0/24'), [254, 0], 'without network and broadcast address');
  t.same(sizes('192.0.2.0/31, 192.0.2.9/32,192.0.2.10'), [4, 0]);
  t.same(sizes('fd00::/120,fd00:1::5-fd00:1::9'), [0, 261]);
  t.same(sizes('fd00::/64'), [0, 2 ** 32]);
  for (const bad of ['x', '192.0.2.0/33', '192.0.2.9-192.0.2.1', '192.0.2.1-fd00::1', 'fd00::1-fd01::1', '1.2.3.4-5']) {
    t.equal(parsePool(`192.0.2.0/24,${bad}`), bad);
  }
  const pool = parsePool('192.0.2.0/30,192.0.2.2-192.0.2.5');
  if (typeof pool === 'string') throw new Error(pool);
  t.same(
    [0, 1, 2, 5].map((offset) => formatAddress(poolAddress(pool.v4, offset))),
    ['192.0.2.1', '192.0.2.2', '192.0.2.2', '192.0.2.5'],
  );
  t.same(poolOffsets(pool.v4, parseAddress('192.0.2.2') as Words), [1, 2], 'ranges that overlap');
  t.throws(() => poolAddress(pool.v4, 6), RangeError);
  t.throws(() => modelWith({ loadBalancerPool: 'x' }), { code: 'WEFT_SETTINGS', message: /^loadBalancerPool: x is/ });
  t.throws(() => modelWith({ loadBalancerPool: '10.95.0.0-10.96.1.0' }), { message: /overlaps 10.96.0.0\/16/ });
});

t.test('any order of services gives the same, and no address twice', async () => {
  const wish = fc.record({ n: fc.nat(40), ip: fc.option(fc.nat(12), { nil: undefined }), external: fc.boolean() });
  fc.assert(
    fc.property(fc.uniqueArray(wish, { maxLength: 16, selector: (w) => w.n }), fc.nat(), (wishes, turn) => {
      const services = wishes.map(({ n, ip, external }) => {
        const text = ip === undefined ? undefined : `172.31.0.${200 + ip}`;
        if (external && text) return service(`s${n}`, { ports, externalIPs: [text] });
        return balancer(`s${n}`, text ? { loadBalancerIP: text } : {});
      });
      const other = [
        ...services.slice(turn % (services.length + 1)),
        ...services.slice(0, turn % (services.length + 1)),
      ];
      const one = addressesOf(POOL, ...services);
      const given = Object.values(one.ips).flat();
      return (
        JSON.stringify(one) === JSON.stringify(addressesOf(POOL, ...other)) && new Set(given).size === given.length
      );
    }),
    { seed: 9 },
  );
});
