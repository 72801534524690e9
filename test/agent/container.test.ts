/** A container's process: start, restart, adoption by the next agent, the end of its whole group. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { ContainerProcess } from '../../src/agent/container.ts';
import type { RestartPolicy } from '../../src/agent/pod-plan.ts';
import { type ContainerState, newContainerState } from '../../src/agent/pod-state.ts';
import { groupIsRunning, isRunning, signalGroup, startTicks } from '../../src/agent/process-table.ts';

const folder = mkdtempSync(join(tmpdir(), 'weft-container-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

let made = 0;
function container(script: string, policy: RestartPolicy, state = newContainerState('c')) {
  const messages: string[] = [];
  const log = join(folder, `${++made}.log`);
  const plan = { name: 'c', argv: ['sh'], env: {}, workingDir: '/', problem: undefined };
  const command = { file: '/bin/sh', args: ['-c', script], env: { PATH: '/usr/bin:/bin' } };
  const process = new ContainerProcess(plan, state, command, policy, log, {
    changed: () => {},
    ended: (message) => messages.push(message),
  });
  return { process, messages, log };
}

async function until(what: string, condition: () => boolean, limitMs = 5000): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

t.test('runs its command, keeps its output, tells its exit code', async (t) => {
  const { process, messages, log } = container('echo out; echo err >&2; exit 3', 'Never');
  process.begin();
  t.ok(process.isRunning);
  await until('its end', () => !process.isRunning);
  t.equal(process.state.exitCode, 3);
  t.ok(process.isFinished);
  t.equal(readFileSync(log, 'utf8'), 'out\nerr\n');
  t.match(messages, [/ended with code 3/]);
});

t.test('OnFailure starts again what failed, soon the first time, then by the back-off', async (t) => {
  const { process, messages } = container('exit 1', 'OnFailure');
  process.begin();
  await until('the second end', () => messages.length === 2, 4000);
  t.equal(process.state.restarts, 2);
  t.match(process.state.reason, /^CrashLoopBackOff: ended with code 1/);
  const wait = process.state.startAtMs - process.state.finishedAtMs;
  t.equal(wait, 10_000);
  process.release();
});

t.test('a signal counts as 128 and its number', async (t) => {
  const { process, messages } = container('kill -9 $$', 'Never');
  process.begin();
  await until('its end', () => !process.isRunning);
  t.equal(process.state.exitCode, 137);
  t.match(messages, [/ended by SIGKILL/]);
});

t.test('a command that cannot be started is an end like another', async (t) => {
  const plan = { name: 'c', argv: ['x'], env: {}, workingDir: '/', problem: undefined };
  const command = { file: join(folder, 'no-such-program'), args: [], env: {} };
  const messages: string[] = [];
  const process = new ContainerProcess(plan, newContainerState('c'), command, 'Never', join(folder, 'x.log'), {
    changed: () => {},
    ended: (message) => messages.push(message),
  });
  process.begin();
  await until('its end', () => messages.length > 0);
  t.equal(process.state.exitCode, 128);
  t.match(messages, [/could not be started: .*ENOENT/]);
});

t.test('end() takes the whole group, and by force what will not go', async (t) => {
  const marker = join(folder, 'grandchild');
  const { process, messages } = container(
    `trap '' TERM; sh -c 'trap "" TERM; echo > ${marker}; sleep 60' & sleep 60`,
    'Always',
  );
  process.begin();
  const group = process.state.pid;
  await until('the grandchild', () => existsSync(marker));
  const began = Date.now();
  await process.end(100);
  t.ok(Date.now() - began >= 100, 'it had its grace period');
  t.notOk(groupIsRunning(group));
  t.notOk(process.isRunning);
  t.same(messages, [], 'an end that was asked for is no event');
});

t.test('the next agent adopts what runs, and notices its end', async (t) => {
  const first = container('sleep 60', 'Always');
  first.process.begin();
  const state: ContainerState = { ...first.process.state };
  first.process.release();

  const second = container('sleep 60', 'Always', state);
  second.process.begin();
  t.equal(second.process.state.pid, state.pid, 'the same process');
  t.equal(second.process.state.restarts, 0);
  signalGroup(state.pid, 'SIGKILL');
  await until('the end to be seen', () => second.messages.length > 0);
  t.match(second.messages, [/exit code is unknown/]);
  t.equal(second.process.state.restarts, 1);
  second.process.release();
});

t.test('a process that ended meanwhile is not mistaken for whoever has its number now', async (t) => {
  const bystander = container('sleep 60', 'Never');
  bystander.process.begin();
  const { pid } = bystander.process.state;
  const state = { ...newContainerState('c'), pid, startTicks: (startTicks(pid) as number) - 1, startedAtMs: 1 };
  t.notOk(isRunning(state));
  const late = container('sleep 60', 'Never', state);
  late.process.begin();
  t.notOk(late.process.isRunning);
  t.equal(late.process.state.exitCode, 137);
  t.ok(isRunning(bystander.process.state), 'the bystander lives');
  await bystander.process.end(0);
});
