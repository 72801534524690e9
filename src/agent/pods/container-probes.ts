/**
 * The probes of one run of a container (k8s.io/kubernetes pkg/kubelet/prober/worker.go): until its startup probe
 * succeeds, no other one runs; its readiness probe decides whether it is ready; a liveness or startup probe that fails
 * often enough ends the run. One attempt of each at a time.
 *
 * Before the first success a probe tries again sooner than its period, from 100 ms on: a container that listens a
 * moment after its start is ready then, not ten seconds later. Such attempts do not count as failures.
 */
import type { Probe } from 'kubernetes-types/core/v1.js';
import type { Outcome } from './container-action.ts';
import { timerMs } from './timer-limit.ts';

export type ProbeKind = 'Startup' | 'Readiness' | 'Liveness';

export interface ProbeEvents {
  /** By its startup probe, or at once without one. */
  started(): void;
  ready(ready: boolean): void;
  /** A counted attempt failed. */
  unhealthy(kind: ProbeKind, message: string): void;
  /** The run should end. */
  failed(kind: ProbeKind): void;
}

export interface Timers {
  now(): number;
  after(ms: number, work: () => void): () => void;
}

const REAL_TIMERS: Timers = {
  now: () => performance.now(),
  after: (ms, work) => {
    const timer = setTimeout(work, timerMs(ms));
    return () => clearTimeout(timer);
  },
};

const FIRST_RETRY_MS = 100;

interface ProbeSettings {
  startupProbe?: Probe;
  readinessProbe?: Probe;
  livenessProbe?: Probe;
}

export class ContainerProbes {
  readonly #settings: ProbeSettings;
  readonly #attempt: (probe: Probe) => Promise<Outcome>;
  readonly #events: ProbeEvents;
  readonly #timers: Timers;
  readonly #loops = new Set<ProbeLoop>();

  constructor(
    settings: ProbeSettings,
    attempt: (probe: Probe) => Promise<Outcome>,
    events: ProbeEvents,
    timers: Timers = REAL_TIMERS,
  ) {
    this.#settings = settings;
    this.#attempt = attempt;
    this.#events = events;
    this.#timers = timers;
  }

  /** `adopted`: what an earlier agent knew of this run, which holds until a probe says otherwise. */
  start(adopted = { started: false, ready: false }): void {
    const { startupProbe } = this.#settings;
    if (!startupProbe || adopted.started) return this.#started(adopted.ready);
    this.#run('Startup', startupProbe, false, () => {
      this.stop();
      this.#started(false);
    });
  }

  stop(): void {
    for (const loop of this.#loops) loop.stop();
    this.#loops.clear();
  }

  #started(ready: boolean): void {
    const { readinessProbe, livenessProbe } = this.#settings;
    this.#events.started();
    if (readinessProbe) this.#run('Readiness', readinessProbe, ready, (ok) => this.#events.ready(ok));
    this.#events.ready(readinessProbe ? ready : true);
    if (livenessProbe) this.#run('Liveness', livenessProbe, true, () => {});
  }

  #run(kind: ProbeKind, probe: Probe, first: boolean, changed: (ok: boolean) => void): void {
    const loop = new ProbeLoop(probe, first, kind === 'Startup', this.#attempt, this.#timers, {
      changed: (ok) => {
        if (ok || kind === 'Readiness') return changed(ok);
        // Whether it is ready is asked until it has ended.
        loop.stop();
        this.#events.failed(kind);
      },
      unhealthy: (message) => this.#events.unhealthy(kind, message),
    });
    this.#loops.add(loop);
    loop.start();
  }
}

/** One probe: attempts, thresholds, and a result that changes. */
class ProbeLoop {
  readonly #probe: Probe;
  readonly #attempt: (probe: Probe) => Promise<Outcome>;
  readonly #timers: Timers;
  readonly #events: { changed(ok: boolean): void; unhealthy(message: string): void };
  readonly #periodMs: number;
  /** What is reported now; undefined: nothing yet. */
  #result: boolean | undefined;
  #succeeded = false;
  #row = { ok: false, length: 0 };
  #retryMs = FIRST_RETRY_MS;
  #dueAtMs = 0;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(
    probe: Probe,
    first: boolean,
    isStartup: boolean,
    attempt: (probe: Probe) => Promise<Outcome>,
    timers: Timers,
    events: { changed(ok: boolean): void; unhealthy(message: string): void },
  ) {
    this.#probe = probe;
    this.#attempt = attempt;
    this.#timers = timers;
    this.#events = events;
    this.#periodMs = (probe.periodSeconds || 10) * 1000;
    this.#result = isStartup ? undefined : first;
    this.#succeeded = first;
  }

  start(): void {
    this.#dueAtMs = this.#timers.now() + (this.#probe.initialDelaySeconds ?? 0) * 1000;
    this.#wait(this.#dueAtMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #wait(atMs: number): void {
    // Whole milliseconds, and never before the time.
    this.#cancel = this.#timers.after(Math.max(0, Math.ceil(atMs - this.#timers.now())), () => void this.#try());
  }

  async #try(): Promise<void> {
    const counts = this.#timers.now() >= this.#dueAtMs;
    const outcome = await this.#attempt(this.#probe).catch((error: Error) => ({ ok: false, message: error.message }));
    if (this.#stopped) return;
    const now = this.#timers.now();
    if (counts) this.#dueAtMs = Math.max(now, this.#dueAtMs + this.#periodMs);
    if (outcome.ok) this.#succeeded = true;
    if (outcome.ok || counts) this.#count(outcome);
    if (this.#stopped) return;
    if (this.#succeeded) return this.#wait(this.#dueAtMs);
    this.#wait(Math.min(now + this.#retryMs, this.#dueAtMs));
    this.#retryMs *= 2;
  }

  #count({ ok, message }: Outcome): void {
    this.#row = { ok, length: this.#row.ok === ok ? this.#row.length + 1 : 1 };
    if (!ok) this.#events.unhealthy(message);
    const threshold = ok ? this.#probe.successThreshold || 1 : this.#probe.failureThreshold || 3;
    if (this.#row.length < threshold || this.#result === ok) return;
    this.#result = ok;
    this.#events.changed(ok);
  }
}
