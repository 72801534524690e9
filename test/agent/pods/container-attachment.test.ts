/** Clients of a command that reads: what reaches it, what they are shown, and who they leave it to. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chdir, cwd, kill } from 'node:process';
import t, { type Test } from 'tap';
import { type Attachment, ContainerAttachment } from '../../../src/agent/pods/container-attachment.ts';
import { localPods, needsRoot, podPlan } from '../test-pods.ts';
import { type Reading, startContainer } from './reading-container.ts';

const root = mkdtempSync(join(tmpdir(), 'weft-attachment-'));
t.teardown(() => rmSync(root, { recursive: true, force: true }));

const PIPE: Reading = { stdin: true };
const ONCE: Reading = { stdin: true, stdinOnce: true };
const TERMINAL: Reading = { stdin: true, stdinOnce: true, tty: true };

let made = 0;
function container(t: Test, script: string, reading: Reading, folder = join(root, `${++made}`)) {
  const { process, spec, run } = startContainer(t, folder, script, reading);
  return {
    ...{ process, folder, run },
    attach: (withInput = true) => new Client(t, new ContainerAttachment(run, spec, withInput)),
    ended: () => until('its end', () => process.isFinished),
  };
}

class Client {
  readonly attachment: Attachment;
  readonly #stop = new AbortController();
  text = '';
  readonly left: Promise<void>;

  constructor(t: Test, attachment: Attachment) {
    this.attachment = attachment;
    this.left = this.#read();
    t.teardown(() => this.leave());
  }

  async #read(): Promise<void> {
    for await (const { text } of this.attachment.output(this.#stop.signal)) this.text += text.toString('latin1');
  }

  type(text: string): void {
    this.attachment.input?.write(text);
  }

  shown(wanted: RegExp): Promise<void> {
    return until(
      `${wanted}`,
      () => wanted.test(this.text),
      () => JSON.stringify(this.text),
    );
  }

  async leave(): Promise<void> {
    this.#stop.abort();
    await this.left.catch(() => {});
  }
}

async function until(what: string, condition: () => boolean, but = () => ''): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within 5 s: ${what}: ${but()}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

t.test('a pipe waits for its first client and ends with what that has to say', async (t) => {
  const { process, attach, ended, folder } = container(t, 'echo begins; cat; echo ends; exit 3', ONCE);
  const client = attach();
  await client.shown(/^begins\n$/);
  client.type('hello\n');
  await client.shown(/hello\n$/);
  client.attachment.input?.end('and more');
  await client.left;
  t.equal(client.text, 'begins\nhello\nand moreends\n');
  await ended();
  t.equal(process.state.exitCode, 3);
  t.same(readdirSync(folder).sort(), ['0.exit', '0.log'], 'the socket has gone');
});

t.test('it ends too where its client goes, but not by one that only looks on', async (t) => {
  const { attach, ended, run } = container(t, 'cat', ONCE);
  await until('the socket', () => existsSync(run.socket));
  t.equal(statSync(run.socket).mode & 0o777, 0o600);
  const watcher = attach(false);
  const client = attach();
  client.type('hello\n');
  await Promise.all([client.shown(/hello/), watcher.shown(/hello/)]);
  await watcher.leave();
  client.type('again\n');
  await client.shown(/again/);
  await client.leave();
  await ended();
});

t.test('without stdinOnce it outlives all clients; each is shown what nobody saw', async (t) => {
  const { process, attach } = container(t, 'while read line; do echo "<$line>"; sleep 0.1; echo later; done', PIPE);
  const first = attach();
  first.type('one\n');
  await first.shown(/^<one>\nlater\n$/);
  first.attachment.input?.end('two\n');
  await first.shown(/<two>\n$/);
  await first.leave();
  await new Promise((done) => setTimeout(done, 300));
  t.ok(process.isRunning);
  const second = attach();
  second.type('three\n');
  await second.shown(/^later\n<three>\n/);
  const third = attach();
  third.type('four\n');
  await Promise.all([second.shown(/<four>\n/), third.shown(/<four>\n/)]);
  t.notMatch(third.text, /three>/, 'who comes while another is there sees what comes from then on');
  await process.end(0);
});

t.test('a terminal: prompts at once, the size of the window, Ctrl-C, its exit code', async (t) => {
  const script =
    'tty; trap "echo interrupted; exit 4" INT; printf "name? "; read name; stty size; while :; do sleep 0.05; done';
  const { process, attach, ended } = container(t, script, TERMINAL);
  const gone = attach();
  await gone.shown(/^\/dev\/pts\/\d+\r\nname\? $/);
  await gone.leave();
  t.ok(process.isRunning, 'the command stays');
  const client = attach();
  client.attachment.resize({ columns: 111, rows: 33 });
  client.type('ann\r');
  await client.shown(/^ann\r\n33 111\r\n$/);
  client.type('\u0003');
  await client.left;
  t.match(client.text, /\^C.*interrupted\r\n$/);
  await ended();
  t.equal(process.state.exitCode, 4);
});

t.test('Ctrl-C drops what a slow client has not been shown yet', async (t) => {
  const script =
    'trap "echo interrupted; exit" INT; echo begins; read x; seq 1000000 1100000; echo all; sleep 60 & wait';
  const { run, ended } = container(t, script, TERMINAL);
  const attachment = new ContainerAttachment(run, { name: 'c', ...TERMINAL }, true);
  const output = attachment.output(new AbortController().signal);
  let text = `${(await output.next()).value?.text}`;
  attachment.input?.write('\r');
  await until(
    'all of it',
    () => readFileSync(run.path, 'latin1').includes(' all\r'),
    () => '',
  );
  attachment.input?.write('\u0003');
  for await (const piece of output) text += piece.text.toString();
  t.match(text, /^begins\r\n/);
  t.match(text, /interrupted\r\n$/);
  t.ok(text.length < 300_000, `${text.length} bytes`);
  await ended();
});

t.test('a shell on a terminal has job control', async (t) => {
  const { attach, ended, process } = container(t, 'PS1="% " exec sh -i', TERMINAL);
  const client = attach();
  await client.shown(/% $/);
  client.type('sleep 60\r');
  await client.shown(/sleep 60\r\n/);
  // Until it comes in time: what the shell is about to start does not hear of it.
  const again = setInterval(() => client.type('\u0003'), 50);
  await client.shown(/\^C\r?\n% $/).finally(() => clearInterval(again));
  client.type('exit 5\r');
  await client.left;
  t.notMatch(client.text, /job control/);
  await ended();
  t.equal(process.state.exitCode, 5);
});

t.test('a command has no files but its own, and a session', async (t) => {
  for (const reading of [ONCE, TERMINAL]) {
    const { attach, ended } = container(t, 'ls /proc/self/fd; cut -d " " -f 6 /proc/$$/stat; echo $$', reading);
    const client = attach();
    await client.left;
    const words = client.text.trim().split(/\s+/);
    t.same(words.slice(0, 4), ['0', '1', '2', '3'], 'the last one is of ls itself');
    t.equal(words[4], words[5], 'it leads its session');
    t.equal(words.length, 6);
    await ended();
  }
});

t.test('a client that goes while nobody answers it waits for nothing', async (t) => {
  const { attach, process } = container(t, 'exec sleep 60', PIPE);
  await until('its start', () => process.isRunning);
  kill(process.state.shimPid, 'SIGSTOP');
  const client = attach();
  await new Promise((done) => setTimeout(done, 100));
  const began = performance.now();
  await client.leave();
  t.ok(performance.now() - began < 2000);
  kill(process.state.shimPid, 'SIGCONT');
  await process.end(0);
});

t.test('a command that reads nothing stops neither its output nor other clients', async (t) => {
  const { attach, process } = container(t, 'while :; do echo lives; sleep 0.02; done', PIPE);
  const flood = attach();
  let taken = 0;
  const block = Buffer.alloc(65_536, 'x');
  while (flood.attachment.input?.write(block, () => taken++) && taken < 100) {
    await new Promise((done) => setTimeout(done, 1));
  }
  await new Promise((done) => setTimeout(done, 50));
  t.ok(taken < 40, `it holds back who types, after ${taken} pieces`);
  const before = flood.text.length;
  await until('more', () => flood.text.length > before + 20);
  await flood.leave();
  await process.end(0);
});

t.test('much of both: nothing is lost or changed', async (t) => {
  const { attach, ended } = container(t, 'cat', ONCE);
  const client = attach();
  const bytes = Buffer.from(Array.from({ length: 1_500_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff));
  client.attachment.input?.end(bytes);
  await client.left;
  t.ok(Buffer.from(client.text, 'latin1').equals(bytes), `${client.text.length} bytes`);
  await ended();
});

t.test('what is said before anybody comes, and of a command that has ended', async (t) => {
  const { attach, ended } = container(t, 'seq 1 1000; printf end', ONCE);
  await ended();
  const late = attach();
  late.type('to nobody');
  await late.left;
  t.match(late.text, /^1\n2\n.*\n1000\nend$/s);
});

t.test('a path that is longer than an address', async (t) => {
  const folder = join(root, 'x'.repeat(120), 'y'.repeat(120));
  const { attach, ended } = container(t, 'cat', ONCE, folder);
  const client = attach();
  client.attachment.input?.end('far away\n');
  await client.left;
  t.equal(client.text, 'far away\n');
  await ended();
});

t.test('a socket that an earlier run left', async (t) => {
  const folder = join(root, 'left');
  mkdirSync(folder);
  writeFileSync(join(folder, '0.sock'), '');
  const { attach } = container(t, 'cat', ONCE, folder);
  const client = attach();
  client.attachment.input?.end('hello\n');
  await client.left;
  t.equal(client.text, 'hello\n');
});

/** By the folder, since sockets have short names. */
function rawClient(t: Test, folder: string): Socket {
  const back = cwd();
  chdir(folder);
  const socket = connect('0.sock');
  chdir(back);
  t.teardown(() => socket.destroy());
  socket.on('error', () => {});
  return socket;
}

