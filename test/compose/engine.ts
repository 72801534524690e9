/**
 * A Docker engine for a test: the one that answers, or one of our own, which is started where root may and gone
 * without a trace afterwards: its files in a temporary folder, its networks in a namespace (compose/engine.sh).
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findTool } from '../../src/agent/command.ts';
import { ROOT } from '../house/rooms.ts';

export interface Engine {
  /** What docker and docker-compose must be run with. */
  env: NodeJS.ProcessEnv;
  /** After builds, before containers have networks: an engine of our own moves to a network namespace of its own. */
  isolate(): Promise<void>;
  /** A process in the network namespace of an engine of our own that has moved there; 0 where there is none. */
  isolated(): number;
  stop(): Promise<void>;
}

const START_MS = 60_000;
const PACKAGES = ['docker.io', 'docker-compose', 'mmdebstrap'];

/** An engine, or why there is none. */
export async function findEngine(): Promise<Engine | string> {
  if (answers(process.env) && hasCompose()) return foreign();
  if (process.getuid?.() !== 0) return 'no Docker engine and docker-compose answer, and only root can start one';
  const missing = installMissing();
  if (missing !== '') return missing;
  // Where a service manager runs, the packages have started one.
  if (answers(process.env)) return foreign();
  return startEngine();
}

function foreign(): Engine {
  return { env: process.env, isolate: async () => {}, isolated: () => 0, stop: async () => {} };
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

/** One in the host's network, so that builds reach what the host reaches. */
async function startEngine(): Promise<Engine | string> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-docker-'));
  const env = { ...process.env, DOCKER_HOST: `unix://${join(folder, 'docker.sock')}`, WEFT_BUILD_NETWORK: 'host' };
  let keeper = await start(folder, 'host', env);
  if (keeper === undefined) {
    const last = readFileSync(join(folder, 'dockerd.log'), 'utf8').trim().split('\n').at(-1) ?? '';
    rmSync(folder, { recursive: true, force: true });
    return `dockerd does not start here: ${last}`;
  }
  let apart = 0;
  return {
    env,
    isolate: async () => {
      if (keeper !== undefined) await stop(keeper.process, 'keep\n');
      keeper = await start(folder, 'apart', env);
      if (keeper === undefined) throw new Error(`dockerd does not start in a network namespace: see ${folder}`);
      apart = keeper.daemon;
    },
    isolated: () => apart,
    stop: async () => {
      if (keeper !== undefined) await stop(keeper.process, '');
    },
  };
}

interface Keeper {
  process: ChildProcess;
  /** The engine's own process id. */
  daemon: number;
}

/** The engine's keeper once it answers; undefined where it does not. */
async function start(folder: string, network: string, env: NodeJS.ProcessEnv): Promise<Keeper | undefined> {
  // A group of its own: what ends this test must not end the keeper, which cleans up after it.
  const keeper = spawn('sh', [join(ROOT, 'compose/engine.sh'), folder, network], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  });
  const [said] = (await once(keeper.stdout, 'data')) as [Buffer];
  const daemon = Number(String(said));
  const deadline = Date.now() + START_MS;
  while (existsSync(`/proc/${daemon}`) && Date.now() < deadline) {
    if (answers(env)) return { process: keeper, daemon };
    await sleep(250);
  }
  await stop(keeper, 'keep\n');
  return undefined;
}

async function stop(keeper: ChildProcess, word: string): Promise<void> {
  const ended = once(keeper, 'exit');
  keeper.stdin?.end(word);
  await ended;
}
