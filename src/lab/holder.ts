/**
 * The process that is a lab: it lives in namespaces of its own (network, mounts, process numbers, and users where
 * there is no root), makes the hosts' namespaces in them, and keeps one agent per host and the API server alive. When it ends, the
 * kernel ends everything in the lab with it.
 *
 *     weft lab up ──spawns──▶ unshare ──▶ sh (process 1, reaps) ─┬▶ holder ─┬▶ sleep: namespaces of hosta
 *                                                               │          ├▶ weft agent --node hosta
 *                                                               │          ├▶ …
 *                                                               │          └▶ weft apiserver (and etcd)
 *                                                               └▶ weft lab-tunnel, in the machine's network: to a given etcd
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTool } from '../agent/command.ts';
import { startTicks } from '../agent/pods/process-table.ts';
import { openTunnel } from './etcd-tunnel.ts';
import { buildHost, buildUnderlay, readResolvConf } from './host-namespaces.ts';
import { apiServerArguments, apiServerEnvironment, etcdCommand, OUTER_FD } from './lab-api-server.ts';
import { type HostState, type LabDir, type LabState, makeDir, makeOwnDir, writeJson } from './lab-dir.ts';
import { LabError } from './lab-error.ts';
import { loadBalancerPool } from './load-balancer-pool.ts';
import { ProcessKeeper, type ProcessKeeperOptions } from './process-keeper.ts';
import type { Topology } from './topology.ts';
import { agentCommand, weftCommand } from './weft-command.ts';

const IDENTITIES_MS = 30_000;

/** Builds the lab of a directory and keeps it until it is told to end; never returns before. */
export async function runHolder(lab: LabDir): Promise<void> {
  const topology = lab.topology();
  if (topology === undefined) throw new LabError('WEFT_LAB_NAME', `no topology in ${lab.path}`);
  const state: LabState = { phase: 'building', hosts: {} };
  const ended = new Promise<void>((done) => {
    process.once('SIGTERM', done);
    process.once('SIGINT', done);
  });
  try {
    announce(lab);
    const resolvConf = readResolvConf();
    await hideMachine();
    await buildUnderlay(topology);
    const publish = (): void => {
      try {
        writeJson(lab.stateFile, state);
      } catch (error) {
        // On a full disk the lab goes on.
        console.error(`lab: its state cannot be written: ${error}`);
      }
    };
    const [servers, agents] = await Promise.all([
      topology.api === undefined ? [] : startApiServer(lab, topology, state, publish),
      startHosts(lab, topology, resolvConf, state, publish),
    ]);
    const keepers = [...agents, ...servers];
    state.phase = 'running';
    writeJson(lab.stateFile, state);
    await ended;
    await Promise.all(keepers.map((keeper) => keeper.stop(3000)));
  } catch (error) {
    state.phase = 'failed';
    state.error = error instanceof Error ? error.message : String(error);
    writeJson(lab.stateFile, state);
    throw error;
  }
}

