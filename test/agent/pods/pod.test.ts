/** A pod's life as its status tells it: order of containers, probes, hooks, what it refers to, its end, its logs. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Container, ContainerStatus, PodStatus } from 'kubernetes-types/core/v1.js';
import t from 'tap';
import type { ContainerLogRequest } from '../../../src/agent/pods/pod-access.ts';
import type { ConfigMap } from '../../../src/kube/objects.ts';
import { localPods, needsRoot, podPlan, until, type Wanted } from '../test-pods.ts';

const root = mkdtempSync(join(tmpdir(), 'weft-pod-'));
t.teardown(() => rmSync(root, { recursive: true, force: true }));

let made = 0;
function setup(t: { teardown(end: () => Promise<void>): void }, stateDir = join(root, `${++made}`)) {
  const set = localPods(stateDir);
  let isReleased = false;
  t.teardown(async () => (isReleased ? undefined : set.pods.stop()));
  /** As an agent that ends and leaves its pods to the next. */
  const release = () => {
    isReleased = true;
    set.pods.release();
  };
  const plan = (containers: Container[], wanted?: Wanted) => podPlan(stateDir, 'p', containers, wanted);
  const status = (): PodStatus => set.pods.kubeStatuses().get('default/p') as PodStatus;
  const main = (i = 0): ContainerStatus => status().containerStatuses?.[i] as ContainerStatus;
  const condition = (type: string) => status().conditions?.find((each) => each.type === type);
  const reasons = () => set.events.map((event) => event.reason);
  return {
    ...set,
    release,
    stateDir,
    plan,
    status,
    main,
    condition,
    reasons,
    file: (name: string) => join(stateDir, name),
  };
}
const sh = (name: string, script: string, more: Partial<Container> = {}): Container => ({
  name,
  command: ['sh', '-c', script],
  ...more,
});

async function logOf(set: ReturnType<typeof localPods>, container: string, more: Partial<ContainerLogRequest> = {}) {
  let text = '';
  const log = set.pods.containerLog({ namespace: 'default', pod: 'p', container, ...more });
  for await (const chunk of log) text += chunk.toString('utf8');
  return text;
}

t.test('init containers one after the other, then the others', { skip: needsRoot }, async (t) => {
  const set = setup(t);
  const order = set.file('order');
  const initContainers = [
    sh('one', `until [ -e ${order}.go ]; do sleep 0.02; done; echo one >> ${order}`),
    sh('two', `echo two >> ${order}`),
  ];
  await set.apply([set.plan([sh('main', `echo main >> ${order}; exec sleep 60`)], { spec: { initContainers } })]);
  await until('the first to run', () => set.status().initContainerStatuses?.[0]?.state?.running !== undefined);
  t.match(set.status(), { phase: 'Pending', podIP: '127.0.0.1', qosClass: 'BestEffort' });
  t.match(set.main().state, { waiting: { reason: 'PodInitializing' } });
  t.throws(() => set.pods.containerLog({ namespace: 'default', pod: 'p', container: 'main' }), {
    message: 'container "main" in pod "p" is waiting to start: PodInitializing',
  });
  t.match(set.condition('Initialized'), { status: 'False', message: 'containers with incomplete status: [one two]' });
  writeFileSync(`${order}.go`, '');
  await until('the main one to run', () => set.main().state?.running !== undefined);
  await until('its line', () => readFileSync(order, 'utf8') === 'one\ntwo\nmain\n');
  t.match(set.status(), {
    phase: 'Running',
    message: '',
    initContainerStatuses: [
      { name: 'one', ready: true, state: { terminated: { reason: 'Completed', exitCode: 0 } } },
      { name: 'two', ready: true },
    ],
  });
  t.match(set.condition('Initialized'), { status: 'True' });
  t.match(set.condition('Ready'), { status: 'True' });
  t.ok(set.seen.statuses > 2, 'whoever follows was told');
});

