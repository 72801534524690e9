/** Attached to a container's output: streams told apart or as a terminal has them, slow clients, and who ends it. */
import { PassThrough } from 'node:stream';
import t from 'tap';
import { attachOutput } from '../../../../src/agent/node/streams/attach-session.ts';
import type { RemoteOptions, RemoteStatus } from '../../../../src/agent/node/streams/remote-streams.ts';
import type { OutputPiece } from '../../../../src/agent/pods/container-log-reader.ts';

function client({ tty = false, highWaterMark = 1024 } = {}) {
  const options: RemoteOptions = { stdin: true, stdout: true, stderr: !tty, tty };
  const [stdin, stdout, stderr, resize] = [1, 2, 3, 4].map(() => new PassThrough({ highWaterMark })) as [
    PassThrough,
    PassThrough,
    PassThrough,
    PassThrough,
  ];
  const statuses: RemoteStatus[] = [];
  let close = () => {};
  const streams = {
    ...{ stdin, stdout, stderr: tty ? undefined : stderr, resize: tty ? resize : undefined },
    finish: async (status: RemoteStatus) => void statuses.push(status),
    onClose: (listener: () => void) => {
      close = listener;
    },
    ping: () => {},
    destroy: () => {},
  };
  const stop = new AbortController();
  const run = (output: AsyncIterable<OutputPiece>) =>
    attachOutput({ output, options, streams, stop, onActivity: () => {} });
  return { stdin, stdout, stderr, resize, statuses, stop, run, close: () => close() };
}

async function* output(...pieces: ['stdout' | 'stderr', string][]): AsyncGenerator<OutputPiece> {
  for (const [stream, text] of pieces) yield { stream, text: Buffer.from(text) };
}

/** Of a container that does not end. */
async function* endless(signal: AbortSignal): AsyncGenerator<OutputPiece> {
  yield { stream: 'stdout', text: Buffer.from('begins\n') };
  await new Promise((done) => signal.addEventListener('abort', done));
}

t.test('each stream by itself, to the end, which is a success', async (t) => {
  const { stdout, stderr, statuses, run } = client();
  await run(output(['stdout', 'one\n'], ['stderr', 'bad\n'], ['stdout', 'two\n']));
  t.equal(`${stdout.read()}`, 'one\ntwo\n');
  t.equal(`${stderr.read()}`, 'bad\n');
  t.match(statuses, [{ status: 'Success' }]);
});

t.test('on a terminal all of it, with its line ends', async (t) => {
  const { stdout, run } = client({ tty: true });
  await run(output(['stdout', 'one\n'], ['stderr', 'b\u00e4d\n\n']));
  t.equal(`${stdout.read()}`, 'one\r\nb\u00e4d\r\n\r\n');
});

t.test('a client that does not read holds the output back, and takes nothing along when it goes', async (t) => {
  const { stdout, statuses, run, close } = client({ highWaterMark: 8 });
  let asked = 0;
  async function* many(): AsyncGenerator<OutputPiece> {
    for (; asked < 100; asked++) yield { stream: 'stdout', text: Buffer.from('12345678') };
  }
  const done = run(many());
  await new Promise((resolve) => setImmediate(resolve));
  t.ok(asked < 5, `${asked} pieces are under way`);
  for (let i = 0; i < 3; i++) {
    stdout.read();
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.ok(asked > 2 && asked < 20, `${asked} pieces`);
  close();
  await done;
  t.ok(asked < 20);
  t.equal(statuses.length, 1);
});

t.test('what is typed goes nowhere; Ctrl-C on a terminal lets go', async (t) => {
  const { stdin, resize, stop, statuses, run } = client({ tty: true, highWaterMark: 8 });
  const done = run(endless(stop.signal));
  for (let i = 0; i < 100; i++) stdin.write('typed in vain');
  for (let i = 0; i < 100; i++) resize.write('{"Width":80,"Height":24}');
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(stdin.writableNeedDrain || resize.writableNeedDrain, 'all of it was read');
  t.notOk(stop.signal.aborted);
  stdin.write('\u0003');
  await done;
  t.match(statuses, [{ status: 'Success' }]);
  const other = client();
  const running = other.run(endless(other.stop.signal));
  other.stdin.write('\u0003');
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(other.stop.signal.aborted, 'which elsewhere is a byte like others');
  other.close();
  await running;
});

t.test('what cannot be read is told', async (t) => {
  const { statuses, run } = client();
  const broken = { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('no log is there')) }) };
  await run(broken);
  t.match(statuses, [{ status: 'Failure', message: 'no log is there' }]);
});
