import { chownSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { startTicks } from '../../src/agent/pods/process-table.ts';
import { takeDown } from '../../src/lab/down.ts';
import { findLab, LabDir, labsDir, listLabs, makeOwnDir, writeJson } from '../../src/lab/lab-dir.ts';

const me = () => ({ holder: { pid: process.pid, startTicks: startTicks(process.pid) ?? 0 }, rootless: false });

function makeLab(parent: string, name: string, holder?: object): LabDir {
  const lab = new LabDir(name, parent);
  mkdirSync(lab.path, { recursive: true });
  if (holder) writeJson(lab.holderFile, holder);
  return lab;
}

t.test('where labs live', (t) => {
  t.equal(labsDir({ WEFT_HOME: '/x' }), '/x/labs');
  const own = labsDir({ XDG_STATE_HOME: '/home/me/state' });
  t.equal(own, process.geteuid?.() === 0 ? '/var/lib/weft/labs' : '/home/me/state/weft/labs');
  t.end();
});

t.test('a holder is alive only as the very process that was written down', (t) => {
  const parent = t.testdir();
  t.ok(makeLab(parent, 'alive', me()).holder());
  t.notOk(makeLab(parent, 'reused', { holder: { pid: process.pid, startTicks: 1 }, rootless: false }).holder());
  t.notOk(makeLab(parent, 'empty').holder());
  const broken = makeLab(parent, 'broken');
  writeFileSync(broken.holderFile, '{');
  t.notOk(broken.holder());
  t.same(
    listLabs(parent).map((lab) => lab.name),
    ['alive', 'broken', 'empty', 'reused'],
  );
  t.same(listLabs(join(parent, 'nowhere')), []);
  t.end();
});

t.test('which lab is meant', (t) => {
  const parent = t.testdir();
  t.throws(() => findLab(undefined, parent), { code: 'WEFT_LAB_NAME', message: 'no lab is up: weft lab up' });
  makeLab(parent, 'one', me());
  makeLab(parent, 'dead');
  t.equal(findLab(undefined, parent).name, 'one', 'the only one that lives');
  t.throws(() => findLab('dead', parent), { message: /not up, only what it left: weft lab down --name dead/ });
  t.throws(() => findLab('none', parent), { message: 'no lab none (there is: dead, one)' });
  makeLab(parent, 'two', me());
  t.throws(() => findLab(undefined, parent), { message: 'several labs are up, say which by --name: one, two' });
  makeLab(parent, 'default', me());
  t.equal(findLab(undefined, parent).name, 'default');
  process.env.WEFT_LAB = 'two';
  t.teardown(() => delete process.env.WEFT_LAB);
  t.equal(findLab(undefined, parent).name, 'two');
  t.equal(findLab('one', parent).name, 'one');
  t.end();
});

t.test('a socket never has a longer path than the kernel takes', (t) => {
  t.equal(
    new LabDir('default', '/var/lib/weft/labs').agentSocket('hosta'),
    '/var/lib/weft/labs/default/hosts/hosta/agent/agent.sock',
  );
  const deep = new LabDir('default', `/home/${'deep/'.repeat(20)}labs`);
  t.ok(Buffer.byteLength(deep.agentSocket('hosta')) <= 107);
  t.notSame(deep.agentSocket('hosta'), deep.agentSocket('hostb'));
  t.notSame(deep.socketFallback, new LabDir('other', '/x').socketFallback);
  t.end();
});

t.test('a folder that others could have made first is ours, or it is not used', (t) => {
  const path = join(t.testdir(), 'weft-x');
  makeOwnDir(path);
  t.equal(statSync(path).mode & 0o777, 0o700);
  makeOwnDir(path);
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) chownSync(path, 12_345, 12_345);
  t.throws(() => makeOwnDir(isRoot ? path : '/'), { code: 'WEFT_LAB_SYSTEM', message: /belongs to another user/ });
  t.end();
});

t.test('taking down what is dead removes its directory and drafts, and is no error twice', async (t) => {
  const parent = t.testdir();
  const lab = makeLab(parent, 'default', { holder: { pid: process.pid, startTicks: 1 }, rootless: false });
  mkdirSync(join(parent, '.default.999999999'));
  t.equal(await takeDown(lab), true);
  t.notOk(lab.exists());
  t.same(listLabs(parent), []);
  t.throws(() => mkdirSync(parent), 'the folder of labs stays');
  t.doesNotThrow(() => mkdirSync(join(parent, '.default.999999999')), 'the draft is gone');
  t.equal(await takeDown(lab), false);
});