t.test('who breaks the rules is let go of; the command and others stay', async (t) => {
  const { attach, folder, process } = container(t, 'cat', PIPE);
  const client = attach();
  client.type('first\n');
  await client.shown(/first/);
  for (const nonsense of [
    Buffer.from([3, 0, 0]),
    Buffer.from([1, 0, 1, 0]),
    Buffer.from([2, 0, 5, 0, 0, 0, 0, 0]),
    Buffer.from([2, 0xff, 0xff]),
  ]) {
    const socket = rawClient(t, folder);
    socket.resume();
    socket.write(nonsense);
    await new Promise((done) => socket.once('close', done));
  }
  // Half a frame, byte by byte, and silence.
  const slow = rawClient(t, folder);
  for (const byte of [0, 0, 9, 97, 98]) slow.write(Buffer.from([byte]));
  await client.shown(/ab$/);
  client.type('second\n');
  await client.shown(/second\n$/);
  t.ok(process.isRunning);
  await process.end(0);
});

t.test('clients are bounded; one that reads nothing holds up nobody', async (t) => {
  const { attach, folder, process } = container(t, 'while read line; do seq 1 2000; echo "$line"; done', PIPE);
  const client = attach();
  client.type('first\n');
  await client.shown(/first\n$/);
  const idle = Array.from({ length: 63 }, () => rawClient(t, folder));
  await Promise.all(idle.map((socket) => new Promise((done) => socket.once('readable', done))));
  const refused = attach();
  await t.rejects(refused.left, /takes no more clients/);
  for (let i = 0; i < 50; i++) client.type('more\n');
  client.type('last\n');
  await client.shown(/last\n$/);
  await new Promise((done) => idle[0]?.once('close', done).destroy());
  const next = attach();
  next.type('hello\n');
  await next.shown(/hello\n$/);
  await process.end(0);
});

