import { stripVTControlCharacters } from 'node:util';
import t from 'tap';
import type { AgentStatus } from '../../src/agent/status.ts';
import { resolveTopology } from '../../src/lab/topology.ts';
import { labStatusText } from '../../src/observe/lab-status-text.ts';

const problem = { place: 'web.yaml:3', message: 'Service default/web: spec: is wrong', severity: 'error' } as const;

function agent(node: string): AgentStatus {
  return {
    node,
    pid: 7,
    ready: true,
    notReady: '',
    startedAt: '',
    readyAfterMs: 1,
    versions: { weft: '', node: '', kernel: '' },
    backend: 'vxlan',
    vni: 1,
    udpPort: 4789,
    offload: { mode: 'udp-gso', requested: 'auto', detail: '' },
    podCidr6: '',
    gateway6: '',
    underlay: { addresses: [], address: '', device: '', mtu: 1500 },
    podMtu: 1450,
    podCidr: '',
    gateway: '',
    generation: 1,
    pods: [
      {
        ...{
          namespace: 'default',
          name: `web-${node}`,
          address: '10.244.1.9',
          addresses: ['10.244.1.9'],
          hostNetwork: false,
          hostname: '',
        },
        ...{ phase: 'Pending', ready: false, netns: '', directory: '', port: 16, message: 'no command', notes: [] },
        containers: [
          {
            ...{ name: 'c', state: 'waiting', pid: 0, restarts: 4, exitCode: 1, reason: '', startedAt: '', env: {} },
            ...{ workingDir: '', log: '' },
          },
        ],
      },
    ],
    services: [
      {
        namespace: 'default',
        name: 'web',
        type: 'ClusterIP',
        clusterIps: ['10.96.0.7'],
        externalIps: [],
        ports: [
          { name: 'a', protocol: 'TCP', port: 80, nodePort: 0, targets: ['10.244.1.9:80', '10.244.2.9:80'] },
          { name: 'b', protocol: 'UDP', port: 53, nodePort: 0, targets: [] },
        ],
      },
      {
        ...{ namespace: 'default', name: 'lb', type: 'LoadBalancer', clusterIps: ['10.96.0.8'] },
        externalIps: ['172.31.0.240'],
        ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: 30_080, targets: ['[fd00::9]:80'] }],
      },
    ],
    peers: [],
    problems: [problem],
    counters: { drops: {}, ports: {}, flows: {}, gauges: {}, native: {}, workers: [], relay: {}, dns: {} },
    rssBytes: 98_400_000,
  };
}

t.test('hosts, pods, services by port, and each problem once', (t) => {
  const { topology } = resolveTopology({}, { hosts: 3 });
  const hosts = topology.hosts.map((host, i) => ({
    ...host,
    starts: i + 1,
    agentPid: i === 2 ? 9 : undefined,
    lastEnd: 'SIGKILL',
    status: i === 0 ? agent(host.name) : undefined,
  }));
  const text = stripVTControlCharacters(
    labStatusText({ name: 'x', directory: '/x', up: true, rootless: true, topology, hosts }),
  );
  t.match(text, 'lab x: up, vxlan over 172.31.0.0/24 (mtu 1500), without root');
  t.match(
    text,
    /hosta +172\.31\.0\.11 fd00:172:31::11 +10\.244\.1\.0\/24 fd00:10:244:1::\/64 +ready +1 +udp-gso +98 MB/,
  );
  t.match(text, /hostb +172\.31\.0\.12 .* fd00:10:244:2::\/64 +SIGKILL +2$/m, 'an agent that has ended');
  t.match(text, /hostc .* +does not answer +3$/m, 'and one that is there and silent');
  t.match(text, /default\/web-hosta +hosta +10\.244\.1\.9 +Pending +4 +no command/);
  t.match(text, /default\/web +10\.96\.0\.7 +80\/TCP +10\.244\.1\.9:80 10\.244\.2\.9:80\n +53\/UDP +none/);
  t.match(text, /default\/lb +10\.96\.0\.8 172\.31\.0\.240 +80:30080\/TCP +\[fd00::9\]:80/);
  t.match(text, /PROBLEMS\nweb\.yaml:3: Service default\/web: spec: is wrong \(hosta\)$/);
  const all = labStatusText({
    ...{ name: 'x', directory: '/x', up: false, rootless: false, topology },
    hosts: hosts.map((host) => ({ ...host, status: agent(host.name) })),
  });
  t.equal(all.split('spec: is wrong').length, 2, 'a problem that all hosts see is told once');
  t.end();
});
