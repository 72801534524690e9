/** What is in force after any sequence of good and bad versions of files. */
import fc from 'fast-check';
import t from 'tap';
import { type FileState, mergeFiles, nextFileState, unreadableFile } from '../../src/kube/file-merge.ts';
import { parseManifest } from '../../src/kube/manifest.ts';
import { formatProblem } from '../../src/kube/problem.ts';

const node = (name: string, podCidr: string) =>
  `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}}\nspec: {podCIDR: ${podCidr}}\n`;
const read = (previous: FileState | undefined, text: string, file = 'a.yaml') =>
  nextFileState(previous, parseManifest(text, file));
const cidrs = (...files: FileState[]) =>
  Object.fromEntries(
    [...mergeFiles(files).objects.values()].map(({ object }) => [
      object.metadata.name,
      object.kind === 'Node' ? object.spec?.podCIDR : undefined,
    ]),
  );

t.test('the last good version stays in force', async (t) => {
  let file = read(undefined, `${node('a', '10.1.0.0/24')}---\n${node('b', '10.2.0.0/24')}`);
  file = read(file, `${node('a', 'nonsense')}---\n${node('b', '10.3.0.0/24')}`);
  t.same(cidrs(file), { a: '10.1.0.0/24', b: '10.3.0.0/24' }, 'a bad object keeps its last good version');
  file = read(file, 'a: [');
  t.same(cidrs(file), { a: '10.1.0.0/24', b: '10.3.0.0/24' }, 'so does everything in text that cannot be read');
  t.equal(mergeFiles([file]).problems.length, 1);
  file = unreadableFile(file, { place: 'a.yaml', message: 'is gone', severity: 'error' });
  t.same(cidrs(file), { a: '10.1.0.0/24', b: '10.3.0.0/24' });
  file = read(file, node('b', '10.4.0.0/24'));
  t.same(cidrs(file), { b: '10.4.0.0/24' }, 'what a good text leaves out is gone');
  t.same(mergeFiles([file]).problems, []);
});

t.test('what is retained does not pile up', async (t) => {
  const half = `${node('x', '10.1.0.0/24')}---\na: [`;
  let file = read(undefined, `${node('x', '10.1.0.0/24')}---\n${node('y', '10.2.0.0/24')}`);
  for (let i = 0; i < 5; i++) file = read(file, half);
  t.equal(file.fresh.length, 1);
  t.equal(file.retained.length, 1);
});

t.test('one name in two files', async (t) => {
  const a = read(undefined, node('x', '10.1.0.0/24'));
  const b = read(undefined, node('x', '10.2.0.0/24'), 'b.yaml');
  t.same(cidrs(a, b), { x: '10.1.0.0/24' });
  t.same(mergeFiles([a, b]).problems.map(formatProblem), [
    'b.yaml:1: Node x: stands already at a.yaml:1: this one is ignored',
  ]);
  t.same(cidrs(read(a, 'a: ['), b), { x: '10.2.0.0/24' }, 'a retained version does not hold back a fresh one');
  t.same(mergeFiles([read(a, 'a: ['), b]).problems.length, 1);
});

t.test('an ignored kind is said once over all files', async (t) => {
  const text = 'apiVersion: apps/v1\nkind: Deployment\n';
  const merged = mergeFiles([read(undefined, text), read(undefined, text, 'b.yaml')]);
  t.same(
    merged.problems.map((p) => p.place),
    ['a.yaml:1'],
  );
});

t.test('any history: good versions of the last readable text, and nothing that was never good', async () => {
  const names = ['a', 'b', 'c'];
  const version = fc.oneof(
    fc.constant(undefined),
    fc.array(fc.tuple(fc.constantFrom(...names), fc.option(fc.nat(250))), { maxLength: 4 }),
  );
  fc.assert(
    fc.property(fc.array(version, { minLength: 1, maxLength: 8 }), (versions) => {
      let file: FileState | undefined;
      const model = new Map<string, string>();
      for (const v of versions) {
        const list = v?.filter(([name], i) => v.findIndex(([other]) => other === name) === i);
        const text =
          list?.map(([name, n]) => node(name, n === null ? 'bad' : `10.${n}.0.0/24`)).join('---\n') ?? 'a: [';
        file = read(file, text);
        if (!list) continue;
        for (const name of names) {
          const now = list.find(([other]) => other === name);
          if (!now) model.delete(name);
          else if (now[1] !== null) model.set(name, `10.${now[1]}.0.0/24`);
        }
      }
      const got = cidrs(file as FileState);
      return JSON.stringify(Object.entries(got).sort()) === JSON.stringify([...model].sort());
    }),
    { seed: 11, numRuns: 300 },
  );
});
