/** A container's process: start, restart, adoption by the next agent, the end of all that belongs to it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { kill } from 'node:process';
import type { Writable } from 'node:stream';
import t from 'tap';
import { ContainerProcess, endLeft } from '../../../src/agent/pods/container.ts';
import { findTools } from '../../../src/agent/pods/container-command.ts';
import { LaunchError } from '../../../src/agent/pods/container-launch.ts';
import type { ContainerPlan, RestartPolicy } from '../../../src/agent/pods/pod-plan.ts';
import { type ContainerState, logName, newContainerState, restartsOf } from '../../../src/agent/pods/pod-state.ts';
import { isRunning, sessionProcesses, startTicks } from '../../../src/agent/pods/process-table.ts';
import { needsRoot } from '../test-pods.ts';

const root = mkdtempSync(join(tmpdir(), 'weft-container-'));
t.teardown(() => rmSync(root, { recursive: true, force: true }));
const { container: program } = findTools();

let made = 0;
interface Setup {
  state?: ContainerState;
  folder?: string;
  argv?: readonly string[];
  /** More options of weft_container. */
  more?: readonly string[];
  /** A shell's words before it. */
  before?: string;
}
function container(script: string, restartPolicy: RestartPolicy, setup: Setup = {}) {
  const { state = newContainerState('c'), folder = join(root, `${++made}`), more = [], before = '' } = setup;
  const { argv = ['/bin/sh', '-c', script] } = setup;
  const messages: string[] = [];
  const refused: string[] = [];
  let starts = 0;
  const plan: ContainerPlan = { name: 'c', role: 'main', restartPolicy, image: '', command: argv, spec: { name: 'c' } };
  const site = {
    folder,
    refusal: undefined as LaunchError | undefined,
    command: ({ log, exit }: { log: string; exit: string }) => {
      if (site.refusal) throw site.refusal;
      const args = ['run', ...more, '--cwd', '/', '--log', log, '10000', '3', '--exit', exit, '--', ...argv];
      const env = { PATH: '/usr/bin:/bin' };
      if (before === '') return { file: program, args, env };
      return { file: '/bin/sh', args: ['-c', `${before}; exec "$0" "$@"`, program, ...args], env };
    },
  };
  const process = new ContainerProcess(plan, state, site, {
    changed: () => {},
    started: () => starts++,
    ended: (message) => messages.push(message),
    refused: (error) => refused.push(error.message),
    outdated: () => void process.interrupt(5000),
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
  const marker = join(root, 'seen');
  const script = `echo out; echo err >&2; until [ -e ${marker} ]; do sleep 0.01; done; exit 3`;
  const { process, messages, output, running, starts } = container(script, 'Never');
  process.begin();
  await running();
  t.ok(isRunning({ pid: process.state.pid, startTicks: startTicks(process.state.pid) as number }));
  t.equal(starts(), 1);
  writeFileSync(marker, '');
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
  t.equal(restartsOf(process.state), 1, 'it waits for the second');
  t.match(process.state.reason, /^CrashLoopBackOff: ended with code 1/);
  t.ok(process.isCrashLooping);
  const wait = process.state.startAtMs - process.state.finishedAtMs;
  t.equal(wait, 10_000);
  t.equal(process.state.ends.length, 2);
  t.same(readdirSync(folder).sort(), ['0.exit', '0.log', '1.exit', '1.log'], 'each run has a log of its own');
  t.match(readFileSync(join(folder, logName(process.state, true)), 'utf8'), 'again');
  process.release();
  const next = container('exit 1', 'OnFailure', { state: { ...process.state }, folder });
  next.process.begin();
  t.ok(next.process.isCrashLooping, 'the next agent says so too');
  next.process.release();
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
  t.same(sessionProcesses(group), []);
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
  t.equal(restartsOf(second.process.state), 0);
  t.equal(second.starts(), 1);
  await import('node:fs/promises').then((fs) => fs.writeFile(marker, ''));
  await until('the end to be seen', () => second.messages.length > 0);
  t.match(second.messages, [/ended with code 7/]);
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

t.test('SIGTERM is for the command alone: it ends what it has started as it thinks fit', async (t) => {
  const script = `sleep 60 & child=$!; trap 'kill -0 $child && echo serves; exit 0' TERM; echo ready; wait`;
  const { process, running, output } = container(script, 'Always');
  process.begin();
  await running();
  await until('the trap', () => output().includes('ready'));
  await process.end(5000);
  t.match(output(), / serves$/m);
  t.equal(process.state.exitCode, 0);
});

t.test('a grace period that is longer than a timer can wait is none of a millisecond', async (t) => {
  const { process, running } = container(`trap '' TERM; while :; do sleep 0.05; done`, 'Always');
  process.begin();
  await running();
  await until('the trap', () => ignores(process.state.pid, constants.signals.SIGTERM));
  const end = process.end(3_000_000_000);
  await new Promise((done) => setTimeout(done, 100));
  t.ok(process.isRunning);
  await Promise.all([end, process.end(0)]);
});

t.test('what a weft_container leaves when somebody kills it ends', async (t) => {
  const marker = join(root, 'left');
  const { process, running, messages } = container(`sleep 60 & echo $! > ${marker}; wait`, 'Never');
  process.begin();
  await running();
  await until('the child', () => existsSync(marker) && readFileSync(marker, 'utf8') !== '');
  const pid = Number(readFileSync(marker, 'utf8'));
  const child = { pid, startTicks: startTicks(pid) as number };
  kill(process.state.shimPid, 'SIGKILL');
  await until('its end', () => messages.length > 0);
  t.match(process.state.ends, [{ reason: 'ContainerStatusUnknown', exitCode: 137 }]);
  await until('the end of the child', () => !isRunning(child));
});

/** As an agent leaves it that ends before it has written down what it began. */
async function unwritten(marker: string, folder: string) {
  mkdirSync(folder, { recursive: true });
  const rest = ['--log', join(folder, '0.log'), '10000', '3', '--exit', join(folder, '0.exit'), '--'];
  const child = spawn(program, ['run', ...rest, '/bin/sh', '-c', `echo > ${marker}; exec sleep 60`], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const shimPid = child.pid as number;
  const state = { ...newContainerState('c'), shimPid, shimTicks: startTicks(shimPid) as number, runs: 1 };
  return { child, agent: child.stdio[3] as Writable, state: { ...state, startedAtMs: 1 } };
}

t.test('nothing begins that its agent had no time to write down', async (t) => {
  const marker = join(root, 'unwritten');
  const { child, agent } = await unwritten(marker, join(root, 'unwritten.folder'));
  agent.destroy();
  await once(child, 'exit');
  t.notOk(existsSync(marker));
});

t.test('an agent that takes up what has not begun yet learns of its start', async (t) => {
  const folder = join(root, 'late.folder');
  const { agent, state } = await unwritten(join(root, 'late'), folder);
  const late = container('', 'Never', { state, folder });
  late.process.begin();
  t.notOk(late.process.isRunning);
  agent.write('\n');
  await late.running();
  t.equal(late.starts(), 1);
  await late.process.end(0);
});

t.test('what an earlier agent left is ended without its plan', async (t) => {
  const { process, running } = container(`trap '' TERM; while :; do sleep 0.05; done`, 'Always');
  process.begin();
  await running();
  const id = shim(process);
  process.release();
  await endLeft({ ...process.state, pid: 0 }, 50);
  t.notOk(isRunning(id));
});

t.test('how it ended is known where that could not be written', async (t) => {
  const marker = join(root, 'unwritable');
  const { process, running, folder } = container(`until [ -e ${marker} ]; do sleep 0.01; done; exit 3`, 'Never');
  process.begin();
  await running();
  rmSync(folder, { recursive: true });
  writeFileSync(marker, '');
  await until('its end', () => process.isFinished);
  t.equal(process.state.exitCode, 3);
});

t.test('an exit file that says nonsense says nothing', async (t) => {
  for (const text of ['', '1 0', '0 0 9e99\n', '0 0 99999999999999999999\n', '-1 0 5\n', 'a b c\n']) {
    const folder = join(root, `${++made}`);
    mkdirSync(folder);
    writeFileSync(join(folder, '0.exit'), text);
    const state = { ...newContainerState('c'), shimPid: 1, shimTicks: -1, startedAtMs: 1, runs: 1 };
    const late = container('', 'Never', { state, folder });
    late.process.begin();
    t.match(late.process.state.ends, [{ reason: 'ContainerStatusUnknown', exitCode: 137 }], text);
  }
});

t.test('a command gets no files and no mask of whoever started the agent', async (t) => {
  const setup = { before: 'umask 077; exec 9</dev/null' };
  const { process, output } = container('umask; ls /proc/self/fd', 'Never', setup);
  process.begin();
  await until('its end', () => process.isFinished);
  const words = output()
    .split('\n')
    .map((line) => line.split(' ').at(-1));
  t.same(words, ['0022', '0', '1', '2', '3', ''], 'the last one is of ls itself');
});

t.test('a file of its own stays its own when the host replaces the one below', { skip: needsRoot }, async (t) => {
  const [own, hosts] = ['own', 'hosts'].map((name) => join(root, name)) as [string, string];
  writeFileSync(own, 'own\n');
  writeFileSync(hosts, 'first\n');
  const script = `cat ${hosts}; until grep -q other ${hosts}; do sleep 0.01; done`;
  const setup = { more: ['--bind', own, hosts] };
  const { process, running } = container(script, 'Never', setup);
  process.begin();
  await running();
  const seen = () => readFileSync(`/proc/${process.state.pid}/root${hosts}`, 'utf8');
  t.equal(seen(), 'own\n');
  for (const how of ['replaced', 'removed']) {
    if (how === 'replaced') {
      writeFileSync(`${hosts}.next`, 'second\n');
      renameSync(`${hosts}.next`, hosts);
    } else {
      rmSync(hosts);
      await new Promise((done) => setTimeout(done, 50));
      writeFileSync(hosts, 'third\n');
    }
    await until(`its own file where the other was ${how}`, () => existsSync(hosts) && seen() === 'own\n');
  }
  await process.end(0);
});

t.test('a command beside it ends with the agent', { skip: needsRoot }, async (t) => {
  const { process, running } = container('exec sleep 60', 'Never');
  process.begin();
  await running();
  const marker = join(root, 'beside');
  const exec = `${program} exec --pid ${process.state.pid} --cwd / -- sh -c 'echo $$ > ${marker}; exec sleep 60'`;
  const agent = spawn('/bin/sh', ['-c', `${exec}; :`], { stdio: 'ignore' });
  await until('its start', () => existsSync(marker) && readFileSync(marker, 'utf8') !== '');
  const pid = Number(readFileSync(marker, 'utf8'));
  const command = { pid, startTicks: startTicks(pid) as number };
  agent.kill('SIGKILL');
  await until('its end', () => !isRunning(command));
  t.ok(process.isRunning);
  await process.end(0);
});

t.test('a record that a full disk has cut short ends before the next one', { skip: needsRoot }, async (t) => {
  const disk = join(root, 'disk');
  const copy = join(root, 'copy.log');
  mkdirSync(disk);
  // 16 KiB, of which a file takes the half until the log has filled the rest.
  const script = [
    `head -c 8192 /dev/zero > ${disk}/filler`,
    `seq -f 'line %g of many that fill it' 1 400; sleep 0.2`,
    `rm ${disk}/filler; echo after; sleep 0.1; cat ${disk}/log > ${copy}`,
  ].join('; ');
  const run = [program, 'run', '--log', `${disk}/log`, '1000000', '3', '--', '/bin/sh', '-c', script];
  const mount = `mount -t tmpfs -o size=16k tmpfs ${disk} && exec "$0" "$@"`;
  const child = spawn('unshare', ['-m', '/bin/sh', '-c', mount, ...run], {
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
  });
  (child.stdio[3] as Writable).write('\n');
  await once(child, 'exit');
  const lines = readFileSync(copy, 'utf8').trimEnd().split('\n');
  t.match(lines.at(-1), /^\S+Z stdout F after$/);
  t.ok(lines.length > 50 && lines.length < 400, `${lines.length} lines`);
  t.equal(lines.filter((line) => !/^\S+Z stdout F /.test(line)).length, 0);
});