t.test('an init container that fails: tried again, or the end of the pod', { skip: needsRoot }, async (t) => {
  for (const restartPolicy of ['Never', 'Always']) {
    const set = setup(t);
    const plan = set.plan([sh('main', 'sleep 60')], { spec: { restartPolicy, initContainers: [sh('i', 'exit 4')] } });
    await set.apply([plan]);
    await until('its end', () => (set.status().initContainerStatuses?.[0]?.state?.terminated?.exitCode ?? 0) === 4);
    t.equal(set.status().phase, restartPolicy === 'Never' ? 'Failed' : 'Pending');
    t.notOk(set.main().state?.running);
  }
});

t.test('a sidecar runs before the others and ends after them', { skip: needsRoot }, async (t) => {
  const set = setup(t);
  const log = set.file('log');
  const sidecar = sh(
    'side',
    `trap 'echo ended >> ${log}; exit 0' TERM; echo side >> ${log}; while :; do sleep 0.02; done`,
    { restartPolicy: 'Always', startupProbe: { exec: { command: ['test', '-e', log] } } },
  );
  const spec = { restartPolicy: 'Never', terminationGracePeriodSeconds: 5, initContainers: [sidecar] };
  await set.apply([set.plan([sh('main', `echo main >> ${log}`)], { spec })]);
  await until('the end of both', () => set.status().phase === 'Succeeded');
  t.equal(readFileSync(log, 'utf8'), 'side\nmain\nended\n');
  t.equal(set.reasons().filter((reason) => reason === 'Killing').length, 1, 'told once');
  t.match(set.condition('Ready'), { status: 'False', reason: 'PodCompleted' });
});

t.test('readiness by its probe; a process that dies is not ready at once', { skip: needsRoot }, async (t) => {
  const set = setup(t);
  const flag = set.file('flag');
  const readinessProbe = { exec: { command: ['test', '-e', flag] }, periodSeconds: 1, failureThreshold: 1 };
  await set.apply([set.plan([sh('main', 'exec sleep 60', { readinessProbe })])]);
  await until('its start', () => set.main().started === true);
  t.match(set.main(), { ready: false, state: { running: {} } });
  t.match(set.condition('Ready'), { status: 'False', message: 'containers with unready status: [main]' });
  writeFileSync(flag, '');
  await until('readiness', () => set.main().ready === true);
  t.match(set.condition('ContainersReady'), { status: 'True' });
  const written = JSON.parse(readFileSync(join(set.plan([]).directory, 'pod.json'), 'utf8'));
  t.match(written.conditions.Ready, { status: true }, 'since when, the next agent knows too');
  const since = set.condition('Ready')?.lastTransitionTime;
  t.equal(set.condition('Ready')?.lastTransitionTime, since, 'it stays until the condition changes');
  rmSync(flag);
  await until('its loss', () => set.main().ready === false, 2500);
  t.ok(set.reasons().includes('Unhealthy'));
  writeFileSync(flag, '');
  await until('readiness again', () => set.main().ready === true);
  process.kill(set.pods.status()[0]?.containers[0]?.pid as number, 'SIGKILL');
  await until('its end', () => set.main().state?.running === undefined, 500);
  t.match(set.main(), { ready: false, state: { terminated: { exitCode: 137, signal: 9, reason: 'Error' } } });
});

t.test('a liveness probe that fails starts the container again', { skip: needsRoot }, async (t) => {
  const set = setup(t);
  const livenessProbe = {
    exec: { command: ['sh', '-c', 'echo broken; exit 1'] },
    periodSeconds: 1,
    failureThreshold: 1,
  };
  const preStop = { exec: { command: ['touch', set.file('hook')] } };
  const container = sh('main', 'echo run; exec sleep 60', { livenessProbe, lifecycle: { preStop } });
  await set.apply([set.plan([container], { spec: { terminationGracePeriodSeconds: 5 } })]);
  await until('another start', () => set.main().restartCount === 1 && set.main().state?.running !== undefined);
  t.match(set.main(), { lastState: { terminated: { exitCode: 143, signal: 15 } } });
  t.match(set.events, [
    { type: 'Normal', reason: 'Started', container: 'main', name: 'p' },
    { type: 'Warning', reason: 'Unhealthy', message: /^Liveness probe failed: broken/ },
    { type: 'Normal', reason: 'Killing', message: 'Container main failed liveness probe, will be restarted' },
    { reason: 'Started' },
  ]);
  t.ok(existsSync(set.file('hook')), 'its hook ran before');
  t.equal(await logOf(set, 'main', { previous: true }), 'run\n');
});

