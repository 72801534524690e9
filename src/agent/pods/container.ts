/**
 * One container of a pod: starts its command, notices its end, starts it again as the restart policy and the back-off
 * say, or because its image is another now, ends it on request. Between the agent and the command stands weft_container, a session of its own that outlives
 * the agent; the next agent adopts the pair by the state written down, looks whether it is still there, and finds the
 * exit code in the file that weft_container leaves.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { FIRST_RESTART_MS, isRestarted, MAX_WAIT_MS, newBackOff, nextStart } from './back-off.ts';
import type { RunFiles, StartCommand } from './container-command.ts';
import { LaunchError } from './container-launch.ts';
import { type ContainerPlan, definitionOf } from './pod-plan.ts';
import { type ContainerState, isTimeMs, type RunEnd } from './pod-state.ts';
import { childrenOf, isRunning, sessionProcesses, signalGroup, signalProcess, startTicks } from './process-table.ts';
import { timerMs } from './timer-limit.ts';

/** How often an adopted process is looked at. */
const ADOPTED_POLL_MS = 250;
/** How often one that was told to end is looked at. */
const ENDING_POLL_MS = 20;
/** What kubelet reports where it does not know. */
const STATUS_UNKNOWN = 'ContainerStatusUnknown';
/** What a runtime reports of a command that it could not start. */
export const START_ERROR = 'StartError';
const UNKNOWN_EXIT_CODE = 137;
const START_FAILED = 128;
/** More than one line of weft_container has. */
const REPORT_CHARACTERS = 8192;

export interface ContainerSite {
  /** Folder of its logs. */
  folder: string;
  /** Its command as it is now. Throws LaunchError where it cannot be started until something changes. */
  command(files: RunFiles): StartCommand;
}

export interface ContainerEvents {
  /** The state changed and should be written down. */
  changed(): void;
  /** The command runs; `adopted`: since an earlier agent. */
  started(adopted: boolean): void;
  ended(message: string): void;
  /** It cannot be started as things are. */
  refused(error: LaunchError): void;
  /** It runs as something that it is no more: whoever knows its hooks ends this run, and another begins. */
  outdated(): void;
}

export class ContainerProcess {
  readonly state: ContainerState;
  /** Why it is not started, and by whom that could change. */
  refusal: LaunchError | undefined;
  plan: ContainerPlan;
  readonly #site: ContainerSite;
  readonly #events: ContainerEvents;
  #begun = false;
  #stopping = false;
  /** The run under way ends so that another begins, whatever the restart policy says. */
  #outdated = false;
  #released = false;
  #timer: NodeJS.Timeout | undefined;
  #killTimer: NodeJS.Timeout | undefined;
  #killAtMs = Number.POSITIVE_INFINITY;
  #report = '';
  /** Those who wait for the end of the run under way. */
  #waiting: (() => void)[] = [];
  /** Those who wait for its process id. */
  #unreported: (() => void)[] = [];

  constructor(plan: ContainerPlan, state: ContainerState, site: ContainerSite, events: ContainerEvents) {
    this.plan = plan;
    this.state = state;
    this.#site = site;
    this.#events = events;
  }

  get isRunning(): boolean {
    return this.state.pid > 0;
  }

  /** It waits for a start that comes later each time. */
  get isCrashLooping(): boolean {
    const { startAtMs, finishedAtMs } = this.state;
    return startAtMs > finishedAtMs + FIRST_RESTART_MS;
  }

  /** Ended for good, and by how: what a pod's phase is made of. */
  get isFinished(): boolean {
    const { pid, shimPid, exitCode } = this.state;
    return pid === 0 && shimPid === 0 && exitCode >= 0 && !isRestarted(this.plan.restartPolicy, exitCode);
  }

