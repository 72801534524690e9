/** A lab with an API server, and the kubectl of this machine to drive it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { agentStatus } from '../../src/agent/client.ts';
import { findKubectls, type Kubectl, kubectl } from '../apiserver/kubectl.ts';
import { TestLab, until } from './test-lab.ts';

/** For tap's `skip`. */
export function noKubectl(): string | false {
  return findKubectls().some(({ name }) => name === 'kubectl') ? false : 'kubectl is not installed';
}

const client = (host: string, i: number) => `apiVersion: v1
kind: Pod
metadata: {name: client-${i}}
spec:
  nodeName: ${host}
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: busybox, command: [sleep, infinity]}]
`;

export class ClusterLab {
  readonly lab: TestLab;
  readonly folder: string;
  readonly #tool: Kubectl;

  private constructor(lab: TestLab, folder: string, tool: Kubectl) {
    this.lab = lab;
    this.folder = folder;
    this.#tool = tool;
  }

  /** Three hosts, on each a pod `client-N` and nothing else: the names of the tutorials are free. */
  static async up(home: string, request: Parameters<typeof TestLab.up>[0] = {}): Promise<ClusterLab> {
    const clients = join(home, 'clients.yaml');
    writeFileSync(clients, ['hosta', 'hostb', 'hostc'].map(client).join('---\n'));
    const lab = await TestLab.up({ store: 'lmdb', manifests: [clients], ...request });
    const tool = findKubectls().find(({ name }) => name === 'kubectl');
    if (!tool) throw new Error('there is no kubectl');
    const folder = join(home, 'given');
    mkdirSync(folder, { recursive: true });
    return new ClusterLab(lab, folder, tool);
  }

  kubectl(...words: string[]): Promise<string> {
    return kubectl(this.#tool, this.lab.lab.kubeconfig, words);
  }

  /** With something on its standard input. */
  kubectlReading(input: string, ...words: string[]): Promise<string> {
    return kubectl(this.#tool, this.lab.lab.kubeconfig, words, {}, input);
  }

  /** Applies a manifest, as a file. */
  async apply(name: string, text: string): Promise<string> {
    return this.kubectl('apply', '-f', this.file(name, text));
  }

  file(name: string, text: string): string {
    const path = join(this.folder, `${name}.yaml`);
    writeFileSync(path, text);
    return path;
  }

  /** Kills the API server; its keeper starts another. */
  async killApiServer(): Promise<void> {
    const pid = this.lab.lab.state()?.apiServer?.pid;
    if (pid === undefined) throw new Error('no API server runs');
    await this.lab.inside(['kill', '-9', `${pid}`]);
  }

  /** Until a host's agent sees endpoints of a service as wanted: `holds` is asked on every host but those. */
  async onEveryHost(
    service: string,
    what: string,
    timeoutMs: number,
    holds: (targets: readonly string[]) => boolean,
    except: readonly string[] = [],
  ): Promise<void> {
    const { lab, topology } = this.lab;
    const hosts = topology.hosts.map(({ name }) => name).filter((name) => !except.includes(name));
    const done = new Set<string>();
    await until(what, timeoutMs, async () => {
      // One that is silent would have the others wait for it.
      const asked = hosts.map(async (name) => {
        const { services } = await agentStatus(lab.agentSocket(name));
        const found = services.find((each) => each.name === service);
        if (holds(found?.ports.flatMap(({ targets }) => targets) ?? [])) done.add(name);
      });
      await Promise.all(asked);
      return done.size === hosts.length || `seen by ${[...done].join(', ') || 'nobody'}`;
    });
  }
}
