/**
 * The host's pods as a set: what begins, stays, leaves and is taken up again. With pods of the host's network whose
 * containers have no command, so that neither namespaces nor processes are needed.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { PodPlan } from '../../../src/agent/pods/pod-plan.ts';
import { isPodState, newContainerState, readPodStates } from '../../../src/agent/pods/pod-state.ts';
import { localPods, podPlan } from '../test-pods.ts';

const root = mkdtempSync(join(tmpdir(), 'weft-pods-'));
t.teardown(() => rmSync(root, { recursive: true, force: true }));

let states = 0;
function setup(stateDir = join(root, `${++states}`)) {
  const { pods, lines, seen } = localPods(stateDir);
  const plan = (name: string, fingerprint = 'f'): PodPlan => ({
    ...podPlan(stateDir, name, [{ name: 'c' }]),
    fingerprint,
  });
  const set = (...list: PodPlan[]) => new Map(list.map((p) => [p.key, p]));
  return { pods, stateDir, plan, set, gone: () => seen.gone, lines };
}

const UNKNOWN = "image (none) is not known; give a command, or its program in the agent's --images";

const settled = () => new Promise((done) => setTimeout(done, 30));

t.test('new ones get their files, the same ones stay, gone ones are removed', async (t) => {
  const { pods, plan, set, gone } = setup();
  await pods.recover();
  t.equal(await pods.open(set(plan('a'), plan('b'))), true);
  pods.start();
  t.same(
    pods.status().map((p) => `${p.name} ${p.phase}`),
    ['a Pending', 'b Pending'],
  );
  t.same(
    pods.notes(),
    ['a', 'b'].map((name) => `Pod default/${name}: ${UNKNOWN}`),
  );
  t.equal(readFileSync(join(plan('a').directory, 'resolv.conf'), 'utf8'), 'nameserver 10.96.0.10\n');

  await pods.open(set(plan('b')));
  t.ok(existsSync(plan('a').directory), 'not before the tables without it are in force');
  pods.start();
  await settled();
  t.notOk(existsSync(plan('a').directory));
  t.equal(gone(), 1);
  t.same(
    pods.status().map((p) => p.name),
    ['b'],
  );
  await pods.stop();
  t.notOk(existsSync(plan('b').directory));
});

t.test('the localhost of a pod is there until it has ended', async (t) => {
  const { pods, plan, set } = setup();
  const place = { namespace: 'default', pod: 'a' };
  t.throws(() => pods.loopback(place), { code: 'no-pod' });
  await pods.open(set(plan('a')));
  pods.start();
  const { ended } = pods.loopback(place);
  await pods.open(set({ ...plan('a'), ending: true }));
  pods.start();
  await settled();
  t.ok(ended.aborted, 'when it was deleted and its containers have ended');
  t.throws(() => pods.loopback(place), { code: 'pod-not-running', message: 'pod "a" is not running' });
  await pods.open(set(plan('b')));
  const other = pods.loopback({ ...place, pod: 'b' });
  await pods.stop();
  t.ok(other.ended.aborted);
});

t.test('a changed one begins anew only when its old self is gone', async (t) => {
  const { pods, plan, set, gone } = setup();
  await pods.open(set(plan('a')));
  pods.start();
  await pods.open(set(plan('a', 'other')));
  t.same(
    pods.status().map((p) => p.message),
    ['is being ended'],
  );
  pods.start();
  await settled();
  t.equal(gone(), 1, 'it asks to be called again');
  await pods.open(set(plan('a', 'other')));
  pods.start();
  t.same(
    pods.status().map((p) => p.message),
    [''],
  );
  t.equal(JSON.parse(readFileSync(join(plan('a').directory, 'pod.json'), 'utf8')).fingerprint, 'other');
  await pods.stop();
});

t.test("files change in place when only the host's names do", async (t) => {
  const { pods, plan, set } = setup();
  await pods.open(set(plan('a')));
  await pods.open(set({ ...plan('a'), resolvConf: 'nameserver 192.0.2.1\n' }));
  t.equal(readFileSync(join(plan('a').directory, 'resolv.conf'), 'utf8'), 'nameserver 192.0.2.1\n');
  t.same(
    pods.status().map((p) => p.message),
    [''],
  );
  await pods.stop();
});

t.test('the next agent takes up what is still wanted and removes the rest', async (t) => {
  const first = setup();
  await first.pods.open(first.set(first.plan('same'), first.plan('changed'), first.plan('gone')));
  first.pods.start();
  const statePath = join(first.plan('same').directory, 'pod.json');
  const state = JSON.parse(readFileSync(statePath, 'utf8'));
  state.containers[0].runs = 6;
  writeFileSync(statePath, JSON.stringify(state));
  first.pods.release();
  mkdirSync(join(first.stateDir, 'pods', 'default_broken'));
  writeFileSync(join(first.stateDir, 'pods', 'default_broken', 'pod.json'), '{"version":2,');

  const second = setup(first.stateDir);
  await second.pods.recover();
  t.match(second.lines.join(''), /default_broken holds no readable state/);
  await second.pods.open(second.set(second.plan('same'), second.plan('changed', 'other')));
  second.pods.start();
  await settled();
  t.notOk(existsSync(second.plan('gone').directory));
  t.notOk(existsSync(join(first.stateDir, 'pods', 'default_broken')));
  await second.pods.open(second.set(second.plan('same'), second.plan('changed', 'other')));
  const status = second.pods.status();
  t.same(
    status.map((p) => `${p.name} ${p.containers[0]?.restarts}`),
    ['changed 0', 'same 5'],
  );
  await second.pods.stop();
  t.same(readPodStates(first.stateDir), { found: [], damaged: [] });
});

t.test('where plans are not certain, nobody ends what an earlier agent left', async (t) => {
  const first = setup();
  await first.pods.open(first.set(first.plan('kept'), first.plan('planned')));
  first.pods.start();
  first.pods.release();
  const second = setup(first.stateDir);
  await second.pods.recover();
  await second.pods.open(second.set(second.plan('planned')), new Map(), false);
  second.pods.start();
  await settled();
  t.ok(existsSync(second.plan('kept').directory));
  t.strictSame([...second.pods.running().keys()], ['default/planned']);
  await second.pods.open(second.set(second.plan('planned')));
  t.strictSame(second.pods.running().get('default/kept'), { uid: '', status: undefined, hasEnded: false });
  second.pods.start();
  await settled();
  t.notOk(existsSync(second.plan('kept').directory));
  await second.pods.stop();
});

t.test('what an earlier agent left is here until it has been ended, but for logs', async (t) => {
  const first = setup();
  await first.pods.open(first.set(first.plan('runs'), first.plan('did')));
  first.pods.release();
  const file = join(first.plan('runs').directory, 'pod.json');
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), uid: 'u', netns: 'weft-runs' }));
  const { pods } = setup(first.stateDir);
  await pods.recover();
  await pods.open(new Map(), new Map(), false);
  t.strictSame(
    [...pods.running()],
    [['default/runs', { uid: 'u', status: undefined, hasEnded: false }]],
    'the API must not be told that it has ended',
  );
});

t.test('what is read back is checked field by field', async (t) => {
  const good = {
    version: 2,
    namespace: 'a',
    name: 'b',
    uid: '',
    netns: '',
    fingerprint: 'f',
    graceSeconds: 1,
    startedAtMs: 1,
    pause: { pid: 0, startTicks: 0 },
    containers: [
      {
        ...newContainerState('c'),
        ends: [{ exitCode: 0, signal: 0, startedAtMs: 1, finishedAtMs: 2, reason: '', message: '' }],
      },
    ],
    conditions: { Ready: { status: true, sinceMs: 1 } },
  };
  t.ok(isPodState(JSON.parse(JSON.stringify(good))));
  const earlier = { ...newContainerState('c'), definition: undefined };
  t.ok(isPodState(JSON.parse(JSON.stringify({ ...good, containers: [earlier] }))), 'as an earlier version wrote it');
  const bad: unknown[] = [
    null,
    [],
    { ...good, version: 1 },
    { ...good, uid: 1 },
    { ...good, pause: {} },
    { ...good, conditions: { Ready: true } },
    { ...good, conditions: { Ready: { status: true, sinceMs: 9e99 } } },
    { ...good, containers: [{ ...newContainerState('c'), startedAtMs: 9e15 }] },
    { ...good, containers: [{ ...newContainerState('c'), ready: 1 }] },
    { ...good, containers: [{ ...newContainerState('c'), definition: 1 }] },
    { ...good, containers: [{ ...newContainerState('c'), ends: [{}] }] },
    { ...good, netns: undefined },
    { ...good, containers: [{}] },
    { ...good, containers: [{ ...newContainerState('c'), pid: '1' }] },
    { ...good, containers: [{ ...newContainerState('c'), backOff: null }] },
  ];
  for (const value of bad) t.notOk(isPodState(value), JSON.stringify(value));
});
