/** /etc/hosts as the kubelet writes it. */
import t from 'tap';
import { hostNetworkEtcHosts, podEtcHosts } from '../../src/dns/etc-hosts.ts';

const head = `# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
`;

t.test('a pod under its name, and under its full name where it has a subdomain', async (t) => {
  const input = { addresses: ['10.244.1.5'], hostname: 'web-0', hostAliases: [] };
  t.equal(podEtcHosts(input), `${head}10.244.1.5\tweb-0\n`);
  const fqdn = 'web-0.web.default.svc.cluster.local';
  t.equal(podEtcHosts({ ...input, fqdn }), `${head}10.244.1.5\t${fqdn}\tweb-0\n`);
  const both = podEtcHosts({ ...input, addresses: ['10.244.1.5', 'fd00:10:244:1::105'] });
  t.equal(both, `${head}10.244.1.5\tweb-0\nfd00:10:244:1::105\tweb-0\n`);
});

t.test('hostAliases follow; those that are no address and names do not', async (t) => {
  const hostAliases = [
    { ip: '192.0.2.1', hostnames: ['a.example', 'b.example'] },
    { ip: 'not-an-address', hostnames: ['c'] },
    { ip: '192.0.2.2', hostnames: ['d\n203.0.113.66 bank.example', 'e'] },
    { ip: '192.0.2.3' },
  ];
  const tail = '\n# Entries added by HostAliases.\n192.0.2.1\ta.example\tb.example\n192.0.2.2\te\n';
  t.equal(podEtcHosts({ addresses: ['10.244.1.5'], hostname: 'p', hostAliases }), `${head}10.244.1.5\tp\n${tail}`);
  const own = '# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n';
  t.equal(hostNetworkEtcHosts('127.0.0.1 localhost', hostAliases), own + tail);
  t.equal(hostNetworkEtcHosts('127.0.0.1 localhost\n', []), own);
});
