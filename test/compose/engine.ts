/**
 * A Docker engine for a test: the one that answers, or one of our own, which is started where root may and gone
 * without a trace afterwards: its files in a temporary folder, no bridge and no packet filter of its own in the host.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findTool } from '../../src/agent/command.ts';

export interface Engine {
  /** What docker and docker-compose must be run with. */
  env: NodeJS.ProcessEnv;
  stop(): Promise<void>;
}

const START_MS = 60_000;
const STOP_MS = 20_000;
const PACKAGES = ['docker.io', 'docker-compose', 'mmdebstrap'];

/** An engine, or why there is none. */
export async function findEngine(): Promise<Engine | string> {
  if (answers(process.env) && hasCompose()) return { env: process.env, stop: async () => {} };
  if (process.getuid?.() !== 0) return 'no Docker engine and docker-compose answer, and only root can start one';
  const missing = installMissing();
  if (missing !== '') return missing;
  // Where a service manager runs, the packages have started one.
  if (answers(process.env)) return { env: process.env, stop: async () => {} };
  return startEngine();
}

function answers(env: NodeJS.ProcessEnv): boolean {
  return spawnSync('docker', ['version'], { env, stdio: 'ignore', timeout: 10_000 }).status === 0;
}

function hasCompose(): boolean {
  if (findTool('docker-compose') !== undefined) return true;
  return spawnSync('docker', ['compose', 'version'], { stdio: 'ignore' }).status === 0;
}

/** From Debian's packages; why not, or ''. */
function installMissing(): string {
  const complete = () => findTool('dockerd') !== undefined && hasCompose() && findTool('mmdebstrap') !== undefined;
  if (complete()) return '';
  if (findTool('apt-get') === undefined) return 'dockerd or docker-compose is missing, and there is no apt-get';
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = () =>
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...PACKAGES], { env, encoding: 'utf8' });
  let done = install();
  if (done.status !== 0) {
    spawnSync('apt-get', ['update', '-qq'], { env, stdio: 'ignore' });
    done = install();
  }
  if (done.status === 0 && complete()) return '';
  return `apt-get cannot install ${PACKAGES.join(', ')}: ${done.stderr.trim().split('\n').at(-1)}`;
}

async function startEngine(): Promise<Engine | string> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-docker-'));
  const socket = `unix://${join(folder, 'docker.sock')}`;
  const log = join(folder, 'dockerd.log');
  const out = openSync(log, 'w');
  const words = [
    ...['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')],
    ...['--pidfile', join(folder, 'dockerd.pid'), '--host', socket],
    // The lab's own bridge is all it needs; rules of a packet filter would outlive the engine.
    ...['--bridge=none', '--iptables=false', '--ip-forward=false', '--ip-masq=false', '--userland-proxy=false'],
  ];
  const path = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
  const daemon = spawn('dockerd', words, {
    env: { ...process.env, PATH: path },
    stdio: ['ignore', out, out],
    detached: true,
  });
  daemon.on('error', () => {});
  // Containers reach no registry over a bridge without address translation: an image is built on the host's network.
  const env = { ...process.env, DOCKER_HOST: socket, WEFT_BUILD_NETWORK: 'host' };
  const deadline = Date.now() + START_MS;
  while (daemon.exitCode === null && daemon.pid !== undefined && Date.now() < deadline) {
    if (answers(env)) return { env, stop: () => stopEngine(daemon, folder) };
    await sleep(250);
  }
  const last = readFileSync(log, 'utf8').trim().split('\n').at(-1) ?? '';
  await stopEngine(daemon, folder);
  return `dockerd does not start here: ${last}`;
}

async function stopEngine(daemon: ChildProcess, folder: string): Promise<void> {
  const ended = new Promise<void>((done) => {
    if (daemon.exitCode !== null || daemon.pid === undefined) done();
    daemon.once('exit', () => done());
  });
  daemon.kill('SIGTERM');
  const late = setTimeout(() => daemon.kill('SIGKILL'), STOP_MS);
  await ended;
  clearTimeout(late);
  // Its containerd ends with it, but may hold the folder for another moment.
  for (const point of mountsBelow(folder)) spawnSync('umount', ['-l', point], { stdio: 'ignore' });
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
}

/** Innermost first. */
function mountsBelow(folder: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((point) => point.startsWith(`${folder}/`))
    .reverse();
}
