/**
 * Runs end-to-end files once more without root, by an ordinary user, whose labs live in user namespaces. Where
 * /dev/net/tun is not for everybody, the user gets one that is, in a mount namespace of its own.
 */
import { spawnSync } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { without } from './test-lab.ts';

const USER = 1500;

/** $1 a folder of the user's, then the command. */
const SCRIPT = `
set -e
home=$1
shift
if [ "$(stat -c %a /dev/net/tun)" != 666 ]; then
  mkdir "$home/dev"
  mount -t tmpfs -o mode=755 weft "$home/dev"
  mknod -m 666 "$home/dev/tun" c 10 200
  chmod 666 "$home/dev/tun"
  mount --bind "$home/dev/tun" /dev/net/tun
fi
# Set by tap for its children: it would write into a folder that is not the user's.
unset NODE_OPTIONS
exec setpriv --reuid ${USER} --regid ${USER} --clear-groups -- "$@"
`;

export async function runAsUser(t: Test, files: readonly string[]): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), 'weft-user-'));
  chownSync(home, USER, USER);
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  for (const file of files) {
    const compiled = fileURLToPath(new URL(`${file}.test.js`, import.meta.url));
    const args = [
      '--mount',
      '--propagation',
      'private',
      'sh',
      '-c',
      SCRIPT,
      'weft-user',
      home,
      process.execPath,
      compiled,
    ];
    const env = { ...process.env, HOME: home, TMPDIR: home, XDG_STATE_HOME: '', XDG_CACHE_HOME: home };
    await t.spawn('unshare', args, { env, timeout: 400_000 }, file);
    rmSync(join(home, 'dev'), { recursive: true, force: true });
  }
}

/** For tap's `skip`: why this machine has no ordinary user who could. */
export function noUser(): string | false {
  if (process.geteuid?.() !== 0) return 'the other files run as an ordinary user already';
  const missing = without('setpriv', 'unshare');
  if (missing) return missing;
  if (statSync('/dev/net/tun', { throwIfNoEntry: false }) === undefined) return 'there is no /dev/net/tun';
  const as = ['setpriv', '--reuid', `${USER}`, '--regid', `${USER}`, '--clear-groups'];
  const probe = spawnSync(as[0] ?? '', [
    ...as.slice(1),
    process.execPath,
    '-e',
    `require('fs').accessSync('${fileURLToPath(import.meta.url)}')`,
  ]);
  if (probe.status !== 0) return 'an ordinary user cannot read this checkout';
  const namespaces = spawnSync(as[0] ?? '', [...as.slice(1), 'unshare', '--user', '--map-root-user', 'true']);
  return namespaces.status === 0 ? false : 'user namespaces are not allowed to ordinary users here';
}
