/**
 * How the programs of a pod are started: all through weft_container (native-bindings/src/container.cc), which enters
 * the pod's namespaces and gives a container mounts of its own, in which /etc/resolv.conf and /etc/hosts are the pod's.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../agent-error.ts';
import { packageRoot } from '../weft-command.ts';
import type { Launch } from './container-launch.ts';
import type { PodPlan } from './pod-plan.ts';

export interface StartCommand {
  file: string;
  args: readonly string[];
  env: Readonly<Record<string, string>>;
}

export interface Tools {
  /** Path of weft_container. */
  container: string;
}

const CONTAINER_PROGRAM = 'native-bindings/build/Release/weft_container';

export function findTools(): Tools {
  const container = join(packageRoot(), CONTAINER_PROGRAM);
  if (!existsSync(container)) {
    throw new AgentError('missing-tool', `${container} is not built`, 'run make build');
  }
  return { container };
}

export const NETNS_FOLDER = '/run/netns';
export const RESOLV_CONF = 'resolv.conf';
export const ETC_HOSTS = 'hosts';

/** A log grows so large, and so many files of it are kept, the one being written among them. */
const LOG_BYTES = 10 * 1024 * 1024;
const LOG_FILES = 5;

/** Holds a pod's host name while its containers come and go. Only for pods that have a network of their own. */
export function pauseCommand(pod: Pick<PodPlan, 'netns' | 'hostname'>, tools: Tools): StartCommand {
  const net = join(NETNS_FOLDER, pod.netns);
  return { file: tools.container, args: ['pause', '--net', net, '--hostname', pod.hostname], env: {} };
}

export interface RunFiles {
  log: string;
  /** Where its exit code will stand. */
  exit: string;
  /** Where its input is given to it, if it takes any. */
  socket: string;
}

/** `pausePid`: of the pod's pause process; 0 for a pod in the host's network. */
export function runCommand(
  pod: Pick<PodPlan, 'netns' | 'directory'>,
  launch: Launch,
  files: RunFiles,
  pausePid: number,
  tools: Tools,
): StartCommand {
  const namespaces = pod.netns ? ['--net', join(NETNS_FOLDER, pod.netns), '--uts', `/proc/${pausePid}/ns/uts`] : [];
  const args = [
    'run',
    ...namespaces,
    ...['--bind', join(pod.directory, RESOLV_CONF), '/etc/resolv.conf'],
    ...['--bind', join(pod.directory, ETC_HOSTS), '/etc/hosts'],
    ...['--cwd', launch.workingDir],
    ...['--log', files.log, `${LOG_BYTES}`, `${LOG_FILES}`],
    ...['--exit', files.exit],
    ...(launch.input === 'none' ? [] : ['--input', launch.input, files.socket]),
    ...['--', ...launch.argv],
  ];
  return { file: tools.container, args, env: launch.env };
}

/** Another command beside the one that runs as `pid`. */
export function besideCommand(
  pid: number,
  launch: Pick<Launch, 'env' | 'workingDir'>,
  argv: readonly string[],
  tools: Tools,
): StartCommand {
  return {
    file: tools.container,
    args: ['exec', '--pid', `${pid}`, '--cwd', launch.workingDir, '--', ...argv],
    env: launch.env,
  };
}
