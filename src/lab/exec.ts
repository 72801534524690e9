/**
 * Runs a command inside a lab: in a host's namespaces, or in a pod's with its environment, resolv.conf and hosts.
 * Terminal and standard streams are passed on as they are; signals and the exit code pass through.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { requireTool } from '../agent/command.ts';
import { ETC_HOSTS, NETNS_FOLDER, RESOLV_CONF } from '../agent/pods/container-command.ts';
import { type PodState, readPodStates } from '../agent/pods/pod-state.ts';
import type { LabDir } from './lab-dir.ts';
import { LabError } from './lab-error.ts';
import { nearest } from './nearest.ts';

/** A command line that enters a target, to which the command is appended. */
export interface Entry {
  file: string;
  args: readonly string[];
  env: NodeJS.ProcessEnv;
}

const POD_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** $1 resolv.conf, $2 hosts: for a pod of which no process runs, whose mounts are gone. */
const POD_MOUNTS = 'mount --bind "$1" /etc/resolv.conf; mount --bind "$2" /etc/hosts; shift 2; exec "$@"';

const FORWARDED: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'];

/** Enters the namespaces of the lab itself, in which its bridge is. */
export function labEntry(lab: LabDir): Entry {
  const state = lab.holder();
  if (state === undefined) throw new LabError('WEFT_LAB_NAME', `lab ${lab.name} is not up: weft lab up`);
  const user = state.rootless ? ['-U', '--preserve-credentials'] : [];
  const file = requireTool('nsenter');
  return {
    file,
    args: ['-t', `${state.holder.pid}`, ...user, '-m', '-n', '-u', '-p', '--'],
    env: {
      ...process.env,
      PATH: `${lab.bin}:${process.env.PATH ?? POD_PATH}`,
      WEFT_LAB: lab.name,
      // For kubectl; pods have none.
      ...(existsSync(lab.innerKubeconfig) ? { KUBECONFIG: lab.innerKubeconfig } : {}),
    },
  };
}

/** Enters a host, by name, or a pod, as `POD` or `namespace/POD`. */
export function targetEntry(lab: LabDir, target: string): Entry {
  const entry = labEntry(lab);
  const hosts = lab.state()?.hosts ?? {};
  const host = Object.hasOwn(hosts, target) ? hosts[target] : undefined;
  if (host !== undefined) {
    return {
      file: entry.file,
      args: [...entry.args, entry.file, '-t', `${host.init}`, '-m', '-n', '-u', '--'],
      env: { ...entry.env, WEFT_SOCKET: lab.agentSocket(target), WEFT_NODE: target },
    };
  }
  const found = findPod(lab, target);
  return podEntry(lab, entry, found.host, found.directory, found.state);
}

export interface FoundPod {
  host: string;
  directory: string;
  state: PodState;
}

/** A pod of a lab by `POD` or `namespace/POD`. */
export function findPod(lab: LabDir, target: string): FoundPod {
  const hosts = Object.keys(lab.state()?.hosts ?? {});
  const pods = hosts.flatMap((host) => {
    return readPodStates(lab.agentStateDir(host)).found.map((pod): FoundPod => ({ host, ...pod }));
  });
  const exact = pods.filter(({ state }) => `${state.namespace}/${state.name}` === target);
  const inDefault = pods.filter(({ state }) => state.namespace === 'default' && state.name === target);
  const byName = pods.filter(({ state }) => state.name === target);
  const match = exact[0] ?? inDefault[0] ?? byName[0];
  if (match !== undefined && (exact.length > 0 || inDefault.length > 0 || byName.length === 1)) return match;
  if (byName.length > 1) {
    const choices = byName.map(({ state }) => `${state.namespace}/${state.name}`).join(', ');
    throw new LabError('WEFT_LAB_TARGET', `several pods are called ${target}: ${choices}`);
  }
  const names = [...hosts, ...pods.map(({ state }) => state.name)];
  const guess = nearest(target, names);
  const hint = guess ? `did you mean ${guess}?` : `there is: ${names.join(', ')}`;
  throw new LabError('WEFT_LAB_TARGET', `no host or pod ${target} in lab ${lab.name}; ${hint}`);
}

function podEntry(lab: LabDir, entry: Entry, host: string, directory: string, state: PodState): Entry {
  const init = lab.state()?.hosts[host]?.init;
  const fallback = { PATH: `${join(lab.agentStateDir(host), 'bin')}:${POD_PATH}`, HOME: '/root', HOSTNAME: state.name };
  const terminal = process.env.TERM ? { TERM: process.env.TERM } : {};
  for (const { pid } of state.containers) {
    const environment = pid > 0 ? readEnvironment(lab, pid) : undefined;
    if (environment === undefined) continue;
    return {
      file: entry.file,
      args: [...entry.args, entry.file, '-t', `${pid}`, '-m', '-n', '-u', '--'],
      env: { ...terminal, ...fallback, ...environment },
    };
  }
  const network = state.netns === '' ? [] : [entry.file, `--net=${join(NETNS_FOLDER, state.netns)}`, '--'];
  return {
    file: entry.file,
    args: [
      ...[...entry.args, entry.file, '-t', `${init}`, '-m', '-n', '-u', '--'],
      ...network,
      ...[
        requireTool('unshare'),
        '--mount',
        '--propagation',
        'private',
        requireTool('sh'),
        '-c',
        POD_MOUNTS,
        'weft-exec',
      ],
      ...[join(directory, RESOLV_CONF), join(directory, ETC_HOSTS)],
    ],
    env: { ...terminal, ...fallback },
  };
}

/** Environment of a process, by its number inside the lab; undefined where it does not run. */
function readEnvironment(lab: LabDir, pid: number): Record<string, string> | undefined {
  const holder = lab.holder()?.holder.pid;
  try {
    const text = readFileSync(`/proc/${holder}/root/proc/${pid}/environ`, 'utf8');
    if (text === '') return undefined;
    const pairs = text.split('\0').filter((pair) => pair.includes('='));
    return Object.fromEntries(
      pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
    );
  } catch {
    return undefined;
  }
}

/** Runs a command in a target; resolves with its exit code, 128 + N where signal N ended it. */
export function execute(entry: Entry, command: readonly string[]): Promise<number> {
  return new Promise((done, fail) => {
    const child = spawn(entry.file, [...entry.args, ...command], { stdio: 'inherit', env: entry.env });
    // The terminal sends these to the command itself, which decides; we only outlive it.
    const ignore = (): void => {};
    process.on('SIGINT', ignore).on('SIGQUIT', ignore);
    for (const signal of FORWARDED) process.on(signal, () => signalCommand(child.pid, signal));
    child.once('error', fail);
    child.once('exit', (code, signal) => done(code ?? 128 + (SIGNAL_NUMBERS[signal ?? 'SIGKILL'] ?? 9)));
  });
}

const SIGNAL_NUMBERS: Partial<Record<NodeJS.Signals, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGTERM: 15,
};

/** nsenter forks to enter the process namespace and passes no signal on: its child is the command. */
export function signalCommand(nsenter: number | undefined, signal: NodeJS.Signals): void {
  if (nsenter === undefined) return;
  try {
    const children = readFileSync(`/proc/${nsenter}/task/${nsenter}/children`, 'utf8').trim();
    const pids = children === '' ? [nsenter] : children.split(' ').map(Number);
    for (const pid of pids) process.kill(pid, signal);
  } catch {
    // It ended meanwhile.
  }
}