  /** Begins the container's life, or takes up the one that the state describes; once. */
  begin(nowMs = Date.now()): void {
    if (this.#begun || this.#stopping) return;
    this.#begun = true;
    const state = this.state;
    if (state.shimPid > 0 && isRunning({ pid: state.shimPid, startTicks: state.shimTicks })) {
      this.#watchAdopted();
      this.#compare();
    } else if (state.shimPid > 0) {
      // It ended while no agent ran: its process id, and its group's, may be somebody else's by now.
      state.pid = 0;
      this.#ended();
    } else if (this.isFinished) {
      return;
    } else if (state.startAtMs > nowMs) {
      this.#startAt(state.startAtMs, nowMs);
    } else {
      this.#start();
    }
  }

  /** What it is, or something that it refers to, may have changed: one that could not be started tries again. */
  reconsider(plan: ContainerPlan = this.plan): void {
    const isAnother = definitionOf(plan) !== definitionOf(this.plan);
    this.plan = plan;
    if (!this.#begun || this.#stopping) return;
    if (this.state.shimPid > 0) return this.#compare();
    if (isAnother && (this.refusal || this.state.startAtMs > 0)) {
      // What the other one did wrong is not held against it.
      clearTimeout(this.#timer);
      this.state.backOff = newBackOff();
      this.#start();
    } else if (this.refusal?.reason === 'CreateContainerConfigError') this.#start();
  }

  /** Of one that runs: whether it still runs as what it is. */
  #compare(): void {
    if (this.#outdated || this.state.definition === definitionOf(this.plan)) return;
    this.#outdated = true;
    this.#events.outdated();
  }

  #start(): void {
    const state = this.state;
    const run = join(this.#site.folder, `${state.runs}`);
    const files = { log: `${run}.log`, exit: `${run}.exit`, socket: `${run}.sock` };
    let command: StartCommand;
    let child: ChildProcess;
    this.#report = '';
    state.startAtMs = 0;
    try {
      command = this.#site.command(files);
    } catch (error) {
      return this.#refuse(error);
    }
    this.refusal = undefined;
    Object.assign(state, { runs: state.runs + 1, startedAtMs: Date.now(), reason: '', started: false, ready: false });
    state.definition = definitionOf(this.plan);
    try {
      this.#makeRoom();
      const { file, args, env } = command;
      child = spawn(file, args, { cwd: '/', detached: true, env, stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
    } catch (error) {
      // Arguments or variables that no program can be given, as one that holds a zero byte.
      this.#report = `failed ${START_FAILED} ${(error as Error).message}`;
      return this.#ended();
    }
    child.once('error', (error) => {
      this.#report = `failed ${START_FAILED} ${error.message}`;
      this.#ended();
    });
    // Without a process id the spawn failed, and 'error' follows.
    if (child.pid === undefined) return;
    state.shimPid = child.pid;
    state.shimTicks = startTicks(child.pid) ?? 0;
    const report = child.stdio[3] as Duplex;
    report.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    report.on('error', () => {});
    child.once('close', (code) => this.#ended(code));
    this.#events.changed();
    // Written down: from here on the next agent finds it.
    report.write('\n');
  }

  /** What nobody thought of is told like what is missing, and tried again like that. */
  #refuse(why: unknown): void {
    const error =
      why instanceof LaunchError ? why : new LaunchError('CreateContainerConfigError', (why as Error).message);
    const known = this.refusal?.message === error.message;
    this.refusal = error;
    this.state.reason = error.message;
    if (known) return;
    this.#events.refused(error);
    this.#events.changed();
  }

  /** What weft_container says of the start. */
  #read(text: string): void {
    if (this.#report.length < REPORT_CHARACTERS) this.#report += text;
    const [, pid] = /^started (\d+)\n/.exec(this.#report) ?? [];
    if (pid !== undefined && this.state.shimPid > 0) this.#runs(Number(pid));
  }

  #runs(pid: number): void {
    if (this.state.pid > 0 || pid === 0) return;
    this.state.pid = pid;
    for (const done of this.#unreported.splice(0)) done();
    this.#events.changed();
    if (!this.#stopping) this.#events.started(false);
  }

  /** Logs of this run and the last one stay. */
  #makeRoom(): void {
    mkdirSync(this.#site.folder, { recursive: true, mode: 0o755 });
    const oldest = this.state.runs - 2;
    for (const name of readdirSync(this.#site.folder)) {
      if (Number.parseInt(name, 10) < oldest) rmSync(join(this.#site.folder, name), { force: true });
    }
  }

  #watchAdopted(): void {
    const { state } = this;
    this.#timer = setInterval(() => {
      if (isRunning({ pid: state.shimPid, startTicks: state.shimTicks })) return this.#findCommand();
      clearInterval(this.#timer);
      this.#ended();
    }, ADOPTED_POLL_MS);
    if (state.pid > 0) this.#events.started(true);
    else this.#findCommand();
  }

  /** The agent before may have gone when it had not been told yet, and told nobody. */
  #findCommand(): void {
    if (this.state.pid === 0) this.#runs(childrenOf(this.state.shimPid)[0] ?? 0);
  }

  /** `code`: how the weft_container ended, where that is known. */
  #ended(code: number | null = null): void {
    // Whatever happens from then on is the next agent's to see.
    if (this.#released) return;
    const { state } = this;
    const { end, how } = this.#howItEnded(code);
    if (end.reason === STATUS_UNKNOWN && state.pid > 0) {
      // The command went with its weft_container; what that had started did not.
      for (const { pid } of sessionProcesses(state.pid)) signalProcess(pid, 'SIGKILL');
    }
    clearTimeout(this.#killTimer);
    this.#killAtMs = Number.POSITIVE_INFINITY;
    Object.assign(state, { pid: 0, shimPid: 0, shimTicks: 0, started: false, ready: false, reason: how });
    Object.assign(state, { finishedAtMs: end.finishedAtMs, exitCode: end.exitCode });
    state.ends = [end, ...state.ends].slice(0, 2);
    let message = how;
    const startsAnew = this.#outdated && !this.#stopping;
    this.#outdated = false;
    if (startsAnew) {
      // It has not done its work, however this run ended.
      Object.assign(state, { exitCode: -1, backOff: newBackOff() });
      message += '; starts again as it is now';
    } else if (!this.#stopping && isRestarted(this.plan.restartPolicy, end.exitCode)) {
      const next = nextStart(state.backOff, end.finishedAtMs);
      state.backOff = next.state;
      state.reason = next.crashLoop ? `CrashLoopBackOff: ${how}` : how;
      const nowMs = Date.now();
      this.#startAt(next.atMs, nowMs);
      message += `; starts again in ${Math.max(0, Math.round((next.atMs - nowMs) / 1000))} s`;
    }
    for (const done of [...this.#unreported.splice(0), ...this.#waiting.splice(0)]) done();
    this.#events.changed();
    if (!this.#stopping) this.#events.ended(message);
    if (startsAnew) this.#start();
  }

  #howItEnded(exitCode: number | null): { end: RunEnd; how: string } {
    const { startedAtMs, runs } = this.state;
    const [, code, why] = /^failed (\d+) (.*)/.exec(this.#report) ?? [];
    if (code !== undefined && why !== undefined) {
      const message = `could not be started: ${why}`;
      const at = Date.now();
      const end = {
        exitCode: Number(code),
        signal: 0,
        startedAtMs: at,
        finishedAtMs: at,
        reason: START_ERROR,
        message,
      };
      return { end, how: message };
    }
    const told = exitCode === null ? undefined : { exitCode, signal: 0, finishedAtMs: Date.now() };
    // Where the disk was full, how weft_container ended tells.
    const written = readExit(join(this.#site.folder, `${runs - 1}.exit`)) ?? told;
    if (!written) {
      const how = 'ended; its exit code is unknown';
      const unknown = { reason: STATUS_UNKNOWN, message: how, exitCode: UNKNOWN_EXIT_CODE };
      return { end: { ...unknown, signal: 0, startedAtMs, finishedAtMs: Date.now() }, how };
    }
    const reason = written.exitCode === 0 ? 'Completed' : 'Error';
    const how =
      written.signal > 0 ? `was ended by ${signalName(written.signal)}` : `ended with code ${written.exitCode}`;
    return { end: { ...written, startedAtMs, reason, message: '' }, how };
  }

  #startAt(atMs: number, nowMs: number): void {
    this.state.startAtMs = atMs;
    // However the clock was set meanwhile.
    const waitMs = Math.min(Math.max(0, atMs - nowMs), MAX_WAIT_MS);
    this.#timer = setTimeout(() => this.#start(), waitMs);
  }

  /** Leaves the process alone and stops watching it. */
  release(): void {
    this.#released = true;
    this.#stopping = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#killTimer);
  }

  /** SIGTERM to the command, SIGKILL to its group after the grace period; then it starts again, or not, as after any other end. */
  async interrupt(graceMs: number): Promise<void> {
    if (this.state.shimPid === 0) return;
    const ended = new Promise<void>((done) => this.#waiting.push(done));
    if (this.state.pid === 0) await new Promise<void>((done) => this.#unreported.push(done));
    const { pid } = this.state;
    if (pid > 0 && this.#killAtMs === Number.POSITIVE_INFINITY) signalProcess(pid, 'SIGTERM');
    const atMs = Date.now() + graceMs;
    if (pid > 0 && atMs < this.#killAtMs) {
      this.#killAtMs = atMs;
      clearTimeout(this.#killTimer);
      this.#killTimer = setTimeout(() => signalGroup(pid, 'SIGKILL'), timerMs(graceMs));
    }
    await ended;
  }

  /** Ends it for good; resolves when none of it runs. Called again, a shorter grace period counts. */
  async end(graceMs: number): Promise<void> {
    if (!this.#stopping) {
      this.#stopping = true;
      this.state.startAtMs = 0;
      // The timer of an adopted one tells of its end.
      if (this.state.shimPid === 0) clearTimeout(this.#timer);
    }
    await this.interrupt(graceMs);
  }
}

/** `CODE SIGNAL MILLISECONDS`, as weft_container writes it. */
function readExit(path: string): { exitCode: number; signal: number; finishedAtMs: number } | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
  const [, exitCode, signal, finishedAtMs] = (/^(\d{1,3}) (\d{1,2}) (\d+)\n$/.exec(text) ?? []).map(Number);
  if (exitCode === undefined || signal === undefined || !isTimeMs(finishedAtMs)) return undefined;
  return { exitCode, signal, finishedAtMs };
}

function signalName(number: number): string {
  return Object.entries(constants.signals).find(([, each]) => each === number)?.[0] ?? `signal ${number}`;
}

/** Ends what an earlier agent left of a container. */
export async function endLeft(state: Readonly<ContainerState>, graceMs: number): Promise<void> {
  const shim = { pid: state.shimPid, startTicks: state.shimTicks };
  const deadline = Date.now() + graceMs;
  const command = () => state.pid || (childrenOf(shim.pid)[0] ?? 0);
  if (isRunning(shim)) signalProcess(command(), 'SIGTERM');
  while (isRunning(shim)) {
    // The shim ends by itself with its command; one that has none yet begins none without its agent.
    if (Date.now() >= deadline) signalGroup(command(), 'SIGKILL');
    await new Promise((done) => setTimeout(done, ENDING_POLL_MS));
  }
}
