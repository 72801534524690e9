/** The plans for the host's kernel, as the text that the tools are given. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { ipv6Obstacle, ipv6Sysctls } from '../../../src/agent/host/host-ipv6.ts';
import {
  type HostFamily,
  type HostNetwork,
  hostBatch,
  nftRules,
  routeChanges,
} from '../../../src/agent/host/host-network.ts';
import { findUnderlay, isSameMachine, segmentsTunnels } from '../../../src/agent/host/underlay.ts';
import { podNetworkBatch } from '../../../src/agent/pods/pod-network.ts';

const FOUR: HostFamily = {
  isV4: true,
  gateway: '10.244.1.1',
  podCidr: '10.244.1.0/24',
  clusterCidr: '10.244.0.0/16',
  serviceCidr: '10.96.0.0/16',
  clusterDns: '10.96.0.10',
};
const SIX: HostFamily = {
  isV4: false,
  gateway: 'fd00:10:244:1::1',
  podCidr: 'fd00:10:244:1::/64',
  clusterCidr: 'fd00:10:244::/56',
  serviceCidr: 'fd00:10:96::/112',
  clusterDns: 'fd00:10:96::a',
};
const HOST: HostNetwork = { families: [FOUR, SIX], mtu: 1450, udpPort: 4789 };

t.test('weft0 carries the gateway and DNS addresses and the routes to pods and services', async (t) => {
  const lines = hostBatch(HOST);
  t.ok(lines.includes('link set dev weft0 mtu 1450 up'));
  t.ok(lines.includes('address replace 10.244.1.1/32 dev weft0'));
  t.ok(lines.includes('address replace 10.96.0.10/32 dev weft0'));
  t.ok(lines.includes('route replace 10.244.0.0/16 dev weft0 src 10.244.1.1'));
  t.ok(lines.includes('route replace 10.96.0.0/16 dev weft0 src 10.244.1.1'));
  t.ok(lines.includes('address replace fd00:10:244:1::1/128 dev weft0 nodad'));
  t.ok(lines.includes('address replace fd00:10:96::a/128 dev weft0 nodad'));
  t.ok(lines.includes('route replace fd00:10:244::/56 dev weft0 src fd00:10:244:1::1'));
  t.ok(lines.includes('route replace fd00:10:96::/112 dev weft0 src fd00:10:244:1::1'));
  t.notOk(
    hostBatch({ ...HOST, families: [FOUR] }).some((line) => line.includes(':')),
    'a host of IPv4 alone',
  );
  const flush = lines.findIndex((l) => l.startsWith('address flush'));
  t.ok(flush >= 0 && flush < lines.findIndex((l) => l.startsWith('address replace')), 'old addresses go first');
});

t.test('a pod has its addresses and default routes without a gateway', async (t) => {
  const lines = podNetworkBatch(['10.244.1.5', 'fd00:10:244:1::105'], 1450);
  t.ok(lines.includes('address replace 10.244.1.5/32 dev eth0'));
  t.ok(lines.includes('route replace 0.0.0.0/0 dev eth0'));
  t.ok(lines.includes('address replace fd00:10:244:1::105/128 dev eth0 nodad'));
  t.ok(lines.includes('route replace ::/0 dev eth0'));
});

t.test('masquerade: from our pods, to outside, not back into weft0', async (t) => {
  for (const [family, rule, table] of [
    [FOUR, 'ip saddr 10.244.1.0/24 ip daddr != 10.244.0.0/16 oifname != "weft0"', 'ip weft'],
    [SIX, 'ip6 saddr fd00:10:244:1::/64 ip6 daddr != fd00:10:244::/56 oifname != "weft0"', 'ip6 weft'],
  ] as const) {
    const rules = nftRules(HOST, family);
    t.match(rules, rule);
    t.ok(rules.startsWith(`add table ${table}\ndelete table ${table}\n`), 'replaced whole');
    const checked = spawnSync('nft', ['-c', '-f', '-'], { input: rules, encoding: 'utf8' });
    if (checked.error || /not permitted/.test(checked.stderr)) t.comment('nft cannot check the rules here');
    else t.equal(checked.stderr, '');
  }
});

t.test('a host that forwards IPv6 goes on listening to its routers', async (t) => {
  const proc = t.testdir({
    net: {
      ipv6: {
        conf: {
          all: { accept_ra: '1\n', forwarding: '0\n' },
          default: { accept_ra: '1\n', forwarding: '0\n' },
          eth0: { accept_ra: '1\n', forwarding: '0\n' },
          eth1: { accept_ra: '0\n', forwarding: '0\n' },
          eth2: { accept_ra: '1\n', forwarding: '1\n' },
          weft0: { accept_ra: '2\n', forwarding: '0\n', disable_ipv6: '1\n' },
        },
      },
    },
  });
  const at = 'net/ipv6/conf';
  t.same(Object.entries(ipv6Sysctls('weft0', proc)), [
    [`${at}/default/accept_ra`, '2'],
    [`${at}/eth0/accept_ra`, '2'],
    [`${at}/all/forwarding`, '1'],
    [`${at}/weft0/disable_ipv6`, '0'],
  ]);
  t.equal(ipv6Obstacle(1450, proc), '');
  t.match(ipv6Obstacle(1279, proc), /MTU of 1279, IPv6 needs 1280/);
  t.match(ipv6Obstacle(1450, `${proc}/net`), /kernel has no IPv6/);
});

t.test('routes to other hosts change by the difference', async (t) => {
  const a = { destination: '10.244.2.0/24', via: '172.31.0.12' };
  const b = { destination: '10.244.3.0/24', via: '172.31.0.13' };
  const moved = { ...b, via: '172.31.0.14' };
  t.same(routeChanges([], [a]), { remove: [], add: ['route replace 10.244.2.0/24 via 172.31.0.12'] });
  t.same(routeChanges([a, b], [a, b]), { remove: [], add: [] });
  t.same(routeChanges([a, b], [a, moved]), { remove: [], add: ['route replace 10.244.3.0/24 via 172.31.0.14'] });
  t.same(routeChanges([a, b], [a]), { remove: ['route del 10.244.3.0/24 via 172.31.0.13'], add: [] });
});

t.test('the underlay is the device with the InternalIP', async (t) => {
  const links = [
    { ifname: 'lo', mtu: 65536, addr_info: [{ family: 'inet', local: '127.0.0.1' }] },
    { ifname: 'eth0', mtu: 1500, addr_info: [{ family: 'inet', local: '192.0.2.7' }] },
    { ifname: 'up', mtu: 9000, linkinfo: { info_kind: 'veth' }, addr_info: [{ family: 'inet', local: '172.31.0.11' }] },
  ];
  t.same(findUnderlay(links, ['172.31.0.11'], 'hosta'), {
    address: '172.31.0.11',
    addresses: ['172.31.0.11'],
    absent: [],
    device: 'up',
    mtu: 9000,
    linkKind: 'veth',
  });
  const six = { ifname: 'six', mtu: 1280, addr_info: [{ family: 'inet6', local: 'fd00::11', scope: 'global' }] };
  const both = findUnderlay([...links, six], ['172.31.0.11', '172.31.0.99', 'fd00::11', 'fd00::12'], 'hosta');
  t.same(both.addresses, ['172.31.0.11', 'fd00::11'], 'one of each family');
  t.same(both.absent, ['172.31.0.99', 'fd00::12'], 'and what this host has not');
  t.match(findUnderlay([...links, six], ['fd00::11', '172.31.0.11'], 'hosta'), { address: 'fd00::11', mtu: 1280 });
  t.ok(isSameMachine(findUnderlay(links, ['172.31.0.11'], 'hosta')));
  t.notOk(isSameMachine(findUnderlay(links, ['192.0.2.7'], 'hosta')));
  t.throws(() => findUnderlay(links, ['172.31.0.99'], 'hosta'), {
    code: 'no-underlay',
    message: 'Node hosta: InternalIP 172.31.0.99 is on no device of this host, which has 192.0.2.7, 172.31.0.11',
  });
});

t.test('a tunnel takes super-packets where its device does, or does not tell', async (t) => {
  const device = (tcpSegmentation: boolean, tunnelSegmentation: boolean) =>
    segmentsTunnels({ deviceOffloads: () => ({ tcpSegmentation, tunnelSegmentation }) }, 'eth0');
  t.equal(device(true, true), true);
  t.equal(device(true, false), false);
  t.equal(device(false, true), false);
  const silent = () => {
    throw new Error('ioctl(SIOCETHTOOL) eth0: Operation not supported');
  };
  t.equal(segmentsTunnels({ deviceOffloads: silent }, 'eth0'), true);
});
