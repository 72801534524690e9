/** The host's file, changed in place, replaced, reached by a link, gone and back. */
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { ResolvConfWatch } from '../../src/dns/resolv-conf-watch.ts';

t.test('changes are seen once each', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-resolv-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const target = join(folder, 'stub.conf');
  const path = join(folder, 'resolv.conf');
  writeFileSync(target, 'nameserver 192.0.2.1\n');
  symlinkSync(target, path);
  let changes = 0;
  const watch = new ResolvConfWatch(path, () => void changes++, 20);
  t.teardown(() => watch.close());
  let expected = 0;
  const seen = async (text: string, what: string) => {
    for (let i = 0; watch.text !== text && i < 200; i++) await pause(10);
    t.equal(watch.text, text, what);
    t.equal(changes, ++expected, what);
    await pause(30);
  };
  await pause(50);
  t.equal(watch.text, 'nameserver 192.0.2.1\n');
  for (const [what, change, text] of [
    ['in place', () => writeFileSync(target, 'nameserver 192.0.2.2\n'), 'nameserver 192.0.2.2\n'],
    [
      'replaced',
      () => {
        writeFileSync(join(folder, 'new'), 'nameserver 192.0.2.3\n');
        renameSync(join(folder, 'new'), target);
      },
      'nameserver 192.0.2.3\n',
    ],
    ['gone', () => rmSync(target), ''],
    ['back', () => writeFileSync(target, 'nameserver 192.0.2.4\n'), 'nameserver 192.0.2.4\n'],
  ] as const) {
    change();
    await seen(text, what);
  }
  writeFileSync(target, 'nameserver 192.0.2.4\n');
  await pause(80);
  t.equal(changes, 4, 'the same words are no change');
});
