/**
 * One pod of this host, from its plan to its end: files, network, containers. The agent decides when each step comes
 * (the tables that know the pod's port are published before its containers start, and those that no longer know it
 * before its network goes); this file holds what a step does, and in which order the containers run.
 *
 *   new ──open()──▶ network ──start()──▶ init containers ──▶ the others ──endContainers()──▶ ended ──end()──▶ removed
 *                                            └─────release()─▶ left as it is for the next agent
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type * as core from 'kubernetes-types/core/v1.js';
import type { NativeAddon } from '../../io/native-addon.ts';
import type { ContainerStatus, PodStatus } from '../status.ts';
import { BASE_WAIT_MS } from './back-off.ts';
import { ContainerProcess } from './container.ts';
import { besideCommand, type RunFiles, runCommand, type StartCommand, type Tools } from './container-command.ts';
import { inputKind, type Launch, LaunchError, launchOf } from './container-launch.ts';
import { ContainerWatch } from './container-watch.ts';
import { PauseProcess } from './pause-process.ts';
import { PodFiles } from './pod-files.ts';
import { PodLoopback } from './pod-loopback.ts';
import { netnsPath, openPodNetwork, type PodDevice, removePodNetwork } from './pod-network.ts';
import type { ContainerPlan, PodPlan } from './pod-plan.ts';
import { logName, newContainerState, type PodState, restartsOf } from './pod-state.ts';
import { isDone, isReady, kubePodStatus, podPhase } from './pod-status.ts';

/** What happened to a pod, as Kubernetes' events say it. */
export interface PodEvent {
  namespace: string;
  name: string;
  uid: string;
  type: 'Normal' | 'Warning';
  reason: string;
  message: string;
  container?: string;
}

export interface PodEnvironment {
  native: Pick<NativeAddon, 'openTun' | 'openTcp' | 'closeFd'>;
  tools: Tools;
  offloads: boolean;
  /** Most bytes of one connection that the device takes at once, in IPv4 and in IPv6. */
  mergeBytes: number;
  mergeBytes6: number;
  /** Something happened to a container, in one sentence. */
  report(pod: string, message: string): void;
}

/** What a pod tells the set that it belongs to. */
export interface PodListener {
  changed(): void;
  event(event: PodEvent): void;
}

export class LocalPod {
  plan: PodPlan;
  /** Port of the dataplane; -1 for a pod in the host's network. */
  readonly port: number;
  device: PodDevice | undefined;
  /** Closed when its containers have ended. */
  readonly loopback: PodLoopback;
  /** Why the network could not be made; the agent tries again. */
  problem = '';
  /** Files and network are there and the dataplane has its port. */
  isOpen = false;
  readonly #env: PodEnvironment;
  readonly #listener: PodListener;
  readonly #containers: ContainerProcess[];
  readonly #watches = new Map<ContainerProcess, ContainerWatch>();
  readonly #launches = new Map<string, Launch>();
  readonly #state: PodState;
  readonly #pause: PauseProcess;
  readonly #isNew: boolean;
  readonly #files: PodFiles;
  #started = false;
  /** The end of its containers, once that has been asked for, and when their grace period is over; 0 before. */
  #ending: Promise<void> | undefined;
  #endAtMs = 0;
  #ended = false;
  #sidecarsEnd = false;

