/**
 * How a container's command is started: in the pod's network namespace, with mounts of its own in which
 * /etc/resolv.conf and /etc/hosts are the pod's, under the pod's host name. Each step execs the next, so that the
 * process id that the agent sees is the command's own.
 */
import { join } from 'node:path';
import { requireTool } from './command.ts';
import type { ContainerPlan, PodPlan } from './pod-plan.ts';

export interface StartCommand {
  file: string;
  args: readonly string[];
  env: Readonly<Record<string, string>>;
}

export interface Tools {
  nsenter: string;
  unshare: string;
  sh: string;
}

export function findTools(): Tools {
  return { nsenter: requireTool('nsenter'), unshare: requireTool('unshare'), sh: requireTool('sh') };
}

export const NETNS_FOLDER = '/run/netns';
export const RESOLV_CONF = 'resolv.conf';
export const ETC_HOSTS = 'hosts';

/**
 * $1 resolv.conf, $2 hosts, $3 host name ('' to keep the host's), $4 working directory, then the command. The tools
 * are looked for in the system's folders, whatever the container's PATH. A dangling /etc/resolv.conf (a link into a
 * /run that is another one here) gets its target, or there would be nothing to mount on.
 */
const SCRIPT = `
pod_path=$PATH
PATH=/usr/sbin:/usr/bin:/sbin:/bin
if [ ! -e /etc/resolv.conf ]; then
  target=$(readlink -m /etc/resolv.conf) && mkdir -p "$(dirname "$target")" && : >> "$target"
fi
mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/hosts || exit 128
[ -z "$3" ] || hostname "$3" 2>/dev/null || :
cd "$4" || exit 128
shift 4
PATH=$pod_path
exec "$@"`;

/** The command line for a container; `argv` must be there. */
export function startCommand(pod: PodPlan, container: ContainerPlan, tools: Tools): StartCommand {
  const enter = pod.netns ? [tools.nsenter, `--net=${join(NETNS_FOLDER, pod.netns)}`, '--'] : [];
  const unshare = [tools.unshare, '--mount', ...(pod.netns ? ['--uts'] : []), '--propagation', 'private', '--'];
  const script = [
    tools.sh,
    '-c',
    SCRIPT,
    'weft-container',
    join(pod.directory, RESOLV_CONF),
    join(pod.directory, ETC_HOSTS),
    pod.netns ? pod.hostname : '',
    container.workingDir,
    ...(container.argv ?? []),
  ];
  const [file, ...args] = [...enter, ...unshare, ...script];
  return { file: file as string, args, env: container.env };
}
