/** Runs a command in a lab for a program: what it printed, how it ended, how long it took. */
import { type ChildProcess, spawn } from 'node:child_process';
import { childrenOf } from '../agent/pods/process-table.ts';
import type { Entry } from './exec.ts';

export interface RunResult {
  /** Exit code; 128 and more where a signal ended it. */
  code: number;
  stdout: string;
  stderr: string;
  ms: number;
}

export interface RunOptions {
  /** What the command reads on standard input. */
  input?: string;
  /** It is killed after this long. */
  timeoutMs?: number;
  /** Called with what it prints, as it prints it; may write to its standard input, which then stays open. */
  onOutput?: (text: string, child: ChildProcess) => void;
}

export function run(entry: Entry, command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((done, fail) => {
    const began = performance.now();
    const child = spawn(entry.file, [...entry.args, ...command], { stdio: 'pipe', env: entry.env });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      options.onOutput?.(text, child);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    // A command that reads nothing may be gone before it is told anything.
    child.stdin.on('error', () => {});
    if (options.onOutput === undefined) child.stdin.end(options.input ?? '');
    else if (options.input !== undefined) child.stdin.write(options.input);
    const timer = setTimeout(() => killAll(child.pid), options.timeoutMs ?? 60_000);
    child.once('error', fail);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      done({ code: code ?? (signal === 'SIGKILL' ? 137 : 255), stdout, stderr, ms: performance.now() - began });
    });
  });
}

/** With all below it: one that goes on holds the pipes open, and nobody would hear of the end. */
function killAll(pid: number | undefined): void {
  if (pid === undefined) return;
  const below = childrenOf(pid);
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended meanwhile.
  }
  below.forEach(killAll);
}

/** As run(), but anything else than exit code 0 is an error that says what was run and what it said. */
export async function mustRun(entry: Entry, command: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(entry, command, options);
  if (code === 0) return stdout;
  const said = (stderr.trim() || stdout.trim()).split('\n').slice(-3).join('; ');
  throw new Error(`${command.join(' ').slice(0, 200)}: exit code ${code}: ${said}`);
}
