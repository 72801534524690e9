/** The programs that stand for images, run as pods run them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { hostname } from 'node:os';
import t from 'tap';
import { parseDuration, parseFlags } from '../../../src/lab/programs/flags.ts';
import { weftCommand } from '../../../src/lab/weft-command.ts';

function start(t: { teardown(end: () => void): void }, ...args: string[]) {
  const [file = '', ...words] = weftCommand();
  const child = spawn(file, [...words, 'image', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

async function output(child: ChildProcess): Promise<{ code: number; stdout: string; stderr: string }> {
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) child[name]?.on('data', (data) => (text[name] += String(data)));
  const [code] = await once(child, 'close');
  return { code: code as number, ...text };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

t.test('flags, as Go programs take them', async (t) => {
  const defaults = { port: 80, text: '', tcp: false, http: true } as const;
  const parse = (...args: string[]) => parseFlags(args, defaults);
  t.same(parse('a', '--port=81', '-text', 'x y', '--tcp', '--http=false', 'b'), {
    flags: { port: 81, text: 'x y', tcp: true, http: false },
    words: ['a', 'b'],
  });
  for (const wrong of [['--other'], ['--port'], ['--port=x'], ['--constructor']]) t.throws(() => parse(...wrong));
  t.equal(parseDuration('1m30s'), 90_000);
  t.equal(parseDuration('500ms'), 500);
  for (const wrong of ['', '5', 'x', '5s!']) t.throws(() => parseDuration(wrong), { message: /no duration/ }, wrong);
});

t.test('netexec, serve-hostname, connect', async (t) => {
  const [http, udp, name] = [await freePort(), await freePort(), await freePort()];
  const server = start(t, 'agnhost', 'netexec', `--http-port=${http}`, '--udp-port', `${udp}`);
  const named = start(t, 'agnhost', 'serve-hostname', `--port=${name}`);
  await Promise.all([once(server.stdout, 'data'), once(named.stdout, 'data')]);
  t.equal(await (await fetch(`http://127.0.0.1:${http}/hostname`)).text(), hostname());
  t.equal(await (await fetch(`http://127.0.0.1:${name}/`)).text(), hostname());
  const closed = await freePort();
  const results = await Promise.all(
    [
      [`127.0.0.1:${http}`],
      [`localhost:${udp}`, '--protocol=udp', '--timeout=3s'],
      [`127.0.0.1:${closed}`, '--timeout=3s'],
      ['no-such-host.invalid:80', '--timeout=3s'],
      ['nowhere'],
    ].map((args) => output(start(t, 'agnhost', 'connect', ...args))),
  );
  t.match(results, [
    { code: 0, stderr: '' },
    { code: 0 },
    { code: 1, stderr: 'REFUSED\n' },
    { code: 1, stderr: /^(DNS|TIMEOUT)\n$/ },
    { code: 1, stderr: /say where to/ },
  ]);
  const ended = once(server, 'exit');
  server.kill('SIGTERM');
  t.same(await ended, [0, null]);
});

t.test('pause waits until it is ended; what is not known is said', async (t) => {
  const pause = start(t, 'agnhost');
  await once(pause.stdout, 'data');
  const ended = once(pause, 'exit');
  pause.kill('SIGTERM');
  t.same(await ended, [0, null]);
  t.match(await output(start(t, 'agnhost', 'guestbook')), { code: 1, stderr: /guestbook is not among/ });
  t.match(await output(start(t, 'redis')), { code: 2, stderr: /redis is not among nginx, agnhost/ });
});