  /** `earlier`: what an earlier agent wrote down of this pod, with the same fingerprint. */
  constructor(plan: PodPlan, port: number, env: PodEnvironment, listener: PodListener, earlier?: PodState) {
    this.plan = plan;
    this.port = port;
    this.loopback = new PodLoopback(plan, env.native);
    this.#env = env;
    this.#listener = listener;
    this.#isNew = earlier === undefined;
    this.#state = {
      version: 2,
      namespace: plan.namespace,
      name: plan.name,
      uid: plan.uid,
      netns: plan.netns,
      fingerprint: plan.fingerprint,
      graceSeconds: plan.graceSeconds,
      startedAtMs: earlier?.startedAtMs ?? Date.now(),
      pause: earlier?.pause ?? { pid: 0, startTicks: 0 },
      containers: [],
      conditions: earlier?.conditions ?? {},
    };
    this.#files = new PodFiles(plan.directory, this.#state);
    this.#pause = new PauseProcess(plan, this.#state.pause, env.tools);
    this.#containers = plan.containers.map((container) => this.#newContainer(container, earlier));
    // Whoever enters the pod enters the first that runs.
    const main = this.#containers.filter((c) => c.plan.role === 'main');
    const init = this.#containers.filter((c) => c.plan.role !== 'main');
    this.#state.containers = [...main, ...init].map((c) => c.state);
  }

  #newContainer(plan: ContainerPlan, earlier: PodState | undefined): ContainerProcess {
    const state = earlier?.containers.find((c) => c.name === plan.name) ?? newContainerState(plan.name);
    const site = {
      folder: join(this.plan.directory, plan.name),
      command: (files: RunFiles) => this.#command(container, files),
    };
    const container: ContainerProcess = new ContainerProcess(plan, state, site, {
      changed: () => {
        if (state.shimPid === 0) watch.stop();
        this.#changed();
        this.#advance();
      },
      started: (adopted) => watch.start(adopted),
      ended: (message) => {
        this.#env.report(this.plan.key, `container ${plan.name} ${message}`);
        watch.ended();
      },
      refused: (error) => watch.refused(error),
      outdated: () => watch.replace(),
    });
    const watch = new ContainerWatch(container, {
      pod: () => this.plan,
      beside: (argv) => besideCommand(state.pid, this.#launchOf(plan), argv, this.#env.tools),
      changed: () => {
        this.#changed();
        this.#advance();
      },
      event: (type, reason, message) => this.#event(type, reason, message, plan.name),
      isEnding: () => this.#endAtMs > 0,
    });
    this.#watches.set(container, watch);
    return container;
  }

  #command(container: ContainerProcess, files: RunFiles) {
    if (this.plan.netns && !this.#pause.isRunning) {
      // Somebody ended it; the next try finds a new one.
      void this.#pause.begin().then(
        () => {
          this.#changed();
          container.reconsider();
        },
        (error: Error) => {
          this.#env.report(this.plan.key, `its pause process: ${error.message}`);
          setTimeout(() => container.reconsider(), BASE_WAIT_MS).unref();
        },
      );
      throw new LaunchError('CreateContainerConfigError', "the pod's pause process has ended and is started again");
    }
    const { name, spec, command } = container.plan;
    const launch = launchOf(spec, command, this.plan.launch);
    this.#launches.set(name, launch);
    return runCommand(this.plan, launch, files, this.#state.pause.pid, this.#env.tools);
  }

  /** Of the run under way; as it would be now where an earlier agent started that. */
  #launchOf(plan: ContainerPlan): Launch {
    const known = this.#launches.get(plan.name);
    if (known) return known;
    try {
      return launchOf(plan.spec, plan.command, this.plan.launch);
    } catch {
      return { argv: [], env: {}, workingDir: plan.spec.workingDir || '/', input: inputKind(plan.spec) };
    }
  }

  /** Files and network. Throws where the network cannot be made; may be called again then. */
  async open(): Promise<void> {
    this.#files.write(this.plan);
    if (this.plan.netns) {
      const begin = () => this.#pause.begin();
      this.device ??= await openPodNetwork(this.#env.native, this.plan, this.#env.offloads, begin);
      await this.#pause.begin();
      this.#files.save();
    }
    this.problem = '';
  }

  /** The network could not be made. */
  fail(why: string): void {
    if (why !== this.problem) this.#event('Warning', 'FailedCreatePodSandBox', why);
    this.problem = why;
    this.#listener.changed();
  }

  /** The same pod, as it is wanted now. */
  refresh(plan: PodPlan): void {
    const isSame = plan.resolvConf === this.plan.resolvConf && plan.etcHosts === this.plan.etcHosts;
    this.plan = plan;
    if (this.isOpen && (!isSame || this.#files.problem)) this.#files.update(plan);
    // Their images, and what they refer to, may have changed; the fingerprint holds their order.
    for (const [i, container] of this.#containers.entries()) container.reconsider(plan.containers[i]);
  }

  /** Starts the containers, or adopts those that run; ends them where the pod was deleted. */
  start(): void {
    if (!this.#started) {
      this.#started = true;
      const { resolvConfProblems, unsupported } = this.plan;
      for (const problem of resolvConfProblems) this.#event('Warning', 'DNSConfigForming', problem);
      if (this.#isNew && unsupported.length > 0) this.#event('Warning', 'NotSupported', unsupported.join('; '));
      // A deleted one is not begun any more.
      if (!this.plan.ending) this.#advance();
    }
    if (this.plan.ending) void this.endContainers(this.plan.graceSeconds * 1000);
  }

  /** Begins whatever may run now: each init container after the one before, then all the others. */
  #advance(): void {
    if (!this.#started || this.#endAtMs > 0) return;
    this.#adopt();
    const main = this.#containers.filter((c) => c.plan.role === 'main');
    if (main.length > 0 && main.every((c) => c.isFinished)) {
      if (!this.#sidecarsEnd) void this.#endSidecars(this.plan.graceSeconds * 1000);
      return;
    }
    for (const container of this.#containers) {
      if (container.plan.role === 'init' && isDone(container)) continue;
      container.begin();
      if (container.plan.role === 'init') return;
      if (container.plan.role === 'sidecar' && !container.state.started) return;
    }
  }

  /** What an earlier agent started is taken up at once, whatever it would have to wait for now. */
  #adopt(): void {
    for (const container of this.#containers) if (container.state.shimPid > 0) container.begin();
  }

  /** Ends all containers, the sidecars last; the pod stays. Called again, a shorter grace period counts. */
  endContainers(graceMs: number): Promise<void> {
    const atMs = Date.now() + graceMs;
    if (this.#ending && (this.#ended || atMs >= this.#endAtMs)) return this.#ending;
    const first = this.#ending === undefined;
    this.#endAtMs = atMs;
    this.#ending = this.#endAll(graceMs, first);
    return this.#ending;
  }

  async #endAll(graceMs: number, first: boolean): Promise<void> {
    this.#adopt();
    const byThemselves = this.#containers.filter((c) => c.plan.role !== 'sidecar');
    await Promise.all(byThemselves.map((c) => this.#watchOf(c).end(graceMs, first)));
    await this.#endSidecars(graceMs);
    this.#ended = true;
    this.loopback.close();
    this.#changed();
  }

  async #endSidecars(graceMs: number): Promise<void> {
    const first = !this.#sidecarsEnd;
    this.#sidecarsEnd = true;
    const sidecars = this.#containers.filter((c) => c.plan.role === 'sidecar').reverse();
    for (const sidecar of sidecars) await this.#watchOf(sidecar).end(graceMs, first);
  }

  #watchOf(container: ContainerProcess): ContainerWatch {
    return this.#watches.get(container) as ContainerWatch;
  }

  /** All its containers have been ended. */
  get isEnded(): boolean {
    return this.#ended;
  }

  /** Ends the containers; then the network goes, when `detached` has run. */
  async end(graceMs: number, detached: () => Promise<void>): Promise<void> {
    await this.#withdraw(graceMs, detached);
    rmSync(this.plan.directory, { recursive: true, force: true });
  }

  /** As end(), but what its containers said stays readable. */
  async retire(detached: () => Promise<void>): Promise<void> {
    await this.#withdraw(0, detached);
    this.#state.netns = '';
    this.#files.save();
  }

  async #withdraw(graceMs: number, detached: () => Promise<void>): Promise<void> {
    await this.endContainers(graceMs);
    this.#pause.end();
    await detached();
    this.isOpen = false;
    try {
      if (this.plan.netns) await removePodNetwork(this.plan.netns);
    } finally {
      if (this.device) this.#env.native.closeFd(this.device.fd);
      this.device = undefined;
    }
  }

  /** How a command is run beside a container's; undefined where that does not run. Throws LaunchError. */
  beside(name: string, argv: readonly string[]): StartCommand | undefined {
    const found = this.#containers.find(({ plan }) => plan.name === name);
    if (!found?.isRunning) return undefined;
    return besideCommand(found.state.pid, this.#launchOf(found.plan), argv, this.#env.tools);
  }

  release(): void {
    for (const watch of this.#watches.values()) watch.stop();
    for (const container of this.#containers) container.release();
  }

  /** As written down; follow what happens. */
  get state(): Readonly<PodState> {
    return this.#state;
  }

  /** What of its object is not carried out. */
  complaints(): string[] {
    const refusals = this.#containers.flatMap((c) => c.refusal?.message ?? []);
    return [...this.#notes(), ...refusals, ...(this.#files.problem ? [this.#files.problem] : [])];
  }

  #notes(): string[] {
    return [...this.plan.unsupported, ...this.plan.resolvConfProblems];
  }

  kubeStatus(): core.PodStatus {
    const { plan, isOpen, problem } = this;
    const known = JSON.stringify(this.#state.conditions);
    const status = kubePodStatus({ plan, containers: this.#containers, state: this.#state, isOpen, problem });
    // Since when they are so, the next agent has to know too.
    if (this.isOpen && JSON.stringify(this.#state.conditions) !== known) this.#files.update();
    return status;
  }

  /** As its status has it; '' of one that waits for nothing. */
  waitingReason(name: string): string {
    const { initContainerStatuses = [], containerStatuses = [] } = this.kubeStatus();
    const status = [...initContainerStatuses, ...containerStatuses].find((each) => each.name === name);
    return status?.state?.waiting?.reason ?? '';
  }

  status(): PodStatus {
    const { plan } = this;
    const byName = new Map(this.#containers.map((c) => [c.plan.name, c]));
    return {
      namespace: plan.namespace,
      name: plan.name,
      address: plan.address,
      addresses: plan.addresses,
      hostNetwork: plan.hostNetwork,
      hostname: plan.hostname,
      phase: this.problem || !this.#started ? 'Pending' : podPhase(plan, this.#containers),
      ready: this.#started && this.#containers.every((c) => c.plan.role === 'init' || isReady(c)),
      netns: plan.netns ? netnsPath(plan.netns) : '',
      directory: plan.directory,
      port: this.port,
      message: this.problem,
      notes: this.#notes(),
      containers: this.#state.containers.flatMap(({ name }) => {
        const container = byName.get(name);
        return container ? [this.#containerStatus(container)] : [];
      }),
    };
  }

  #containerStatus(container: ContainerProcess): ContainerStatus {
    const { plan, state } = container;
    const launch = this.#launchOf(plan);
    return {
      name: plan.name,
      state: container.isRunning ? 'running' : state.exitCode >= 0 && state.startAtMs === 0 ? 'terminated' : 'waiting',
      pid: state.pid,
      restarts: restartsOf(state),
      exitCode: state.exitCode,
      reason: state.reason,
      startedAt: state.startedAtMs > 0 ? new Date(state.startedAtMs).toISOString() : '',
      env: launch.env,
      workingDir: launch.workingDir,
      log: join(this.plan.directory, plan.name, logName(state)),
    };
  }

  #event(type: PodEvent['type'], reason: string, message: string, container?: string): void {
    const { namespace, name, uid } = this.plan;
    this.#listener.event({ namespace, name, uid, type, reason, message, ...(container ? { container } : {}) });
  }

  #changed(): void {
    this.#files.update();
    this.#listener.changed();
  }
}
