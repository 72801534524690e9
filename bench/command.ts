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

/** The command as it runs in a network namespace of that name. */
export function inNamespace(name: string, argv: readonly string[]): string[] {
  return ['nsenter', `--net=/run/netns/${name}`, '--', ...argv];
}

/** One `ip` for many lines, in a namespace. */
export async function ipBatch(namespace: string, lines: readonly string[]): Promise<void> {
  for (const line of lines) await run(inNamespace(namespace, ['ip', ...line.split(' ')]));
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
