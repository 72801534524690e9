/** The watched folder, on a real file system. */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, symlink, truncate, unlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { FolderSource } from '../../src/kube/folder-source.ts';
import { FILE_BYTES_LIMIT, readManifestFile } from '../../src/kube/manifest-files.ts';

const node = (name: string, podCidr = '10.244.1.0/24') =>
  `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}}\nspec: {podCIDR: ${podCidr}}\n`;

interface Watched {
  source: FolderSource;
  names(): string[];
  /** Resolves when the condition holds after some change; fails after 5 s. */
  until(condition: () => boolean): Promise<void>;
  changes(): number;
}

async function watched(t: Tap, ...paths: string[]): Promise<Watched> {
  const source = new FolderSource(paths);
  t.teardown(() => source.close());
  let changes = 0;
  let wake = (): void => {};
  source.onChange(() => {
    changes++;
    wake();
  });
  await source.start();
  changes = 0;
  const until = async (condition: () => boolean): Promise<void> => {
    const deadline = Date.now() + 5000;
    while (!condition()) {
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`not seen: ${condition.toString()}; ${JSON.stringify(source.problems())}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };
  return { source, names: () => [...source.current().nodes.keys()].sort(), until, changes: () => changes };
}

type Tap = Pick<typeof t, 'teardown'>;

async function folder(t: Tap): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), 'weft-folder-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

t.test('files and folders, read at start', async (t) => {
  const dir = await folder(t);
  await writeFile(path.join(dir, 'a.yaml'), node('a'));
  await writeFile(path.join(dir, 'b.YML'), node('b'));
  await writeFile(path.join(dir, 'c.json'), '{"apiVersion":"v1","kind":"Node","metadata":{"name":"c"}}');
  await writeFile(path.join(dir, '.d.yaml'), node('hidden'));
  await writeFile(path.join(dir, 'e.txt'), node('text'));
  const other = await folder(t);
  await writeFile(path.join(other, 'single.conf'), node('single'));
  const w = await watched(t, `${dir}/`, path.join(other, 'single.conf'));
  t.same(w.names(), ['a', 'b', 'c', 'single']);
  t.same(w.source.problems(), []);
  t.equal(w.source.current().places?.get('Node a'), `${path.join(dir, 'a.yaml')}:1`);
});

t.test('changes arrive: added, edited, replaced, removed', async (t) => {
  const dir = await folder(t);
  const file = path.join(dir, 'a.yaml');
  const w = await watched(t, dir);
  t.same(w.names(), []);
  await writeFile(file, node('a'));
  await w.until(() => w.names().join() === 'a');
  await writeFile(file, node('b'));
  await w.until(() => w.names().join() === 'b');
  await writeFile(path.join(dir, '.tmp'), node('c'));
  await rename(path.join(dir, '.tmp'), file);
  await w.until(() => w.names().join() === 'c');
  await unlink(file);
  await w.until(() => w.names().length === 0);
  t.same(w.source.problems(), []);
});

t.test('a bad file keeps its last good objects, and says so', async (t) => {
  const dir = await folder(t);
  const file = path.join(dir, 'a.yaml');
  await writeFile(file, node('a'));
  await writeFile(path.join(dir, 'b.yaml'), node('b', '10.244.2.0/24'));
  const w = await watched(t, dir);
  await writeFile(file, 'kind: [');
  await w.until(() => w.source.problems().length > 0);
  t.same(w.names(), ['a', 'b']);
  await truncate(file);
  await w.until(() => /is empty/.test(w.source.problems()[0]?.message ?? ''));
  t.same(w.names(), ['a', 'b'], 'a file cut off by its writer removes nothing');
  await writeFile(file, node('c'));
  await w.until(() => w.names().join() === 'b,c');
  t.same(w.source.problems(), []);
});

t.test('a stamp that is too young to be trusted is not', async (t) => {
  const dir = await folder(t);
  const file = path.join(dir, 'a.yaml');
  await writeFile(file, node('a'));
  await utimes(file, 1000, 1000);
  const young = await readManifestFile(file, undefined);
  t.match(young, { kind: 'text', text: node('a'), settled: false }, 'whatever the modification time claims');
  await new Promise((resolve) => setTimeout(resolve, 2100));
  const old = await readManifestFile(file, undefined);
  t.match(old, { kind: 'text', settled: true });
  if (old.kind !== 'text') return;
  t.same(await readManifestFile(file, old.stamp), { kind: 'same' });
  t.match(await readManifestFile(file, `${old.stamp}0`), { kind: 'text' });
  await unlink(file);
  t.same(await readManifestFile(file, old.stamp), { kind: 'absent' });
});

t.test('the same text written again is no change', async (t) => {
  const dir = await folder(t);
  const file = path.join(dir, 'a.yaml');
  await writeFile(file, node('a'));
  const w = await watched(t, dir);
  await writeFile(path.join(dir, '.same'), node('a'));
  await rename(path.join(dir, '.same'), file);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  t.equal(w.changes(), 0);
});

t.test('what cannot be read is named, and the rest goes on', async (t) => {
  const dir = await folder(t);
  await writeFile(path.join(dir, 'a.yaml'), node('a'));
  await writeFile(path.join(dir, 'big.yaml'), '');
  await truncate(path.join(dir, 'big.yaml'), FILE_BYTES_LIMIT + 1);
  await writeFile(path.join(dir, 'latin.yaml'), Uint8Array.of(0x61, 0xe9, 0x0a));
  execFileSync('mkfifo', [path.join(dir, 'pipe.yaml')]);
  await mkdir(path.join(dir, 'sub.yaml'));
  await symlink('/nowhere/at/all', path.join(dir, 'link.yaml'));
  const missing = path.join(dir, 'missing');
  const w = await watched(t, dir, missing);
  t.same(w.names(), ['a']);
  t.same(
    w.source.problems().map((p) => `${path.basename(p.place)} ${p.message}`),
    [
      'big.yaml is larger than 10485760 bytes',
      'latin.yaml is not UTF-8 text',
      'missing does not exist',
      'pipe.yaml is not a regular file',
      'sub.yaml is not a regular file',
    ],
  );
  const before = w.changes();
  await mkdir(missing);
  await writeFile(path.join(missing, 'late.yaml'), node('late', '10.244.7.0/24'));
  await w.until(() => w.names().join() === 'a,late');
  t.ok(w.changes() > before, 'a folder that appears later is read');
});

t.test('a folder that vanishes takes nothing with it', async (t) => {
  const dir = await folder(t);
  const inner = path.join(dir, 'manifests');
  await mkdir(inner);
  await writeFile(path.join(inner, 'a.yaml'), node('a'));
  const w = await watched(t, inner);
  await rename(inner, path.join(dir, 'away'));
  await w.until(() => w.source.problems().length > 0);
  t.same(w.names(), ['a']);
  t.match(w.source.problems()[0]?.message, /does not exist/);
  await mkdir(inner);
  await writeFile(path.join(inner, 'b.yaml'), node('b'));
  await w.until(() => w.names().join() === 'b');
  t.same(w.source.problems(), []);
});

t.test('a closed source is silent', async (t) => {
  const dir = await folder(t);
  const w = await watched(t, dir);
  await w.source.close();
  await writeFile(path.join(dir, 'a.yaml'), node('a'));
  await new Promise((resolve) => setTimeout(resolve, 1300));
  t.equal(w.changes(), 0);
});
