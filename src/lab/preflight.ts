/** Whether this machine lets us have a lab, asked before anything is made: each refusal says what to do about it. */
import { spawnSync } from 'node:child_process';
import { checkTool, checkTunDriver } from '../agent/host-checks.ts';
import type { Check } from '../agent/status.ts';
import { LabError } from './lab-error.ts';

/** Throws a LabError that names what is missing. Returns whether a user namespace is needed. */
export function checkMachine(withEtcd = false): { rootless: boolean } {
  const rootless = process.geteuid?.() !== 0;
  require([
    checkTool('ip', 'iproute2', 'to make devices and routes'),
    checkTool('unshare', 'util-linux', 'to make namespaces'),
    checkTool('nsenter', 'util-linux', 'to enter namespaces'),
    checkTool('mount', 'mount', 'to give hosts a /run of their own'),
    checkTunDriver(),
    ...(withEtcd ? [checkTool('etcd', 'etcd-server', 'to keep objects in')] : []),
  ]);
  require([checkNamespaces(rootless)]);
  return { rootless };
}

function require(checks: readonly Check[]): void {
  const failed = checks.filter((check) => !check.ok);
  const [first, ...more] = failed.map(({ name, detail, remedy }) => `${name}: ${detail}: ${remedy}`);
  if (first !== undefined) throw new LabError('WEFT_LAB_SYSTEM', first, more);
}

function checkNamespaces(rootless: boolean): Check {
  const user = rootless ? ['--user', '--map-root-user'] : [];
  const probe = spawnSync('unshare', [...user, '--net', '--mount', '--uts', '--pid', '--fork', 'true'], {
    encoding: 'utf8',
  });
  const remedy = rootless
    ? 'allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces, ' +
      'kernel.apparmor_restrict_unprivileged_userns=0), or run as root'
    : 'CAP_SYS_ADMIN is needed (in a container: --privileged)';
  const detail = `refused (${probe.stderr?.trim().split('\n')[0] ?? probe.error?.message})`;
  return { name: 'namespaces', ok: probe.status === 0, detail, remedy };
}
