/**
 * One host's agent: the place where the rooms are wired together, and the only one.
 *
 *   ObjectSource ─objects─▶ buildModel ─model─▶ compile ─tables─▶ Dataplane.publish ─▶ worker
 *                              │                   ▲ ports
 *                              ├─ this node ─▶ HostPorts (weft0, UDP socket, TAP, routes, nftables)
 *                              ├─ its pods ──▶ LocalPods (namespaces, TUN devices, processes)
 *                              ├─ records ───▶ HostDns
 *                              ├─ userspace ─▶ HostRelay (proxy ports)
 *                              ├─ the others ▶ PeerProbes
 *                              └─ all of it ─▶ ApiLink, where the objects come from an API
 *
 * Every change of the objects, and every pod that went, runs the whole of it again, one at a time. What cannot be
 * done is told once and tried again; what is in force stays in force meanwhile.
 */
import { clusterRanges } from '../control/cluster-settings.ts';
import { type CompileMemory, compile, emptyMemory } from '../control/compile.ts';
import { hostServices } from '../control/host-services.ts';
import type { ClusterModel, ClusterNode } from '../control/model.ts';
import { buildModel } from '../control/model-builder.ts';
import type { KernelRoute } from '../control/overlay-backend.ts';
import { overlayBytes } from '../control/vxlan-backend.ts';
import type { Dataplane } from '../dataplane/handle.ts';
import type { NativeAddon } from '../io/native-addon.ts';
import type { ObjectSet } from '../kube/objects.ts';
import { formatProblem, type Problem } from '../kube/problem.ts';
import type { ObjectSource } from '../kube/source.ts';
import type { NameTable } from '../tables/names.ts';
import { formatAddress } from '../wire/address.ts';
import { describeError } from './agent-error.ts';
import { Announcer } from './host/announcer.ts';
import { HealthPorts } from './host/health-ports.ts';
import { HostDns } from './host/host-dns.ts';
import { hostFamilies } from './host/host-families.ts';
import { ipv6Obstacle } from './host/host-ipv6.ts';
import { changeKernelRoutes, type HostNetwork, removeHostNetwork } from './host/host-network.ts';
import { HostPorts } from './host/host-ports.ts';
import { HostRelay } from './host/host-relay.ts';
import type { Offload, OffloadMode } from './host/offload.ts';
import { PeerProbes, peersOf } from './host/peers.ts';
import { ServiceNetwork } from './host/service-network.ts';
import { findUnderlay, readLinks, segmentsTunnels, type Underlay } from './host/underlay.ts';
import { ownAddresses, UnderlayWatch } from './host/underlay-watch.ts';
import { type Log, OnceLog } from './log.ts';
import type { ApiLink } from './node/api-link.ts';
import { NodeEndpoint } from './node/node-endpoint.ts';
import type { RunningPod } from './node/pod-status-writer.ts';
import type { AgentSettings } from './options.ts';
import { findTools } from './pods/container-command.ts';
import { LocalPods } from './pods/local-pods.ts';
import { finishedPods } from './pods/pod-plan.ts';
import { planPods } from './pods/pod-plans.ts';
import { Reconciler } from './reconciler.ts';

const CHECK_MS = 10_000;

export interface AgentParts {
  settings: AgentSettings;
  log: Log;
  native: NativeAddon;
  dataplane: Dataplane;
  source: ObjectSource;
  offload: Offload;
  /** To the API, where the objects come from one. */
  link?: ApiLink;
}

export class HostAgent {
  readonly settings: AgentSettings;
  readonly dataplane: Dataplane;
  readonly offload: Offload;
  readonly pods: LocalPods;
  readonly peers: PeerProbes;
  readonly dns: HostDns;
  readonly relay: HostRelay;
  readonly startedAt = new Date();
  /** What the model was made of. */
  objects: ObjectSet | undefined;
  model: ClusterModel | undefined;
  node: ClusterNode | undefined;
  underlay: Underlay | undefined;
  podMtu = 0;
  generation = 0;
  readyAfterMs = 0;
  /** Why it is not ready; '' when it is. */
  notReady = 'it is starting';
  problems: readonly Problem[] = [];
  readonly #log: Log;
  readonly #source: ObjectSource;
  readonly #link: ApiLink | undefined;
  readonly #hostPorts: HostPorts;
  readonly #reconciler: Reconciler;
  readonly #problemLog: OnceLog;
  readonly #underlayWatch: UnderlayWatch;
  readonly #serviceNetwork: ServiceNetwork;
  readonly #healthPorts = new HealthPorts();
  readonly #endpoint: NodeEndpoint | undefined;
  #memory: CompileMemory = emptyMemory();
  #compileProblems: readonly Problem[] = [];
  #routes: readonly KernelRoute[] = [];
  #failure = '';
  #ipv6Problem = '';
  #underlayWanted = '';
  #checkTimer: NodeJS.Timeout | undefined;

