/** Commands by WebSocket: channels, window sizes, the end of the input, who goes away, and messages at random. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { exitStatus, type RemoteStreams, readSizes } from '../../../../src/agent/node/streams/remote-streams.ts';
import { acceptStreams } from '../../../../src/agent/node/streams/stream-upgrade.ts';
import type { WindowSize } from '../../../../src/io/native-addon.ts';
import { Random } from '../../../dataplane/random.ts';
import { mutated, randomBytes } from './stream-client.ts';

const ALL = { stdin: true, stdout: true, stderr: true, tty: true };

/** A server that gives every command's streams away. */
async function listen(t: Test, onStreams: (streams: RemoteStreams) => void): Promise<string> {
  const server = createServer();
  server.on('upgrade', (request, socket, head) => {
    acceptStreams(request, socket, head, ALL).then(
      (streams) => streams && onStreams(streams),
      () => socket.destroy(),
    );
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function openClient(t: Test, url: string, protocols: string[], autoPong = true): Promise<WebSocket> {
  const socket = new WebSocket(url, protocols, { autoPong });
  t.teardown(() => socket.terminate());
  await new Promise((done, fail) => socket.once('open', done).once('error', fail));
  return socket;
}

t.test('channels in both directions, the end of the input, and the status', async (t) => {
  const streams: RemoteStreams[] = [];
  const url = await listen(t, (each) => streams.push(each));
  const client = await openClient(t, url, ['v4.channel.k8s.io', 'v5.channel.k8s.io']);
  t.equal(client.protocol, 'v5.channel.k8s.io', 'the best that both know');
  const said: Buffer[] = [];
  client.on('message', (data) => said.push(data as Buffer));
  const closed = new Promise((done) => client.once('close', done));
  const [command] = streams;
  if (!command?.stdin || !command.resize) throw new Error('no streams');
  const sizes: WindowSize[] = [];
  readSizes(command.resize, (size) => sizes.push(size));
  client.send(Buffer.from('\0hello '));
  client.send(Buffer.from('\u0004{"Width":120,"Height":40}'));
  client.send(Buffer.from([9, 9, 9]));
  client.send('\0there');
  client.send(Buffer.from([255, 0]));
  let input = '';
  for await (const bytes of command.stdin) input += (bytes as Buffer).toString();
  t.equal(input, 'hello there');
  t.strictSame(sizes, [{ columns: 120, rows: 40 }]);
  command.stdout?.write('out');
  command.stderr?.write('err');
  await command.finish(exitStatus(0));
  t.equal(await closed, 1000);
  t.strictSame(
    said.map((bytes) => bytes.toString()),
    ['\u0001out', '\u0002err', '\u0003{"metadata":{},"status":"Success"}'],
  );
});

t.test('nothing is sent to a client that may not have opened its channels yet', async (t) => {
  const finished: Promise<void>[] = [];
  const url = await listen(t, ({ stdout, finish }) => {
    stdout?.write('out');
    finished.push(finish(exitStatus(0)));
  });
  const quick = async (beReady: (client: WebSocket) => void) => {
    const client = await openClient(t, url, ['v5.channel.k8s.io'], false);
    const said: string[] = [];
    client.on('message', (data) => said.push((data as Buffer).toString()));
    const closed = new Promise((done) => client.once('close', done));
    await new Promise((done) => setTimeout(done, 50));
    t.same(said, [], 'it reads, and nobody knows');
    beReady(client);
    await closed;
    t.same(said, ['\u0001out', '\u0003{"metadata":{},"status":"Success"}']);
  };
  await quick((client) => client.pong());
  await quick((client) => client.send('\0typed'));
  await quick(() => {});
  await Promise.all(finished);
});

t.test('v4 cannot end the input; a protocol that nobody knows is refused', async (t) => {
  const streams: RemoteStreams[] = [];
  const url = await listen(t, (each) => streams.push(each));
  const client = await openClient(t, url, ['v4.channel.k8s.io']);
  client.send(Buffer.from([255, 0]));
  client.send(Buffer.from('\0still'));
  const bytes = await new Promise<Buffer>((done) => streams[0]?.stdin?.once('data', done));
  t.equal(bytes.toString(), 'still');
  const gone = new Promise<void>((done) => streams[0]?.onClose(done));
  client.terminate();
  await gone;
  t.ok(streams[0]?.stdin?.destroyed, 'who goes takes the streams along');
  await t.rejects(openClient(t, url, ['v9.channel.k8s.io']));
});

t.test('a command that reads nothing stops its client', async (t) => {
  const streams: RemoteStreams[] = [];
  const url = await listen(t, (each) => streams.push(each));
  const client = await openClient(t, url, ['v5.channel.k8s.io']);
  const piece = Buffer.alloc(64 * 1024);
  for (let i = 0; i < 400; i++) client.send(piece);
  await new Promise((done) => setTimeout(done, 200));
  t.ok(client.bufferedAmount > 5_000_000, 'most of 25 MB waits with the client');
  let bytes = 0;
  for await (const chunk of streams[0]?.stdin ?? []) {
    bytes += (chunk as Buffer).length;
    if (bytes === 400 * (piece.length - 1)) break;
  }
  t.equal(bytes, 400 * (piece.length - 1), 'and comes when it is read');
});

t.test('window sizes do not let past what a command does not read', async (t) => {
  const streams: RemoteStreams[] = [];
  const url = await listen(t, (each) => streams.push(each));
  const client = await openClient(t, url, ['v5.channel.k8s.io']);
  const [command] = streams;
  if (command?.resize) readSizes(command.resize, () => {});
  const piece = Buffer.alloc(16 * 1024);
  for (let i = 0; i < 1600; i++) {
    client.send(piece);
    client.send(Buffer.from('\u0004{"Width":120,"Height":40}'));
  }
  await new Promise((done) => setTimeout(done, 300));
  const waiting = command?.stdin?.readableLength ?? 0;
  t.ok(waiting > 0 && waiting < 500_000, `${waiting} bytes of 25 MB wait here`);
  client.terminate();
});

t.test('what is no window size is passed over', async (t) => {
  const stream = new PassThrough();
  const sizes: WindowSize[] = [];
  readSizes(stream, (size) => sizes.push(size));
  for (const text of [
    '{"Width":9,"Height":9}{"Width":1,"Height":2}{"Width":3,',
    '"Height":4}\n',
    '{}[]}{{{ {"Width":0,"Height":1}',
    '{"Width":65536,"Height":1}{"Width":"5","Height":5}{"Width":1.5,"Height":1}',
    'x'.repeat(5000),
    '\n{"Width":5,"Height":6,"More":null}',
  ]) {
    stream.write(text);
  }
  const began = performance.now();
  stream.write(Buffer.alloc(4_000_000, '}'));
  t.ok(performance.now() - began < 500, 'a piece costs no more than one size');
  const random = new Random(4);
  for (let i = 0; i < 20_000; i++) stream.write(mutated(random, Buffer.from('{"Width":80,"Height":24}')));
  await new Promise((done) => stream.end(done));
  t.strictSame(sizes.slice(0, 2), [
    { columns: 1, rows: 2 },
    { columns: 3, rows: 4 },
  ]);
  t.ok(sizes.some(({ columns, rows }) => columns === 80 && rows === 24));
  t.ok(sizes.every(({ columns, rows }) => columns >= 1 && rows >= 1 && columns <= 65_535 && rows <= 65_535));
});

t.test('20,000 messages and broken frames at random end no process', async (t) => {
  const random = new Random(5);
  let open = 0;
  const url = await listen(t, (streams) => {
    open++;
    streams.onClose(() => open--);
    streams.stdin?.resume();
    if (streams.resize) readSizes(streams.resize, () => {});
  });
  for (let round = 0; round < 100; round++) {
    const client = await openClient(t, url, ['v5.channel.k8s.io']);
    client.on('error', () => {});
    const closed = new Promise((done) => client.once('close', done));
    for (let i = 0; i < 200; i++) {
      const message = randomBytes(random, random.below(60));
      if (message.length > 0 && random.chance(0.8)) message[0] = random.pick([0, 0, 1, 3, 4, 4, 255]);
      if (i < 180) client.send(message, { binary: random.chance(0.8) });
      // The last ones below the WebSocket's framing.
      else (client as unknown as { _socket: { write(bytes: Buffer): void } })._socket.write(mutated(random, message));
    }
    client.terminate();
    await closed;
  }
  const again = await openClient(t, url, ['v5.channel.k8s.io']);
  again.terminate();
  while (open > 0) await new Promise((done) => setTimeout(done, 5));
  t.pass('it serves on, and none is left');
});