/** Writes down who we are outside: /proc is still the machine's, so its numbers are those others see. */
function announce(lab: LabDir): void {
  const self = readlinkSync('/proc/self');
  const parent = Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${self}/status`, 'latin1'))?.[1]);
  const ticks = startTicks(parent);
  if (process.ppid !== 1 || ticks === undefined) {
    throw new LabError('WEFT_LAB_SYSTEM', 'the holder is not alone in a process namespace: start it with weft lab up');
  }
  writeJson(lab.holderFile, {
    holder: { pid: parent, startTicks: ticks },
    rootless: process.env.WEFT_ROOTLESS === '1',
  });
}

/** From here on /proc and /run are the lab's own. */
async function hideMachine(): Promise<void> {
  await runTool('mount', ['-t', 'proc', 'proc', '/proc']);
  await runTool('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'weft', '/run']);
  makeDir('/run/netns');
  spawnSync('hostname', ['lab']);
}

async function startHosts(
  lab: LabDir,
  topology: Topology,
  resolvConf: { path: string; text: string },
  state: LabState,
  publish: () => void,
): Promise<ProcessKeeper[]> {
  makeOwnDir(lab.socketFallback);
  const keepers: ProcessKeeper[] = [];
  const hosts = await Promise.all(
    topology.hosts.map(async (host) => {
      const init = await buildHost(lab, topology, host, resolvConf);
      init.once('exit', () => console.error(`lab: the namespaces of ${host.name} lost their holder`));
      return { host, init: init.pid ?? 0 };
    }),
  );
  if (topology.api !== undefined) await identitiesIssued(lab);
  for (const { host, init } of hosts) {
    const entry: HostState = { init, starts: 0 };
    state.hosts[host.name] = entry;
    const keeper = new ProcessKeeper({
      name: `agent of ${host.name}`,
      init,
      command: [...agentCommand(), ...agentArguments(lab, topology, host.name)],
      env: hostEnvironment(lab, host.name),
      log: lab.agentLog(host.name),
      onChange: () => {
        entry.starts = keeper.starts;
        if (keeper.pid === undefined) delete entry.agent;
        else entry.agent = keeper.pid;
        if (keeper.lastEnd !== undefined) entry.lastEnd = keeper.lastEnd;
        publish();
      },
    });
    keepers.push(keeper);
    keeper.start();
  }
  return keepers;
}

/** Resolves when they have been started, not when they serve: whoever asks waits for them. */
async function startApiServer(
  lab: LabDir,
  topology: Topology,
  state: LabState,
  publish: () => void,
): Promise<ProcessKeeper[]> {
  const { api } = topology;
  const env = { ...process.env, ...apiServerEnvironment(topology) };
  const keep = (what: 'apiServer' | 'etcd', options: Omit<ProcessKeeperOptions, 'env' | 'onChange'>): ProcessKeeper => {
    const onChange = (): void => {
      const { starts, pid, lastEnd } = keeper;
      state[what] = { starts, ...(pid === undefined ? {} : { pid }), ...(lastEnd === undefined ? {} : { lastEnd }) };
      publish();
    };
    const keeper = new ProcessKeeper({ ...options, env, onChange });
    keeper.start();
    return keeper;
  };
  if (api?.etcd) await openTunnel(lab.tunnelSocket);
  const ownsEtcd = api?.store === 'etcd' && api.etcd === undefined;
  const etcd = ownsEtcd ? [keep('etcd', { name: 'etcd', command: etcdCommand(lab), log: lab.etcdLog })] : [];
  await identitiesIssued(lab);
  const command = [...weftCommand(), ...apiServerArguments(lab, topology, manifestPaths(lab, topology))];
  const server = keep('apiServer', { name: 'API server', command, log: lab.apiServerLog, inheritedFd: OUTER_FD });
  // Servers end after those who use them.
  return [server, ...etcd];
}

/** By `weft lab up`, meanwhile; it says so by the last file that it writes. */
async function identitiesIssued(lab: LabDir): Promise<void> {
  const deadline = performance.now() + IDENTITIES_MS;
  while (!existsSync(lab.kubeconfig)) {
    if (performance.now() > deadline) throw new LabError('WEFT_LAB_FAILED', 'nobody issued the certificates');
    await sleep(5);
  }
}

function manifestPaths(lab: LabDir, topology: Topology): string[] {
  return [lab.manifests, ...topology.manifests].filter((path) => existsSync(path));
}

function agentArguments(lab: LabDir, topology: Topology, host: string): string[] {
  const objects =
    topology.api === undefined
      ? manifestPaths(lab, topology).flatMap((path) => ['--manifests', path])
      : ['--kubeconfig', lab.nodeKubeconfig(host)];
  // What the environment says goes to the agents as it is.
  const pool = process.env.WEFT_LOAD_BALANCER_POOL === undefined ? loadBalancerPool(topology.underlay) : '';
  return [
    'agent',
    ...['--node', host],
    ...['--backend', topology.backend],
    ...['--vni', `${topology.vni}`],
    ...['--state-dir', lab.agentStateDir(host)],
    ...['--socket', lab.agentSocket(host)],
    ...(pool === '' ? [] : ['--load-balancer-pool', pool]),
    ...objects,
    ...Object.entries(topology.agent).map(([name, value]) => (value === 'true' ? `--${name}` : `--${name}=${value}`)),
  ];
}

/** What a process of a host finds in its environment: `weft` on its PATH, and its agent's socket. */
export function hostEnvironment(lab: LabDir, host: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PATH: `${lab.bin}:${process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin'}`,
    WEFT_SOCKET: lab.agentSocket(host),
    WEFT_LAB: lab.name,
    WEFT_NODE: host,
  };
}