t.test('what fails again and again waits, and says so', { skip: needsRoot }, async (t) => {
  const set = setup(t);
  await set.apply([set.plan([sh('main', 'exit 1')])]);
  await until('the second end', () => set.main().state?.waiting?.reason === 'CrashLoopBackOff');
  t.match(set.main(), {
    restartCount: 1,
    state: {
      waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s restarting failed container=main pod=p_default' },
    },
    lastState: { terminated: { exitCode: 1, containerID: 'weft://default/p/main/2' } },
    containerID: 'weft://default/p/main/2',
  });
  t.equal(set.status().phase, 'Running');
  t.ok(set.reasons().includes('BackOff'));
});

t.test('a command that is not there is told by an event, its log being empty', { skip: needsRoot }, async (t) => {
  const set = setup(t);
  await set.apply([set.plan([{ name: 'main', command: ['/no/such/command'] }], { spec: { restartPolicy: 'Never' } })]);
  await until('its end', () => set.status().phase === 'Failed');
  t.match(set.events, [
    {
      type: 'Warning',
      reason: 'Failed',
      container: 'main',
      message: 'Error: container main could not be started: execute /no/such/command: No such file or directory',
    },
  ]);
});

t.test('a ConfigMap that comes later, an image that nobody knows', { skip: needsRoot }, async (t) => {
  const set = setup(t);
  const env = [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } }];
  const containers = [sh('main', 'echo $A; exec sleep 60', { env }), { name: 'other', image: 'shop/web' }];
  const map: ConfigMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'c', namespace: 'default' },
    data: { k: 'v' },
  };
  await set.apply([set.plan(containers)]);
  t.match(set.main().state, { waiting: { reason: 'CreateContainerConfigError', message: 'configmap "c" not found' } });
  t.match(set.main(1).state, { waiting: { reason: 'ErrImageNeverPull', message: /^image shop\/web is not known/ } });
  t.equal(set.status().phase, 'Pending');
  await set.apply([set.plan(containers)]);
  t.match(set.events, [
    { type: 'Warning', reason: 'Failed', message: 'Error: configmap "c" not found' },
    { type: 'Warning', reason: 'ErrImageNeverPull', container: 'other' },
  ]);
  t.equal(set.events.length, 2, 'told once');
  await set.apply([set.plan(containers, { configMaps: new Map([['default/c', map]]) })]);
  await until('its start', () => set.main().state?.running !== undefined);
  await until('its line', () => existsSync(join(set.plan([]).directory, 'main/0.log')));
  await t.resolves(
    until('its text', () => readFileSync(join(set.plan([]).directory, 'main/0.log'), 'utf8').endsWith(' v\n')),
  );
  const before = set.pods.status()[0]?.containers[0]?.pid;
  await set.apply([set.plan(containers)]);
  t.equal(set.pods.status()[0]?.containers[0]?.pid, before, 'what is gone later changes nothing that runs');
});

