/**
 * Holds the rooms' table: who imports whom under src/. A path from the packets' side to the control side, or from a
 * low room to a high one, fails here and names the file.
 */
import t from 'tap';
import { FLOOR, filesBelow, type ImportLine, importsOf, roomOf, TOP_FLOOR } from './rooms.ts';

const lines = filesBelow('src', '.ts').flatMap(importsOf);
const show = (list: ImportLine[]) => list.map((l) => `${l.file} imports ${l.specifier}`);

t.test('every file under src stands in a room of the house', async (t) => {
  const strays = filesBelow('src', '.ts').filter((f) => FLOOR[roomOf(f) ?? ''] === undefined);
  t.strictSame(strays, []);
  t.ok(lines.length > 0, 'imports were found at all');
});

t.test('a room imports only from rooms below it', async (t) => {
  const wrong = lines.filter((l) => {
    const from = roomOf(l.file);
    const to = l.target === null ? null : roomOf(l.target);
    if (from === null || to === null || from === to) return false;
    const [low, high] = [FLOOR[to] ?? 99, FLOOR[from] ?? -1];
    return low > high || (low === high && low !== TOP_FLOOR);
  });
  t.strictSame(show(wrong), []);
});

t.test('control and dataplane share nothing but tables', async (t) => {
  const wrong = lines.filter((l) => {
    const pair = [roomOf(l.file), l.target === null ? null : roomOf(l.target)];
    return pair.includes('dataplane') && (pair.includes('control') || pair.includes('kube'));
  });
  t.strictSame(show(wrong), []);
});

t.test('wire imports nothing but wire', async (t) => {
  const wrong = lines.filter((l) => roomOf(l.file) === 'wire' && (l.target === null || roomOf(l.target) !== 'wire'));
  t.strictSame(show(wrong), []);
});

t.test('tables and control read no clock, file or socket', async (t) => {
  const pure = ['tables', 'control'];
  const wrong = lines.filter((l) => pure.includes(roomOf(l.file) ?? '') && l.specifier.startsWith('node:'));
  const harmless = new Set(['node:net', 'node:crypto', 'node:assert']);
  t.strictSame(show(wrong.filter((l) => !harmless.has(l.specifier))), []);
});

t.test('src imports neither tests nor benches', async (t) => {
  t.strictSame(show(lines.filter((l) => l.target !== null && !l.target.startsWith('src/'))), []);
});

t.test('own files are imported by their full name', async (t) => {
  const all = [...lines, ...filesBelow('test', '.ts').flatMap(importsOf)];
  t.strictSame(show(all.filter((l) => l.target !== null && !/\.(ts|json)$/.test(l.target))), []);
});
