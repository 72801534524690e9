/**
 * One pod of this host, from its plan to its end: files, network, containers. The agent decides when each step comes
 * (the tables that know the pod's port are published before its containers start, and those that no longer know it
 * before its network goes); this file holds what a step does, and in which order the containers run.
 *
 *   new ──open()──▶ network ──start()──▶ init containers ──▶ the others ──endContainers()──▶ ended ──end()──▶ removed
 *                                            └─────release()─▶ left as it is for the next agent
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type * as core from 'kubernetes-types/core/v1.js';
import type { NativeAddon } from '../../io/native-addon.ts';
import { writeState } from '../state-file.ts';
import type { ContainerStatus, PodStatus } from '../status.ts';
import { ContainerProcess, endGroup } from './container.ts';
import {
  besideCommand,
  ETC_HOSTS,
  RESOLV_CONF,
  runCommand,
  type StartCommand,
  type Tools,
} from './container-command.ts';
import { type Launch, LaunchError, launchOf } from './container-launch.ts';
import { ContainerWatch } from './container-watch.ts';
import { PauseProcess } from './pause-process.ts';
import { netnsPath, openPodNetwork, type PodDevice, removePodNetwork } from './pod-network.ts';
import type { ContainerPlan, PodPlan } from './pod-plan.ts';
import { logName, newContainerState, POD_STATE_FILE, type PodState } from './pod-state.ts';
import { isDone, isReady, kubePodStatus, podPhase } from './pod-status.ts';
import { isRunning } from './process-table.ts';

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
  native: Pick<NativeAddon, 'openTun' | 'closeFd'>;
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
    this.#env = env;
    this.#listener = listener;
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
      command: (files: { log: string; exit: string }) => this.#command(plan, container, files),
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
        if (container.isCrashLooping) {
          this.#event('Warning', 'BackOff', `Back-off restarting failed container ${plan.name}`, plan.name);
        }
      },
      refused: ({ reason, message }) => {
        const text = reason === 'ErrImageNeverPull' ? message : `Error: ${message}`;
        this.#event('Warning', reason === 'ErrImageNeverPull' ? reason : 'Failed', text, plan.name);
      },
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

  #command(plan: ContainerPlan, container: ContainerProcess, files: { log: string; exit: string }) {
    if (this.plan.netns && !this.#pause.isRunning) {
      // Somebody ended it; the next try finds a new one.
      void this.#pause
        .begin()
        .then(
          () => this.#changed(),
          (error: Error) => this.#env.report(this.plan.key, `its pause process: ${error.message}`),
        )
        .then(() => container.reconsider());
      throw new LaunchError('CreateContainerConfigError', "the pod's pause process has ended and is started again");
    }
    const launch = launchOf(plan.spec, plan.command, this.plan.launch);
    this.#launches.set(plan.name, launch);
    return runCommand(this.plan, launch, files, this.#state.pause.pid, this.#env.tools);
  }

  /** Of the run under way; as it would be now where an earlier agent started that. */
  #launchOf(plan: ContainerPlan): Launch {
    const known = this.#launches.get(plan.name);
    if (known) return known;
    try {
      return launchOf(plan.spec, plan.command, this.plan.launch);
    } catch {
      return { argv: [], env: {}, workingDir: plan.spec.workingDir || '/' };
    }
  }

  /** Files and network. Throws where the network cannot be made; may be called again then. */
  async open(): Promise<void> {
    mkdirSync(this.plan.directory, { recursive: true, mode: 0o755 });
    this.writeFiles();
    this.#save();
    if (this.plan.netns) {
      const begin = () => this.#pause.begin();
      this.device ??= await openPodNetwork(this.#env.native, this.plan, this.#env.offloads, begin);
      await this.#pause.begin();
      this.#save();
    }
    this.problem = '';
  }

  /** The network could not be made. */
  fail(why: string): void {
    if (why !== this.problem) this.#event('Warning', 'FailedCreatePodSandBox', why);
    this.problem = why;
    this.#listener.changed();
  }

  /** In place, since running containers have these very files mounted. */
  writeFiles(): void {
    writeFileSync(join(this.plan.directory, RESOLV_CONF), this.plan.resolvConf, { mode: 0o644 });
    writeFileSync(join(this.plan.directory, ETC_HOSTS), this.plan.etcHosts, { mode: 0o644 });
  }

  /** Starts the containers, or adopts those that run; ends them where the pod was deleted. */
  start(): void {
    if (!this.#started) {
      this.#started = true;
      for (const problem of this.plan.resolvConfProblems) this.#event('Warning', 'DNSConfigForming', problem);
      // A deleted one is not begun any more.
      if (!this.plan.ending) this.#advance();
    }
    if (this.plan.ending) void this.endContainers(this.plan.graceSeconds * 1000);
  }

  /** What containers refer to may have changed. */
  reconsider(): void {
    for (const container of this.#containers) container.reconsider();
  }

  /** Begins whatever may run now: each init container after the one before, then all the others. */
  #advance(): void {
    if (!this.#started || this.#endAtMs > 0) return;
    for (const container of this.#containers) {
      if (container.plan.role === 'init' && isDone(container)) continue;
      container.begin();
      if (container.plan.role === 'init') return;
      if (container.plan.role === 'sidecar' && !container.state.started) return;
    }
    const main = this.#containers.filter((c) => c.plan.role === 'main');
    const isOver = main.length > 0 && main.every((c) => c.isFinished);
    if (isOver && !this.#sidecarsEnd) void this.#endSidecars(this.plan.graceSeconds * 1000);
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
    // One that an earlier agent started and this one did not take up yet is ended like the others.
    for (const container of this.#containers) if (container.state.shimPid > 0) container.begin();
    const byThemselves = this.#containers.filter((c) => c.plan.role !== 'sidecar');
    await Promise.all(byThemselves.map((c) => this.#watchOf(c).end(graceMs, first)));
    await this.#endSidecars(graceMs);
    this.#ended = true;
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
    this.#save();
  }

  async #withdraw(graceMs: number, detached: () => Promise<void>): Promise<void> {
    await this.endContainers(graceMs);
    this.#pause.end();
    await detached();
    this.isOpen = false;
    if (this.plan.netns) await removePodNetwork(this.plan.netns);
    if (this.device) this.#env.native.closeFd(this.device.fd);
    this.device = undefined;
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
    return [...this.plan.notes, ...this.#containers.flatMap((c) => c.refusal?.message ?? [])];
  }

  kubeStatus(): core.PodStatus {
    const { plan, isOpen, problem } = this;
    return kubePodStatus({ plan, containers: this.#containers, state: this.#state, isOpen, problem });
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
      notes: plan.notes,
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
      restarts: state.restarts,
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
    this.#save();
    this.#listener.changed();
  }

  #save(): void {
    writeState(join(this.plan.directory, POD_STATE_FILE), this.#state);
  }
}

/** Ends what an earlier agent left of a pod that is no longer wanted as it was. */
export async function removeLeftPod(directory: string, state: PodState, graceMs: number): Promise<void> {
  const running = state.containers.filter((c) => isRunning({ pid: c.shimPid, startTicks: c.shimTicks }));
  await Promise.all(running.map((c) => endGroup(c.pid, graceMs)));
  if (state.netns) await removePodNetwork(state.netns);
  rmSync(directory, { recursive: true, force: true });
}
