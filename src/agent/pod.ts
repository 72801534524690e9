/**
 * One pod of this host, from its plan to its end: files, network, containers. The agent decides when each step comes
 * (the tables that know the pod's port are published before its containers start, and those that no longer know it
 * before its network goes); this file holds what a step does.
 *
 *   new ──open()──▶ network ──start()──▶ containers run ──end()──▶ processes gone, network removed
 *                                            └─release()─▶ left as it is for the next agent
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NativeAddon } from '../io/native-addon.ts';
import { ContainerProcess, endGroup } from './container.ts';
import { ETC_HOSTS, RESOLV_CONF, startCommand, type Tools } from './container-command.ts';
import { netnsPath, openPodNetwork, type PodDevice, removePodNetwork } from './pod-network.ts';
import type { PodPlan } from './pod-plan.ts';
import { newContainerState, POD_STATE_FILE, type PodState } from './pod-state.ts';
import { isRunning } from './process-table.ts';
import { writeState } from './state-file.ts';
import type { ContainerStatus, PodPhase, PodStatus } from './status.ts';

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
  readonly #containers: ContainerProcess[];
  readonly #state: PodState;
  #started = false;

  /** `earlier`: what an earlier agent wrote down of this pod, with the same fingerprint. */
  constructor(plan: PodPlan, port: number, env: PodEnvironment, earlier?: PodState) {
    this.plan = plan;
    this.port = port;
    this.#env = env;
    this.#state = {
      version: 1,
      namespace: plan.namespace,
      name: plan.name,
      netns: plan.netns,
      fingerprint: plan.fingerprint,
      graceSeconds: plan.graceSeconds,
      containers: [],
    };
    this.#containers = plan.containers.map((container) => {
      const state = earlier?.containers.find((c) => c.name === container.name) ?? newContainerState(container.name);
      this.#state.containers.push(state);
      const command = container.argv ? startCommand(plan, container, env.tools) : undefined;
      const log = join(plan.directory, `${container.name}.log`);
      return new ContainerProcess(container, state, command, plan.restartPolicy, log, {
        changed: () => this.#save(),
        ended: (message) => env.report(plan.key, `container ${container.name} ${message}`),
      });
    });
  }

  get logPaths(): string[] {
    return this.#containers.map((c) => c.logPath);
  }

  /** Files and network. Throws where the network cannot be made; may be called again then. */
  async open(): Promise<void> {
    mkdirSync(this.plan.directory, { recursive: true, mode: 0o755 });
    this.writeFiles();
    this.#save();
    if (this.plan.netns && !this.device) {
      this.device = await openPodNetwork(this.#env.native, this.plan, this.#env.offloads);
    }
    this.problem = '';
  }

  /** In place, since running containers have these very files mounted. */
  writeFiles(): void {
    writeFileSync(join(this.plan.directory, RESOLV_CONF), this.plan.resolvConf, { mode: 0o644 });
    writeFileSync(join(this.plan.directory, ETC_HOSTS), this.plan.etcHosts, { mode: 0o644 });
  }

  /** Starts the containers, or adopts those that run. Once only. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    for (const container of this.#containers) container.begin();
  }

  /** Ends the containers; then the network goes, when `detached` has run. */
  async end(graceMs: number, detached: () => Promise<void>): Promise<void> {
    await Promise.all(this.#containers.map((c) => c.end(graceMs)));
    await detached();
    await this.#removeNetwork();
    rmSync(this.plan.directory, { recursive: true, force: true });
  }

  async #removeNetwork(): Promise<void> {
    if (this.plan.netns) await removePodNetwork(this.plan.netns);
    if (this.device) this.#env.native.closeFd(this.device.fd);
    this.device = undefined;
  }

  release(): void {
    for (const container of this.#containers) container.release();
  }

  get phase(): PodPhase {
    if (this.problem || !this.#started) return 'Pending';
    if (this.#containers.length > 0 && this.#containers.every((c) => c.isFinished)) {
      return this.#containers.every((c) => c.state.exitCode === 0) ? 'Succeeded' : 'Failed';
    }
    return this.#containers.some((c) => c.isRunning || c.state.startedAtMs > 0) ? 'Running' : 'Pending';
  }

  /** What of its object is not carried out. */
  complaints(): string[] {
    return [...this.plan.notes, ...this.#containers.flatMap((c) => c.plan.problem ?? [])];
  }

  status(): PodStatus {
    const { plan } = this;
    return {
      namespace: plan.namespace,
      name: plan.name,
      address: plan.address,
      addresses: plan.addresses,
      hostNetwork: plan.hostNetwork,
      hostname: plan.hostname,
      phase: this.phase,
      ready: this.#started && this.#containers.every((c) => c.isRunning),
      netns: plan.netns ? netnsPath(plan.netns) : '',
      directory: plan.directory,
      port: this.port,
      message: this.problem,
      notes: plan.notes,
      containers: this.#containers.map(containerStatus),
    };
  }

  #save(): void {
    writeState(join(this.plan.directory, POD_STATE_FILE), this.#state);
  }
}

function containerStatus(container: ContainerProcess): ContainerStatus {
  const { state } = container;
  return {
    name: container.plan.name,
    state: container.isRunning ? 'running' : state.exitCode >= 0 && state.startAtMs === 0 ? 'terminated' : 'waiting',
    pid: state.pid,
    restarts: state.restarts,
    exitCode: state.exitCode,
    reason: state.reason,
    startedAt: state.startedAtMs > 0 ? new Date(state.startedAtMs).toISOString() : '',
    env: container.plan.env,
    workingDir: container.plan.workingDir,
    log: container.logPath,
  };
}

/** Ends what an earlier agent left of a pod that is no longer wanted as it was. */
export async function removeLeftPod(directory: string, state: PodState, graceMs: number): Promise<void> {
  await Promise.all(state.containers.filter(isRunning).map((c) => endGroup(c.pid, graceMs)));
  if (state.netns) await removePodNetwork(state.netns);
  rmSync(directory, { recursive: true, force: true });
}
