/** resolv.conf by dnsPolicy and dnsConfig: the kubelet's rows. */
import t from 'tap';
import { type PodResolvConfInput, parseResolvConf, podResolvConf } from '../../src/dns/resolv-conf.ts';

const hostFile = `# the host's
; its own
domain old.example
nameserver 192.0.2.53
nameserver   2001:db8::53
search corp.example. example svc.cluster.local
options edns0  timeout:2
sortlist 10.0.0.0
`;

function conf(input: Partial<PodResolvConfInput> = {}): { text: string; problems: string[] } {
  return podResolvConf({
    namespace: 'shop',
    domain: 'cluster.local',
    clusterDns: ['10.96.0.10'],
    hostResolvConf: hostFile,
    hostNetwork: false,
    ...input,
  });
}

const clusterText = `search shop.svc.cluster.local svc.cluster.local cluster.local corp.example example
nameserver 10.96.0.10
options ndots:5
`;
const hostText = `search corp.example example svc.cluster.local
nameserver 192.0.2.53
nameserver 2001:db8::53
options edns0 timeout:2
`;

t.test('reads a host’s file', async (t) => {
  t.strictSame(parseResolvConf(hostFile), {
    nameservers: ['192.0.2.53', '2001:db8::53'],
    search: ['corp.example', 'example', 'svc.cluster.local'],
    options: ['edns0', 'timeout:2'],
  });
  t.strictSame(parseResolvConf('search a b\r\ndomain c.\n').search, ['c'], 'the last line counts');
  t.strictSame(parseResolvConf('nameserver\nsearch .\n'), { nameservers: [], search: ['.'], options: [] });
});

t.test('policies', async (t) => {
  t.strictSame(conf(), { text: clusterText, problems: [] }, 'ClusterFirst is what one gets');
  t.equal(conf({ dnsPolicy: 'ClusterFirst', hostNetwork: true }).text, hostText, 'in the host’s network: Default');
  t.equal(conf({ dnsPolicy: 'ClusterFirstWithHostNet', hostNetwork: true }).text, clusterText);
  t.strictSame(conf({ dnsPolicy: 'Default' }), { text: hostText, problems: [] });
  const none = conf({ dnsPolicy: 'None', dnsConfig: { nameservers: ['192.0.2.1'], searches: ['a.example'] } });
  t.strictSame(none, { text: 'search a.example\nnameserver 192.0.2.1\n', problems: [] });
  t.match(conf({ dnsPolicy: 'None' }), { text: '', problems: [/no name server/] });
  t.match(conf({ dnsPolicy: 'Sometimes' }), { text: clusterText, problems: [/"Sometimes" is unknown/] });
});

t.test('a host’s resolver on its loopback is told to those who would inherit it', async (t) => {
  const hostResolvConf = 'nameserver 127.0.0.53\n';
  t.match(conf({ dnsPolicy: 'Default', hostResolvConf }).problems, [/loopback/]);
  t.strictSame(conf({ dnsPolicy: 'Default', hostResolvConf, hostNetwork: true }).problems, []);
  t.strictSame(conf({ hostResolvConf }).problems, []);
});

t.test('dnsConfig is appended without duplicates, options replace by name', async (t) => {
  const dnsConfig = {
    nameservers: ['10.96.0.10', '192.0.2.9'],
    searches: ['shop.example.', 'cluster.local'],
    options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
  };
  t.strictSame(conf({ dnsConfig }), {
    text: `search shop.svc.cluster.local svc.cluster.local cluster.local corp.example example shop.example
nameserver 10.96.0.10
nameserver 192.0.2.9
options ndots:2 edns0
`,
    problems: [],
  });
});

t.test('bounds: 3 name servers, 32 paths, 2048 characters', async (t) => {
  const nameservers = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'];
  const four = conf({ dnsPolicy: 'None', dnsConfig: { nameservers } });
  t.equal(four.text.match(/nameserver/g)?.length, 3);
  t.match(four.problems, [/more than 3 name servers: left out 192\.0\.2\.4/]);
  const searches = Array.from({ length: 40 }, (_, i) => `s${i}.example`);
  const many = conf({ dnsPolicy: 'None', dnsConfig: { nameservers: ['192.0.2.1'], searches } });
  t.equal(many.text.split('\n')[0]?.split(' ').length, 33);
  t.match(many.problems, [/32 search paths or 2048 characters: left out s32\.example/]);
  const long = Array.from({ length: 20 }, (_, i) => `${'x'.repeat(200)}${i}.example`);
  const wide = conf({ dnsPolicy: 'None', dnsConfig: { nameservers: ['192.0.2.1'], searches: long } });
  t.ok((wide.text.split('\n')[0]?.length ?? 0) <= 'search '.length + 2048);
  t.equal(wide.problems.length, 1);
  const exact = ['a'.repeat(1023), 'b'.repeat(1024)];
  t.strictSame(conf({ dnsPolicy: 'None', dnsConfig: { nameservers: ['192.0.2.1'], searches: exact } }).problems, []);
});

t.test('nothing can write a line of its own', async (t) => {
  const dnsConfig = {
    nameservers: ['192.0.2.1\nnameserver 203.0.113.66', 'ns.example'],
    searches: ['a\nnameserver 203.0.113.66', 'b c', ''],
    options: [{ name: 'ndots', value: '1\nnameserver 203.0.113.66' }, { value: '3' }],
  };
  const bad = conf({ dnsConfig });
  t.equal(bad.text, clusterText);
  t.equal(bad.problems.length, 7);
});
