/** The plans for the host's kernel, as the text that the tools are given. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { type HostNetwork, hostBatch, nftRules, routeChanges } from '../../src/agent/host-network.ts';
import { podNetworkBatch } from '../../src/agent/pod-network.ts';
import { findUnderlay, isSameMachine, segmentsTunnels } from '../../src/agent/underlay.ts';

const HOST: HostNetwork = {
  gateway: '10.244.1.1',
  podCidr: '10.244.1.0/24',
  clusterCidr: '10.244.0.0/16',
  serviceCidr: '10.96.0.0/16',
  clusterDns: '10.96.0.10',
  mtu: 1450,
  udpPort: 4789,
};

t.test('weft0 carries the gateway and DNS addresses and the routes to pods and services', async (t) => {
  const lines = hostBatch(HOST);
  t.ok(lines.includes('link set dev weft0 mtu 1450 up'));
  t.ok(lines.includes('address add 10.244.1.1/32 dev weft0'));
  t.ok(lines.includes('address add 10.96.0.10/32 dev weft0'));
  t.ok(lines.includes('route replace 10.244.0.0/16 dev weft0 src 10.244.1.1'));
  t.ok(lines.includes('route replace 10.96.0.0/16 dev weft0 src 10.244.1.1'));
  const flush = lines.findIndex((l) => l.startsWith('address flush'));
  t.ok(flush >= 0 && flush < lines.findIndex((l) => l.startsWith('address add')), 'old addresses go first');
});

t.test('a pod has one address and a default route without a gateway', async (t) => {
  const lines = podNetworkBatch('10.244.1.5', 1450);
  t.ok(lines.includes('address replace 10.244.1.5/32 dev eth0'));
  t.equal(lines.at(-1), 'route replace default dev eth0');
});

t.test('masquerade: from our pods, to outside, not back into weft0', async (t) => {
  const rules = nftRules(HOST);
  t.match(rules, 'ip saddr 10.244.1.0/24 ip daddr != 10.244.0.0/16 oifname != "weft0"');
  t.ok(rules.startsWith('add table ip weft\ndelete table ip weft\n'), 'replaced whole');
  const checked = spawnSync('nft', ['-c', '-f', '-'], { input: rules, encoding: 'utf8' });
  if (checked.error || /not permitted/.test(checked.stderr)) return t.comment('nft cannot check the rules here');
  t.equal(checked.stderr, '');
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
  t.same(findUnderlay(links, '172.31.0.11', 'hosta'), {
    address: '172.31.0.11',
    device: 'up',
    mtu: 9000,
    linkKind: 'veth',
  });
  t.ok(isSameMachine(findUnderlay(links, '172.31.0.11', 'hosta')));
  t.notOk(isSameMachine(findUnderlay(links, '192.0.2.7', 'hosta')));
  t.throws(() => findUnderlay(links, '172.31.0.99', 'hosta'), {
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
