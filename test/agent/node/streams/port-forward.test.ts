/** kubectl port-forward at the node: pairs of streams, ends of each direction, what is refused, slow readers, bounds. */
import type { Duplex } from 'node:stream';
import t, { type Test } from 'tap';
import { PortForward } from '../../../../src/agent/node/streams/port-forward.ts';
import { HeaderCodec } from '../../../../src/agent/node/streams/spdy-headers.ts';
import { Random } from '../../../dataplane/random.ts';
import {
  connectionPair,
  controlFrame,
  dataFrame,
  type Frame,
  mutated,
  openFrame,
  parseFrames,
  RST_STREAM,
  randomFrame,
} from './stream-client.ts';

const PING = 6;
const GOAWAY = 7;

/** Serves every port but 9; what it holds are the pod's ends. */
class Pod {
  readonly ends: Duplex[] = [];
  readonly #end = new AbortController();
  readonly ended = this.#end.signal;

  async connect(port: number): Promise<Duplex> {
    if (port === 9) throw new Error('connection refused');
    const [mine, yours] = connectionPair();
    this.ends.push(mine);
    return yours;
  }

  end(): void {
    this.#end.abort();
  }
}

class Client {
  readonly pod = new Pod();
  readonly socket: Duplex;
  readonly closed: Promise<void>;
  readonly #codec = new HeaderCodec();
  readonly #said: Buffer[] = [];
  #bytes = 0;

  constructor(t: Test, limits: { mostConnections?: number; pairMs?: number } = {}) {
    const [client, socket] = connectionPair();
    this.socket = client;
    this.closed = new Promise((done) => socket.once('close', done));
    const forward = new PortForward(socket, Buffer.alloc(0), {
      pod: 'default/web',
      loopback: this.pod,
      onActivity: () => {},
      ...limits,
    });
    client.on('data', (bytes: Buffer) => {
      this.#said.push(bytes);
      this.#bytes += bytes.length;
    });
    t.teardown(() => {
      forward.destroy();
      this.#codec.close();
    });
  }

