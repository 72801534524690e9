/** A container's process: start, restart, adoption by the next agent, the end of all that belongs to it. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { kill } from 'node:process';
import t from 'tap';
import { ContainerProcess } from '../../../src/agent/pods/container.ts';
import { findTools } from '../../../src/agent/pods/container-command.ts';
import { LaunchError } from '../../../src/agent/pods/container-launch.ts';
import type { ContainerPlan, RestartPolicy } from '../../../src/agent/pods/pod-plan.ts';
import { type ContainerState, logName, newContainerState } from '../../../src/agent/pods/pod-state.ts';
import { groupIsRunning, isRunning, startTicks } from '../../../src/agent/pods/process-table.ts';

const root = mkdtempSync(join(tmpdir(), 'weft-container-'));
t.teardown(() => rmSync(root, { recursive: true, force: true }));
const { container: program } = findTools();

let made = 0;
interface Setup {
  state?: ContainerState;
  folder?: string;
  argv?: readonly string[];
}
function container(script: string, restartPolicy: RestartPolicy, setup: Setup = {}) {
  const { state = newContainerState('c'), folder = join(root, `${++made}`), argv = ['/bin/sh', '-c', script] } = setup;
  const messages: string[] = [];
  const refused: string[] = [];
  let starts = 0;
  const plan: ContainerPlan = { name: 'c', role: 'main', restartPolicy, image: '', command: argv, spec: { name: 'c' } };
  const site = {
    folder,
    refusal: undefined as LaunchError | undefined,
    command: ({ log, exit }: { log: string; exit: string }) => {
      if (site.refusal) throw site.refusal;
      const args = ['run', '--cwd', '/', '--log', log, '10000', '3', '--exit', exit, '--', ...argv];
      return { file: program, args, env: { PATH: '/usr/bin:/bin' } };
    },
  };
  const process = new ContainerProcess(plan, state, site, {
    changed: () => {},
    started: () => starts++,
    ended: (message) => messages.push(message),
    refused: (error) => refused.push(error.message),
  });
  // What a failed test leaves running ends with the file.
  t.teardown(() => {
    if (isRunning(shim(process))) kill(process.state.shimPid, 'SIGKILL');
  });
  const output = () => readFileSync(join(folder, logName(process.state)), 'utf8');
  const running = () => until('its start', () => process.isRunning);
  return { process, messages, refused, site, folder, output, running, starts: () => starts };
}

async function until(what: string, condition: () => boolean, limitMs = 5000): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

/** Whether a process ignores a signal; it may have been born ignoring others. */
function ignores(pid: number, signal: number): boolean {
  const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${mask}`) >> BigInt(signal - 1)) & 1n) === 1n;
}

const shim = ({ state }: ContainerProcess) => ({ pid: state.shimPid, startTicks: state.shimTicks });

t.test('runs its command, keeps its output with times, tells its exit code', async (t) => {
  const { process, messages, output, running, starts } = container(
    'echo out; echo err >&2; sleep 0.1; exit 3',
    'Never',
  );
  process.begin();
  await running();
  t.ok(isRunning({ pid: process.state.pid, startTicks: startTicks(process.state.pid) as number }));
  t.equal(starts(), 1);
  await until('its end', () => process.isFinished);
  t.equal(process.state.exitCode, 3);
  const time = '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{9}Z';
  t.match(output(), new RegExp(`^${time} stdout F out$`, 'm'));
  t.match(output(), new RegExp(`^${time} stderr F err$`, 'm'));
  t.match(messages, ['ended with code 3']);
  t.match(process.state.ends, [{ exitCode: 3, signal: 0, reason: 'Error' }]);
});

t.test('OnFailure starts again what failed, soon the first time, then by the back-off', async (t) => {
  const { process, messages, folder } = container('echo again; exit 1', 'OnFailure');
  process.begin();
  await until('the second end', () => messages.length === 2, 4000);
  t.equal(process.state.restarts, 2);
  t.match(process.state.reason, /^CrashLoopBackOff: ended with code 1/);
  t.ok(process.isCrashLooping);
  const wait = process.state.startAtMs - process.state.finishedAtMs;
  t.equal(wait, 10_000);
  t.equal(process.state.ends.length, 2);
  t.same(readdirSync(folder).sort(), ['0.exit', '0.log', '1.exit', '1.log'], 'each run has a log of its own');
  t.match(readFileSync(join(folder, logName(process.state, true)), 'utf8'), 'again');
  process.release();
});

t.test('a signal counts as 128 and its number', async (t) => {
  const { process, messages } = container('kill -9 $$', 'Never');
  process.begin();
  await until('its end', () => process.isFinished);
  t.equal(process.state.exitCode, 137);
  t.match(messages, [/ended by SIGKILL/]);
});

t.test('a command that cannot be started is an end like another', async (t) => {
  const cases: [readonly string[], number, RegExp][] = [
    [[join(root, 'no-such-program')], 127, /could not be started: execute .*no-such-program: No such file/],
    [['/etc/passwd'], 126, /could not be started: execute \/etc\/passwd: Permission denied/],
    [['a\0b'], 128, /could not be started/],
  ];
  for (const [argv, code, why] of cases) {
    const { process, messages } = container('', 'Never', { argv });
    process.begin();
    await until('its end', () => messages.length > 0);
    t.equal(process.state.exitCode, code);
    t.match(messages, [why]);
    t.match(process.state.ends, [{ reason: 'StartError' }]);
  }
});

t.test('what lacks something to refer to waits for it, and for nothing else', async (t) => {
  const { process, refused, site, starts, messages } = container('sleep 60', 'Always');
  site.refusal = new LaunchError('CreateContainerConfigError', 'configmap "a" not found');
  process.begin();
  process.reconsider();
  t.same(refused, ['configmap "a" not found'], 'told once');
  t.notOk(process.isFinished);
  site.refusal = undefined;
  process.reconsider();
  await until('its start', () => starts() === 1);
  t.equal(process.refusal, undefined);
  await process.end(0);
  t.same(messages, []);
});

t.test('end() takes all that belongs to it, and by force what will not go', async (t) => {
  const marker = join(root, 'grandchild');
  // One in the group, one that left it.
  const { process, messages, running } = container(
    `trap '' TERM; setsid sh -c 'trap "" TERM; echo $$ > ${marker}; sleep 60' & sleep 60; sleep 60`,
    'Always',
  );
  process.begin();
  await running();
  const group = process.state.pid;
  await until('the grandchild', () => existsSync(marker) && readFileSync(marker, 'utf8') !== '');
  const grandchild = Number(readFileSync(marker, 'utf8'));
  const ticks = startTicks(grandchild) as number;
  const began = Date.now();
  await process.end(100);
  t.ok(Date.now() - began >= 99, 'it had its grace period');
  t.notOk(groupIsRunning(group));
  t.notOk(isRunning({ pid: grandchild, startTicks: ticks }), 'the one of another session ended with it');
  t.notOk(process.isRunning);
  t.same(messages, [], 'an end that was asked for is no event');
});

t.test('a grace period that is made shorter counts', async (t) => {
  const { process, running } = container(`trap '' TERM; while :; do sleep 0.05; done`, 'Always');
  process.begin();
  await running();
  await until('the trap', () => ignores(process.state.pid, constants.signals.SIGTERM));
  const began = Date.now();
  const first = process.end(60_000);
  await process.end(0);
  await first;
  t.ok(Date.now() - began < 5000);
});

t.test('the next agent adopts what runs, and learns its exit code', async (t) => {
  const marker = join(root, 'go');
  const script = `while [ ! -e ${marker} ]; do sleep 0.02; done; echo late; exit 7`;
  const first = container(script, 'Always');
  first.process.begin();
  await first.running();
  // Written down before its process id was known.
  const state: ContainerState = { ...first.process.state, pid: 0 };
  first.process.release();

  const second = container(script, 'Always', { state, folder: first.folder });
  second.process.begin();
  t.equal(second.process.state.pid, first.process.state.pid, 'the same process');
  t.equal(second.process.state.restarts, 0);
  t.equal(second.starts(), 1);
  await import('node:fs/promises').then((fs) => fs.writeFile(marker, ''));
  await until('the end to be seen', () => second.messages.length > 0);
  t.match(second.messages, [/ended with code 7/]);
  t.equal(second.process.state.restarts, 1);
  t.match(second.output(), 'late', 'what it said when nobody listened stands in its log');
  second.process.release();
});

t.test('what ended while no agent ran has its exit code, if anybody wrote it', async (t) => {
  const first = container('exit 5', 'Never');
  first.process.begin();
  const state: ContainerState = { ...first.process.state };
  const id = shim(first.process);
  first.process.release();
  await until('its end', () => !isRunning(id));
  const second = container('exit 5', 'Never', { state, folder: first.folder });
  second.process.begin();
  t.equal(second.process.state.exitCode, 5);
  t.same(second.messages, ['ended with code 5']);
});

t.test('a process that ended meanwhile is not mistaken for whoever has its number now', async (t) => {
  const bystander = container('sleep 60', 'Never');
  bystander.process.begin();
  await bystander.running();
  const { pid, shimPid, shimTicks } = bystander.process.state;
  const state = { ...newContainerState('c'), pid, shimPid, shimTicks: shimTicks - 1, startedAtMs: 1, runs: 1 };
  const late = container('sleep 60', 'Never', { state });
  late.process.begin();
  t.notOk(late.process.isRunning);
  t.equal(late.process.state.exitCode, 137);
  t.match(late.process.state.ends, [{ reason: 'ContainerStatusUnknown' }]);
  t.ok(isRunning(shim(bystander.process)), 'the bystander lives');
  await bystander.process.end(0);
});

t.test('a log is rotated and bounded', async (t) => {
  const { process, folder } = container('seq 1 5000', 'Never');
  process.begin();
  await until('its end', () => process.isFinished);
  t.same(readdirSync(folder).sort(), ['0.exit', '0.log', '0.log.1', '0.log.2']);
  const last = readFileSync(join(folder, '0.log'), 'utf8') || readFileSync(join(folder, '0.log.1'), 'utf8');
  t.match(last, /stdout F 5000\n$/);
  for (const name of ['0.log', '0.log.1', '0.log.2']) {
    t.ok(readFileSync(join(folder, name)).length <= 10_100, `${name} is bounded`);
  }
});
