/** Reading a container's log: across rotation, from its end, by time, and while it grows. */
import {
  appendFileSync,
  linkSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import {
  type LogOptions,
  type LogPosition,
  type OutputPiece,
  readLog,
  readOutput,
} from '../../../src/agent/pods/container-log-reader.ts';

const root = mkdtempSync(join(tmpdir(), 'weft-log-'));
t.teardown(() => rmSync(root, { recursive: true, force: true }));

const at = (second: number) => `2026-11-21T09:00:${String(second).padStart(2, '0')}.123456789Z`;
const line = (second: number, text: string, stream = 'stdout', tag = 'F') => `${at(second)} ${stream} ${tag} ${text}\n`;

let made = 0;
function log(...files: string[]) {
  const path = join(root, `${++made}.log`);
  files.forEach((text, i) => {
    const older = files.length - 1 - i;
    writeFileSync(older === 0 ? path : `${path}.${older}`, text);
  });
  return path;
}

async function read(path: string, options: LogOptions = {}): Promise<string> {
  let text = '';
  for await (const chunk of readLog({ path, isOver: () => true }, options)) text += chunk.toString('utf8');
  return text;
}

t.test('all of it, from old to new', async (t) => {
  const path = log(line(1, 'a') + line(2, 'b'), line(3, 'c', 'stderr'), line(4, 'd'));
  t.equal(await read(path), 'a\nb\nc\nd\n');
  t.equal(await read(path, { timestamps: true }), [1, 2, 3, 4].map((s, i) => `${at(s)} ${'abcd'[i]}\n`).join(''));
  t.equal(await read(join(root, 'none.log')), '', 'nothing is there yet');
});

t.test('parts of a line are put together', async (t) => {
  const path = log(
    line(1, 'be', 'stdout', 'P') + line(1, 'gin', 'stdout', 'P'),
    `${line(2, ' end')}${line(3, 'next')}`,
  );
  t.equal(await read(path), 'begin end\nnext\n');
  t.equal(await read(path, { timestamps: true }), `${at(1)} begin end\n${at(3)} next\n`);
  t.equal(await read(path, { tailLines: 2 }), 'begin end\nnext\n'.slice(0), 'two lines, whatever their parts');
  t.equal(await read(path, { tailLines: 1 }), 'next\n');
  const open = log(line(1, 'whole') + line(2, 'no end yet', 'stdout', 'P'));
  t.equal(await read(open, { tailLines: 1 }), 'no end yet');
});

t.test('the last lines, wherever they stand', async (t) => {
  const texts = Array.from({ length: 5000 }, (_, i) => `line ${i} ${'x'.repeat(i % 97)}`);
  const files = [0, 1, 2, 3].map((k) =>
    texts
      .slice(k * 1250, (k + 1) * 1250)
      .map((text) => line(5, text))
      .join(''),
  );
  const path = log(...files);
  for (const wanted of [0, 1, 2, 1249, 1250, 1251, 2500, 3333, 4999, 5000, 6000]) {
    const expected = wanted === 0 ? [] : texts.slice(-wanted);
    t.same((await read(path, { tailLines: wanted })).split('\n').slice(0, -1), expected, `${wanted}`);
  }
});

t.test('from a time on, and no more than so many bytes', async (t) => {
  const path = log(line(1, 'a') + line(2, 'b'), line(3, 'c') + line(4, 'd'));
  t.equal(await read(path, { since: new Date('2026-11-21T09:00:03.000Z') }), 'c\nd\n');
  t.equal(await read(path, { since: new Date('2026-11-21T09:00:03.124Z') }), 'd\n');
  utimesSync(`${path}.1`, new Date(0), new Date(0));
  t.equal(
    await read(path, { since: new Date('2026-11-21T09:00:01.000Z') }),
    'c\nd\n',
    'a file that is older is not read',
  );
  t.equal(await read(path, { limitBytes: 3 }), 'a\nb');
});

t.test('what is no record is passed over', async (t) => {
  const path = log(`garbage\n\n${line(1, 'a')}${'x'.repeat(30)}\n`);
  t.equal(await read(path), 'a\n');
});

t.test('followed while it grows and is rotated, to the end of the run', async (t) => {
  const path = log(line(1, 'first'));
  let over = false;
  const abort = new AbortController();
  t.teardown(() => abort.abort());
  const reader = readLog({ path, isOver: () => over }, { follow: true }, abort.signal);
  const next = async () => (await reader.next()).value?.toString('utf8');
  t.equal(await next(), 'first\n');
  appendFileSync(path, line(2, 'second'));
  t.equal(await next(), 'second\n');
  // Two rotations between two looks.
  appendFileSync(path, line(3, 'third'));
  renameSync(path, `${path}.1`);
  writeFileSync(path, line(4, 'fourth'));
  renameSync(`${path}.1`, `${path}.2`);
  renameSync(path, `${path}.1`);
  writeFileSync(path, line(5, 'fifth'));
  t.same([await next(), await next(), await next()], ['third\n', 'fourth\n', 'fifth\n']);
  appendFileSync(path, line(6, 'last'));
  over = true;
  t.equal(await next(), 'last\n');
  t.equal((await reader.next()).done, true);
});

t.test('what is written between the last look at a file and its rotation is read', async (t) => {
  const path = log(line(1, 'first'));
  let over = false;
  const reader = readLog({ path, isOver: () => over }, { follow: true });
  t.equal((await reader.next()).value?.toString(), 'first\n');
  const probe = await open(path);
  const handles = Object.getPrototypeOf(probe) as FileHandle;
  await probe.close();
  const { stat } = handles;
  t.teardown(() => Object.assign(handles, { stat }));
  // The reader has come to the end, and asks which file comes next.
  Object.assign(handles, {
    stat(this: FileHandle) {
      Object.assign(handles, { stat });
      appendFileSync(path, line(2, 'second'));
      renameSync(path, `${path}.1`);
      writeFileSync(path, line(3, 'third'));
      over = true;
      return stat.call(this);
    },
  });
  let text = '';
  for await (const piece of reader) text += piece.toString();
  t.equal(text, 'second\nthird\n');
});

t.test('what is not followed ends where it ended when that was asked', async (t) => {
  const path = log(line(1, 'old'), line(2, 'a') + line(3, 'b'));
  const reader = readLog({ path, isOver: () => false }, { tailLines: 2 });
  t.equal((await reader.next()).value?.toString(), 'a\nb\n');
  appendFileSync(path, line(4, 'c'));
  renameSync(path, `${path}.1`);
  writeFileSync(path, line(5, 'd'));
  t.equal((await reader.next()).done, true, 'whoever writes fast is not read for ever');
});

t.test('only a file is read', async (t) => {
  const path = join(root, 'link.log');
  symlinkSync(log(line(1, 'secret')), path);
  t.equal(await read(path), '');
});

t.test('files that move twice while they are looked for', async (t) => {
  const path = log(line(2, 'b'), line(1, 'a'));
  // As it is met first under the name that it had, and then where two rotations brought it.
  linkSync(path, `${path}.2`);
  t.equal(await read(path), 'a\nb\n', 'are read once, in their order');
});

t.test('following ends when whoever reads goes away', async (t) => {
  const abort = new AbortController();
  const reader = readLog({ path: log(line(1, 'a')), isOver: () => false }, { follow: true }, abort.signal);
  await reader.next();
  const waiting = reader.next();
  abort.abort();
  t.equal((await waiting).done, true);
});

t.test('told apart by streams, while it grows', async (t) => {
  const path = log(line(1, 'a') + line(2, 'b', 'stderr') + line(3, 'c', 'stderr', 'P'), line(4, 'd', 'stderr'));
  let over = false;
  const reader = readOutput({ path, isOver: () => over });
  const said: string[] = [];
  const add = ({ stream, text }: OutputPiece) => said.push(`${stream} ${text}`);
  for (let i = 0; i < 3; i++) add((await reader.next()).value as OutputPiece);
  appendFileSync(path, line(5, 'e'));
  over = true;
  for await (const piece of reader) add(piece);
  t.strictSame(said, ['stdout a\n', 'stderr b\nc', 'stderr d\n', 'stdout e\n']);
});

t.test('from a place on, and from the oldest where that has gone', async (t) => {
  const path = log(line(1, 'a'), line(2, 'b') + line(3, 'c', 'stdout', 'P'), line(4, 'd'));
  const { ino: inode } = statSync(`${path}.1`);
  const from = async (place: { inode: number; offset: number }) => {
    let text = '';
    for await (const piece of readOutput({ path, isOver: () => true }, place)) text += piece.text.toString();
    return text;
  };
  t.equal(await from({ inode, offset: line(2, 'b').length }), 'cd\n');
  t.equal(await from({ inode, offset: 1_000_000 }), 'd\n');
  t.equal(await from({ inode: 0, offset: 0 }), 'a\nb\ncd\n');
});

t.test('what is told of comes without waiting', async (t) => {
  const path = log(line(1, 'a'));
  let tell = () => {};
  let asked = 0;
  const more = () => {
    asked++;
    return new Promise<void>((done) => {
      tell = done;
    });
  };
  const reader = readOutput({ path, isOver: () => false, more });
  t.equal(`${(await reader.next()).value?.text}`, 'a\n');
  const next = reader.next();
  while (asked === 0) await new Promise((done) => setImmediate(done));
  appendFileSync(path, line(2, 'b'));
  tell();
  t.equal(`${(await next).value?.text}`, 'b\n');
  t.equal(asked, 1);
});

t.test('whoever is far behind goes on where that is said, with a whole record', async (t) => {
  for (const isRotated of [false, true]) {
    const path = log(line(1, 'a'));
    let skipTo: LogPosition | undefined;
    const more = async () => {};
    let over = false;
    const reader = readOutput({ path, isOver: () => over, more, skipTo: () => skipTo });
    let text = `${(await reader.next()).value?.text}`;
    appendFileSync(path, `${line(2, 'x'.repeat(1000))}`.repeat(400));
    if (isRotated) {
      renameSync(path, `${path}.1`);
      writeFileSync(path, line(3, 'y'));
    }
    const { ino: inode, size } = statSync(path);
    appendFileSync(path, line(4, 'after'));
    text += `${(await reader.next()).value?.text}`;
    // As it is found in the middle of a write.
    skipTo = { inode, offset: isRotated ? size : size - 20 };
    over = true;
    for await (const piece of reader) text += piece.text.toString();
    t.match(text, /^a\n(x+\n)+x*after\n$/);
    t.ok(text.length < 100_000, `${text.length} bytes`);
  }
});

t.test('whoever is not far behind goes on as before', async (t) => {
  const path = log(line(1, 'a'));
  let skipTo: LogPosition | undefined;
  const reader = readOutput({ path, isOver: () => true, skipTo: () => skipTo });
  let text = `${(await reader.next()).value?.text}`;
  appendFileSync(path, `${line(2, 'x'.repeat(1000))}`.repeat(100));
  const { ino: inode, size: offset } = statSync(path);
  skipTo = { inode, offset };
  for await (const piece of reader) text += piece.text.toString();
  t.equal(text.length, 2 + 100 * 1001);
});
