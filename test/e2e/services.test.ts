/**
 * End to end: services as the world outside reaches them, by node ports, LoadBalancer addresses and externalIPs; what
 * pods and host processes get of the same; policies, health checks and what is said where something is in the way.
 */
import t from 'tap';
import { formatProblem } from '../../src/kube/problem.ts';
import type { HttpLoadResult } from '../../src/lab/http-load.ts';
import { weftCommand } from '../../src/lab/weft-command.ts';
import { noLab, ownHome, TestLab, until, without } from './test-lab.ts';

const skip = noLab() || without('curl', 'nft');
/** On the hosts' own network, as a browser of the machine or of the next one would be. */
const OUTSIDE = '172.31.0.100';
const HOSTS = { hosta: '172.31.0.11', hostb: '172.31.0.12', hostc: '172.31.0.13' };
const OUTSIDE_6 = 'fd00:172:31::100';
const HOSTS_6 = ['fd00:172:31::11', 'fd00:172:31::12', 'fd00:172:31::13'];

const service = (name: string, spec: string) =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {${spec}}\n`;
const WEB = 'selector: {app: web}';
const HTTP = (nodePort: number) => `${WEB}, ports: [{name: http, port: 80, targetPort: http, nodePort: ${nodePort}}]`;
const PLAIN = `${WEB}, ports: [{port: 80, targetPort: http}]`;
const LOCAL = 'externalTrafficPolicy: Local';
const UDP = '{name: udp, port: 8081, protocol: UDP, nodePort: 30081}';
const SERVICES = [
  service('np', `type: NodePort, ${HTTP(30_080).replace(/]$/, `, ${UDP}]`)}`),
  service('np-local', `type: NodePort, ${LOCAL}, ${HTTP(30_082)}`),
  service('lb', `type: LoadBalancer, loadBalancerIP: 172.31.0.205, ${HTTP(30_083)}`),
  service('lb-pool', `type: LoadBalancer, allocateLoadBalancerNodePorts: false, ${PLAIN}`),
  service(
    'lb-closed',
    `type: LoadBalancer, loadBalancerIP: 172.31.0.207, loadBalancerSourceRanges: [192.0.2.0/24], ${HTTP(30_085)}`,
  ),
  service('external', `externalIPs: [198.51.100.7, ${HOSTS.hosta}], ${WEB}, ports: [{port: 8088, targetPort: http}]`),
  service('sticky', `sessionAffinity: ClientIP, ${PLAIN}`),
  service('np-dual', `ipFamilyPolicy: RequireDualStack, type: NodePort, ${HTTP(30_091)}`),
  service('np-six', `ipFamilies: [IPv6], type: NodePort, ${LOCAL}, ${HTTP(30_092)}`),
  service('lb-six', `ipFamilies: [IPv6], type: LoadBalancer, ${HTTP(30_093)}`),
  service('near', `internalTrafficPolicy: Local, ${PLAIN}`),
  service(
    'both',
    `${WEB}, ports: [{name: t, port: 53, targetPort: 80}, {name: u, port: 53, protocol: UDP, targetPort: 8081}, {name: s, port: 53, protocol: SCTP}]`,
  ),
  service('late', 'publishNotReadyAddresses: true, ports: [{port: 80}]'),
  service(
    'hostnet',
    'type: NodePort, selector: {app: hostnet}, ports: [{port: 80, targetPort: 8888, nodePort: 30088}]',
  ),
  service(
    'hostnet-local',
    `type: NodePort, ${LOCAL}, selector: {app: hostnet}, ports: [{port: 80, targetPort: 8888, nodePort: 30089}]`,
  ),
  service('hashed', PLAIN).replace('{name: hashed}', '{name: hashed, annotations: {weft.dev/proxy-mode: "ipvs:sh"}}'),
];

/** A server in the network of hosta itself. */
const HOST_SERVER = `apiVersion: v1
kind: Pod
metadata: {name: host-server, labels: {app: hostnet}}
spec:
  nodeName: hosta
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: weft, command: [weft, netexec, --http-port, "8888"]}]
`;

/** A LoadBalancer whose only endpoint is on one host. */
const onHost = (host: string, address: string) => `${service(
  'lb-local',
  `type: LoadBalancer, loadBalancerIP: 172.31.0.206, ${LOCAL}, healthCheckNodePort: 30090, ports: [{port: 80, nodePort: 30084}]`,
)}---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: lb-local-1, labels: {kubernetes.io/service-name: lb-local}}
addressType: IPv4
endpoints: [{addresses: [${address}], nodeName: ${host}}]
ports: [{port: 80}]
`;

t.test('services from outside', { skip, timeout: 400_000 }, async (t) => {
  ownHome();
  delete process.env.WEFT_LOAD_BALANCER_POOL;
  const lab = await TestLab.up({ name: 'svc' });
  lab.manifest('services.yaml', SERVICES.join('---\n'));
  await lab.inside([
    'sh',
    '-ec',
    `ip netns add outside
     ip link add world type veth peer name eth0 netns outside
     ip link set world master underlay up
     ip -n outside addr add ${OUTSIDE}/24 dev eth0
     ip -n outside addr add ${OUTSIDE_6}/64 dev eth0 nodad
     ip -n outside link set eth0 up
     ip -n outside link set lo up
     ip -n outside route add 198.51.100.7 via ${HOSTS.hostb}`,
  ]);
  const outside = (...command: string[]) => lab.inside(['nsenter', '--net=/run/netns/outside', '--', ...command]);
  const get = (url: string, seconds = 5) => ['curl', '-sS', '-m', `${seconds}`, `http://${url}`];
  const client = async (url: string) => (await outside(...get(`${url}/clientip`))).replace(/:\d+\s*$/, '');
  const names = async (url: string, count: number) => {
    const seen: Record<string, number> = {};
    for (let i = 0; i < count; i++) {
      const name = (await outside(...get(`${url}/hostname`))).trim();
      seen[name] = (seen[name] ?? 0) + 1;
    }
    return seen;
  };
  await until('the services are there', 8000, async () => (await lab.serviceAddress('near')) !== '');
  const code = async (command: readonly string[]) =>
    Number((await outside('sh', '-c', '"$@" >/dev/null 2>&1; echo $?', 'sh', ...command)).trim());
  const problems = async (host: string) =>
    (await lab.status()).hosts.find((each) => each.name === host)?.status?.problems.map(formatProblem) ?? [];

  t.test('node ports on every host, TCP and UDP, from everywhere', async (t) => {
    for (const address of Object.values(HOSTS)) {
      const seen = await names(`${address}:30080`, 6);
      t.same(seen, { 'web-0': 2, 'web-1': 2, 'web-2': 2 }, `${address} leads to all, evenly`);
    }
    t.match(await client(`${HOSTS.hosta}:30080`), /^10\.244\.1\.[01]$/, 'the server sees the host that it came to');
    t.equal(await code(get(`${HOSTS.hosta}:30099/`)), 7, 'a port that is no node port stays closed');
    const ask = [...weftCommand(), 'tool', 'udp-ask', HOSTS.hostb, '30081', 'hostname', '--count', '6'];
    t.same(JSON.parse(await outside(...ask)), { 'web-0': 2, 'web-1': 2, 'web-2': 2 }, 'UDP');
    for (const from of ['hosta', 'client-0']) {
      for (const to of [HOSTS.hosta, HOSTS.hostb]) {
        t.match(await lab.must(from, get(`${to}:30080/hostname`)), /^web-\d$/, `${from} to ${to}`);
      }
    }
    t.match(await lab.must('hosta', get('127.0.0.1:30080/hostname')), /^web-\d$/, 'hosta to itself by loopback');
    const seen = await lab.must('client-0', get(`${HOSTS.hosta}:30080/clientip`));
    t.match(seen, new RegExp(`^${await lab.address('client-0')}:`), 'a pod keeps its address');
    t.equal(
      (await lab.run('client-0', ['ping', '-c', '1', '-W', '2', HOSTS.hosta])).code,
      0,
      'the host itself answers',
    );
  });

  t.test('externalTrafficPolicy Local: here or not at all, the client as it is', async (t) => {
    t.same(await names(`${HOSTS.hostb}:30082`, 3), { 'web-1': 3 });
    t.equal(await client(`${HOSTS.hostb}:30082`), OUTSIDE);
    lab.manifest('local.yaml', onHost('hosta', await lab.address('web-0')));
    await until('it is served', 8000, async () => (await lab.serviceAddress('lb-local')) !== '');
    await until('hosta announces it', 5000, async () => (await code(get('172.31.0.206/', 1))) === 0);
    t.same(await names('172.31.0.206', 3), { 'web-0': 3 });
    t.equal(await client('172.31.0.206'), OUTSIDE);
    t.equal(await code(get(`${HOSTS.hostb}:30084/`, 1)), 28, 'a host without an endpoint is silent');
    t.equal((await lab.must('client-1', get('172.31.0.206/hostname'))).trim(), 'web-0', 'pods are led to all');
    const check = (host: string) => outside('curl', '-s', '-m', '5', '-w', ' %{http_code}', `http://${host}:30090/`);
    t.match(await check(HOSTS.hosta), /"service":{"namespace":"default","name":"lb-local"},"localEndpoints":1}\s+200$/);
    t.match(await check(HOSTS.hostb), /"localEndpoints":0}\s+503$/);
    lab.manifest('local.yaml', onHost('hostb', await lab.address('web-1')));
    await until(
      'hostb has it',
      3000,
      async () => (await outside('sh', '-c', 'curl -s -m 1 http://172.31.0.206/hostname || true')).trim() === 'web-1',
    );
    t.same(await names('172.31.0.206', 3), { 'web-1': 3 }, 'neighbours are told when another host announces it');
    t.match(await check(HOSTS.hosta), /503$/);
    lab.manifest('local.yaml', undefined);
    await until('its port is closed', 8000, async () => (await code(get(`${HOSTS.hosta}:30090/`, 1))) === 7);
  });

  t.test("LoadBalancer addresses answer on the hosts' network, by one host each", async (t) => {
    const { hosts } = await lab.status();
    t.same(await names('172.31.0.205', 6), { 'web-0': 2, 'web-1': 2, 'web-2': 2 });
    t.match(await client('172.31.0.205'), /^10\.244\.[123]\.[01]$/);
    const proxies = await Promise.all(hosts.map((host) => lab.must(host.name, ['ip', 'neigh', 'show', 'proxy'])));
    for (const address of ['172.31.0.205', '172.31.0.207']) {
      t.equal(proxies.filter((text) => text.includes(address)).length, 1, `${address} is announced once`);
    }
    const [given] = /172\.31\.0\.24\d/.exec(proxies.join('\n')) ?? [];
    t.ok(given, "one out of the lab's pool");
    t.match(await outside(...get(`${given}/hostname`)), /^web-\d$/);
    for (const from of ['hosta', 'hostb', 'client-2']) {
      t.match(await lab.must(from, get('172.31.0.205/hostname')), /^web-\d$/, `from ${from}`);
    }
    t.equal(await code(get('172.31.0.205:81/', 2)), 7, 'another port of it is refused');
    t.equal(await code(get('172.31.0.207/', 1)), 28, 'who is not in the source ranges is not heard');
    t.match(await lab.must('hosta', get('172.31.0.207/hostname')), /^web-\d$/, 'hosts of the cluster are');
  });

  t.test('externalIPs: of nobody, routed here, and of a host itself', async (t) => {
    for (const address of ['198.51.100.7', HOSTS.hosta]) {
      t.same(await names(`${address}:8088`, 3), { 'web-0': 1, 'web-1': 1, 'web-2': 1 }, `${address} from outside`);
      t.match(await lab.must('client-0', get(`${address}:8088/hostname`)), /^web-\d$/, `${address} from a pod`);
      t.match(await lab.must('hosta', get(`${address}:8088/hostname`)), /^web-\d$/, `${address} from a host`);
    }
    t.match(await lab.must('client-1', get(`${HOSTS.hosta}:8088/hostname`)), /^web-\d$/, 'from a pod of another host');
    t.equal(
      (await lab.run('client-1', ['ping', '-c', '1', '-W', '2', HOSTS.hosta])).code,
      0,
      'the host itself answers',
    );
  });

  t.test('affinity and internalTrafficPolicy', async (t) => {
    const load = await lab.tool<HttpLoadResult>('client-0', [
      'http-load',
      'http://sticky/hostname',
      '--requests',
      '20',
    ]);
    t.same(Object.values(load.answers), [20], 'one client, one server');
    const near = await lab.tool<HttpLoadResult>('client-1', ['http-load', 'http://near/hostname', '--requests', '20']);
    t.same(near.answers, { 'web-1': 20 }, "its own host's");
  });

  t.test('TCP and UDP on one port, a scheduler of its own, endpoints that are not ready yet', async (t) => {
    t.match(await lab.must('client-0', get('both:53/hostname')), /^web-\d$/);
    const asked = await lab.tool('client-0', [
      'udp-ask',
      await lab.serviceAddress('both'),
      '53',
      'hostname',
      '--count',
      '6',
    ]);
    t.same(asked, { 'web-0': 2, 'web-1': 2, 'web-2': 2 });
    t.match(
      (await problems('hosta')).join('\n'),
      /Service default\/both: spec\.ports\[2\]\.protocol: SCTP is not carried/,
    );
    const hashed = await lab.tool<HttpLoadResult>('client-0', [
      'http-load',
      'http://hashed/hostname',
      '--requests',
      '9',
    ]);
    t.equal(Object.keys(hashed.answers).length, 1, 'by the hash of the client');
    t.equal((await lab.run('client-0', get('late/'))).code, 7, 'nobody yet');
    lab.manifest(
      'late.yaml',
      `apiVersion: v1\nkind: Endpoints\nmetadata: {name: late}\nsubsets: [{notReadyAddresses: [{ip: ${await lab.address('web-1')}}], ports: [{port: 80}]}]\n`,
    );
    await until('it is served', 8000, async () => (await lab.run('client-0', get('late/'))).code === 0);
  });

  t.test('servers in the network of a host', async (t) => {
    lab.manifest('host-server.yaml', HOST_SERVER);
    await until('it answers', 10_000, async () => (await lab.run('client-1', get('hostnet/hostname'))).code === 0);
    for (const from of ['client-0', 'client-1', 'hosta', 'hostb']) {
      const { code: ended, stderr } = await lab.run(from, get(`${await lab.serviceAddress('hostnet')}/hostname`));
      t.equal(ended, 0, `${from} by the cluster address: ${stderr}`);
    }
    for (const host of [HOSTS.hosta, HOSTS.hostb]) {
      t.equal(await code(get(`${host}:30088/hostname`)), 0, `from outside by ${host}`);
      for (const from of ['client-0', 'hosta', 'hostb']) {
        const { code: ended, stderr } = await lab.run(from, get(`${host}:30088/hostname`));
        t.equal(ended, 0, `${from} by ${host}: ${stderr}`);
      }
    }
    t.equal(await code(get(`${HOSTS.hosta}:30089/hostname`)), 0, 'from outside under a Local policy, at its own host');
    t.equal(await code(get(`${HOSTS.hostb}:30089/hostname`, 1)), 28, 'another host is silent');
    t.equal((await lab.run('hostb', get(`${HOSTS.hosta}:30089/hostname`))).code, 0, 'from another host');
  });

  t.test('an agent that is killed takes its services up again', async (t) => {
    const agent = async () => (await lab.status()).hosts.find((host) => host.name === 'hosta');
    await lab.inside(['kill', '-9', `${(await agent())?.agentPid}`]);
    await until('it answers again', 20_000, async () => (await code(get(`${HOSTS.hosta}:30080/`, 1))) === 0);
    t.equal(await code(get('172.31.0.205/hostname')), 0);
    t.equal(await code(get(`${HOSTS.hosta}:8088/hostname`)), 0);
  });

  t.test('all of it over IPv6', async (t) => {
    const { hosts } = await lab.status();
    for (const address of HOSTS_6) {
      t.same(await names(`[${address}]:30091`, 3), { 'web-0': 1, 'web-1': 1, 'web-2': 1 }, `node port of ${address}`);
    }
    t.equal(await code(get(`${HOSTS.hostb}:30091/`)), 0, 'the same over IPv4');
    t.equal(await code(get(`${HOSTS.hostb}:30092/`)), 7, 'not where the service has IPv6 alone');
    t.match(await client(`[${HOSTS_6[0]}]:30091`), /fd00:10:244:1::1?\b/, 'the server sees the host that it came to');
    t.same(await names(`[${HOSTS_6[1]}]:30092`, 3), { 'web-1': 3 }, 'policy Local');
    t.match(await client(`[${HOSTS_6[1]}]:30092`), new RegExp(OUTSIDE_6), 'and the client as it is');
    const proxies = (
      await Promise.all(hosts.map((host) => lab.must(host.name, ['ip', '-6', 'neigh', 'show', 'proxy'])))
    ).join('');
    const [given = ''] = /fd00:172:31::24\d/.exec(proxies) ?? [];
    t.match(await outside(...get(`[${given}]/hostname`)), /^web-\d$/, `a LoadBalancer at ${given}`);
    for (const from of ['hosta', 'client-0', 'client-1']) {
      t.match(await lab.must(from, get(`[${given}]/hostname`)), /^web-\d$/, `it from ${from}`);
      t.match(await lab.must(from, get(`[${HOSTS_6[0]}]:30091/hostname`)), /^web-\d$/, `a node port from ${from}`);
    }
    const { stdout } = await lab.run('client-0', ['curl', '-6', '-sS', '-m', '5', 'http://np-dual/hostname']);
    t.match(stdout, /^web-\d$/, 'the cluster address by name');
  });

  t.test('what is in the way is said', async (t) => {
    lab.background([
      'nsenter',
      `--net=/proc/${(await lab.status()).hosts[1]?.agentPid}/ns/net`,
      ...weftCommand(),
      'netexec',
      '--http-port',
      '30083',
    ]);
    lab.manifest(
      'more.yaml',
      `${service('rival', `type: NodePort, ${HTTP(30_080)}`)}---\n${service('lb-rival', `type: LoadBalancer, loadBalancerIP: 172.31.0.205, ${PLAIN}`)}`,
    );
    await until('all is said', 15_000, async () => {
      const text = (await problems('hostb')).join('\n');
      return (
        [
          /Service default\/rival: spec\.ports\[0\]\.nodePort: 30080\/TCP is already that of Service default\/np .*services\.yaml/,
          /Service default\/lb-rival: spec\.loadBalancerIP: 172\.31\.0\.205 is already the address of Service default\/lb /,
          /Service default\/lb: a process of this host listens on node port 30083\/TCP/,
        ].every((wanted) => wanted.test(text)) || text
      );
    });
    lab.manifest('more.yaml', undefined);
    t.match(await names(`${HOSTS.hostb}:30083`, 3), { 'web-0': 1 }, 'it is served all the same');
  });

  t.test('nothing stays when the services go', async () => {
    lab.manifest('services.yaml', undefined);
    await until('they are gone', 8000, async () => (await lab.serviceAddress('near')) === '');
    const left = async () =>
      (await lab.must('hosta', ['sh', '-c', 'nft list tables; ip neigh show proxy; ip route show proto 119'])).trim();
    await until(
      'the kernel has forgotten them',
      5000,
      async () => !/weft-services|172|198/.test(await left()) || (await left()),
    );
  });
});
