/** End to end, slow: fifty times up and down. The machine must have no more of anything afterwards than before. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { takeDown } from '../../src/lab/down.ts';
import { noLab, ownHome, TestLab } from './test-lab.ts';

const ROUNDS = 50;

const skip = noLab();
const options = { skip, timeout: 1_700_000 };

if (skip || process.env.WEFT_ALONE === '1') t.test(`${ROUNDS} rounds up and down`, options, rounds);
else {
  // In namespaces of its own, where nobody else's devices, mounts and processes come and go.
  const user = process.geteuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const alone = [...user, '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const self = ['env', '-u', 'NODE_OPTIONS', 'WEFT_ALONE=1', process.execPath, fileURLToPath(import.meta.url)];
  await t.spawn('unshare', [...alone, ...self], { timeout: 1_700_000 }, 'alone');
}

async function rounds(t: Test): Promise<void> {
  const home = ownHome();
  const round = async (i: number): Promise<void> => {
    const lab = await TestLab.up({ name: `round-${i}` });
    await takeDown(lab.lab);
  };
  await round(0);
  const before = await belongings(home);
  for (let i = 1; i <= ROUNDS; i++) await round(i);
  t.same(await belongings(home), before);
  t.same(readdirSync(join(home, 'labs')), []);
}

interface Belongings {
  descriptors: number;
  children: string;
  networkNamespaces: number;
  mounts: number;
  devices: string;
  processes: number;
}

/** What the machine and this process have, once the kernel has cleaned up, which it does in its own time. */
async function belongings(home: string): Promise<Belongings> {
  let last: Belongings | undefined;
  for (;;) {
    const now = {
      descriptors: readdirSync('/proc/self/fd').length,
      children: readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8'),
      networkNamespaces: networkNamespaces(),
      mounts: readFileSync('/proc/self/mounts', 'utf8')
        .split('\n')
        .filter((line) => line.includes(home)).length,
      processes: readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length,
      devices:
        readFileSync('/proc/net/dev', 'latin1')
          .match(/^ *[^:\n]+:/gm)
          ?.join('') ?? '',
    };
    if (JSON.stringify(now) === JSON.stringify(last)) return now;
    last = now;
    await sleep(2000);
  }
}

function networkNamespaces(): number {
  const found = new Set<string>();
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      found.add(readlinkSync(`/proc/${pid}/ns/net`));
    } catch {
      // It ended meanwhile.
    }
  }
  return found.size;
}
