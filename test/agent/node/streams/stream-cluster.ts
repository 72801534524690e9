/**
 * An API server and one node of it on loopback, for one test: the node's pod is no real one, commands beside its
 * containers run as they are, its logs are what the test says, and main commands are those that the test begins.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { AgentError } from '../../../../src/agent/agent-error.ts';
import { NodeServer, type NodeServerOptions } from '../../../../src/agent/node/node-server.ts';
import { ContainerAttachment } from '../../../../src/agent/pods/container-attachment.ts';
import type { OutputPiece } from '../../../../src/agent/pods/container-log-reader.ts';
import type {
  ContainerLogRequest,
  ContainerPlace,
  PodAccess,
  PodPlace,
} from '../../../../src/agent/pods/pod-access.ts';
import { PodLoopback } from '../../../../src/agent/pods/pod-loopback.ts';
import { ADMINISTRATORS, Authenticator } from '../../../../src/apiserver/access/access.ts';
import { Authority } from '../../../../src/apiserver/access/authority.ts';
import { kubeconfig } from '../../../../src/apiserver/access/kubeconfig.ts';
import type { ApiObject } from '../../../../src/apiserver/api-object.ts';
import { ApiService } from '../../../../src/apiserver/api-service.ts';
import { ResourceTable } from '../../../../src/apiserver/kinds/resource-table.ts';
import { LmdbStore } from '../../../../src/apiserver/store/lmdb-store.ts';
import { loadNativeAddon } from '../../../../src/io/native-addon.ts';
import { type ReadingContainer, startContainer } from '../../pods/reading-container.ts';

const NODE = 'a';

const READING = { reader: { stdin: true, stdinOnce: true }, shell: { stdin: true, tty: true } };

/**
 * The pod `default/web` of the containers `main`, which runs, `helper`, which runs too, and `late`, which waits; `reader`
 * and `shell` read what is typed, `shell` on a terminal.
 */
const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'web',
    labels: { app: 'web' },
    annotations: { 'kubectl.kubernetes.io/default-container': 'main' },
  },
  spec: {
    nodeName: NODE,
    containers: [
      ...['main', 'helper', 'late'].map((name) => ({ name, image: 'x' })),
      ...Object.entries(READING).map(([name, reading]) => ({ name, image: 'x', ...reading })),
    ],
  },
  status: { phase: 'Running' },
};
/** Its node is not there. */
const ORPHAN = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'orphan' },
  spec: { nodeName: 'gone', containers: [{ name: 'main', image: 'x' }] },
};

let begun = 0;

/** As the agent's pods say it. */
function checkPod({ namespace, pod }: PodPlace): void {
  if (`${namespace}/${pod}` !== 'default/web') throw new AgentError('no-pod', `no pod ${namespace}/${pod} runs here`);
}

function checkContainer({ namespace, pod, container }: ContainerPlace, problem: string): void {
  checkPod({ namespace, pod });
  if (container === 'late') throw new AgentError('wrong', `container "late" in pod "web" ${problem}`);
}

async function* saidOnBoth(): AsyncIterable<OutputPiece> {
  yield { stream: 'stdout', text: Buffer.from('one\n') };
  yield { stream: 'stderr', text: Buffer.from('complaint\n') };
  yield { stream: 'stdout', text: Buffer.from('two\n') };
}

export class StreamCluster {
  readonly kubeconfig: string;
  readonly folder: string;
  readonly authority: Authority;
  readonly service: ApiService;
  readonly node: NodeServer;
  readonly nodePort: number;
  /** Of the pod, which has the host's network. Tests that end it put another one in its place. */
  loopback: PodLoopback;
  /** What was asked of logs. */
  readonly asked: ContainerLogRequest[];
  readonly log: string[];
  readonly #main: Map<string, ReadingContainer>;

  private constructor(
    parts: Omit<StreamCluster, 'userConfig' | 'create' | 'begin'>,
    main: Map<string, ReadingContainer>,
  ) {
    this.#main = main;
    this.kubeconfig = parts.kubeconfig;
    this.folder = parts.folder;
    this.authority = parts.authority;
    this.service = parts.service;
    this.node = parts.node;
    this.nodePort = parts.nodePort;
    this.loopback = parts.loopback;
    this.asked = parts.asked;
    this.log = parts.log;
  }

