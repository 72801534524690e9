/** What the compose lab's files promise: both versions of compose read them, and hosts and manifests agree. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { parseManifest } from '../../src/kube/manifest.ts';
import { parseLabFile } from '../../src/lab/lab-file.ts';
import { resolveTopology } from '../../src/lab/topology.ts';
import { ROOT } from '../house/rooms.ts';
import { logComplaints } from './checks.ts';

interface Service {
  hostname: string;
  profiles?: string[];
  privileged?: boolean;
  cap_add: string[];
  devices: string[];
  networks: { underlay: { ipv4_address: string } };
}

const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
const compose = parse(read('docker-compose.yml'), { merge: true }) as Record<string, Record<string, Service>>;
const services = Object.values(compose['services'] ?? {});

t.test('only words that docker-compose 1.29 and Compose v2 share', async (t) => {
  t.same(Object.keys(compose).sort(), ['networks', 'services', 'x-host']);
  t.notMatch(read('Dockerfile'), /^# syntax=|<<EOF|--mount=/m, 'an engine without BuildKit builds it');
});

t.test('hosts are allowed what they need and no more', async (t) => {
  for (const service of services) {
    t.equal(service.privileged, undefined);
    t.same(service.cap_add, ['NET_ADMIN', 'SYS_ADMIN', 'NET_RAW']);
    t.same(service.devices, ['/dev/net/tun']);
  }
});

t.test('the N-th host has the N-th address, and is there when WEFT_HOSTS is N or more', async (t) => {
  t.equal(services.length, 8);
  services.forEach(({ hostname, networks, profiles }, i) => {
    t.equal(hostname, `host${'abcdefgh'[i]}`);
    t.match(networks.underlay.ipv4_address, new RegExp(`^\\$\\{WEFT_NETWORK:-172\\.31\\.0\\}\\.${11 + i}$`));
    const counts = Array.from({ length: 8 - i }, (_, n) => `hosts-${i + 1 + n}`);
    t.same(profiles, i < 3 ? undefined : counts);
  });
});

t.test('with IPv6 every host has the address that its Node names', async (t) => {
  const six = parse(read('compose/ipv6.yml'), { merge: true }) as {
    services: Record<
      string,
      { environment: { WEFT_UNDERLAY6: string }; networks: { underlay: Record<string, string> } }
    >;
    networks: { underlay: { ipam: { config: { subnet: string }[] } } };
  };
  const subnet = six.networks.underlay.ipam.config[1]?.subnet ?? '';
  const file = `underlay: {cidr: 172.31.0.0/24, cidr6: "${subnet}"}`;
  const { hosts } = resolveTopology(parseLabFile(file, 'f').lab, { hosts: 8 }).topology;
  t.same(
    Object.keys(six.services),
    services.map(({ hostname }) => hostname),
  );
  Object.values(six.services).forEach(({ environment, networks }, i) => {
    t.equal(environment.WEFT_UNDERLAY6, subnet);
    t.equal(networks.underlay.ipv6_address, hosts[i]?.address6);
  });
  const onIpv4 = resolveTopology(parseLabFile('underlay: {family: ipv4}', 'f').lab, { hosts: 1 }).topology.hosts[0];
  t.match(onIpv4, { address6: undefined, podCidr6: 'fd00:10:244:1::/64' }, "pods' IPv6 needs none of the underlay");
});

t.test('the mounted manifests are the example', async (t) => {
  const objects = (file: string) => parseManifest(read(file), file).objects.map(({ object }) => object);
  t.same(objects('compose/manifests/web.yaml'), objects('examples/default/web.yaml'));
});

t.test('a log that says too little, or too much, is noticed', async (t) => {
  const hosts = ['hosta', 'hostb'];
  const silent = 'warn host hosta: Node hostb (172.31.0.12) does not answer: check';
  const gone = 'warn host hostb: the InternalIP 172.31.0.12 has left this host: its pods';
  const good = [
    [silent, `solved: ${silent}`],
    [gone, `solved: ${gone}`],
  ];
  t.same(logComplaints(hosts, good), []);
  t.same(logComplaints(hosts, [[silent, silent], good[1] ?? []]), [
    'hosta told of it 2 times',
    'hosta told of its end 0 times',
  ]);
  t.same(logComplaints(hosts, [good[0] ?? [], [gone, `solved: ${gone}`, ...new Array(20).fill('no route')]]), [
    'hostb logged 22 lines',
  ]);
});
