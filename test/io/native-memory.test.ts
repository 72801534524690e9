/** Memory of large tables: whole, empty, and on huge pages where the kernel has them. */
import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import { loadNativeAddon } from '../../src/io/native-addon.ts';
import { allocateWords } from '../../src/io/table-memory.ts';

const HUGE = 2 << 20;

/** Bytes of this process that may be on huge pages by its own wish (proc_pid_smaps(5): the flag hg). */
function advisedBytes(): number {
  let bytes = 0;
  for (const part of readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    if (/^VmFlags:.*\bhg\b/m.test(part)) bytes += Number(/^Size: +(\d+) kB/m.exec(part)?.[1]) * 1024;
  }
  return bytes;
}

t.test('tables of any size are whole and empty', async (t) => {
  for (const words of [1, 4096, (HUGE >> 3) - 1, HUGE >> 3, HUGE >> 2, 5_000_001]) {
    const table = allocateWords(words);
    t.equal(table.length, words);
    t.ok(table.every((word) => word === 0));
    table.fill(-1);
    t.equal(table[words - 1], -1);
  }
});

t.test('the pages of a large table are asked to be huge', async (t) => {
  if (!existsSync('/sys/kernel/mm/transparent_hugepage')) return t.comment('this kernel has none');
  const before = advisedBytes();
  const table = allocateWords(16 * HUGE);
  t.ok(advisedBytes() - before >= table.byteLength, `${advisedBytes() - before} bytes`);
});

t.test('memory without a whole huge page in it is left alone; what is no memory is refused', async (t) => {
  const { adviseHugePages } = loadNativeAddon();
  const front = adviseHugePages(new Uint8Array(4096));
  t.ok(front >= 0 && front <= 4096);
  t.equal(adviseHugePages(new Uint8Array(0)), 0);
  t.throws(() => adviseHugePages(undefined as unknown as Uint8Array), TypeError);
  t.throws(() => adviseHugePages(new Int32Array(8) as unknown as Uint8Array), TypeError);
});
