/**
 * Runs the bench once more inside network, mount and process namespaces of its own, with an empty /run: nothing of it
 * is seen outside, and everything it made, processes included, ends with it, however it ends. As an ordinary user a
 * user namespace makes that possible without root. The outer /proc stays readable, so that what others use is known.
 */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';

const MARK = 'WEFT_BENCH_ISOLATED';

/** The processes of whoever started the bench, its own among them under other numbers. */
export const OUTER_PROC = '/run/outer-proc';

const OUTSIDE = `mount -t tmpfs tmpfs /run && mkdir -p /run/netns ${OUTER_PROC} && mount --rbind /proc ${OUTER_PROC} &&
  ip link set lo up && exec unshare --pid --fork --kill-child --mount-proc "$@"`;

export function isIsolated(): boolean {
  return process.env[MARK] === '1';
}

/** The exit code of the run inside. */
export function runIsolated(args: readonly string[]): Promise<number> {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const again = [process.execPath, ...process.execArgv, scriptPath(), ...args];
  const child = spawn('unshare', [...user, '--net', '--mount', 'sh', '-c', OUTSIDE, 'bench', ...again], {
    stdio: 'inherit',
    env: { ...process.env, [MARK]: '1', PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill('SIGTERM'));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}

/** A folder that only this run sees. */
export function privateFolder(name: string): string {
  const folder = `/run/bench/${name}`;
  mkdirSync(folder, { recursive: true });
  return folder;
}

function scriptPath(): string {
  const path = process.argv[1];
  if (!path) throw new Error('the bench must be started as a file');
  return path;
}
