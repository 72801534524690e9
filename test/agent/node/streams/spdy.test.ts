/** SPDY/3.1 as kubectl up to 1.29 speaks it: streams, their order and ends, what is no SPDY, and frames at random. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { exitStatus } from '../../../../src/agent/node/streams/remote-streams.ts';
import { spdyCommand } from '../../../../src/agent/node/streams/spdy-command.ts';
import { SpdyConnection, type SpdyStream } from '../../../../src/agent/node/streams/spdy-connection.ts';
import { HEADER_DICTIONARY, HeaderCodec } from '../../../../src/agent/node/streams/spdy-headers.ts';
import { Random } from '../../../dataplane/random.ts';
import {
  connectionPair,
  controlFrame,
  dataFrame,
  mutated,
  openFrame,
  parseFrames,
  RST_STREAM,
  randomFrame,
} from './stream-client.ts';

const SYN_REPLY = 2;
const PING = 6;
const GOAWAY = 7;

const OPTIONS = { stdin: true, stdout: true, stderr: false, tty: false };

async function readAll(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

t.test("the dictionary is the draft's", async (t) => {
  const digest = createHash('sha256').update(HEADER_DICTIONARY).digest('hex');
  t.equal(digest, '51d27341373f923f3cd88e1eb7162aeaa3723d7585ff2399201dc06498407f02');
});

t.test('headers come out as they went in, one block after the other', async (t) => {
  const [client, server] = [new HeaderCodec(), new HeaderCodec()];
  t.teardown(() => {
    client.close();
    server.close();
  });
  for (const headers of [{ streamtype: 'stdin' }, {}, { streamtype: 'error', 'content-type': 'ü'.repeat(500) }]) {
    const block = await client.encode(new Map(Object.entries(headers)));
    t.strictSame(Object.fromEntries(await server.decode(block)), headers);
  }
  const bomb = await client.encode(new Map([['a', 'x'.repeat(200_000)]]));
  await t.rejects(server.decode(bomb), /more than 65536 bytes/);
  await t.rejects(server.decode(Buffer.from('no zlib')), 'nothing more is read after that');
});

t.test('a command: input and its end, output, status, goodbye', async (t) => {
  const [client, socket] = connectionPair();
  const codec = new HeaderCodec();
  t.teardown(() => codec.close());
  const opened = spdyCommand(socket, Buffer.alloc(0), OPTIONS);
  const said = readAll(client);
  for (const [id, streamtype] of [
    [1, 'error'],
    [3, 'stdin'],
    [5, 'unasked'],
    [7, 'stdout'],
  ] as const) {
    client.write(await openFrame(codec, id, { streamtype }));
  }
  const streams = await opened;
  let isClosed = false;
  streams.onClose(() => {
    isClosed = true;
  });
  client.write(controlFrame(PING, Buffer.from([0, 0, 0, 9])));
  const input = Buffer.concat([dataFrame(3, Buffer.from('hello ')), dataFrame(3, Buffer.from('there'), 1)]);
  // In pieces as small as can be.
  for (const byte of input) client.write(Buffer.from([byte]));
  t.equal(streams.stdin && (await readAll(streams.stdin)).toString(), 'hello there');
  streams.stdout?.write('out');
  await streams.finish(exitStatus(3));
  client.end();
  const frames = parseFrames(await said);
  const data = (id: number) =>
    Buffer.concat(frames.filter((f) => f.type === undefined && f.stream === id).map((f) => f.payload)).toString();
  t.equal(frames.filter((f) => f.type === SYN_REPLY).length, 4, 'every stream is answered');
  t.ok(frames.some((f) => f.type === PING && f.stream === 9));
  t.ok(
    frames.some((f) => f.type === RST_STREAM && f.stream === 5),
    'what nobody asked for is refused',
  );
  t.equal(data(7), 'out');
  t.match(JSON.parse(data(1)), { status: 'Failure', reason: 'NonZeroExitCode' });
  const lastOutput = frames.findIndex((f) => f.stream === 7 && f.isLast);
  const status = frames.findIndex((f) => f.type === undefined && f.stream === 1);
  t.ok(lastOutput >= 0 && lastOutput < status, 'all output comes before the status');
  t.equal(frames.at(-1)?.type, GOAWAY);
  t.ok(isClosed);
});

t.test('who does not open its streams is let go', async (t) => {
  const [client, socket] = connectionPair();
  await t.rejects(spdyCommand(socket, Buffer.alloc(0), OPTIONS, 20), /before it had opened its streams/);
  t.ok(client.destroyed || socket.destroyed);
});

t.test('a reader that is behind stops the connection', async (t) => {
  const [client, socket] = connectionPair();
  const codec = new HeaderCodec();
  t.teardown(() => codec.close());
  const stream = new Promise<SpdyStream>((onStream) => {
    new SpdyConnection(socket, Buffer.alloc(0), { mostStreams: 1, onStream, onClose: () => {} });
  });
  client.resume();
  client.write(await openFrame(codec, 1, {}));
  const reader = await stream;
  let sent = 0;
  for (let i = 0; i < 100; i++) client.write(dataFrame(1, Buffer.alloc(16_384)), () => sent++);
  client.write(dataFrame(1, Buffer.alloc(0), 1));
  for (let turn = 0; turn < 200; turn++) await new Promise((done) => setImmediate(done));
  t.ok(sent > 0 && sent < 20, `${sent} of 100 frames went before it was held back`);
  t.equal((await readAll(reader)).length, 100 * 16_384, 'all of it comes when it is read');
  client.destroy();
});

t.test('what is no SPDY/3.1, or too much of it, ends the connection', async (t) => {
  const wrong: [string, Buffer][] = [
    ['another version', controlFrame(PING, Buffer.alloc(4), 0, 2)],
    ['a control frame of 16 MB', controlFrame(PING, Buffer.alloc(0)).fill(0xff, 5)],
    ['headers that are not compressed', controlFrame(1, Buffer.alloc(40))],
    ['a SYN_STREAM without its head', controlFrame(1, Buffer.alloc(4))],
    ['HTTP', Buffer.from('POST / HTTP/1.1\r\n\r\n'.repeat(5000))],
  ];
  for (const [what, bytes] of wrong) {
    const [client, socket] = connectionPair();
    client.resume();
    const closed = new Promise<void>((onClose) => {
      new SpdyConnection(socket, Buffer.alloc(0), { mostStreams: 8, onStream: () => {}, onClose });
    });
    client.write(bytes);
    client.end();
    await closed;
    t.pass(what);
  }
});

t.test('20,000 frames at random end no process and leave no connection', async (t) => {
  const random = new Random(6);
  let frames = 0;
  let closed = 0;
  let connections = 0;
  while (frames < 20_000) {
    const [client, socket] = connectionPair();
    const codec = new HeaderCodec();
    client.resume();
    const done = new Promise<void>((resolve) => socket.once('close', resolve));
    connections++;
    spdyCommand(socket, Buffer.alloc(0), { ...OPTIONS, tty: true }, 1000).then(
      (streams) => {
        streams.stdin?.resume();
        streams.stdout?.write('output');
      },
      () => {},
    );
    for (let i = 0; i < 20; i++, frames++) {
      const frame = await randomFrame(random, codec, i, () => ({
        streamtype: random.pick(['error', 'stdin', 'stdout', 'resize', 'other']),
      }));
      // The first ones are whole, so that the later ones come upon open streams.
      client.write(i < 5 ? frame : mutated(random, frame));
    }
    client.end();
    await done;
    codec.close();
    closed++;
  }
  t.equal(closed, connections);
});
