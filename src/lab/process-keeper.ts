/**
 * Keeps one process of a lab alive, an agent or the API server: starts it in the namespaces where it belongs, writes
 * what it says to its log, and starts it again when it ends, at once the first time and ever more slowly while it keeps
 * dying young.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, closeSync, openSync } from 'node:fs';

const FIRST_WAIT_MS = 50;
const LAST_WAIT_MS = 5000;
/** One that lived this long died of something new. */
const OLD_AGE_MS = 5000;

/** How long to wait before the next start, after `young` lives in a row that ended early. */
export function restartWaitMs(young: number): number {
  return Math.min(FIRST_WAIT_MS * 2 ** Math.max(0, young - 1), LAST_WAIT_MS);
}

export interface ProcessKeeperOptions {
  /** As the log names it: `agent of hosta`. */
  name: string;
  /** Process whose namespaces it belongs to; undefined: those of the lab itself. */
  init?: number;
  /** Program and arguments. */
  command: readonly string[];
  /** Of ours, which it has as number 3. */
  inheritedFd?: number;
  env: NodeJS.ProcessEnv;
  log: string;
  /** Called after every start and every end. */
  onChange: () => void;
}

export class ProcessKeeper {
  starts = 0;
  pid: number | undefined;
  lastEnd: string | undefined;
  private young = 0;
  private stopped = false;
  private timer: NodeJS.Timeout | undefined;
  private child: ChildProcess | undefined;
  private readonly options: ProcessKeeperOptions;

  constructor(options: ProcessKeeperOptions) {
    this.options = options;
  }

  start(): void {
    if (this.stopped) return;
    const { init, command, env, log, inheritedFd } = this.options;
    const output = openLog(log);
    // No -p: the process already is in the lab's process namespace, and without a fork the child is our process itself.
    const entry = init === undefined ? [] : ['nsenter', '-t', `${init}`, '-m', '-n', '-u', '--'];
    const [file = '', ...args] = [...entry, ...command];
    const child = spawn(file, args, {
      stdio: ['ignore', output, output, inheritedFd ?? 'ignore'],
      env,
      cwd: '/',
    });
    if (output !== 'ignore') closeSync(output);
    this.child = child;
    this.pid = child.pid;
    this.starts++;
    const began = performance.now();
    let over = false;
    const ended = (how: string): void => {
      if (over) return;
      over = true;
      this.pid = undefined;
      this.child = undefined;
      this.lastEnd = how;
      this.young = performance.now() - began >= OLD_AGE_MS ? 1 : this.young + 1;
      if (this.stopped) return;
      const wait = restartWaitMs(this.young);
      this.note(`${this.options.name} ended (${how}); started again in ${wait} ms`);
      this.timer = setTimeout(() => this.start(), wait);
      this.options.onChange();
    };
    child.once('error', (error) => ended(error.message));
    child.once('exit', (code, signal) => ended(signal ?? `exit code ${code}`));
    this.options.onChange();
  }

  /** Ends it for good; resolves when it is gone, after `graceMs` by force. */
  async stop(graceMs: number): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    const child = this.child;
    if (child === undefined) return;
    await new Promise<void>((done) => {
      const force = setTimeout(() => child.kill('SIGKILL'), graceMs);
      child.once('exit', () => {
        clearTimeout(force);
        done();
      });
      child.kill('SIGTERM');
    });
  }

  private note(text: string): void {
    try {
      appendFileSync(this.options.log, `lab: ${text}\n`, { mode: 0o600 });
    } catch {
      // On a full disk a process is kept alive all the same.
    }
  }
}

/** 'ignore' where it cannot be written. */
function openLog(path: string): number | 'ignore' {
  try {
    return openSync(path, 'a', 0o600);
  } catch {
    return 'ignore';
  }
}
