/** The zone, whose names are written out when they are asked for, beside one that is written out at once. */
import t from 'tap';
import type { ClusterRecords, EndpointEntry, PortEntry, ServiceEntry } from '../../src/dns/cluster-records.ts';
import { RCODE, TYPE } from '../../src/dns/codes.ts';
import type { PodNames } from '../../src/dns/pod-records.ts';
import { buildZone } from '../../src/dns/zone.ts';
import { zoneChange } from '../../src/dns/zone-change.ts';
import { randomFrom } from './mutate.ts';
import { naiveNames } from './naive-zone.ts';
import { ask, data, ip, prefix, sampleRecords } from './sample-cluster.ts';

const options = { domain: 'cluster.local', address: ip('10.96.0.10'), serial: 7 };
const CLUSTERS = 60;

function randomRecords(seed: number): ClusterRecords {
  const random = randomFrom(seed);
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
  const namespaces = ['default', 'shop', 'kube-system'];
  const address = () =>
    ip(random(4) === 0 ? `fd00:10:244::${(1 + random(40)).toString(16)}` : `10.244.${random(3)}.${random(12)}`);
  const port = (): PortEntry => ({
    name: pick(['', 'http', 'DNS', 'sql']),
    protocol: pick(['TCP', 'UDP'] as const),
    port: pick([53, 80, 5432]),
  });
  const list = <T>(make: () => T, most: number): T[] => Array.from({ length: random(most + 1) }, make);
  const endpoint = (): EndpointEntry => ({
    address: address(),
    ...(random(3) === 0 ? { hostname: pick(['db-0', 'db-1', 'Web']) } : {}),
    ports: list(port, 2),
  });
  const services = new Map<string, ServiceEntry>();
  for (let i = random(12); i >= 0; i--) {
    const namespace = pick(namespaces);
    const name = pick(['web', 'db', 'api', 'a', 'svc', 'pod', '_tcp']);
    const kind = random(6);
    services.set(`${namespace}/${name}`, {
      namespace,
      name,
      clusterIps: kind < 3 ? [ip(`10.96.0.${random(20)}`), ...list(() => ip('fd00:10:96::9'), 1)] : [],
      headless: kind === 3 || kind === 4,
      ...(kind === 5 ? { externalName: pick(['www.Example.com.', 'web.default.svc.cluster.local', 'a..b']) } : {}),
      ports: list(port, 3),
      endpoints: list(endpoint, 4),
    });
  }
  const pods = list(
    () => ({
      namespace: pick(namespaces),
      name: `p${random(1000)}`,
      address: address(),
      ...(random(5) === 0 ? { hostNetwork: true } : {}),
    }),
    10,
  );
  return {
    namespaces,
    services: [...services.values()],
    pods,
    reverse: [prefix('10.244.0.0/16'), prefix('fd00::/16')],
  };
}

t.test('says of every name what the simple one says', async (t) => {
  for (let seed = 1; seed <= CLUSTERS; seed++) {
    const records = seed === 1 ? sampleRecords : randomRecords(seed);
    const expected = naiveNames(records, options);
    const zone = buildZone(records, options);
    const wrong = [...expected.keys()].filter((key) => {
      if (/^(in-addr\.|ip6\.)?arpa$/.test(key)) return false;
      return JSON.stringify(zone.names.get(key)) !== JSON.stringify(expected.get(key));
    });
    t.strictSame(wrong, [], `cluster ${seed}`);
    const more = [...zone.names].filter(([key, list]) => list.length > 0 && !expected.has(key));
    t.strictSame(more, [], 'and knows no other');
    const listed = new Map(zone.names);
    const missing = [...expected].filter(([key, list]) => list.length > 0 && listed.get(key)?.length !== list.length);
    t.strictSame(missing, [], 'and lists them all');
    for (const key of [
      'x.default.svc',
      'default',
      'svc',
      'x',
      'web.svc',
      '1-2-3-4.default.pod',
      'a.pod',
      'web.default.pod',
    ]) {
      const name = `${key}.cluster.local`;
      t.strictSame(zone.names.get(name), expected.get(name), name);
    }
    for (const key of ['9.9.244.10.in-addr.arpa', '9.244.10.in-addr.arpa', '0.0.d.f.ip6.arpa', '1.0.d.f.ip6.arpa']) {
      t.strictSame(zone.names.get(key), expected.get(key), key);
    }
  }
});

