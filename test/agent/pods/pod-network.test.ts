/** What counts as a pod's network namespace. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { isNetns } from '../../../src/agent/pods/pod-network.ts';

t.test('a namespace is told from what is left of one', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-netns-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const left = join(folder, 'weft-default-web-0');
  writeFileSync(left, '');
  t.equal(isNetns(left), false, 'the file that a namespace was bound to');
  t.equal(isNetns(join(folder, 'nothing')), false);
  t.equal(isNetns('/proc/self/ns/net'), true);
});
