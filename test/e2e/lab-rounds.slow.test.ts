/** End to end, slow: fifty times up and down. The machine must have no more of anything afterwards than before. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { takeDown } from '../../src/lab/down.ts';
import { noLab, ownHome, TestLab } from './test-lab.ts';

const ROUNDS = 50;

t.test(`${ROUNDS} rounds up and down`, { skip: noLab(), timeout: 1_700_000 }, async (t) => {
  const home = ownHome();
  const round = async (i: number): Promise<void> => {
    const lab = await TestLab.up({ name: `round-${i}` });
    await takeDown(lab.lab);
  };
  await round(0);
  const before = await belongings();
  for (let i = 1; i <= ROUNDS; i++) await round(i);
  const after = await belongings();
  t.same(after, before);
  t.same(readdirSync(join(home, 'labs')), []);
});

interface Belongings {
  descriptors: number;
  children: string;
  networkNamespaces: number;
  mounts: number;
  devices: string;
}

/** What the machine and this process have, once the kernel has cleaned up, which it does in its own time. */
async function belongings(): Promise<Belongings> {
  let last: Belongings | undefined;
  for (;;) {
    const now = {
      descriptors: readdirSync('/proc/self/fd').length,
      children: readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8'),
      networkNamespaces: networkNamespaces(),
      mounts: readFileSync('/proc/self/mounts', 'utf8').split('\n').length,
      devices: readdirSync('/sys/class/net').sort().join(' '),
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
