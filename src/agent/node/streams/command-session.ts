/**
 * A command that a client runs in a container: a process of its own session, joined to the client's streams, on a
 * pseudo-terminal or on pipes. It ends when the client goes; when it ends by itself, the client is told how.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import type { NativeAddon, WindowSize } from '../../../io/native-addon.ts';
import type { StartCommand } from '../../pods/container-command.ts';
import { isRunning, sessionProcesses } from '../../pods/process-table.ts';
import { exitStatus, failureStatus, type RemoteOptions, type RemoteStreams, readSizes } from './remote-streams.ts';
import { Terminal } from './terminal.ts';

/** Until a client says the size of its window. */
const WINDOW: WindowSize = { columns: 80, rows: 24 };
/** So long a command on a terminal waits for it, or it would see another one first. */
const WINDOW_MS = 100;
/** Output of what a command left in the background is passed on until so long after the last of it. */
const QUIET_MS = 1000;
/** What ends after its client went has so long to do it. */
const HANGUP_MS = 1000;
const CANNOT_START = 128;

export interface CommandParts {
  start: StartCommand;
  options: RemoteOptions;
  streams: RemoteStreams;
  native: Pick<NativeAddon, 'openPty' | 'resizePty' | 'closeFd'>;
  /** Of `setsid` (util-linux): it makes the terminal a controlling one. */
  setsid: string;
  /** Something was read or written. */
  onActivity(): void;
}

/** Never throws: what goes wrong is what the client is told. */
export async function runCommand(parts: CommandParts): Promise<void> {
  const { streams, options } = parts;
  let isGone = false;
  streams.onClose(() => {
    isGone = true;
  });
  try {
    const status = options.tty ? await runOnTerminal(parts, () => isGone) : await runOnPipes(parts);
    await streams.finish(exitStatus(status));
  } catch (error) {
    await streams.finish(failureStatus(error instanceof Error ? error.message : String(error)));
  }
}

async function runOnPipes({ start, options, streams, onActivity }: CommandParts): Promise<number> {
  const child = spawn(start.file, start.args, {
    cwd: '/',
    detached: true,
    env: start.env,
    stdio: [options.stdin ? 'pipe' : 'ignore', options.stdout ? 'pipe' : 'ignore', options.stderr ? 'pipe' : 'ignore'],
  });
  endWithClient(child, streams);
  if (child.stdin && streams.stdin) joinInput(streams.stdin, child.stdin, onActivity);
  const outputs = [
    joinOutput(child.stdout, streams.stdout, onActivity),
    joinOutput(child.stderr, streams.stderr, onActivity),
  ];
  const code = await exitCode(child);
  await Promise.all(outputs.map((output) => output.drained()));
  return code;
}

async function runOnTerminal(parts: CommandParts, isGone: () => boolean): Promise<number> {
  const { start, streams, native, setsid, onActivity } = parts;
  const { first, follow } = windowSizes(streams.resize);
  const size = await first;
  if (isGone()) return CANNOT_START;
  const { controller, terminal: fd } = native.openPty(size);
  const terminal = new Terminal(native, controller);
  try {
    const env = { TERM: 'xterm', ...start.env };
    let child: ChildProcess;
    try {
      child = spawn(setsid, ['--ctty', start.file, ...start.args], { cwd: '/', env, stdio: [fd, fd, fd] });
    } finally {
      native.closeFd(fd);
    }
    endWithClient(child, streams);
    follow((changed) => terminal.resize(changed));
    if (streams.stdin) joinInput(streams.stdin, terminal, onActivity);
    const output = joinOutput(terminal, streams.stdout, onActivity);
    const code = await exitCode(child);
    await output.drained();
    return code;
  } finally {
    terminal.destroy();
  }
}

/** The first size, if it comes in time, and then the later ones. */
function windowSizes(stream: Readable | undefined): {
  first: Promise<WindowSize>;
  follow(listener: (size: WindowSize) => void): void;
} {
  let listener: ((size: WindowSize) => void) | undefined;
  let latest = WINDOW;
  const first = new Promise<WindowSize>((resolve) => {
    const timer = setTimeout(() => resolve(latest), stream ? WINDOW_MS : 0);
    if (!stream) return;
    readSizes(stream, (size) => {
      latest = size;
      clearTimeout(timer);
      resolve(size);
      listener?.(size);
    });
  });
  return {
    first,
    follow: (next) => {
      listener = next;
      next(latest);
    },
  };
}

/** By the shell's convention 128 and the signal's number for one that a signal ended. Rejects where it cannot start. */
function exitCode(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`the command could not be started: ${error.message}`)));
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}

/** All of its session: what it started in the background too, unless that went into a session of its own. */
function endWithClient(child: ChildProcess, streams: RemoteStreams): void {
  streams.onClose(() => {
    const { pid } = child;
    if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const all = sessionProcesses(pid);
    for (const each of all) signalProcess(each.pid, 'SIGHUP');
    setTimeout(() => {
      const late = child.exitCode === null && child.signalCode === null ? sessionProcesses(pid) : [];
      for (const each of [...all, ...late]) if (isRunning(each)) signalProcess(each.pid, 'SIGKILL');
    }, HANGUP_MS);
  });
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended by itself.
  }
}

/** A command that no longer reads its input must not stop what else comes from the client. */
function joinInput(from: Readable, to: Writable, onActivity: () => void): void {
  from.on('data', onActivity);
  const drop = () => {
    from.unpipe(to);
    from.resume();
  };
  to.on('error', drop);
  to.once('close', drop);
  // A terminal's input does not end: who closes it closes the whole.
  from.pipe(to, { end: !(to instanceof Terminal) });
}

/** All of the output is read, whoever wants it or not. */
function joinOutput(
  from: Readable | null,
  to: Writable | undefined,
  onActivity: () => void,
): { drained(): Promise<void> } {
  if (!from || !to) return { drained: async () => {} };
  let lastMs = Date.now();
  from.on('data', () => {
    lastMs = Date.now();
    onActivity();
  });
  from.pipe(to, { end: false });
  const ended = new Promise<void>((resolve) => {
    for (const event of ['end', 'error', 'close']) from.once(event, resolve);
    to.once('close', resolve);
  });
  const drained = async () => {
    const exitMs = Date.now();
    const timer = setInterval(() => {
      // A slow client is no quiet one.
      if (to.writableNeedDrain || Date.now() - Math.max(lastMs, exitMs) < QUIET_MS) return;
      from.unpipe(to);
      from.destroy();
    }, QUIET_MS / 4);
    await ended;
    clearInterval(timer);
  };
  return { drained };
}