t.test('a deleted pod: hooks and grace, then it is told, then it goes', { skip: needsRoot }, async (t) => {
  const set = setup(t);
  const readinessProbe = { exec: { command: ['true'] }, periodSeconds: 1 };
  const script = `trap 'echo term; exit 3' TERM; while :; do sleep 0.02; done`;
  const preStop = { exec: { command: ['sh', '-c', `sleep 0.2; touch ${set.file('hook')}`] } };
  const containers = [sh('main', script, { readinessProbe, lifecycle: { preStop } }), sh('other', 'exec sleep 60')];
  const spec = { terminationGracePeriodSeconds: 20 };
  await set.apply([set.plan(containers, { spec })]);
  await until('readiness', () => set.main().ready);
  t.same(set.pods.ended(), []);
  const metadata = { deletionTimestamp: '2026-11-21T10:00:00Z', deletionGracePeriodSeconds: 20 };
  await set.apply([set.plan(containers, { spec, metadata })]);
  await until('the other to end', () => set.main(1).state?.terminated !== undefined);
  t.equal(set.main().ready, true, 'it serves until its hook has run');
  await until('its end', () => set.pods.ended().length > 0);
  t.same(set.pods.ended(), ['default/p']);
  t.ok(existsSync(set.file('hook')));
  t.match(set.main(), { ready: false, state: { terminated: { exitCode: 3 } } });
  t.match(set.status().phase, 'Failed');
  t.match(await logOf(set, 'main'), /^term$/m);
  t.equal(set.reasons().filter((reason) => reason === 'Killing').length, 2);
  await set.apply([]);
  await until('its removal', () => set.seen.gone === 1);
  t.same(set.pods.ended(), []);
  t.notOk(existsSync(set.plan(containers).directory));
});

t.test(
  'the logs of a pod that did its work stay with its object, for the next agent too',
  { skip: needsRoot },
  async (t) => {
    const stateDir = join(root, 'finished');
    const first = setup(t, stateDir);
    const metadata = { uid: 'u1' };
    const plan = first.plan([sh('main', 'echo done')], { spec: { restartPolicy: 'Never' }, metadata });
    await first.apply([plan]);
    await until('its end', () => first.status().phase === 'Succeeded');
    const finished = new Map([['default/p', 'u1']]);
    await first.apply([], finished);
    await until('its withdrawal', () => first.seen.gone === 1);
    t.equal(await logOf(first, 'main'), 'done\n');
    first.release();

    const second = setup(t, stateDir);
    await second.pods.recover();
    await second.apply([], finished);
    t.equal(await logOf(second, 'main'), 'done\n');
    await second.apply([], new Map([['default/p', 'u2']]));
    await until('its removal', () => !existsSync(plan.directory));
    t.throws(() => second.pods.containerLog({ namespace: 'default', pod: 'p', container: 'main' }), { code: 'no-pod' });
  },
);

t.test('another image starts that container anew, and no other', { skip: needsRoot }, async (t) => {
  const set = setup(t);
  const metadata = { uid: 'u1' };
  const spec = { restartPolicy: 'Never', terminationGracePeriodSeconds: 5 };
  const hook = set.file('hook');
  const lifecycle = { preStop: { exec: { command: ['touch', hook] } } };
  const besides = sh('besides', 'exec sleep 60', { image: 'b' });
  const of = (image: string, command = true) => {
    const main = sh('main', 'exec sleep 60', { image, lifecycle });
    return set.plan([command ? main : { name: 'main', image }, besides], { spec, metadata });
  };
  const phases = new Set<string | undefined>();
  set.pods.onStatus(() => phases.add(set.status().phase));
  const runs = (times: number) =>
    until(`run ${times}`, () => set.main().restartCount === times && set.main().state?.running !== undefined);
  await set.apply([of('a:1')]);
  await runs(0);
  await until('the other', () => set.main(1).state?.running !== undefined);
  const { startTime } = set.status();
  await set.apply([of('a:2')]);
  await runs(1);
  t.match(set.main(), { image: 'a:2', lastState: { terminated: { exitCode: 143 } } });
  t.ok(existsSync(hook), 'as after any other end that somebody wants');
  t.match(set.main(1), { restartCount: 0, state: { running: {} } });
  t.equal(set.status().startTime, startTime);
  const killing = set.events.filter(({ reason }) => reason === 'Killing');
  t.match(killing, [{ container: 'main', message: 'Container main definition changed, will be restarted' }]);
  t.equal(killing.length, 1);
  await set.apply([of('nobody/knows', false)]);
  await until('its end', () => set.main().state?.waiting?.reason === 'ErrImageNeverPull');
  await set.apply([of('a:3')]);
  await runs(2);
  // One that follows another at once may be all that is told.
  phases.delete('Pending');
  t.same([...phases], ['Running'], 'it never counts as ended');
  set.release();
  const next = setup(t, set.stateDir);
  await next.pods.recover();
  await next.apply([of('a:3')]);
  t.match(next.main(), { restartCount: 2, state: { running: {} } }, 'which the next agent knows');
  await next.apply([of('a:4')]);
  await until('its last run', () => next.main().restartCount === 3 && next.main().state?.running !== undefined);
});

