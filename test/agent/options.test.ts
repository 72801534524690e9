/** What an agent assumes, and what it refuses to be told. */
import t from 'tap';
import { AgentError } from '../../src/agent/agent-error.ts';
import { type AgentOptions, agentSettings, defaultWorkers, parseStubDomain } from '../../src/agent/options.ts';

t.test('defaults are those of the architecture', async (t) => {
  const s = agentSettings({ node: 'hosta', manifests: ['/m'] });
  t.match(s, {
    backend: 'vxlan',
    vni: 1,
    port: 4789,
    clusterCidr: '10.244.0.0/16,fd00:10:244::/56',
    serviceCidr: '10.96.0.0/16,fd00:10:96::/112',
    clusterDns: '10.96.0.10,fd00:10:96::a',
    clusterDomain: 'cluster.local',
    stateDir: '/run/weft/hosta',
    socketPath: '/run/weft/hosta/agent.sock',
    offload: 'auto',
    keepPods: false,
  });
  t.equal(s.mtu, undefined, 'taken from the underlay');
  const single = agentSettings({ node: 'hosta', manifests: ['/m'], clusterCidr: '10.50.0.0/16' });
  t.match(single, { clusterCidr: '10.50.0.0/16', serviceCidr: '10.96.0.0/16', clusterDns: '10.96.0.10' });
  t.equal(agentSettings({ node: 'a', manifests: ['m'] }).manifests[0], `${process.cwd()}/m`);
});

t.test('workers are half of the processors, one at least and four at most', async (t) => {
  t.same([1, 2, 3, 4, 7, 8, 64].map(defaultWorkers), [1, 1, 1, 2, 3, 4, 4]);
  t.equal(agentSettings({ node: 'hosta', manifests: ['/m'], workers: 3 }).workers, 3);
});

t.test('objects from an API instead of files', async (t) => {
  t.match(agentSettings({ node: 'a', kubeconfig: 'k' }), {
    kubeconfig: `${process.cwd()}/k`,
    runsPods: true,
    manifests: [],
  });
  t.equal(agentSettings({ node: 'a', kubeconfig: 'k', pods: false }).runsPods, false);
  t.strictSame(agentSettings({ node: 'a', kubeconfig: 'k', nodeIps: ['10.0.0.1'] }).nodeIps, ['10.0.0.1']);
  t.equal(agentSettings({ node: 'a', manifests: ['m'] }).kubeconfig, undefined);
});

t.test('proxy modes', async (t) => {
  const of = (change: Partial<AgentOptions>) => agentSettings({ node: 'hosta', manifests: ['/m'], ...change });
  t.same(of({}).proxy, { mode: 'failover', scheduler: 'rr' });
  t.same(of({ proxyMode: 'ipvs:wlc' }).proxy, { mode: 'ipvs', scheduler: 'wlc' });
  t.same(of({ proxyMode: 'ipvs', ipvsScheduler: 'sh' }).proxy, { mode: 'ipvs', scheduler: 'sh' });
  t.equal(of({}).proxyPortRange, undefined);
  t.same(of({ proxyPortRange: '40000-40010' }).proxyPortRange, { first: 40_000, last: 40_010 });
});

t.test('what cannot be right is refused with its name', async (t) => {
  const bad: [Partial<AgentOptions>, RegExp][] = [
    [{ node: 'Host_A' }, /--node Host_A/],
    [{ manifests: [] }, /--manifests PATH/],
    [{ kubeconfig: '/k' }, /--manifests and --kubeconfig exclude each other/],
    [{ pods: false }, /--no-pods goes with --kubeconfig/],
    [{ nodeIps: ['10.0.0.1'] }, /--node-ip goes with --kubeconfig/],
    [{ manifests: [], kubeconfig: '/k', nodeIps: ['10.0.0'] }, /--node-ip 10.0.0 is no IP address/],
    [{ vni: 1 << 24 }, /--vni 16777216 is not between 0 and 16777215/],
    [{ port: 0 }, /--port 0/],
    [{ mtu: 500 }, /--mtu 500/],
    [{ clusterCidr: '10.244.0.0/16,fd00::/129' }, /clusterCidr: fd00::\/129 is not a CIDR/],
    [{ serviceCidr: '10.96.0.0/16,' }, /serviceCidr: entry 2 of "10.96.0.0\/16," is empty/],
    [{ workers: 0 }, /--workers 0/],
    [{ backend: 'ipip' as never }, /--backend ipip is not known: use one of vxlan, host-gw/],
    [{ offload: 'magic' as never }, /--offload magic/],
    [{ serviceNodePortRange: '5-4' }, /nodePortRange: 5-4 is no range.*--service-node-port-range/],
    [{ loadBalancerPool: '10.96.0.0/24' }, /loadBalancerPool: 10.96.0.1-10.96.0.254 overlaps 10.96.0.0\/16/],
    [{ loadBalancerPool: 'x' }, /loadBalancerPool: x is neither a CIDR nor a range/],
    [{ proxyMode: 'nginx' }, /--proxy-mode nginx is not known: use one of failover, userspace, iptables, ipvs/],
    [{ ipvsScheduler: 'best' }, /--ipvs-scheduler best is not known: use one of rr, wrr/],
    [{ proxyPortRange: '5-1' }, /--proxy-port-range 5-1 is no range of ports: write one as in 40000-40999/],
    [{ socketPath: `/${'x'.repeat(107)}` }, /longer than 107 bytes/],
  ];
  for (const [change, message] of bad) {
    try {
      agentSettings({ node: 'hosta', manifests: ['/m'], ...change });
      t.fail(`accepted ${JSON.stringify(change)}`);
    } catch (error) {
      t.type(error, AgentError);
      t.equal((error as AgentError).code, 'bad-option');
      t.match((error as AgentError).sentence, message);
    }
  }
});

t.test('stub domains and who may fetch zones', async (t) => {
  t.same(parseStubDomain('corp.example=10.0.0.1,10.0.0.2:5353,[fd00::1]:53'), {
    domain: 'corp.example',
    upstreams: ['10.0.0.1', '10.0.0.2:5353', '[fd00::1]:53'],
  });
  for (const text of [
    '',
    'corp.example',
    'corp.example=',
    '=10.0.0.1',
    'a=10.0.0.1=b',
    'a..b=10.0.0.1',
    'a=ns.example',
  ]) {
    t.throws(() => parseStubDomain(text), { code: 'bad-option', message: /--dns-stub/ }, text);
  }
  const base = { node: 'hosta', manifests: ['/m'] };
  t.match(agentSettings(base), { dnsStub: [], dnsTransfer: [], dnsLog: 0, dnsAutopath: true });
  t.match(agentSettings(base), { dnsPods: 'verified', dnsTtl: 5, dnsCache: 4 << 20, dnsOffload: true });
  for (const bad of [{ dnsTtl: 3601 }, { dnsTtl: -1 }, { dnsCache: -1 }, { dnsPods: 'all' as never }]) {
    t.throws(() => agentSettings({ ...base, ...bad }), { code: 'bad-option' });
  }
  t.same(agentSettings({ ...base, dnsTransfer: ['10.244.0.0/16'] }).dnsTransfer, ['10.244.0.0/16']);
  t.throws(() => agentSettings({ ...base, dnsTransfer: ['10.244.0.1'] }), { message: /--dns-transfer/ });
  t.throws(() => agentSettings({ ...base, dnsLog: 1e9 }), { message: /--dns-log/ });
});
