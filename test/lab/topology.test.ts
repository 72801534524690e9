import t from 'tap';
import { formatProblem } from '../../src/kube/problem.ts';
import { parseLabFile } from '../../src/lab/lab-file.ts';
import { resolveTopology } from '../../src/lab/topology.ts';

const resolve = (text: string, overrides = {}) =>
  resolveTopology(parseLabFile(text, 'labs/lab.yaml').lab, overrides, 'labs/lab.yaml');

const dual = (name: string, address: string, address6: string, n: number) => {
  return { name, address, address6, podCidr: `10.244.${n}.0/24`, podCidr6: `fd00:10:244:${n}::/64` };
};

t.test('without a file: three hosts, nothing left open', (t) => {
  const { topology, problems } = resolveTopology({});
  t.same(problems, []);
  t.same(topology, {
    name: 'default',
    hosts: [
      dual('hosta', '172.31.0.11', 'fd00:172:31::11', 1),
      dual('hostb', '172.31.0.12', 'fd00:172:31::12', 2),
      dual('hostc', '172.31.0.13', 'fd00:172:31::13', 3),
    ],
    underlay: {
      ...{ mtu: 1500, cidr: '172.31.0.0/24', prefixBits: 24, router: '172.31.0.1' },
      ...{ cidr6: 'fd00:172:31::/64', router6: 'fd00:172:31::1', family: 'dual' },
    },
    backend: 'vxlan',
    vni: 1,
    manifests: [],
    agent: {},
  });
  t.end();
});

t.test('hosts beyond the alphabet have names and addresses of their own', (t) => {
  const { topology, problems } = resolveTopology({}, { hosts: 60, name: 'many' });
  t.same(problems, []);
  t.equal(topology.name, 'many');
  t.same(
    [25, 26, 27, 52].map((i) => topology.hosts[i]?.name),
    ['hostz', 'hostaa', 'hostab', 'hostba'],
  );
  t.equal(new Set(topology.hosts.map((host) => host.name)).size, 60);
  t.equal(new Set(topology.hosts.map((host) => host.address)).size, 60);
  t.equal(new Set(topology.hosts.map((host) => host.podCidr)).size, 60);
  t.equal(new Set(topology.hosts.map((host) => host.address6)).size, 60);
  t.equal(topology.hosts[11]?.podCidr6, 'fd00:10:244:c::/64', 'in hexadecimal, as it is within the /56');
  t.equal(new Set(topology.hosts.map((host) => host.podCidr6)).size, 60);
  t.end();
});

t.test('addresses and ranges that were given are not given twice', (t) => {
  const { topology, problems } = resolve(`
hosts:
  - name: a
  - name: b
    address: 172.31.0.11
    podCIDR: 10.244.1.0/24
  - name: c
`);
  t.same(problems, []);
  t.same(topology.hosts, [
    dual('a', '172.31.0.12', 'fd00:172:31::12', 2),
    dual('b', '172.31.0.11', 'fd00:172:31::11', 1),
    dual('c', '172.31.0.13', 'fd00:172:31::13', 3),
  ]);
  t.end();
});

t.test('a small underlay is used from its start, host bits are dropped', (t) => {
  const { topology, problems } = resolve('underlay: {cidr: 192.168.1.77/28}', { hosts: 12 });
  t.same(problems, []);
  t.match(topology.underlay, { mtu: 1500, cidr: '192.168.1.64/28', prefixBits: 28, router: '192.168.1.65' });
  t.equal(topology.hosts[0]?.address, '192.168.1.66');
  t.equal(topology.hosts[11]?.address, '192.168.1.77');
  t.end();
});

