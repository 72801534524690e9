/** kubectl logs, exec and attach as people type them, against an API server and a node: what every version must do. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Test } from 'tap';
import { Terminal } from '../../../../src/agent/node/streams/terminal.ts';
import { VIEWERS } from '../../../../src/apiserver/access/access.ts';
import { loadNativeAddon } from '../../../../src/io/native-addon.ts';
import type { Kubectl } from '../../../apiserver/kubectl.ts';
import { StreamCluster } from './stream-cluster.ts';

const BIG_BYTES = 20_000_000;

interface Outcome {
  code: number | null;
  stdout: Buffer;
  stderr: string;
}

async function* twoLines(): AsyncIterable<Buffer> {
  yield Buffer.from('one\n');
  yield Buffer.from('two\n');
}

export async function tryStreams(t: Test, kubectls: readonly Kubectl[]): Promise<void> {
  const cluster = await StreamCluster.start(t, (request, signal) => (request.follow ? endless(signal) : twoLines()));
  const viewer = await cluster.userConfig('viewer', [VIEWERS]);
  for (const tool of kubectls) {
    const run = (words: string[], more: { input?: Buffer; config?: string } = {}) =>
      runKubectl(tool, cluster, words, more);
    await t.test(`${tool.name} logs`, (t) => logs(t, cluster, run, viewer));
    await t.test(`${tool.name} exec`, (t) => exec(t, run, viewer));
    await t.test(`${tool.name} attach`, (t) => attach(t, run, viewer));
    await t.test(`${tool.name} attach with input`, (t) => attachInput(t, cluster, run));
    await t.test(`${tool.name} attach on a terminal`, (t) => attachTerminal(t, tool, cluster));
    await t.test(`${tool.name} exec with big data`, (t) => bigData(t, run));
    await t.test(`${tool.name} exec on a terminal`, (t) => terminal(t, tool, cluster));
    await t.test(`${tool.name} goes away`, (t) => goingAway(t, tool, cluster));
  }
}

type Run = (words: string[], more?: { input?: Buffer; config?: string }) => Promise<Outcome>;

async function logs(t: Test, cluster: StreamCluster, run: Run, viewer: string): Promise<void> {
  t.equal((await run(['logs', 'web'])).stdout.toString(), 'one\ntwo\n', 'of the default container');
  t.match(cluster.asked.at(-1), { namespace: 'default', pod: 'web', container: 'main', follow: false });
  await run(['logs', 'web', '-c', 'helper', '--tail=5', '--since=1h', '--timestamps', '--limit-bytes=100']);
  t.match(cluster.asked.at(-1), {
    ...{ container: 'helper', tailLines: 5, timestamps: true, limitBytes: 100 },
  });
  const sinceMs = Date.now() - Number(cluster.asked.at(-1)?.since);
  t.ok(sinceMs > 3_600_000 - 2000 && sinceMs < 3_600_000 + 60_000, 'an hour before it was asked');
  await run(['logs', 'web', '-p', '--since-time=2026-01-02T03:04:05Z']);
  t.match(cluster.asked.at(-1), { previous: true, since: new Date('2026-01-02T03:04:05Z') });
  t.equal((await run(['logs', 'web'], { config: viewer })).stdout.toString(), 'one\ntwo\n', 'viewers read logs');
  for (const [words, complaint] of [
    [['web', '-c', 'late'], /container "late" in pod "web" is waiting to start: CrashLoopBackOff/],
    [['web', '-c', 'nobody'], /container nobody is not valid for pod web/],
    [['orphan'], /nodes "gone" not found/],
  ] as const) {
    const { code, stderr } = await run(['logs', ...words]);
    t.equal(code, 1);
    t.match(stderr, complaint);
  }
}

async function exec(t: Test, run: Run, viewer: string): Promise<void> {
  const script = 'echo out; echo err >&2; echo $GREETING; exit 3';
  const { code, stdout, stderr } = await run(['exec', 'web', '--', 'sh', '-c', script]);
  t.equal(code, 3);
  t.equal(stdout.toString(), 'out\nhello\n');
  t.match(stderr, /^(Defaulted.*\n)?err\ncommand terminated with exit code 3\n$/);
  t.match(await run(['exec', 'web', '--', 'true']), { code: 0 });
  const killed = await run(['exec', 'web', '--', 'sh', '-c', 'kill -9 $$']);
  t.match(killed, { code: 137, stderr: /command terminated with exit code 137\n$/ });
  const input = Buffer.from('c\na\nb\n');
  const sorted = await run(['exec', '-i', 'web', '-c', 'helper', '--', 'sort'], { input });
  t.match(sorted, { code: 0, stdout: Buffer.from('a\nb\nc\n') }, 'the end of its input is told');
  t.match((await run(['exec', 'web', '-c', 'late', '--', 'true'])).stderr, /container "late".*is not running/);
  t.match((await run(['exec', 'web', '--', '/no/such/file'])).stderr, /could not be started.*ENOENT/);
  t.match((await run(['exec', 'web', '--', 'true'], { config: viewer })).stderr, /[Ff]orbidden/);
  const background = await run(['exec', 'web', '--', 'sh', '-c', 'sleep 4 & echo done']);
  t.match(background, { code: 0, stdout: Buffer.from('done\n') }, 'what it leaves behind holds nobody up');
}

async function attach(t: Test, run: Run, viewer: string): Promise<void> {
  const { code, stdout, stderr } = await run(['attach', 'web', '-c', 'main']);
  t.match({ code, stdout: stdout.toString() }, { code: 0, stdout: 'one\ntwo\n' });
  t.match(stderr, /complaint\n/);
  t.match((await run(['attach', 'web', '-c', 'late'])).stderr, /container "late".*is waiting to start/);
  t.match((await run(['attach', 'web', '-c', 'main'], { config: viewer })).stderr, /[Ff]orbidden/);
}

async function attachInput(t: Test, cluster: StreamCluster, run: Run): Promise<void> {
  const { process } = cluster.begin(t, 'reader', 'printf "begins "; sort; exit 3');
  const attached = await run(['attach', '-i', 'web', '-c', 'reader'], { input: Buffer.from('c\na\nb\n') });
  t.match(attached, { code: 0, stdout: Buffer.from('begins a\nb\nc\n') }, 'the end of its input is told');
  await until(() => process.isFinished);
  t.equal(process.state.exitCode, 3);
  cluster.begin(t, 'reader', 'exec cat');
  const input = randomBytes(BIG_BYTES / 10);
  const { stdout } = await run(['attach', '-i', '-q', 'web', '-c', 'reader'], { input });
  t.equal(digest(stdout), digest(input), 'the same came back');
}

async function attachTerminal(t: Test, tool: Kubectl, cluster: StreamCluster): Promise<void> {
  const script =
    'printf "name? "; read name; trap "echo interrupted; exit 5" INT; while :; do stty size; sleep 0.05; done';
  const { process } = cluster.begin(t, 'shell', script);
  const words = ['attach', '-it', 'web', '-c', 'shell'];
  const first = onTerminal(tool, cluster, words);
  await first.seen(/name\? $/);
  first.child.kill('SIGKILL');
  await first.ended;
  t.ok(process.isRunning, 'who goes leaves the command as it is');
  const { screen, seen, ended } = onTerminal(tool, cluster, words);
  screen.write('ann\r');
  await seen(/ann\r\n/);
  await seen(/33 111\r\n/);
  screen.resize({ columns: 77, rows: 22 });
  await seen(/22 77\r\n/);
  screen.write('\u0003');
  await seen(/interrupted\r\n/);
  t.equal(await ended, 0, "its exit code is its pod's");
  await until(() => process.isFinished);
  t.equal(process.state.exitCode, 5);
}

async function bigData(t: Test, run: Run): Promise<void> {
  const input = randomBytes(BIG_BYTES);
  const { code, stdout } = await run(['exec', '-i', 'web', '--', 'cat'], { input });
  t.equal(code, 0);
  t.equal(digest(stdout), digest(input), 'the same came back');
  const unread = await run(['exec', '-i', 'web', '--', 'sh', '-c', 'head -c 5; exit 7'], { input });
  t.match(unread, { code: 7, stdout: input.subarray(0, 5) }, 'it need not read all');
}

async function terminal(t: Test, tool: Kubectl, cluster: StreamCluster): Promise<void> {
  const script = 'trap "echo interrupted; exit 5" INT; tty; while :; do stty size; sleep 0.05; done';
  const { screen, seen, ended } = onTerminal(tool, cluster, ['exec', '-it', 'web', '--', 'sh', '-c', script]);
  await seen(/\/dev\/pts\/\d+\r\n/);
  await seen(/33 111\r\n/);
  screen.resize({ columns: 77, rows: 22 });
  await seen(/22 77\r\n/);
  screen.write('\u0003');
  await seen(/interrupted\r\n/);
  t.equal(await ended, 5);
}

interface OnTerminal {
  child: ChildProcess;
  screen: Terminal;
  /** Resolves when that has been shown. */
  seen(wanted: RegExp): Promise<void>;
  /** Its exit code. */
  ended: Promise<number | null>;
}

