/** What the kernel is told for services that are reached from outside, as text; and what hosts are to do, as data. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { takenPorts } from '../../../src/agent/host/listening-ports.ts';
import { announceSysctls, routeChanges, routeLines } from '../../../src/agent/host/service-network.ts';
import { serviceRules } from '../../../src/agent/host/service-rules.ts';
import { type HostServices, NO_HOST_SERVICES } from '../../../src/control/host-services.ts';
import { parseAddress, type Words } from '../../../src/wire/address.ts';
import { type Prefix, parsePrefix } from '../../../src/wire/prefix.ts';

const at = (text: string) => parseAddress(text) as Words;
const prefixes = (...texts: string[]) => texts.map((text) => parsePrefix(text) as Prefix);
const SERVICES: HostServices = {
  ...NO_HOST_SERVICES,
  nodePorts: [
    { service: 'default/web', family: 'IPv4', protocol: 'TCP', port: 30_080 },
    { service: 'default/web', family: 'IPv6', protocol: 'TCP', port: 30_080 },
    { service: 'default/dns', family: 'IPv4', protocol: 'UDP', port: 30_053 },
  ],
  ownPorts: [{ address: at('172.31.0.11'), protocol: 'TCP', port: 80, to: at('169.254.96.2') }],
  routes: ['192.0.2.1', '192.0.2.7', 'fd00:31::7'].map(at),
  announced: ['192.0.2.7', 'fd00:31::7'].map(at),
  sources: [
    { address: at('192.0.2.7'), ranges: prefixes('10.0.0.0/8', '192.0.2.0/24', 'fd00::/8') },
    { address: at('fd00:31::7'), ranges: prefixes('10.0.0.0/8') },
    {
      address: at('172.31.0.11'),
      ranges: prefixes('192.0.2.0/24'),
      ports: [
        { protocol: 'UDP', port: 53 },
        { protocol: 'TCP', port: 80 },
      ],
    },
  ],
};
const PLACE = {
  gateways: { IPv4: '10.244.1.1', IPv6: 'fd00:10:244:1::1' },
  underlayDevice: 'eth0',
  network: '',
};

t.test('rules that nft takes', async (t) => {
  const four = serviceRules('IPv4', SERVICES, '10.244.1.1', 'weft0');
  t.ok(four.startsWith('add table ip weft-services\ndelete table ip weft-services\n'), 'replaced whole');
  t.match(four, 'elements = { tcp . 30080, udp . 30053 }');
  t.match(four, 'elements = { 172.31.0.11 . tcp . 80 : 169.254.96.2 }');
  t.match(four, 'th dport @node-ports dnat to 169.254.96.1');
  t.match(four, 'ip daddr 169.254.96.0/24 fib saddr type local snat to 10.244.1.1');
  t.match(four, 'iifname != "weft0" ip daddr 192.0.2.7 ip saddr != { 10.0.0.0/8, 192.0.2.0/24 } drop');
  const own = 'ip daddr 172.31.0.11 meta l4proto . th dport { tcp . 80, udp . 53 } ip saddr != { 192.0.2.0/24 } drop';
  t.match(four, own, "the host's other ports are its own");
  t.notMatch(four, 'fd00');
  const six = serviceRules('IPv6', SERVICES, 'fd00:10:244:1::1', 'weft0');
  t.match(six, 'th dport @node-ports dnat to fd00:77:6566:7400::1');
  t.match(six, 'iifname != "weft0" ip6 daddr fd00:31::7 drop', 'ranges of the other family let nobody in');
  const none = serviceRules('IPv4', NO_HOST_SERVICES, '10.244.1.1', 'weft0');
  t.notMatch(none, 'elements');
  for (const rules of [four, six, none]) {
    const checked = spawnSync('nft', ['-c', '-f', '-'], { input: rules, encoding: 'utf8' });
    if (checked.error || /not permitted/.test(checked.stderr)) return t.comment('nft cannot check the rules here');
    t.equal(checked.stderr, '');
  }
});

t.test('routes and neighbour entries, of the families that the host has', async (t) => {
  const lines = routeLines(SERVICES, PLACE);
  t.same(lines, [
    'route replace 169.254.96.0/24 dev weft0 src 10.244.1.1 proto 119',
    'route replace 192.0.2.1/32 dev weft0 src 10.244.1.1 proto 119',
    'route replace 192.0.2.7/32 dev weft0 src 10.244.1.1 proto 119',
    'neighbour replace proxy 192.0.2.7 dev eth0 protocol 119',
    'route replace fd00:77:6566:7400::/112 dev weft0 src fd00:10:244:1::1 proto 119',
    'route replace fd00:31::7/128 dev weft0 src fd00:10:244:1::1 proto 119',
    'neighbour replace proxy fd00:31::7 dev eth0 protocol 119',
  ]);
  t.equal(routeLines(SERVICES, { ...PLACE, gateways: { IPv4: '10.244.1.1' } }).length, 4);
  t.same(routeLines(NO_HOST_SERVICES, PLACE), []);
  t.same(routeChanges(lines, lines), { remove: [], add: [] });
  t.same(routeChanges(lines.slice(0, 4), [...lines.slice(0, 3), ...lines.slice(4, 5)]), {
    remove: ['neighbour del proxy 192.0.2.7 dev eth0 protocol 119'],
    add: lines.slice(4, 5),
  });
  t.same(announceSysctls('eth0', 'IPv6'), {
    'net/ipv6/neigh/eth0/proxy_delay': '0',
    'net/ipv6/conf/eth0/proxy_ndp': '1',
  });
});

t.test('node ports on which a process listens are named', async (t) => {
  const lists = {
    TCP: `  sl  local_address rem_address   st tx_queue
   0: 00000000:7580 00000000:0000 0A 00000000:00000000
   1: 0100007F:7581 0100007F:8888 01 00000000:00000000
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0`,
    UDP: '   5: 00000000:7565 00000000:0000 07 00000000:00000000',
  };
  t.same(
    takenPorts(SERVICES.nodePorts, (protocol) => lists[protocol]),
    [
      'Service default/web: a process of this host listens on node port 30080/TCP: what comes for it goes to the service, not to the process',
      'Service default/dns: a process of this host listens on node port 30053/UDP: what comes for it goes to the service, not to the process',
    ],
  );
  t.same(
    takenPorts(SERVICES.nodePorts, () => ''),
    [],
  );
  t.same(takenPorts(SERVICES.nodePorts), [], 'the lists of this machine can be read');
  t.same(
    takenPorts([], () => {
      throw new Error('not read');
    }),
    [],
  );
});