t.test('what does not fit together is named with its line', (t) => {
  const problems = (text: string, overrides = {}) => resolve(text, overrides).problems.map(formatProblem);
  t.same(problems('hosts:\n  - {name: a, address: 172.31.0.1}\n'), [
    "labs/lab.yaml:2: host a: address 172.31.0.1 is that of the underlay's router",
  ]);
  t.same(problems('hosts:\n  - {name: a, address: 172.31.0.9}\n  - {name: b, address: 172.31.0.9}\n'), [
    'labs/lab.yaml:3: host b: address 172.31.0.9 is that of host a',
  ]);
  t.same(problems('hosts:\n  - {name: a, address: 10.0.0.1}\n'), [
    "labs/lab.yaml:2: host a: address 10.0.0.1 is not a host's within 172.31.0.0/24",
  ]);
  t.same(problems('hosts:\n  - {name: a, address: 172.31.0.255}\n'), [
    "labs/lab.yaml:2: host a: address 172.31.0.255 is not a host's within 172.31.0.0/24",
  ]);
  t.same(
    problems('underlay: {cidr: 10.0.0.0/31}', { hosts: 1 })[0],
    'labs/lab.yaml: underlay.cidr: 10.0.0.0/31 is too small for hosts and their router',
  );
  t.match(problems('underlay: {cidr: 10.0.0.0/29}', { hosts: 6 }), [
    /host hostf: no address is left in 10\.0\.0\.0\/29/,
  ]);
  t.match(problems('hosts: [{name: a}]', { hosts: 2 }), [/--hosts does not go with/]);
  t.end();
});

t.test('manifests: those of the file beside the file, those typed where we are', (t) => {
  const { topology } = resolve('manifests: [pods.yaml, /etc/weft]', { manifests: ['here.yaml'] });
  const here = process.cwd();
  t.same(topology.manifests, [`${here}/labs/pods.yaml`, '/etc/weft', `${here}/here.yaml`]);
  t.end();
});

t.test('the underlay may have one family alone, or another range', (t) => {
  const four = resolve('underlay: {family: ipv4}').topology;
  t.same(four.hosts[0], {
    ...{ name: 'hosta', address: '172.31.0.11' },
    ...{ podCidr: '10.244.1.0/24', podCidr6: 'fd00:10:244:1::/64' },
  });
  t.equal(four.underlay.router6, undefined);
  const six = resolve('underlay: {family: ipv6, cidr6: "2001:db8:7::/64"}').topology;
  t.match(six.hosts[0], { address: '2001:db8:7::11', podCidr: '10.244.1.0/24' });
  t.equal(six.hosts[0]?.address6, undefined);
  t.equal(six.underlay.router6, '2001:db8:7::1');
  const none = resolveTopology({}, { ipv6: false });
  t.same(none.problems, []);
  t.match(none.topology.underlay, { family: 'ipv4' });
  t.equal(none.topology.hosts[0]?.podCidr6, undefined, 'a machine without IPv6 has a lab of IPv4');
  const wanted = resolveTopology(parseLabFile('underlay: {family: ipv6}', 'l').lab, { ipv6: false }, 'l');
  t.same(wanted.problems.map(formatProblem), ['l: underlay.family: this machine has no IPv6']);
  t.end();
});

t.test('IPv6 addresses and ranges that were given', (t) => {
  const { topology, problems } = resolve(`
hosts:
  - {name: a, address6: "fd00:172:31:0::AA", podCIDR6: "fd00:10:244:2::/64"}
  - {name: b, podCIDR: 10.244.77.0/24}
  - {name: c}
`);
  t.same(problems, []);
  t.match(topology.hosts[0], { address6: 'fd00:172:31::aa', podCidr6: 'fd00:10:244:2::/64' });
  t.match(topology.hosts[1], { address6: 'fd00:172:31::12', podCidr6: 'fd00:10:244:4d::/64' });
  t.match(topology.hosts[2], { podCidr: '10.244.2.0/24', podCidr6: 'fd00:10:244:3::/64' });
  const twice = resolve('hosts:\n  - {name: a}\n  - {name: b, address6: "fd00:172:31::11"}\n');
  t.same(twice.problems.map(formatProblem), ['labs/lab.yaml:3: host b: address fd00:172:31::11 is that of host a']);
  t.end();
});