t.test('logs that there are not', { skip: needsRoot }, async (t) => {
  const set = setup(t);
  await set.apply([set.plan([sh('main', 'exec sleep 60'), { name: 'other', image: 'shop/web' }])]);
  const request =
    (container: string, more = {}) =>
    () =>
      set.pods.containerLog({ namespace: 'default', pod: 'p', container, ...more });
  t.throws(request('nobody'), { code: 'no-container' });
  t.throws(request('main', { previous: true }), { code: 'no-previous-run' });
  t.throws(request('other'), { code: 'container-waiting', message: /is waiting to start: image shop\/web/ });
});

t.test('a postStart hook that fails ends the container', { skip: needsRoot }, async (t) => {
  const set = setup(t);
  const lifecycle = { postStart: { exec: { command: ['sh', '-c', 'echo no; exit 1'] } } };
  await set.apply([set.plan([sh('main', 'exec sleep 60', { lifecycle })], { spec: { restartPolicy: 'Never' } })]);
  await until('its end', () => set.status().phase === 'Failed');
  t.match(set.events, [{ reason: 'Started' }, { reason: 'FailedPostStartHook', message: 'PostStartHook failed: no' }]);
});

t.test('hooks that nobody can run end no agent, and hold no end up', { skip: needsRoot }, async (t) => {
  const set = setup(t);
  const command = ['a\0b'];
  const lifecycle = { postStart: { exec: { command } }, preStop: { exec: { command } } };
  const spec = { terminationGracePeriodSeconds: 5, restartPolicy: 'Never' };
  await set.apply([set.plan([sh('main', 'exec sleep 60', { lifecycle })], { spec })]);
  await until('its end', () => set.status().phase === 'Failed');
  t.match(set.reasons(), ['Started', 'FailedPostStartHook']);

  const { postStart: _, ...preStop } = lifecycle;
  const other = setup(t);
  const containers = [sh('main', 'exec sleep 60', { lifecycle: preStop })];
  await other.apply([other.plan(containers, { spec })]);
  await until('its start', () => other.main().state?.running !== undefined);
  await other.apply([other.plan(containers, { spec, metadata: { deletionTimestamp: '2026-11-21T10:00:00Z' } })]);
  await until('its end after all', () => other.pods.ended().length > 0);
  t.ok(other.reasons().includes('FailedPreStopHook'));
});

t.test('what is not carried out is told, once in the life of a pod', { skip: needsRoot }, async (t) => {
  const stateDir = join(root, 'told');
  const first = setup(t, stateDir);
  const limits = { resources: { limits: { memory: '1Gi' } }, livenessProbe: { grpc: { port: 1 }, periodSeconds: 1 } };
  const plan = first.plan([sh('main', 'exec sleep 60', limits)], { spec: { securityContext: { runAsUser: 1000 } } });
  await first.apply([plan]);
  const fields = ['securityContext.runAsUser', 'containers[0].resources.limits', 'containers[0].livenessProbe.grpc'];
  const message = fields.map((field) => `spec.${field} is not supported`).join('; ');
  t.match(first.events[0], { type: 'Warning', reason: 'NotSupported', message });
  await until('its start', () => first.main().ready);
  first.release();

  const second = setup(t, stateDir);
  await second.pods.recover();
  await second.apply([plan]);
  t.same(second.events, []);
  t.equal(second.main().restartCount, 0, 'a probe that nobody can make ends nothing');
});

