/** Pseudo-terminals: a command on one has a terminal, its window's size, and is told when that changes. */
import { spawn } from 'node:child_process';
import { read, write } from 'node:fs';
import { promisify } from 'node:util';
import t from 'tap';
import { loadNativeAddon } from '../../src/io/native-addon.ts';

const addon = loadNativeAddon();

/** What the command says until it ends. */
async function readAll(controller: number, say: (soFar: string) => void = () => {}): Promise<string> {
  let text = '';
  for (;;) {
    try {
      const { bytesRead, buffer } = await promisify(read)(controller, Buffer.alloc(4096), 0, 4096, null);
      text += buffer.toString('utf8', 0, bytesRead);
      say(text);
    } catch (error) {
      // EIO: nobody has the other end any more.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return text;
      await new Promise((done) => setTimeout(done, 5));
    }
  }
}

t.test('a command has it as its controlling terminal, in its size, and is told of another one', async (t) => {
  const { controller, terminal } = addon.openPty({ columns: 100, rows: 30 });
  t.teardown(() => addon.closeFd(controller));
  const script =
    'stty size; tty >/dev/tty && echo controls; trap "stty size; exit 3" WINCH; echo ready; while :; do sleep 0.02; done';
  const child = spawn('setsid', ['--ctty', 'sh', '-c', script], { stdio: [terminal, terminal, terminal] });
  addon.closeFd(terminal);
  const ended = new Promise((done) => child.once('exit', done));
  let isResized = false;
  const text = await readAll(controller, (soFar) => {
    if (isResized || !soFar.includes('ready')) return;
    isResized = true;
    addon.resizePty(controller, { columns: 132, rows: 50 });
  });
  t.equal(await ended, 3);
  t.match(text, /^30 100\r\n\/dev\/pts\/\d+\r\ncontrols\r\nready\r\n50 132\r\n$/);
});

t.test('Ctrl-C interrupts what runs on it', async (t) => {
  const { controller, terminal } = addon.openPty({ columns: 80, rows: 24 });
  t.teardown(() => addon.closeFd(controller));
  const child = spawn('setsid', ['--ctty', 'sh', '-c', 'echo ready; exec sleep 60'], {
    stdio: [terminal, terminal, terminal],
  });
  addon.closeFd(terminal);
  const ended = new Promise((done) => child.once('exit', (_, signal) => done(signal)));
  let isInterrupted = false;
  await readAll(controller, (soFar) => {
    if (isInterrupted || !soFar.includes('ready')) return;
    isInterrupted = true;
    write(controller, '\u0003', () => {});
  });
  t.equal(await ended, 'SIGINT');
});

t.test('what is no size and no descriptor is refused', async (t) => {
  for (const size of [
    {},
    { columns: 0, rows: 1 },
    { columns: 1, rows: 65_536 },
    { columns: 'a', rows: 1 },
    undefined,
  ]) {
    t.throws(() => addon.openPty(size as never));
    t.throws(() => addon.resizePty(0, size as never));
  }
  t.throws(() => addon.resizePty('x' as never, { columns: 1, rows: 1 }), /file descriptor/);
  t.throws(() => addon.resizePty(1_000_000, { columns: 1, rows: 1 }), { code: 'EBADF' });
});
