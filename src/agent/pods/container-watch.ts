/**
 * What goes on around a container's process while it runs: its probes, its hooks, and the events that tell of them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lifecycle, LifecycleHandler, Probe } from 'kubernetes-types/core/v1.js';
import { isGrpc } from '../../kube/unsupported-fields.ts';
import { type ContainerProcess, START_ERROR } from './container.ts';
import { type ActionTarget, type Outcome, perform } from './container-action.ts';
import type { StartCommand } from './container-command.ts';
import type { LaunchError } from './container-launch.ts';
import { ContainerProbes, type ProbeKind } from './container-probes.ts';
import type { PodPlan } from './pod-plan.ts';
import { timerMs } from './timer-limit.ts';

export interface WatchSite {
  pod(): Pick<PodPlan, 'address' | 'graceSeconds'>;
  beside(argv: readonly string[]): StartCommand;
  /** The container's readiness changed. */
  changed(): void;
  event(type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** The pod is being ended: readiness is still told, nothing is started again. */
  isEnding(): boolean;
}

const HOOK_MS = 30_000;
/** A command gets so long after its preStop hook, however long that took (kubelet: minimumGracePeriodInSeconds). */
const LEAST_GRACE_MS = 2000;

export class ContainerWatch {
  readonly #container: ContainerProcess;
  readonly #site: WatchSite;
  readonly #probes: ContainerProbes;
  #preStop: Promise<void> | undefined;

