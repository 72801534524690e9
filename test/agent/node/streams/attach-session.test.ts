/** Attached to a container: streams told apart or as a terminal has them, what is typed, slow clients, who ends it. */
import { PassThrough } from 'node:stream';
import t from 'tap';
import { attachClient } from '../../../../src/agent/node/streams/attach-session.ts';
import type { RemoteOptions, RemoteStatus } from '../../../../src/agent/node/streams/remote-streams.ts';
import type { Attachment } from '../../../../src/agent/pods/container-attachment.ts';
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
  const run = (output: Attachment['output'], more: Partial<Attachment> = {}) => {
    const reader = { isTerminal: false, input: undefined, endsInput: false, resize: () => {}, output };
    return attachClient({ attachment: { ...reader, ...more }, options, streams, onActivity: () => {} });
  };
  return { stdin, stdout, stderr, resize, statuses, run, close: () => close() };
}

function output(...pieces: ['stdout' | 'stderr', string][]) {
  return async function* (): AsyncGenerator<OutputPiece> {
    for (const [stream, text] of pieces) yield { stream, text: Buffer.from(text) };
  };
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
  const other = client({ tty: true });
  await other.run(output(['stdout', 'one\r\nname? ']), { isTerminal: true });
  t.equal(`${other.stdout.read()}`, 'one\r\nname? ', "of a command's own terminal as it is");
});

t.test('a client that does not read holds the output back, and takes nothing along when it goes', async (t) => {
  const { stdout, statuses, run, close } = client({ highWaterMark: 8 });
  let asked = 0;
  async function* many(): AsyncGenerator<OutputPiece> {
    for (; asked < 100; asked++) yield { stream: 'stdout', text: Buffer.from('12345678') };
  }
  const done = run(many);
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

t.test('what is typed where nobody reads goes nowhere; Ctrl-C on a terminal lets go', async (t) => {
  const { stdin, resize, statuses, run } = client({ tty: true, highWaterMark: 8 });
  const done = run(endless);
  for (let i = 0; i < 100; i++) stdin.write('typed in vain');
  for (let i = 0; i < 100; i++) resize.write('{"Width":80,"Height":24}');
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(stdin.writableNeedDrain || resize.writableNeedDrain, 'all of it was read');
  t.same(statuses, []);
  stdin.write('\u0003');
  await done;
  t.match(statuses, [{ status: 'Success' }]);
  const other = client();
  const running = other.run(endless);
  other.stdin.write('\u0003');
  await new Promise((resolve) => setImmediate(resolve));
  t.same(other.statuses, [], 'which elsewhere is a byte like others');
  other.close();
  await running;
});

t.test('what cannot be read is told', async (t) => {
  const { statuses, run } = client();
  const next = () => Promise.reject(new Error('no log is there'));
  await run(() => ({ [Symbol.asyncIterator]: () => ({ next }) }));
  t.match(statuses, [{ status: 'Failure', message: 'no log is there' }]);
});

/** Where a command would read. */
function commandInput() {
  const input = new PassThrough();
  let text = '';
  let isEnded = false;
  input.on('data', (bytes: Buffer) => {
    text += bytes.toString();
  });
  input.on('end', () => {
    isEnded = true;
  });
  return { input, typed: () => text, isEnded: () => isEnded };
}

const turn = () => new Promise((done) => setImmediate(done));

t.test('what is typed reaches the command, Ctrl-C too; a client that goes is no end', async (t) => {
  const { stdin, resize, statuses, run, close } = client({ tty: true });
  const { input, typed, isEnded } = commandInput();
  const sizes: unknown[] = [];
  const done = run(endless, { isTerminal: true, input, resize: (size) => sizes.push(size) });
  stdin.write('ls\r\u0003');
  resize.write('{"Width":111,"Height":33}');
  await turn();
  await turn();
  t.equal(typed(), 'ls\r\u0003');
  t.same(sizes, [{ columns: 111, rows: 33 }]);
  t.same(statuses, []);
  stdin.destroy();
  close();
  await done;
  t.notOk(isEnded());
});

t.test('the end of what is typed', async (t) => {
  const once = client();
  const first = commandInput();
  const running = once.run(endless, { input: first.input, endsInput: true });
  once.stdin.end('last words');
  await turn();
  await turn();
  t.ok(first.isEnded(), 'is told');
  t.equal(first.typed(), 'last words');
  const other = client();
  const second = commandInput();
  const beganAtMs = performance.now();
  let saidAtMs = 0;
  const done = other.run(
    async function* (signal) {
      await new Promise((later) => setTimeout(later, 300));
      saidAtMs = performance.now();
      yield* output(['stdout', 'an answer'])();
      yield* endless(signal);
    },
    { input: second.input },
  );
  other.stdin.end('and stays');
  await done;
  t.match(other.statuses, [{ status: 'Success' }], 'lets go of a command that goes on reading');
  t.ok(performance.now() - saidAtMs > 990, 'when that said nothing for a second');
  t.ok(saidAtMs - beganAtMs > 290);
  t.same(once.statuses, [], 'but not of one that knows that it has all');
  once.close();
  await running;
});
