/**
 * The subject itself: two agents, one in each host's namespace, as separate processes, with one pod each.
 */
import type { ChildProcess } from 'node:child_process';
import { agentReady, agentStatus } from '../../src/agent/client.ts';
import { inNamespace, run, sleep, start } from '../command.ts';
import type { Contender, Pod } from '../contest.ts';
import { privateFolder } from '../isolation.ts';
import { makeHostPair, removeNamespace, UNDERLAY, writeManifests } from './host-pair.ts';

const READY_MS = 20_000;

export class WeftAgents implements Contender {
  readonly name: string;
  readonly title: string;
  readonly pods: readonly [Pod, Pod];
  readonly namespaces: string[] = [];
  readonly #offload: string;
  readonly #agents: { process: ChildProcess; said: () => string; socket: string }[] = [];

  constructor(name: string, offload: 'auto' | 'tunnel-gso' | 'udp-gso' | 'batched') {
    this.name = name;
    this.title = offload === 'auto' ? 'Weft' : `Weft, ${offload}`;
    this.#offload = offload;
    const pod = (i: number) => ({ namespace: `weft-default-${name}-${i}`, address: `10.244.${i}.10` });
    this.pods = [pod(1), pod(2)];
  }

  async up(): Promise<string> {
    const { hosts } = await makeHostPair(this.name);
    this.namespaces.push(...hosts);
    const folder = privateFolder(this.name);
    writeManifests(
      `${folder}/cluster.yaml`,
      [1, 2].flatMap((i) => this.#objects(i)),
    );
    for (const host of hosts) {
      const socket = `${folder}/${host}.sock`;
      const options = ['--node', host, '--manifests', `${folder}/cluster.yaml`, '--offload', this.#offload];
      const places = ['--state-dir', `${folder}/${host}`, '--socket', socket];
      const agent = start(
        inNamespace(host, [process.execPath, 'dist/src/cli/main.js', 'agent', ...options, ...places]),
      );
      let said = '';
      const keep = (data: Buffer) => {
        said = `${said}${data}`.slice(-4000);
      };
      agent.stdout?.on('data', keep);
      agent.stderr?.on('data', keep);
      this.#agents.push({ process: agent, said: () => said, socket });
    }
    for (const agent of this.#agents) await this.#ready(agent);
    await this.#podsReachEachOther();
    const status = await agentStatus(this.#agents[0]?.socket ?? '');
    return `two agents, offload ${status.offload.mode} (${status.offload.detail})`;
  }

  async down(): Promise<void> {
    await Promise.all(this.#agents.splice(0).map((agent) => ended(agent.process)));
    for (const name of this.namespaces.splice(0)) await removeNamespace(name).catch(() => {});
  }

  #objects(i: number): object[] {
    const host = `${this.name}-${i === 1 ? 'a' : 'b'}`;
    const pod = { name: `${this.name}-${i}`, namespace: 'default', annotations: { 'weft.dev/ip': `10.244.${i}.10` } };
    const containers = [{ name: 'idle', image: 'none', command: ['sleep', 'infinity'] }];
    return [
      {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: host },
        spec: { podCIDR: `10.244.${i}.0/24` },
        status: { addresses: [{ type: 'InternalIP', address: UNDERLAY[i - 1] }] },
      },
      { apiVersion: 'v1', kind: 'Pod', metadata: pod, spec: { nodeName: host, containers } },
    ];
  }

  async #ready(agent: { process: ChildProcess; said: () => string; socket: string }): Promise<void> {
    const end = Date.now() + READY_MS;
    let why = 'no answer';
    while (Date.now() < end) {
      if (agent.process.exitCode !== null)
        throw new Error(`an agent ended with ${agent.process.exitCode}:\n${agent.said()}`);
      const answer = await agentReady(agent.socket).catch((error: Error) => ({ ready: false, why: error.message }));
      if (answer.ready) return;
      why = answer.why;
      await sleep(100);
    }
    throw new Error(`an agent was not ready after ${READY_MS} ms (${why}):\n${agent.said()}`);
  }

  async #podsReachEachOther(): Promise<void> {
    const [client, server] = this.pods;
    await run(inNamespace(client.namespace, ['ping', '-n', '-c', '1', '-w', '10', server.address])).catch(
      (error: Error) => {
        throw new Error(`${error.message}\n${this.#agents.map((a) => a.said()).join('\n')}`);
      },
    );
  }
}

/** SIGTERM, and SIGKILL for one that does not hear it. */
function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('close', () => resolve());
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), 5000).unref();
  });
}