t.test('where nothing can be written pods go on, and say so', { skip: needsRoot }, async (t) => {
  const set = setup(t);
  const plan = set.plan([sh('main', 'exec sleep 60')]);
  await set.apply([plan]);
  await until('its start', () => set.main().state?.running !== undefined);
  // As a full disk does.
  const obstacle = join(plan.directory, 'pod.json.next');
  mkdirSync(obstacle);
  process.kill(set.pods.status()[0]?.containers[0]?.pid as number, 'SIGKILL');
  await until('its start again', () => set.main().restartCount === 1 && set.main().state?.running !== undefined);
  t.match(set.pods.notes(), [/^Pod default\/p: its files cannot be written: /]);
  rmSync(obstacle, { recursive: true });
  await set.apply([plan]);
  t.same(set.pods.notes(), []);
  t.equal(JSON.parse(readFileSync(join(plan.directory, 'pod.json'), 'utf8')).containers[0].runs, 2);
});

t.test('the next agent watches what runs, whatever that would have to wait for now', { skip: needsRoot }, async (t) => {
  const stateDir = join(root, 'sidecar');
  const first = setup(t, stateDir);
  const initContainers = [sh('side', 'exec sleep 60', { restartPolicy: 'Always' })];
  const plan = first.plan([sh('main', 'exec sleep 60')], { spec: { restartPolicy: 'Never', initContainers } });
  await first.apply([plan]);
  await until('its start', () => first.main().state?.running !== undefined);
  first.release();
  const file = join(plan.directory, 'pod.json');
  const state = JSON.parse(readFileSync(file, 'utf8')) as { containers: { pid: number; shimPid: number }[] };
  const [main, side] = state.containers;
  if (!main || !side) throw new Error('it names no two containers');
  process.kill(side.shimPid, 'SIGKILL');
  Object.assign(side, { pid: 0, shimPid: 0, startAtMs: Date.now() + 60_000, finishedAtMs: Date.now(), started: false });
  writeFileSync(file, JSON.stringify(state));

  const second = setup(t, stateDir);
  await second.pods.recover();
  await second.apply([plan]);
  process.kill(main.pid, 'SIGKILL');
  await until('its end to be seen', () => second.status().phase === 'Failed', 2000);
  t.equal(second.main().state?.terminated?.exitCode, 137);
  second.release();

  const third = setup(t, stateDir);
  await third.pods.recover();
  await third.apply([plan]);
  t.match(third.status(), { phase: 'Failed', initContainerStatuses: [{ restartCount: 0 }] });
});

t.test('a hook that fails ends the run that it is of, not the next one', { skip: needsRoot }, async (t) => {
  const set = setup(t);
  const go = set.file('go');
  /** A shell's words that are true in the first run alone. */
  const isFirst = (who: string) => `mkdir ${set.file(who)} 2>/dev/null`;
  const hook = `if ${isFirst('hook')}; then until [ -e ${go} ]; do sleep 0.02; done; exit 1; fi`;
  const lifecycle = { postStart: { exec: { command: ['sh', '-c', hook] } } };
  await set.apply([
    set.plan([sh('main', `if ${isFirst('run')}; then sleep 0.2; else exec sleep 60; fi`, { lifecycle })]),
  ]);
  await until('the next run', () => set.main().restartCount === 1 && set.main().state?.running !== undefined);
  writeFileSync(go, '');
  await until('the end of the hook', () => set.reasons().includes('FailedPostStartHook'));
  await new Promise((done) => setTimeout(done, 100));
  t.match(set.main(), { restartCount: 1, state: { running: {} } });
});
