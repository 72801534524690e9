/**
 * One container of a pod: starts its command, notices its end, starts it again as the restart policy and the back-off
 * say, ends it on request. The process is a session of its own and writes to a file, so that it outlives the agent;
 * the next agent adopts it by the state written down, and then learns of its end by looking, since only a parent is
 * told the exit code.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import { isRestarted, nextStart } from './back-off.ts';
import type { StartCommand } from './container-command.ts';
import type { ContainerPlan, RestartPolicy } from './pod-plan.ts';
import type { ContainerState } from './pod-state.ts';
import { groupIsRunning, isRunning, signalGroup, startTicks } from './process-table.ts';

/** How often an adopted process is looked at. */
const ADOPTED_POLL_MS = 250;
/** How often a group that was told to end is looked at. */
const ENDING_POLL_MS = 20;
/** What kubelet reports where it does not know (ContainerStatusUnknown). */
const UNKNOWN_EXIT_CODE = 137;
/** Command not found, by the shell's convention; 126 not executable. */
const START_FAILURES: Record<number, string> = {
  126: 'its command cannot be executed',
  127: 'its command was not found',
  128: 'its files could not be mounted or its working directory is missing',
};

export interface ContainerEvents {
  /** The state changed and should be written down. */
  changed(): void;
  ended(message: string): void;
}

export class ContainerProcess {
  readonly plan: ContainerPlan;
  readonly state: ContainerState;
  readonly logPath: string;
  readonly #policy: RestartPolicy;
  readonly #command: StartCommand | undefined;
  readonly #events: ContainerEvents;
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(
    plan: ContainerPlan,
    state: ContainerState,
    command: StartCommand | undefined,
    policy: RestartPolicy,
    logPath: string,
    events: ContainerEvents,
  ) {
    this.plan = plan;
    this.state = state;
    this.#command = command;
    this.#policy = policy;
    this.logPath = logPath;
    this.#events = events;
    if (plan.problem) state.reason = plan.problem;
  }

  get isRunning(): boolean {
    return this.state.pid > 0;
  }

  /** Ended for good, and by how: what a pod's phase is made of. */
  get isFinished(): boolean {
    return !this.isRunning && this.state.exitCode >= 0 && !isRestarted(this.#policy, this.state.exitCode);
  }

  /** Begins the container's life, or takes up the one that the state describes. */
  begin(nowMs = Date.now()): void {
    const state = this.state;
    if (!this.#command || this.isFinished) return;
    if (state.pid > 0 && isRunning(state)) {
      this.#watchAdopted();
    } else if (state.pid > 0) {
      // It ended while no agent ran: its process id, and its group's, may be somebody else's by now.
      state.pid = 0;
      this.#ended(UNKNOWN_EXIT_CODE, 'ended while no agent ran');
    } else if (state.startAtMs > nowMs) {
      this.#startAt(state.startAtMs, nowMs);
    } else {
      this.#start();
    }
  }

  #start(): void {
    const command = this.#command as StartCommand;
    const state = this.state;
    state.startAtMs = 0;
    let child: ChildProcess;
    const log = openSync(this.logPath, 'a', 0o600);
    try {
      child = spawn(command.file, command.args, {
        cwd: '/',
        detached: true,
        env: command.env,
        stdio: ['ignore', log, log],
      });
    } finally {
      closeSync(log);
    }
    // Without a process id the spawn failed, and 'error' follows.
    child.once('error', (error) => this.#ended(128, `could not be started: ${error.message}`));
    if (child.pid === undefined) return;
    state.pid = child.pid;
    state.startTicks = startTicks(child.pid) ?? 0;
    state.startedAtMs = Date.now();
    state.reason = '';
    this.#events.changed();
    child.once('exit', (code, signal) => {
      if (signal) this.#ended(128 + (constants.signals[signal] ?? 0), `was ended by ${signal}`);
      else this.#ended(code ?? UNKNOWN_EXIT_CODE, `ended with code ${code}${hint(code, state.startedAtMs)}`);
    });
  }

  #watchAdopted(): void {
    this.#timer = setInterval(() => {
      if (isRunning(this.state)) return;
      clearInterval(this.#timer);
      this.#ended(UNKNOWN_EXIT_CODE, 'ended; its exit code is unknown, an earlier agent had started it');
    }, ADOPTED_POLL_MS);
  }

  #ended(exitCode: number, how: string): void {
    const state = this.state;
    // What the command left behind in its group ends with it, as the rest of a container does.
    if (state.pid > 0) signalGroup(state.pid, 'SIGKILL');
    const now = Date.now();
    Object.assign(state, { pid: 0, startTicks: 0, finishedAtMs: now, exitCode, reason: how });
    if (!this.#stopping && isRestarted(this.#policy, exitCode)) {
      const next = nextStart(state.backOff, now);
      state.backOff = next.state;
      state.restarts++;
      state.reason = next.crashLoop ? `CrashLoopBackOff: ${how}` : how;
      this.#startAt(next.atMs, now);
      how += `; starts again in ${Math.round((next.atMs - now) / 1000)} s`;
    }
    this.#events.changed();
    if (!this.#stopping) this.#events.ended(how);
  }

  #startAt(atMs: number, nowMs: number): void {
    this.state.startAtMs = atMs;
    this.#timer = setTimeout(() => this.#start(), Math.max(0, atMs - nowMs));
  }

  /** Leaves the process alone and stops watching it. */
  release(): void {
    this.#stopping = true;
    clearTimeout(this.#timer);
  }

  /** SIGTERM to the group, SIGKILL after the grace period; resolves when none of it runs. */
  async end(graceMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    this.state.startAtMs = 0;
    await endGroup(this.state.pid, graceMs);
    this.state.pid = 0;
  }
}

/** Ends the process group of a container; returns at once where there is none. */
export async function endGroup(pgid: number, graceMs: number): Promise<void> {
  if (pgid <= 1 || !signalGroup(pgid, 'SIGTERM')) return;
  const deadline = Date.now() + graceMs;
  while (groupIsRunning(pgid)) {
    if (Date.now() >= deadline) signalGroup(pgid, 'SIGKILL');
    await new Promise((done) => setTimeout(done, ENDING_POLL_MS));
  }
}

/** The shell that starts a command says by its exit code why it could not; a command that ran may use them too. */
function hint(code: number | null, startedAtMs: number): string {
  const why = code === null ? undefined : START_FAILURES[code];
  return why && Date.now() - startedAtMs < 1000 ? ` (${why}?)` : '';
}