  async open(id: number, headers: Readonly<Record<string, string>>): Promise<void> {
    this.socket.write(await openFrame(this.#codec, id, headers));
  }

  /** Streams `id`, for errors, and `id + 2`, for data. */
  async connect(id: number, port: string): Promise<void> {
    await this.open(id, { streamtype: 'error', port, requestid: `${id}` });
    this.send(id, '', true);
    await this.open(id + 2, { streamtype: 'data', port, requestid: `${id}` });
  }

  send(id: number, text: string | Buffer, isLast = false): void {
    this.socket.write(dataFrame(id, Buffer.from(text), isLast ? 1 : 0));
  }

  reset(id: number): void {
    this.socket.write(controlFrame(RST_STREAM, Buffer.from([0, 0, 0, id, 0, 0, 0, 5])));
  }

  frames(): Frame[] {
    return parseFrames(Buffer.concat(this.#said));
  }

  get bytes(): number {
    return this.#bytes;
  }

  data(id: number): string {
    const frames = this.frames().filter((frame) => frame.type === undefined && frame.stream === id);
    return Buffer.concat(frames.map(({ payload }) => payload)).toString();
  }

  hasEnded(id: number): boolean {
    return this.frames().some((frame) => frame.type === undefined && frame.stream === id && frame.isLast);
  }

  isReset(id: number): boolean {
    return this.frames().some((frame) => frame.type === RST_STREAM && frame.stream === id);
  }
}

/** Lets all that is under way happen; what is compressed goes through the thread pool. */
async function settle(until: () => boolean, turns = 20_000): Promise<void> {
  for (let turn = 0; turn < turns && !until(); turn++) await new Promise((done) => setImmediate(done));
}

async function read(stream: Duplex | undefined, bytes: number): Promise<string> {
  const pieces: Buffer[] = [];
  let have = 0;
  await settle(() => {
    const piece = stream?.read() as Buffer | null;
    if (piece) pieces.push(piece);
    have += piece?.length ?? 0;
    return have >= bytes;
  });
  return Buffer.concat(pieces).toString();
}

t.test('a connection: both directions, each with an end of its own', async (t) => {
  const client = new Client(t);
  await client.connect(1, '80');
  client.send(3, 'hello');
  await settle(() => client.pod.ends.length === 1);
  const [server] = client.pod.ends as [Duplex];
  t.equal(await read(server, 5), 'hello');
  client.send(3, '', true);
  server.resume();
  await settle(() => server.readableEnded);
  t.ok(server.readableEnded, 'the client has said all');
  server.write('late ');
  server.end('answer');
  await settle(() => client.hasEnded(1));
  t.equal(client.data(3), 'late answer');
  t.ok(client.hasEnded(3));
  t.ok(client.hasEnded(1) && client.data(1) === '', 'and there was no error');
  t.notOk(client.frames().some(({ type }) => type === RST_STREAM));
  client.socket.end();
  await client.closed;
});

t.test('the other way round: a server that has said all still reads', async (t) => {
  const client = new Client(t);
  await client.connect(1, '80');
  await settle(() => client.pod.ends.length === 1);
  const [server] = client.pod.ends as [Duplex];
  server.end('welcome');
  await settle(() => client.hasEnded(3));
  t.equal(client.data(3), 'welcome');
  client.send(3, 'thanks', true);
  t.equal(await read(server, 6), 'thanks');
  await settle(() => server.readableEnded);
  t.ok(server.readableEnded);
});

t.test('a port that nobody serves is told, and the forward goes on', async (t) => {
  const client = new Client(t);
  await client.connect(1, '9');
  await settle(() => client.hasEnded(3));
  t.equal(client.data(1), 'error forwarding port 9 to pod default/web: connection refused');
  t.ok(client.hasEnded(1) && client.hasEnded(3));
  await client.connect(5, '80');
  client.send(7, 'hello');
  await settle(() => client.pod.ends.length === 1);
  t.equal(await read(client.pod.ends[0], 5), 'hello');
});

t.test('a connection that breaks is one connection, on either side', async (t) => {
  const client = new Client(t);
  await client.connect(1, '80');
  await client.connect(5, '80');
  await client.connect(9, '80');
  await settle(() => client.pod.ends.length === 3);
  const [first, second, third] = client.pod.ends as [Duplex, Duplex, Duplex];
  client.reset(3);
  await settle(() => first.destroyed);
  t.ok(first.destroyed, 'the client gave it up');
  second.write('begun');
  await settle(() => client.data(7) === 'begun');
  second.destroy();
  await settle(() => client.isReset(7));
  t.equal(client.data(7), 'begun');
  t.ok(client.hasEnded(5) && client.hasEnded(7) && client.isReset(7), 'the pod did: nobody reads there any more');
  client.send(7, 'into the void');
  client.send(11, 'hello');
  t.equal(await read(third, 5), 'hello', 'the third knows nothing of it');
  client.socket.destroy();
  await settle(() => third.destroyed);
  t.ok(third.destroyed, 'who goes takes its connections along');
});

t.test('streams that are none of a forward are refused', async (t) => {
  const client = new Client(t, { pairMs: 50 });
  const headers = { port: '80', requestid: '1' };
  await client.open(1, headers);
  await client.open(3, { ...headers, streamtype: 'stdin' });
  await client.open(5, { port: '80', streamtype: 'data' });
  for (const [i, port] of ['', '0', '65536', '-1', '8o', '999999'].entries()) {
    await client.open(7 + 2 * i, { ...headers, streamtype: 'data', port });
  }
  await client.open(21, { ...headers, streamtype: 'error' });
  await client.open(23, { ...headers, streamtype: 'error' });
  const wrong = [1, 3, 5, 7, 9, 11, 13, 15, 17, 23];
  await settle(() => wrong.every((id) => client.isReset(id)));
  for (const id of wrong) t.ok(client.isReset(id), `${id}`);
  t.notOk(client.isReset(21));
  await new Promise((done) => setTimeout(done, 60));
  await settle(() => client.isReset(21));
  t.ok(client.isReset(21), 'whose other half does not come');
  t.equal(client.pod.ends.length, 0);
  await client.connect(25, '80');
  await settle(() => client.pod.ends.length === 1);
  t.equal(client.pod.ends.length, 1, 'it goes on');
});

t.test('connections are bounded, those too whose client has gone and whose server reads nothing', async (t) => {
  const client = new Client(t, { mostConnections: 2 });
  await client.connect(1, '80');
  await client.connect(5, '80');
  await client.connect(9, '80');
  await settle(() => client.isReset(9) && client.isReset(11));
  t.equal(client.pod.ends.length, 2);
  t.ok(client.isReset(9) && client.isReset(11));
  const [first] = client.pod.ends as [Duplex];
  // More than a pipe holds, and then the end of both directions.
  client.send(3, 'x'.repeat(40_000), true);
  first.end();
  await settle(() => client.hasEnded(1));
  await client.connect(13, '80');
  await settle(() => client.isReset(15));
  t.ok(client.isReset(15), 'what is not read is still there');
  t.equal((await read(first, 40_000)).length, 40_000);
  await settle(() => first.closed);
  await client.connect(17, '80');
  await settle(() => client.pod.ends.length === 3);
  t.equal(client.pod.ends.length, 3);
});

t.test('a pod that ends ends the forward, after its last words', async (t) => {
  const idle = new Client(t);
  await idle.connect(1, '9');
  await settle(() => idle.hasEnded(1));
  idle.pod.end();
  await settle(() => idle.frames().at(-1)?.type === GOAWAY);
  t.equal(idle.frames().at(-1)?.type, GOAWAY);
  idle.socket.end();
  await idle.closed;

  const busy = new Client(t);
  await busy.connect(1, '80');
  await settle(() => busy.pod.ends.length === 1);
  busy.pod.end();
  await busy.connect(5, '80');
  await settle(() => busy.isReset(5) && busy.isReset(7));
  t.equal(busy.pod.ends.length, 1, 'nothing is begun any more');
  busy.pod.ends[0]?.end('last words');
  busy.send(3, '', true);
  busy.pod.ends[0]?.resume();
  await settle(() => busy.frames().at(-1)?.type === GOAWAY);
  t.equal(busy.data(3), 'last words');
  t.equal(busy.frames().at(-1)?.type, GOAWAY);

  const late = new Client(t);
  late.pod.end();
  late.socket.end();
  await late.closed;
});

t.test('a server that does not read holds its client back, and the other way round', async (t) => {
  const client = new Client(t);
  await client.connect(1, '80');
  await settle(() => client.pod.ends.length === 1);
  const [server] = client.pod.ends as [Duplex];
  const piece = Buffer.alloc(16_384);
  let sent = 0;
  for (let i = 0; i < 100; i++) client.socket.write(dataFrame(3, piece), () => sent++);
  await settle(() => sent > 50, 2000);
  t.ok(sent < 30, `${sent} of 100 pieces are under way`);
  t.equal((await read(server, 100 * piece.length)).length, 100 * piece.length);
  client.socket.pause();
  let said = 0;
  for (let i = 0; i < 100; i++) server.write(piece, () => said++);
  await settle(() => said > 50, 2000);
  t.ok(said < 30, `${said} of 100 pieces are under way`);
  client.socket.resume();
  await settle(() => said === 100);
  t.equal(said, 100);
});

t.test('many servers that speak to a client that does not read fill no memory, and none is lost', async (t) => {
  const client = new Client(t);
  const piece = Buffer.alloc(60_000);
  for (let i = 0; i < 100; i++) await client.connect(1 + 4 * i, '80');
  await settle(() => client.pod.ends.length === 100);
  client.socket.pause();
  for (const server of client.pod.ends) server.end(piece);
  await settle(() => false, 2000);
  // Had each stream written at once, so much would wait by now that the next frame ends the connection.
  client.socket.write(controlFrame(PING, Buffer.from([0, 0, 0, 9])));
  await settle(() => false, 2000);
  client.socket.resume();
  await settle(() => client.bytes > 100 * piece.length && client.hasEnded(1 + 4 * 99));
  t.notOk(client.socket.destroyed);
  const ends = client.pod.ends.map((_, i) => client.data(3 + 4 * i).length);
  t.ok(ends.every((length) => length === piece.length));
});

t.test('5,000 frames at random end no process and leave no connection', async (t) => {
  const random = new Random(8);
  for (let frames = 0; frames < 5000; ) {
    const [client, socket] = connectionPair();
    const codec = new HeaderCodec();
    const pod = new Pod();
    client.resume();
    const done = new Promise<void>((resolve) => socket.once('close', resolve));
    new PortForward(socket, Buffer.alloc(0), { pod: 'default/web', loopback: pod, onActivity: () => {} });
    for (let i = 0; i < 20; i++, frames++) {
      const frame = await randomFrame(random, codec, i, () => ({
        streamtype: random.pick(['error', 'data', 'other']),
        requestid: `${random.below(4)}`,
        port: random.pick(['80', '80', '9', '0']),
      }));
      client.write(i < 5 ? frame : mutated(random, frame));
      for (const end of pod.ends) someDeed(random, end);
    }
    if (random.chance(0.3)) pod.end();
    client.end();
    await done;
    for (const end of pod.ends) end.resume().end();
    await settle(() => pod.ends.every((end) => end.destroyed));
    if (!pod.ends.every((end) => end.destroyed)) t.fail('a connection is left');
    codec.close();
  }
});

function someDeed(random: Random, end: Duplex): void {
  const deed = random.below(8);
  if (deed === 0) end.destroy();
  else if (deed === 1) end.end('bye');
  else if (deed === 2) end.read();
  else if (!end.writableEnded) end.write('data');
}