/** As somebody runs it at a terminal, which closes with it. */
function onTerminal(tool: Kubectl, cluster: StreamCluster, words: readonly string[]): OnTerminal {
  const native = loadNativeAddon();
  const { controller, terminal } = native.openPty({ columns: 111, rows: 33 });
  const child = spawn('setsid', ['--ctty', tool.path, ...words], {
    env: environment(cluster.kubeconfig, cluster),
    stdio: [terminal, terminal, terminal],
  });
  native.closeFd(terminal);
  const screen = new Terminal(native, controller);
  // All that it printed is shown before.
  const shown = once(screen, 'end');
  const ended = once(child, 'exit').then(async ([code]: (number | null)[]) => {
    await shown;
    screen.destroy();
    return code ?? null;
  });
  let text = '';
  const seen = async (wanted: RegExp): Promise<void> => {
    while (!wanted.test(text)) {
      if (screen.readableEnded) throw new Error(`${wanted} was not shown: ${text}`);
      await new Promise<void>((done) => screen.once('data', () => done()).once('end', done));
    }
  };
  screen.on('data', (bytes: Buffer) => {
    text += bytes.toString();
  });
  return { child, screen, seen, ended };
}

async function goingAway(t: Test, tool: Kubectl, cluster: StreamCluster): Promise<void> {
  const follow = spawn(tool.path, ['logs', '-f', 'web'], { env: environment(cluster.kubeconfig, cluster) });
  const first = await new Promise<Buffer>((done) => follow.stdout.once('data', done));
  t.equal(first.toString(), 'line 0\n', 'a line comes as soon as it is there');
  follow.kill();
  await until(() => endedFollows > 0);
  endedFollows = 0;
  const mark = `${73_000 + Math.floor(Math.random() * 1000)}`;
  const words = ['exec', 'web', '--', 'sh', '-c', `trap "" HUP; sleep ${mark} & echo $!; wait`];
  const child = spawn(tool.path, words, { env: environment(cluster.kubeconfig, cluster) });
  const pid = Number(await new Promise<Buffer>((done) => child.stdout.once('data', done)));
  t.ok(runs(pid));
  child.kill();
  await until(() => !runs(pid));
  t.notOk(runs(pid), 'the command ends with its client, and what it started');
}

let endedFollows = 0;

async function* endless(signal: AbortSignal): AsyncIterable<Buffer> {
  try {
    for (let i = 0; !signal.aborted; i++) {
      yield Buffer.from(`line ${i}\n`);
      await new Promise((done) => signal.addEventListener('abort', done, { once: true }));
    }
  } finally {
    endedFollows++;
  }
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((done) => setTimeout(done, 20));
}

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function environment(config: string, cluster: StreamCluster): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, HOME: join(cluster.folder, 'home'), KUBECONFIG: config };
}

function runKubectl(
  tool: Kubectl,
  cluster: StreamCluster,
  words: readonly string[],
  { input, config = cluster.kubeconfig }: { input?: Buffer; config?: string },
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(tool.path, [...words], { env: environment(config, cluster), timeout: 60_000 });
    const stdout: Buffer[] = [];
    let stderr = '';
    child.stdout.on('data', (bytes: Buffer) => stdout.push(bytes));
    child.stderr.on('data', (bytes: Buffer) => {
      stderr += bytes.toString();
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout: Buffer.concat(stdout), stderr }));
  });
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