  /** Ends with the test. */
  static async start(
    t: Test,
    readLog: PodAccess['containerLog'] = async function* () {},
    limits: Partial<NodeServerOptions> = {},
  ): Promise<StreamCluster> {
    const folder = t.testdir();
    const authority = await Authority.open(join(folder, 'pki'));
    const server = await authority.server(['127.0.0.1']);
    const own = await authority.client('weft:apiserver', [ADMINISTRATORS]);
    const store = LmdbStore.open({ path: join(folder, 'store') });
    const authenticator = new Authenticator([]);
    const log: string[] = [];
    const service = await ApiService.start({
      store,
      host: '127.0.0.1',
      port: 0,
      tls: { key: server.key, certificate: server.certificate, clientCa: authority.certificate },
      authenticate: (request, socket) => authenticator.userOf(request, socket),
      version: 'test',
      log: (message) => log.push(message),
      nodes: { ...own, authority: authority.certificate },
      controllers: false,
    });
    const native = loadNativeAddon();
    const asked: ContainerLogRequest[] = [];
    const main = new Map<string, ReadingContainer>();
    const pods: PodAccess = {
      beside: (place, [file = '', ...args]) => {
        checkContainer(place, 'is not running');
        return { file, args, env: { PATH: process.env.PATH ?? '', GREETING: 'hello' } };
      },
      containerLog: (request, signal) => {
        checkContainer(request, 'is waiting to start: CrashLoopBackOff');
        asked.push(request);
        return readLog(request, signal);
      },
      attach: (place, withInput) => {
        checkContainer(place, 'is waiting to start: CrashLoopBackOff');
        const reading = main.get(place.container);
        if (reading) return new ContainerAttachment(reading.run, reading.spec, withInput);
        return { isTerminal: false, input: undefined, endsInput: false, resize: () => {}, output: saidOnBoth };
      },
      loopback: (place) => {
        checkPod(place);
        return cluster.loopback;
      },
    };
    const identity = await authority.node(NODE);
    const node = new NodeServer({
      identity: { ...identity, authority: authority.certificate },
      pods,
      native,
      ...limits,
    });
    const nodePort = await node.listen('127.0.0.1', 0);
    t.teardown(async () => {
      await node.close();
      await service.close();
      await store.close();
    });
    const kubeconfig = join(folder, 'config');
    const loopback = new PodLoopback({ key: 'default/web', netns: '' }, native);
    const parts = { kubeconfig, folder, authority, service, node, nodePort, asked, log, loopback };
    const cluster: StreamCluster = new StreamCluster(parts, main);
    await cluster.userConfig('config', [ADMINISTRATORS]);
    await cluster.create('nodes', nodeObject(NODE, nodePort));
    await cluster.create('pods', POD);
    await cluster.create('pods', ORPHAN);
    return cluster;
  }

  /** The main command of `reader` or `shell` from now on. */
  begin(t: Test, container: keyof typeof READING, script: string): ReadingContainer {
    const reading = startContainer(t, join(this.folder, `${container}-${++begun}`), script, READING[container]);
    this.#main.set(container, reading);
    return reading;
  }

  /** A kubeconfig of somebody of these groups; its path. */
  async userConfig(name: string, groups: readonly string[], user = name): Promise<string> {
    const path = join(this.folder, name);
    const credentials = await this.authority.client(user, groups);
    const server = `https://127.0.0.1:${this.service.port}`;
    const text = kubeconfig({ server, user, authority: this.authority.certificate, credentials });
    writeFileSync(path, text, { mode: 0o600 });
    mkdirSync(join(this.folder, 'home'), { recursive: true });
    return path;
  }

  async create(plural: string, object: unknown): Promise<void> {
    const { objects } = this.service;
    const resource = new ResourceTable().find('', 'v1', plural);
    if (!resource) throw new Error(`no ${plural}`);
    const namespace = resource.namespaced ? 'default' : undefined;
    const made = await objects.create(resource, namespace, object as ApiObject);
    const { status } = object as ApiObject;
    if (!status) return;
    const place = { resource, namespace, name: made.metadata.name };
    await objects.update(place, (current) => ({ ...current, status }), { subresource: 'status' });
  }
}

export function nodeObject(name: string, port: number): unknown {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    status: {
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
      daemonEndpoints: { kubeletEndpoint: { Port: port } },
    },
  };
}