t.test('an agent that went leaves a terminal to the next one', async (t) => {
  const { attach, process, run } = container(t, 'PS1="% " exec sh -i', TERMINAL);
  const before = attach();
  await before.shown(/% $/);
  before.type('sleep 0.2; echo said to nobody\r');
  await before.shown(/nobody\r\n/);
  await before.leave();
  process.release();
  const spec = { name: 'c', ...TERMINAL };
  const after = new Client(t, new ContainerAttachment(run, spec, true));
  await after.shown(/^said to nobody\r\n% $/);
  after.type('exit\r');
});

t.test('of a pod: by its fields, from one agent to the next', { skip: needsRoot }, async (t) => {
  const stateDir = join(root, 'agents');
  const script = 'while read line; do echo "$TERM: $line"; done';
  const plan = podPlan(stateDir, 'p', [{ name: 'c', command: ['sh', '-c', script], ...TERMINAL }]);
  const place = { namespace: 'default', pod: 'p', container: 'c' };
  const first = localPods(stateDir);
  await first.apply([plan]);
  t.same(plan.unsupported, []);
  const before = new Client(t, first.pods.attach(place, true));
  before.type('one\r');
  await before.shown(/^one\r\nxterm: one\r\n$/);
  first.pods.release();
  await before.leave();
  const second = localPods(stateDir);
  t.teardown(() => second.pods.stop());
  await second.pods.recover();
  await second.apply([plan]);
  const after = new Client(t, second.pods.attach(place, true));
  after.type('two\r');
  await after.shown(/^two\r\nxterm: two\r\n$/);
});