  constructor(parts: AgentParts) {
    const { settings, log, native, dataplane, source, offload, link } = parts;
    this.settings = settings;
    this.dataplane = dataplane;
    this.offload = offload;
    this.#log = log;
    this.#source = source;
    this.#link = link;
    this.#hostPorts = new HostPorts(native, dataplane, offload);
    const announcer = new Announcer(native);
    this.#serviceNetwork = new ServiceNetwork((...what) => announcer.announce(...what));
    this.#problemLog = new OnceLog(
      (message) => log.warn(message),
      (message) => log.info(`solved: ${message}`),
    );
    const report = (pod: string, message: string) => log.info(`Pod ${pod}: ${message}`);
    const { tun: offloads, mergeBytes, mergeBytes6 } = offload;
    const environment = { native, tools: findTools(), offloads, mergeBytes, mergeBytes6, report };
    const again = () => void this.#reconciler.request();
    this.pods = new LocalPods(environment, dataplane, settings.stateDir, log, again);
    const fast = {
      // Where it fails the dataplane has ended, and the agent with it.
      publish: (names: NameTable) => void dataplane.publishNames(names).catch(() => {}),
      answered: () => dataplane.namesAnswered,
    };
    if (link && settings.runsPods && settings.nodePort > 0) {
      this.#endpoint = new NodeEndpoint(link, { port: settings.nodePort, pods: this.pods, native });
    }
    this.pods.onStatus(() => link?.look());
    this.pods.onEvent((event) => link?.happened(event));
    this.dns = new HostDns(settings, log, fast, again);
    this.relay = new HostRelay(settings);
    this.peers = new PeerProbes(() => {
      this.noteProblems();
      again();
    });
    this.#underlayWatch = new UnderlayWatch(
      {
        lost: () => this.noteProblems(),
        back: () => {
          // The device may be another one now, and the routes through the old one went with it.
          this.underlay = undefined;
          this.#routes = [];
          this.noteProblems();
          again();
        },
        changed: again,
      },
      undefined,
      () => (this.underlay ? underlayTraits(native, this.underlay) : ''),
    );
    this.#reconciler = new Reconciler(() => this.#reconcile());
  }

  /**
   * The source has been started. Resolves when the first reconciliation has run; what was not possible then is tried
   * again.
   */
  async start(): Promise<void> {
    this.#link?.serve(this);
    if (this.settings.runsPods) await this.pods.recover();
    this.#source.onChange(() => void this.#reconciler.request());
    this.#checkTimer = setInterval(() => {
      // Some come and go with what other processes of the host do.
      this.noteProblems();
      void this.#lookAfterServices();
    }, CHECK_MS);
    await this.#reconciler.request();
  }

  async #lookAfterServices(): Promise<void> {
    if (!(await this.#serviceNetwork.look().catch(() => false))) await this.#reconciler.request();
  }

  async #reconcile(): Promise<boolean> {
    let allDone = false;
    try {
      allDone = await this.#bringAbout();
      this.#failure = '';
    } catch (error) {
      this.#failure = describeError(error);
      if (!this.readyAfterMs) this.notReady = this.#failure;
    }
    this.noteProblems();
    this.#link?.look();
    return allDone && this.#link?.isSettled !== false;
  }

  async #bringAbout(): Promise<boolean> {
    const { settings } = this;
    const told = this.#source.current();
    const objects = this.#link?.usable(told) ?? told;
    const model = buildModel(objects, settings, this.model);
    this.model = model;
    this.objects = objects;
    const node = model.nodes.get(settings.node);
    if (!node) {
      const place = settings.kubeconfig === undefined ? settings.manifests.join(', ') : 'the API';
      throw new Error(`no valid Node ${settings.node} in ${place}: it is waited for`);
    }
    const underlay = await this.#findUnderlay(node);
    const host = { hostResolvConf: this.dns.hostResolvConf, mtu: this.podMtu };
    const plans = planPods(model, node, objects, settings, host);
    // Host and pods at once: traffic waits for both when an agent comes back.
    const [placed, opened] = await Promise.allSettled([
      this.#placeHost(node, underlay),
      this.pods.open(plans, finishedPods(objects, node.name), this.#link?.source.isFollowing !== false),
    ]);
    if (placed.status === 'rejected') throw placed.reason;
    if (opened.status === 'rejected') throw opened.reason;
    await this.#publish(model, await this.relay.open(model, node, objects));
    this.relay.retire();
    const services = await this.#serveOutside(model, node, underlay);
    this.pods.start();
    const isAsked = (await this.#endpoint?.listenOn(node.addresses.map(formatAddress))) !== false;
    this.#watchPeers(model, node);
    // Last, so that a host whose port 53 is taken still forwards; it is not ready until names are answered.
    await this.dns.serve(
      model,
      this.#hostPorts.families.flatMap((family) => family.clusterDns || []),
    );
    if (!this.readyAfterMs) {
      this.readyAfterMs = Math.round(process.uptime() * 1000);
      this.#log.info(`ready after ${this.readyAfterMs} ms, ${plans.size} pods`);
    }
    this.notReady = '';
    return opened.value && isAsked && services && this.relay.problems.length === 0;
  }

  /** After the tables: what is led into the pipeline is known there. Resolves to whether all of it is served. */
  async #serveOutside(model: ClusterModel, node: ClusterNode, underlay: Underlay): Promise<boolean> {
    const services = hostServices(model, node);
    const place = {
      gateways: Object.fromEntries(
        this.#hostPorts.families.map(({ isV4, gateway }) => [isV4 ? 'IPv4' : 'IPv6', gateway]),
      ),
      underlayDevice: underlay.device,
      network: this.#hostPorts.networkKey,
    };
    await this.#serviceNetwork.apply(services, place);
    await this.#healthPorts.update(services.healthChecks);
    return this.#serviceNetwork.isDone && this.#healthPorts.problems().length === 0;
  }

  /** Those that are here; undefined before it has been seen what an earlier agent left. */
  runningPods(): ReadonlyMap<string, RunningPod> | undefined {
    return this.generation > 0 ? this.pods.running() : undefined;
  }

  /** What the tables in force say of services, as compileServices names them. */
  get compiledServices(): CompileMemory['services'] {
    return this.#memory.services;
  }

  /** How packets reach the underlay now. */
  get offloadMode(): OffloadMode {
    return this.#hostPorts.offloadMode;
  }

  /** What the backend puts around a packet on the way to most hosts. */
  #overlayBytes(node: ClusterNode): number {
    return this.settings.backend === 'vxlan' ? overlayBytes(node.address) : 0;
  }

  async #findUnderlay(node: ClusterNode): Promise<Underlay> {
    const { settings } = this;
    const address = formatAddress(node.address);
    const wanted = node.addresses.map(formatAddress);
    if (
      this.underlay?.address !== address ||
      this.#underlayWanted !== wanted.join() ||
      this.underlay.absent.length > 0
    ) {
      this.underlay = findUnderlay(await readLinks(), wanted, node.name);
      this.#underlayWanted = wanted.join();
    }
    this.#underlayWatch.follow(address);
    this.podMtu = settings.mtu ?? this.underlay.mtu - this.#overlayBytes(node);
    this.#ipv6Problem = node.podCidr6 ? ipv6Obstacle(this.podMtu) : '';
    return this.underlay;
  }

  async #placeHost(node: ClusterNode, underlay: Underlay): Promise<void> {
    const { settings } = this;
    const network: HostNetwork = {
      families: hostFamilies(node, clusterRanges(settings), this.#ipv6Problem === ''),
      mtu: this.podMtu,
      udpPort: settings.port,
    };
    const before = this.offloadMode;
    await this.#hostPorts.apply({ backend: settings.backend, network, underlay });
    if (this.offloadMode !== before) this.#log.info(`offload ${this.offloadMode}, as ${underlay.device} works now`);
    this.node = node;
  }

  async #publish(model: ClusterModel, proxyPorts: ReadonlyMap<string, number>): Promise<void> {
    const { settings } = this;
    const host = {
      nodeName: settings.node,
      backend: settings.backend,
      vni: settings.vni,
      udpPort: settings.port,
      podMtu: this.podMtu,
      pathMtus: this.peers.pathMtus(),
      ports: this.pods.ports(),
      podsBehindKernel: !settings.runsPods,
      clusterCidr: settings.clusterCidr,
      serviceCidr: settings.serviceCidr,
      clusterDns: settings.clusterDns,
      clusterDomain: settings.clusterDomain,
      nodePortRange: settings.nodePortRange,
      loadBalancerPool: settings.loadBalancerPool,
      proxy: settings.proxy,
      proxyPorts,
    };
    const compiled = compile(model, host, this.#memory);
    await this.dataplane.publish(compiled.tables);
    this.#memory = compiled.memory;
    this.#compileProblems = compiled.problems;
    this.generation = compiled.tables.generation;
    await changeKernelRoutes(this.#routes, compiled.kernelRoutes);
    this.#routes = compiled.kernelRoutes;
  }

  #watchPeers(model: ClusterModel, own: ClusterNode): void {
    const peers = peersOf(model.nodes.values(), own, !this.#ipv6Problem);
    const bytes = this.#overlayBytes(own);
    this.peers.update(peers, { neededMtu: this.podMtu + bytes, overlayBytes: bytes, udpPort: this.settings.port });
  }

  noteProblems(): void {
    const own = (severity: Problem['severity'], messages: readonly string[]): Problem[] =>
      messages.map((message) => ({ place: `host ${this.settings.node}`, message, severity }));
    this.problems = [
      ...own('error', this.#failure ? [this.#failure] : []),
      ...this.#source.problems(),
      ...(this.#link?.problems() ?? []),
      ...(this.model?.problems ?? []),
      ...this.#compileProblems,
      ...this.relay.problems,
      ...own('error', this.#underlayWatch.problem() ? [this.#underlayWatch.problem()] : []),
      ...own('warning', this.#ipv6Problem ? [this.#ipv6Problem] : []),
      ...own('warning', (this.underlay?.absent ?? []).map(absentAddress)),
      ...own('warning', this.#hostPorts.problems),
      ...own('warning', this.#serviceNetwork.problems()),
      ...own('warning', this.#healthPorts.problems()),
      ...own('error', this.pods.problems),
      ...own('warning', this.pods.notes()),
      ...own('warning', this.peers.problems()),
      ...own('warning', this.#endpoint?.problems ?? []),
    ];
    this.#problemLog.update(this.problems.map(formatProblem));
  }

  /** Ends everything and removes it, or leaves the pods and the host's devices for the next agent. */
  async stop(keepPods: boolean): Promise<void> {
    clearInterval(this.#checkTimer);
    this.peers.close();
    this.#underlayWatch.close();
    await this.#source.close();
    await this.#reconciler.stop();
    // First, so that the others stop sending, and nobody takes pods that end with us for pods that are gone.
    await this.#link?.close(keepPods ? '' : 'the agent was stopped');
    if (keepPods) this.pods.release();
    else await this.pods.stop();
    await this.#endpoint?.close();
    await this.dns.close();
    this.relay.close();
    await this.#healthPorts.close();
    if (!keepPods) await this.#serviceNetwork.close();
    if (!keepPods) await this.#hostPorts.close();
    await this.dataplane.stop();
    if (!keepPods) await removeHostNetwork(this.#routes);
  }
}

/** What must be looked at again when it changes. */
function underlayTraits(native: NativeAddon, { device, absent }: Underlay): string {
  const here = absent.length > 0 ? ownAddresses() : [];
  return `${segmentsTunnels(native, device)} ${absent.filter((address) => here.includes(address))}`;
}

function absentAddress(address: string): string {
  return `the InternalIP ${address} is on no device of this host: no other host reaches it there`;
}
