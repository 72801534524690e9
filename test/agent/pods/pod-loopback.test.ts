/**
 * Connections to a pod's localhost: either family, in the pod's own network namespace where it has one, and what is
 * said when nobody serves. The namespace is made by this test, which says so when it cannot.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { PodLoopback } from '../../../src/agent/pods/pod-loopback.ts';
import { loadNativeAddon } from '../../../src/io/native-addon.ts';
import { needsRoot } from '../test-pods.ts';

const native = loadNativeAddon();
const host = (connectMs?: number) => new PodLoopback({ key: 'default/web', netns: '' }, native, connectMs);

/** One that says its address. */
async function serve(t: Test, address: string): Promise<number> {
  const server = createServer((socket) => socket.end(address));
  await new Promise<void>((done) => server.listen(0, address, done));
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A program in another process, and the port that it prints. */
async function program(t: Test, code: string, netns?: string): Promise<number> {
  const args = [process.execPath, '-e', code];
  const words = netns ? ['netns', 'exec', netns, ...args] : args;
  const child: ChildProcess = spawn(netns ? 'ip' : 'env', words, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  const [port] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  return Number(port);
}

async function said(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  await once(socket, 'end');
  socket.end();
  await once(socket, 'close');
  return text;
}

t.test('127.0.0.1 first, then ::1', async (t) => {
  for (const address of ['127.0.0.1', '::1']) {
    const port = await serve(t, address);
    t.equal(await said(await host().connect(port)), address);
  }
});

t.test('nobody serves: both families are told, and no descriptor stays open', async (t) => {
  const port = await serve(t, '::1');
  await said(await host().connect(port));
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 20; i++) {
    await t.rejects(host().connect(1), {
      message:
        'failed to connect to localhost:1 inside namespace "host", ' +
        'IPv4: dial tcp4 127.0.0.1:1: connect: connection refused IPv6: dial tcp6 [::1]:1: connect: connection refused',
    });
  }
  await new Promise((done) => setImmediate(done));
  t.ok(readdirSync('/proc/self/fd').length <= before + 1);
});

t.test('a server that does not answer is not waited for', async (t) => {
  const code = `const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    require('node:fs').writeSync(1, String(server.address().port));
    process.kill(process.pid, 'SIGSTOP');
  });`;
  const port = await program(t, code);
  // As many as wait to be accepted.
  const waiting = [await host().connect(port), await host().connect(port)];
  await t.rejects(host(100).connect(port), /IPv4: dial tcp4 127.0.0.1:\d+: i\/o timeout IPv6: .* connection refused/);
  for (const socket of waiting) socket.destroy();
});

t.test('a pod that has ended is not connected to', async (t) => {
  const port = await serve(t, '127.0.0.1');
  const loopback = host();
  await said(await loopback.connect(port));
  t.notOk(loopback.ended.aborted);
  loopback.close();
  t.ok(loopback.ended.aborted);
  await t.rejects(loopback.connect(port), { code: 'pod-not-running' });
});

t.test("the pod's own network", { skip: needsRoot }, async (t) => {
  const netns = `weft-loopback-${process.pid}`;
  const ip = (...words: string[]) => execFileSync('ip', words, { stdio: 'pipe' });
  ip('netns', 'add', netns);
  t.teardown(() => ip('netns', 'del', netns));
  ip('-n', netns, 'link', 'set', 'lo', 'up');
  const code = `const server = require('node:net').createServer((socket) => socket.end('in the pod')).listen(0, '127.0.0.1', () =>
    require('node:fs').writeSync(1, String(server.address().port)));`;
  const port = await program(t, code, netns);
  const loopback = new PodLoopback({ key: 'default/web', netns }, native);
  t.equal(await said(await loopback.connect(port)), 'in the pod');
  await t.rejects(host().connect(port), /connection refused/, 'which is not ours');
  const ours = await serve(t, '127.0.0.1');
  await t.rejects(loopback.connect(ours), new RegExp(`inside namespace "${netns}", IPv4: .*connection refused`));
  const gone = new PodLoopback({ key: 'default/web', netns: 'nowhere' }, native);
  await t.rejects(gone.connect(port), /failed to connect.*\/run\/netns\/nowhere/);
});
