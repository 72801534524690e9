/**
 * Starts the process that is a lab, in namespaces of its own, and beside it what the lab needs of the machine's network. All of
 * it is in one process namespace, whose first process takes the rest along.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import type { LabDir } from './lab-dir.ts';
import type { ListeningSocket } from './listening-socket.ts';
import type { Topology } from './topology.ts';
import { weftCommand } from './weft-command.ts';

/** `sh` is process 1: it reaps whatever loses its parent, and ends when the holder does. */
const FIRST_PROCESS = '"$@" & wait $!';

/** $0 the lab's directory. What goes on in the machine's network ends with process 1 like all the rest. */
const WITH_TUNNEL = 'while :; do "$0/bin/weft" lab-tunnel --dir "$0" 3<&-; sleep 1; done & exec "$@"';

/** `door` becomes its number 3. */
export function startHolder(
  lab: LabDir,
  topology: Topology,
  rootless: boolean,
  door: ListeningSocket | undefined,
): ChildProcess {
  const log = openSync(lab.holderLog, 'a', 0o600);
  const user = rootless ? ['--user', '--map-root-user'] : [];
  const tunnel = topology.api?.etcd ? ['sh', '-c', WITH_TUNNEL, lab.path] : [];
  const child = spawn(
    'unshare',
    [
      ...[...user, '--pid', '--fork', '--kill-child', '--', ...tunnel],
      ...['unshare', '--net', '--mount', '--uts', '--propagation', 'private', '--'],
      ...['sh', '-c', FIRST_PROCESS, 'weft-lab', ...weftCommand(), 'lab-holder', '--dir', lab.path],
    ],
    {
      stdio: ['ignore', log, log, ...(door ? [door.fd] : [])],
      detached: true,
      cwd: dirname(lab.path),
      env: { ...process.env, WEFT_ROOTLESS: rootless ? '1' : '0' },
    },
  );
  closeSync(log);
  child.unref();
  return child;
}