t.test('names of pods: none, any address, those of pods that exist', async (t) => {
  const found = (podNames: PodNames, label: string, type: number) => {
    const zone = buildZone(sampleRecords, { ...options, podNames });
    const { rcode, answers } = ask(`${label}.pod`, type, zone);
    return rcode === RCODE.noError ? data(answers) : rcode;
  };
  const [exists, other] = ['10-244-1-5.default', '10-244-77-77.default'];
  t.strictSame(found('verified', exists, TYPE.a), ['10.244.1.5']);
  t.equal(found('verified', other, TYPE.a), RCODE.nxDomain);
  t.strictSame(found('insecure', other, TYPE.a), ['10.244.77.77']);
  t.strictSame(found('insecure', other, TYPE.aaaa), []);
  t.strictSame(found('insecure', 'fd00-244--77.kube-system', TYPE.aaaa), ['fd00:244::77']);
  for (const label of ['10-244-77-77.nowhere', '10-244-077-77.default', '10-244-77-256.default', 'x.default']) {
    t.equal(found('insecure', label, TYPE.a), RCODE.nxDomain, label);
  }
  t.equal(found('disabled', exists, TYPE.a), RCODE.nxDomain);
  const disabled = buildZone(sampleRecords, { ...options, podNames: 'disabled' });
  t.equal(ask('1.9.244.10.in-addr.arpa.', TYPE.ptr, disabled).rcode, RCODE.nxDomain, 'nor a name of its address');
  t.equal(ask('pod', TYPE.a, disabled).rcode, RCODE.noError);
});

t.test('what a change changes', async (t) => {
  const before = buildZone(sampleRecords, options);
  t.equal(zoneChange(before, buildZone(structuredClone(sampleRecords), options)), undefined, 'nothing');
  const [web, ...others] = sampleRecords.services as [ServiceEntry, ...ServiceEntry[]];
  const moved = { ...sampleRecords, services: [{ ...web, clusterIps: [ip('10.96.0.99')] }, ...others] };
  const change = zoneChange(before, buildZone(moved, options));
  t.equal(change?.('web.default'), true);
  t.equal(change?.('db.default'), false, 'and none of the others');
  t.equal(change?.(''), true, 'addresses have other names now');
  const gone = zoneChange(before, buildZone({ ...sampleRecords, services: others }, options));
  t.equal(gone?.('web.default'), true);
  t.equal(before.sourceOf('_http._tcp.web.default.svc.cluster.local'), 'web.default');
  t.equal(before.sourceOf('5.1.244.10.in-addr.arpa'), '');
});

t.test('10,000 services hold nobody up', async (t) => {
  const ports: PortEntry[] = [1, 2, 3, 4].map((port) => ({ name: `p${port}`, protocol: 'TCP', port }));
  const services = Array.from(
    { length: 10_000 },
    (_, i): ServiceEntry => ({
      namespace: 'default',
      name: `s${i}`,
      clusterIps: [ip(`10.96.${i >> 8}.${i & 255}`)],
      headless: false,
      ports,
      endpoints: [{ address: ip(`10.244.${i >> 8}.${i & 255}`), ports }],
    }),
  );
  const records = { ...sampleRecords, services };
  let before = buildZone(records, options);
  // The best of some: the test's machine is not its own.
  let best = Infinity;
  for (let n = 0; n < 8; n++) {
    const [first, ...rest] = structuredClone(services);
    const next = { ...records, services: [{ ...(first as ServiceEntry), headless: n % 2 === 0 }, ...rest] };
    const began = performance.now();
    const zone = buildZone(next, options);
    const change = zoneChange(before, zone);
    best = Math.min(best, performance.now() - began);
    t.equal(change?.('s1.default'), false);
    before = zone;
  }
  t.ok(best < 50, `${best.toFixed(1)} ms for a change`);
});
