/**
 * The subject itself: two agents, one in each host's namespace, as separate processes; two pods on the client's host,
 * one on the server's, and a service in front of that one.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { agentReady, agentStatus } from '../../src/agent/client.ts';
import type { BackendName, OffloadRequest } from '../../src/agent/options.ts';
import type { AgentStatus } from '../../src/agent/status.ts';
import { type Daemon, daemon, inNamespace, sleep } from '../command.ts';
import { type Contender, type Host, type Pod, TCP_PORTS, UDP_PORTS } from '../contest.ts';
import { privateFolder } from '../isolation.ts';
import { hostsOf, makeHostPair, reach, removeNamespace, UNDERLAY_MTU } from './host-pair.ts';
import { type NetworkOptions, SERVICE } from './routed-network.ts';

const READY_MS = 20_000;
/** Also for 10,000 services, read and compiled. */
const SERVICES_MS = 60_000;
/** The service's endpoints are the last and as many after it as are wanted. */
const PODS: readonly { name: string; host: 0 | 1; address: string }[] = [
  { name: 'client', host: 0, address: '10.244.1.10' },
  { name: 'local', host: 0, address: '10.244.1.11' },
  { name: 'server', host: 1, address: '10.244.2.10' },
];

export interface WeftVariant {
  readonly name: string;
  readonly title: string;
  readonly offload: OffloadRequest;
  readonly backend: BackendName;
  /** As --proxy-mode takes it; absent: the default. */
  readonly proxyMode?: string;
  /** Its command line, built; absent: this checkout's. */
  readonly program?: string;
}

interface Agent {
  readonly daemon: Daemon;
  readonly socket: string;
}

export class WeftAgents implements Contender {
  readonly name: string;
  readonly title: string;
  readonly kind = 'weft';
  readonly encrypted = false;
  readonly pods: readonly [Pod, Pod];
  readonly local: Pod;
  readonly hosts: readonly [Host, Host];
  readonly service = SERVICE;
  readonly #variant: WeftVariant;
  readonly otherEndpoints: readonly Pod[];
  readonly #pods: typeof PODS;
  readonly #underlayMtu: number;
  readonly #folder: string;
  /** Of its pods. Without a dash, or the agent adds a hash to their names, which would be ambiguous. */
  readonly #namespace: string;
  #agents: Agent[] = [];

