/** Weft as a DNS server: one agent on one host, its pod asking at the cluster's DNS address through its own device. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { agentReady, agentStatus } from '../../src/agent/client.ts';
import { type Daemon, daemon, inNamespace, sleep } from '../command.ts';
import type { Host, Pod } from '../contest.ts';
import { privateFolder } from '../isolation.ts';
import { DnsHost } from './dns-host.ts';
import { makeHostPair, removeNamespace, UNDERLAY_MTU } from './host-pair.ts';

const READY_MS = 60_000;
const STATUS_MS = 60_000;
const NODE_ADDRESS = '172.31.9.1';
const ENDPOINT = '10.244.1.11';

export interface WeftDnsVariant {
  readonly name: string;
  readonly title: string;
  /** Beside the usual ones. */
  readonly flags: readonly string[];
  readonly about: string;
}

export class WeftDns extends DnsHost {
  readonly name: string;
  readonly title: string;
  readonly kind = 'weft';
  readonly #variant: WeftDnsVariant;
  #agent: Daemon | undefined;

  constructor(variant: WeftDnsVariant, names: number) {
    super(names);
    this.name = variant.name;
    this.title = variant.title;
    this.#variant = variant;
  }

  protected override get client(): Pod {
    return { ...super.client, namespace: `weft-${this.#namespace}-client` };
  }

  /** Without a dash, or the agent adds a hash to the pod's namespace's name. */
  get #namespace(): string {
    return this.name.replaceAll('-', '');
  }

  /** An agent needs an underlay; nobody is at its other end. */
  get #underlay(): readonly [Host, Host] {
    return [
      { namespace: this.host.namespace, address: NODE_ADDRESS },
      { namespace: `${this.name}-nobody`, address: '172.31.9.2' },
    ];
  }

  get #socket(): string {
    return `${privateFolder(this.name)}/agent.sock`;
  }

  async version(): Promise<string> {
    const { versions } = await agentStatus(this.#socket, { timeoutMs: STATUS_MS });
    return `Weft ${versions.weft}, Node ${versions.node}`;
  }

  processes(): readonly number[] {
    return this.#agent ? [this.#agent.pid] : [];
  }

  async up(): Promise<string> {
    const { host } = this;
    const folder = privateFolder(this.name);
    await makeHostPair(this.#underlay, UNDERLAY_MTU);
    mkdirSync(`${folder}/manifests`, { recursive: true });
    const objects = this.#objects().map((object) => JSON.stringify(object));
    writeFileSync(`${folder}/manifests/cluster.json`, objects.join('\n---\n'));
    const where = ['--node', host.namespace, '--manifests', `${folder}/manifests`];
    const state = ['--state-dir', `${folder}/state`, '--socket', this.#socket, '--workers', '1'];
    const command = [process.execPath, 'dist/src/cli/main.js', 'agent', ...where, ...state, ...this.#variant.flags];
    this.#agent = daemon(inNamespace(host.namespace, command));
    await this.#ready(this.#agent);
    await this.askAll();
    return this.#variant.about;
  }

  async down(): Promise<void> {
    await this.#agent?.stop();
    for (const { namespace } of this.#underlay) await removeNamespace(namespace);
  }

  #objects(): object[] {
    const namespace = this.#namespace;
    const ports = [{ name: 'http', port: 80, protocol: 'TCP' }];
    const services = this.names.flatMap(({ service, address }) => {
      const metadata = { name: service, namespace: 'bench' };
      return [
        { apiVersion: 'v1', kind: 'Service', metadata, spec: { clusterIP: address, ports } },
        { apiVersion: 'v1', kind: 'Endpoints', metadata, subsets: [{ addresses: [{ ip: ENDPOINT }], ports }] },
      ];
    });
    const { address } = this.client;
    return [
      {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: this.host.namespace },
        spec: { podCIDR: '10.244.1.0/24' },
        status: { addresses: [{ type: 'InternalIP', address: NODE_ADDRESS }] },
      },
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'client', namespace, annotations: { 'weft.dev/ip': address } },
        spec: {
          nodeName: this.host.namespace,
          containers: [{ name: 'idle', image: 'none', command: ['sleep', 'infinity'] }],
        },
      },
      ...services,
    ];
  }

  async #ready(agent: Daemon): Promise<void> {
    const end = Date.now() + READY_MS;
    let why = 'no answer';
    while (Date.now() < end) {
      if (agent.ended() !== undefined) break;
      const answer = await agentReady(this.#socket).catch((error: Error) => ({ ready: false, why: error.message }));
      if (answer.ready) return;
      why = answer.why;
      await sleep(200);
    }
    throw new Error(`the agent was not ready (${agent.ended() ?? why}):\n${agent.said()}`);
  }
}
