import t from 'tap';
import { formatProblem } from '../../src/kube/problem.ts';
import { parseLabFile } from '../../src/lab/lab-file.ts';

const problemsOf = (text: string): string[] => parseLabFile(text, 'lab.yaml').problems.map(formatProblem);

t.test('a whole lab file', (t) => {
  const { lab, problems } = parseLabFile(
    `# two hosts
name: two
hosts:
  - name: left
    address: 192.168.7.2
    podCIDR: 10.244.9.0/24
  - name: right
underlay:
  mtu: 9000
  cidr: 192.168.7.0/24
backend: host-gw
vni: 42
manifests: [pods.yaml, more/]
`,
    'lab.yaml',
  );
  t.same(problems, []);
  t.same(lab, {
    name: 'two',
    hosts: [
      { name: 'left', address: '192.168.7.2', podCIDR: '10.244.9.0/24', place: 'lab.yaml:4' },
      { name: 'right', place: 'lab.yaml:7' },
    ],
    underlay: { mtu: 9000, cidr: '192.168.7.0/24' },
    backend: 'host-gw',
    vni: 42,
    manifests: ['pods.yaml', 'more/'],
  });
  t.end();
});

t.test('options of the agents', (t) => {
  const { lab, problems } = parseLabFile(
    'agent:\n  load-balancer-pool: 172.31.0.200-172.31.0.209\n  dns-log: 1000\n  no-dns-offload: true\n',
    'lab.yaml',
  );
  t.same(problems, []);
  t.same(lab.agent, { 'load-balancer-pool': '172.31.0.200-172.31.0.209', 'dns-log': '1000', 'no-dns-offload': 'true' });
  t.same(problemsOf('agent:\n  --workers: 2\n  vni: 7\n  workers: [2]\n'), [
    'lab.yaml:2: agent.--workers: is no option: write it without its dashes',
    'lab.yaml:3: agent.vni: is what the lab itself tells its agents',
    'lab.yaml:4: agent.workers: must be a string, a number, or true for an option without a value',
  ]);
  t.match(problemsOf('agent: [--workers]\n'), [/agent: must be a mapping/]);
  t.end();
});

t.test('an empty file is a lab of defaults', (t) => {
  t.same(parseLabFile('', 'lab.yaml'), { lab: {}, problems: [] });
  t.same(parseLabFile('# nothing\n', 'lab.yaml'), { lab: {}, problems: [] });
  t.end();
});

t.test('every mistake is named with its line and path', (t) => {
  t.same(
    problemsOf(`name: Not_A_Label
hosts:
  - name: hosta
    address: 172.31.0.1
  - name: hostb
    address: 172.31.0.300
    podCIDR: 10.244.1.0
  - adress: 172.31.0.4
  - name: hosta
underlay:
  mtu: big
  cidr: fd00::/64
backend: wireguard
vni: 16777216
manifest: pods.yaml
manifests: pods.yaml
`),
    [
      'lab.yaml:1: name: Not_A_Label is not a lower-case DNS label',
      'lab.yaml:6: hosts[1].address: 172.31.0.300 is not an IPv4 address',
      'lab.yaml:7: hosts[1].podCIDR: 10.244.1.0 is not an IPv4 prefix such as 172.31.0.0/24',
      'lab.yaml:8: hosts[2].adress: unknown field; did you mean address?',
      'lab.yaml:8: hosts[2]: a host needs a name',
      'lab.yaml:9: hosts[3].name: hosta is the name of another host',
      'lab.yaml:11: underlay.mtu: must be a whole number from 576 to 65535',
      'lab.yaml:12: underlay.cidr: fd00::/64 is not an IPv4 prefix such as 172.31.0.0/24',
      'lab.yaml:13: backend: wireguard is not a backend: vxlan or host-gw',
      'lab.yaml:14: vni: must be a whole number from 1 to 16777215',
      'lab.yaml:15: manifest: unknown field; did you mean manifests?',
      'lab.yaml:16: manifests: must be a list',
    ],
  );
  t.end();
});

t.test('what is no mapping, no YAML, or empty', (t) => {
  t.same(problemsOf('- a\n- b\n'), ['lab.yaml:1: must be a mapping']);
  t.same(problemsOf('hosts: []\n'), ['lab.yaml:1: hosts: a lab needs a host']);
  t.same(problemsOf('name: x\nhosts:\n'), ['lab.yaml:2: hosts: is empty']);
  const [broken] = problemsOf('name: x\nhosts: [a\nvni: 3\n');
  t.match(broken, /^lab\.yaml:[23]: /);
  const twice = problemsOf('name: x\nname: y\n');
  t.equal(twice.length, 1);
  t.match(twice[0], /^lab\.yaml:2: .*unique/);
  t.end();
});

t.test('nothing that somebody can write throws', (t) => {
  for (const text of [
    '!!binary x',
    '? {a: b}\n: c',
    '&a [*a]',
    '{',
    '"',
    'hosts: {a: b}',
    'hosts: [null, 3, [x]]',
    '\0',
  ]) {
    t.doesNotThrow(() => parseLabFile(text, 'lab.yaml'), JSON.stringify(text));
  }
  t.ok(problemsOf('hosts: [null, 3, [x]]').length >= 3);
  t.end();
});