  constructor(variant: WeftVariant, { underlayMtu = UNDERLAY_MTU, endpoints = 1 }: NetworkOptions = {}) {
    this.name = variant.name;
    this.title = variant.title;
    this.#variant = variant;
    this.#underlayMtu = underlayMtu;
    this.#namespace = this.name.replaceAll('-', '');
    this.#folder = `${privateFolder(this.name)}/manifests`;
    const more = Array.from({ length: endpoints - 1 }, (_, i) => i + 1);
    this.#pods = [
      ...PODS,
      ...more.map((i) => ({ name: `server${i + 1}`, host: 1 as const, address: `10.244.2.${10 + i}` })),
    ];
    const [client, local, server, ...others] = this.#pods.map(({ name, address }) => ({
      namespace: `weft-${this.#namespace}-${name}`,
      address,
    })) as [Pod, Pod, Pod, ...Pod[]];
    this.pods = [client, server];
    this.local = local;
    this.otherEndpoints = others;
    this.hosts = hostsOf(this.name);
  }

  missing(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async version(): Promise<string> {
    const { versions } = await this.#status();
    return `Weft ${versions.weft}, Node ${versions.node}`;
  }

  async up(): Promise<string> {
    await makeHostPair(this.hosts, this.#underlayMtu);
    mkdirSync(this.#folder, { recursive: true });
    const nodes = this.hosts.map((host, i) => nodeObject(host, i + 1));
    const pods = this.#pods.map((pod) =>
      podObject(pod.name, this.#namespace, this.hosts[pod.host].namespace, pod.address),
    );
    const [, server] = this.pods;
    this.#write('cluster.json', [
      ...nodes,
      ...pods,
      ...serviceObjects('server', this.#namespace, SERVICE, [server, ...this.otherEndpoints]),
    ]);
    this.#agents = this.hosts.map(({ namespace }) => {
      const state = privateFolder(`${this.name}/${namespace}`);
      const socket = `${state}/agent.sock`;
      const where = ['--node', namespace, '--manifests', this.#folder, '--state-dir', state, '--socket', socket];
      const { offload, backend, proxyMode } = this.#variant;
      const how = ['--offload', offload, '--backend', backend, ...(proxyMode ? ['--proxy-mode', proxyMode] : [])];
      const program = this.#variant.program ?? 'dist/src/cli/main.js';
      const agent = [process.execPath, program, 'agent', ...where, ...how];
      return { daemon: daemon(inNamespace(namespace, agent)), socket };
    });
    for (const agent of this.#agents) await this.#ready(agent);
    await reach(this.pods[0].namespace, server.address, { seconds: 10 }).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.#agents.map((a) => a.daemon.said()).join('\n')}`);
    });
    const { offload, backend } = await this.#status();
    return `two agents, backend ${backend}, offload ${offload.mode} (${offload.detail})`;
  }

  async down(): Promise<void> {
    await Promise.all(this.#agents.splice(0).map((agent) => agent.daemon.stop()));
    for (const { namespace } of this.hosts) await removeNamespace(namespace);
  }

  processes(): readonly number[] {
    return this.#agents.map((agent) => agent.daemon.pid);
  }

  /** Each of them is a service with one endpoint: the server pod. */
  async setServices(count: number): Promise<void> {
    const { generation, services: before } = await this.#status();
    const objects: object[] = [];
    for (let i = 0; i < count; i++) {
      const address = `10.96.${1 + (i >> 8)}.${i & 255}`;
      objects.push(...serviceObjects(`filler-${i}`, this.#namespace, address, [this.pods[1]]));
    }
    // An empty file would change nothing: to an agent it is one that its writer has cut off.
    if (objects.length > 0) this.#write('services.json', objects);
    else rmSync(`${this.#folder}/services.json`, { force: true });
    if (before.length === count + 1) return;
    const end = Date.now() + SERVICES_MS;
    for (;;) {
      const status = await this.#status();
      if (status.services.length === count + 1 && status.generation > generation) return;
      if (Date.now() > end) throw new Error(`${status.services.length} of ${count + 1} services after a minute`);
      await sleep(100);
    }
  }

  /** What each host's agent says about itself, the client's first. */
  statuses(): Promise<AgentStatus[]> {
    return Promise.all(this.#agents.map(({ socket }) => agentStatus(socket)));
  }

  #status(): Promise<AgentStatus> {
    return agentStatus(this.#agents[0]?.socket ?? '', { timeoutMs: SERVICES_MS });
  }

  /** One List, moved into place: no agent reads half of it. */
  #write(name: string, items: readonly object[]): void {
    const path = `${this.#folder}/${name}`;
    writeFileSync(`${path}.new`, items.map((item) => JSON.stringify(item)).join('\n---\n'));
    renameSync(`${path}.new`, path);
  }

  async #ready(agent: Agent): Promise<void> {
    const end = Date.now() + READY_MS;
    let why = 'no answer';
    while (Date.now() < end) {
      const ended = agent.daemon.ended();
      if (ended !== undefined) throw new Error(`an agent ended with ${ended}:\n${agent.daemon.said()}`);
      const answer = await agentReady(agent.socket).catch((error: Error) => ({ ready: false, why: error.message }));
      if (answer.ready) return;
      why = answer.why;
      await sleep(100);
    }
    throw new Error(`an agent was not ready after ${READY_MS} ms (${why}):\n${agent.daemon.said()}`);
  }
}

function nodeObject(host: Host, index: number): object {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: host.namespace },
    spec: { podCIDR: `10.244.${index}.0/24` },
    status: { addresses: [{ type: 'InternalIP', address: host.address }] },
  };
}

function podObject(name: string, namespace: string, nodeName: string, address: string): object {
  const containers = [{ name: 'idle', image: 'none', command: ['sleep', 'infinity'] }];
  const metadata = { name, namespace, annotations: { 'weft.dev/ip': address } };
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { nodeName, containers } };
}

function serviceObjects(name: string, namespace: string, clusterIP: string, endpoints: readonly Pod[]): object[] {
  const metadata = { name, namespace };
  const addresses = endpoints.map(({ address }) => ({ ip: address }));
  const ports = [
    ...TCP_PORTS.map((port) => ({ name: `tcp-${port}`, port, protocol: 'TCP' })),
    ...UDP_PORTS.map((port) => ({ name: `udp-${port}`, port, protocol: 'UDP' })),
  ];
  return [
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { clusterIP, ports } },
    { apiVersion: 'v1', kind: 'Endpoints', metadata, subsets: [{ addresses, ports }] },
  ];
}
