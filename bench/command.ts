/**
 * Commands that a bench runs to the end or leaves running, in a network namespace or outside of one. `nsenter` and
 * not `ip netns exec`: the latter makes a mount namespace in which new namespaces' names would be invisible to others.
 */
import { type ChildProcess, spawn } from 'node:child_process';

/** Standard output of a command that ends well; an Error with what it said otherwise. */
export async function run(argv: readonly string[], timeoutMs = 60_000): Promise<string> {
  const child = start(argv);
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  try {
    return await outputOf(child, argv);
  } finally {
    clearTimeout(timer);
  }
}

export function start(argv: readonly string[]): ChildProcess {
  const [command, ...args] = argv;
  if (!command) throw new Error('no command');
  return spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

export function outputOf(child: ChildProcess, argv: readonly string[]): Promise<string> {
  let out = '';
  let err = '';
  child.stdout?.on('data', (data) => {
    out += data;
  });
  child.stderr?.on('data', (data) => {
    err += data;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(out);
      else reject(new Error(`${argv.join(' ')}: ${signal ?? `exit code ${code}`}: ${(err || out).trim().slice(-600)}`));
    });
  });
}

/** What a program says about itself, whatever its exit code: many end their --version with 1. */
export async function firstLineOf(argv: readonly string[], pattern: RegExp): Promise<string> {
  const [command = '', ...args] = argv;
  const child = spawn('sh', ['-c', '"$@" 2>&1; true', 'sh', command, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  const said = await outputOf(child, argv);
  return (
    said
      .split('\n')
      .find((line) => pattern.test(line))
      ?.trim() ?? 'version unknown'
  );
}

/** A program that stays, with the end of what it said, for the day it fails. */
export interface Daemon {
  readonly pid: number;
  said(): string;
  /** Whether it has ended, and how. */
  ended(): string | undefined;
  stop(): Promise<void>;
}

const SAID_BYTES = 4000;
const PATIENCE_MS = 5000;

export function daemon(argv: readonly string[]): Daemon {
  const child = start(argv);
  let said = '';
  let failure: Error | undefined;
  const keep = (data: Buffer) => {
    said = `${said}${data}`.slice(-SAID_BYTES);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  child.on('error', (error) => {
    failure = error;
  });
  const how = () =>
    failure?.message ??
    (child.exitCode === null && child.signalCode === null
      ? undefined
      : `${child.signalCode ?? `exit code ${child.exitCode}`}`);
  return {
    pid: child.pid ?? 0,
    said: () => said.trim(),
    ended: how,
    stop: () =>
      new Promise((resolve) => {
        if (how() !== undefined) return resolve();
        child.once('close', () => resolve());
        child.kill('SIGTERM');
        setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS).unref();
      }),
  };
}

/** The command as it runs in a network namespace of that name. */
export function inNamespace(name: string, argv: readonly string[]): string[] {
  return ['nsenter', `--net=/run/netns/${name}`, '--', ...argv];
}

/** One `ip` for many lines, in a namespace. */
export async function ipBatch(namespace: string, lines: readonly string[]): Promise<void> {
  const piped = ['sh', '-c', 'printf "%s\\n" "$@" | ip -batch -', 'ip', ...lines];
  await run(inNamespace(namespace, piped));
}

export async function isInstalled(program: string): Promise<boolean> {
  return await run(['sh', '-c', 'command -v "$1"', 'sh', program]).then(
    () => true,
    () => false,
  );
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