  constructor(container: ContainerProcess, site: WatchSite) {
    this.#container = container;
    this.#site = site;
    const { startupProbe, readinessProbe, livenessProbe } = container.plan.spec;
    const settings = {
      ...(startupProbe && !isGrpc(startupProbe) ? { startupProbe } : {}),
      ...(readinessProbe && !isGrpc(readinessProbe) ? { readinessProbe } : {}),
      ...(livenessProbe && !isGrpc(livenessProbe) ? { livenessProbe } : {}),
    };
    this.#probes = new ContainerProbes(settings, (probe) => this.#attempt(probe), {
      started: () => this.#set({ started: true }),
      ready: (ready) => this.#set({ ready }),
      unhealthy: (kind, message) => site.event('Warning', 'Unhealthy', `${kind} probe failed: ${message}`),
      failed: (kind) => this.#restart(kind),
    });
  }

  /** The command runs; `adopted`: since an earlier agent. */
  start(adopted: boolean): void {
    const { state, plan } = this.#container;
    this.#preStop = undefined;
    if (!adopted) this.#site.event('Normal', 'Started', `Started container ${plan.name}`);
    const { postStart } = lifecycle(this.#container);
    if (postStart && !adopted) void this.#afterStart(postStart);
    this.#probes.start({ started: state.started, ready: state.ready });
  }

  stop(): void {
    this.#probes.stop();
  }

  /** A run ended, or did not even begin. */
  ended(): void {
    const { plan, state, isCrashLooping } = this.#container;
    const [last] = state.ends;
    if (last?.reason === START_ERROR)
      this.#site.event('Warning', 'Failed', `Error: container ${plan.name} ${last.message}`);
    if (isCrashLooping) this.#site.event('Warning', 'BackOff', `Back-off restarting failed container ${plan.name}`);
  }

  /** It cannot be started as things are. */
  refused({ reason, message }: LaunchError): void {
    if (reason === 'ErrImageNeverPull') this.#site.event('Warning', reason, message);
    else this.#site.event('Warning', 'Failed', `Error: ${message}`);
  }

  /** Ends the container for good: first the hook, within the grace period, then the process. */
  async end(graceMs: number, withHook: boolean): Promise<void> {
    const container = this.#container;
    if (container.state.shimPid === 0) return container.end(graceMs);
    if (withHook) this.#site.event('Normal', 'Killing', `Stopping container ${container.plan.name}`);
    const beganAtMs = Date.now();
    if (withHook) await this.#beforeStop(graceMs);
    await container.end(this.#graceLeft(graceMs, beganAtMs));
  }

  #graceLeft(graceMs: number, beganAtMs: number): number {
    if (!this.#preStop) return graceMs;
    return Math.max(graceMs - (Date.now() - beganAtMs), Math.min(graceMs, LEAST_GRACE_MS));
  }

  async #beforeStop(graceMs: number): Promise<void> {
    const { preStop } = lifecycle(this.#container);
    if (!preStop || graceMs === 0 || !this.#container.isRunning) return;
    this.#preStop ??= this.#hook(preStop, graceMs).then((outcome) => {
      if (!outcome.ok) this.#site.event('Warning', 'FailedPreStopHook', `PreStopHook failed: ${outcome.message}`);
    });
    await this.#preStop;
  }

  async #afterStart(hook: LifecycleHandler): Promise<void> {
    const { runs } = this.#container.state;
    const outcome = await this.#hook(hook, HOOK_MS);
    if (outcome.ok || this.#site.isEnding()) return;
    this.#site.event('Warning', 'FailedPostStartHook', `PostStartHook failed: ${outcome.message}`);
    await this.#interrupt(runs, this.#site.pod().graceSeconds * 1000);
  }

  /** Of a run that ended while its hook went on there is nothing left to end; the next one is another. */
  async #interrupt(run: number, graceMs: number): Promise<void> {
    if (this.#container.state.runs === run) await this.#container.interrupt(graceMs);
  }

  async #hook(hook: LifecycleHandler & { sleep?: { seconds: number } }, limitMs: number): Promise<Outcome> {
    if (!hook.sleep) return perform(hook, this.#target(), limitMs);
    await sleep(timerMs(Math.min(hook.sleep.seconds * 1000, limitMs)));
    return { ok: true, message: '' };
  }

  #restart(kind: ProbeKind): void {
    if (this.#site.isEnding()) return;
    const { plan } = this.#container;
    const probe = kind === 'Liveness' ? plan.spec.livenessProbe : plan.spec.startupProbe;
    const graceSeconds = probe?.terminationGracePeriodSeconds ?? this.#site.pod().graceSeconds;
    const what = plan.restartPolicy === 'Never' ? 'will be ended' : 'will be restarted';
    const which = kind === 'Liveness' ? 'liveness' : 'startup';
    this.#site.event('Normal', 'Killing', `Container ${plan.name} failed ${which} probe, ${what}`);
    this.#endRun(graceSeconds * 1000);
  }

  /** It runs as something that it is no more. */
  replace(): void {
    if (this.#site.isEnding()) return;
    const { name } = this.#container.plan;
    this.#site.event('Normal', 'Killing', `Container ${name} definition changed, will be restarted`);
    this.#endRun(this.#site.pod().graceSeconds * 1000);
  }

  /** The run under way; whether another follows is the container's own business. */
  #endRun(graceMs: number): void {
    const beganAtMs = Date.now();
    const { runs } = this.#container.state;
    void this.#beforeStop(graceMs).then(() => this.#interrupt(runs, this.#graceLeft(graceMs, beganAtMs)));
  }

  #attempt(probe: Probe): Promise<Outcome> {
    return perform(probe, this.#target(), (probe.timeoutSeconds || 1) * 1000);
  }

  #target(): ActionTarget {
    return {
      address: this.#site.pod().address,
      container: this.#container.plan.spec,
      beside: (argv) => this.#site.beside(argv),
    };
  }

  #set(what: { started?: boolean; ready?: boolean }): void {
    const { state } = this.#container;
    if ((what.started ?? state.started) === state.started && (what.ready ?? state.ready) === state.ready) return;
    Object.assign(state, what);
    this.#site.changed();
  }
}

function lifecycle({ plan }: ContainerProcess): Lifecycle {
  return plan.spec.lifecycle ?? {};
}
