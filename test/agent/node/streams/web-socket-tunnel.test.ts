/** Bytes of another protocol in a WebSocket's messages: both ways, slow readers, ends, a client that is gone. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import { WebSocketTunnel } from '../../../../src/agent/node/streams/web-socket-tunnel.ts';

async function open(t: Test): Promise<{ client: WebSocket; tunnel: WebSocketTunnel }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  t.teardown(() => server.close());
  await once(server, 'listening');
  const accepted = new Promise<WebSocketTunnel>((done) => {
    server.once('connection', (socket) => done(new WebSocketTunnel(socket)));
  });
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.teardown(() => client.terminate());
  await once(client, 'open');
  return { client, tunnel: await accepted };
}

t.test('messages are pieces of one stream, and what is written together is one message', async (t) => {
  const { client, tunnel } = await open(t);
  client.send(Buffer.from('hel'));
  client.send(Buffer.alloc(0));
  client.send(Buffer.from('lo'));
  let text = '';
  tunnel.on('data', (bytes: Buffer) => {
    text += bytes.toString();
  });
  while (text.length < 5) await once(tunnel, 'data');
  t.equal(text, 'hello');
  const message = once(client, 'message');
  tunnel.cork();
  tunnel.write('head');
  tunnel.write('body');
  tunnel.uncork();
  const [data, isBinary] = (await message) as [Buffer, boolean];
  t.equal(data.toString(), 'headbody');
  t.ok(isBinary);
  const closed = once(client, 'close');
  tunnel.end();
  t.equal((await closed)[0], 1000, 'an end as is usual: kubectl takes others for a mistake');
  await once(tunnel, 'close');
});

t.test('a reader that is behind stops the client', async (t) => {
  const { client, tunnel } = await open(t);
  const piece = Buffer.alloc(64 * 1024);
  for (let i = 0; i < 400; i++) client.send(piece);
  await new Promise((done) => setTimeout(done, 200));
  t.ok(client.bufferedAmount > 5_000_000, 'most of 25 MB waits with the client');
  t.ok(tunnel.readableLength < 1_000_000);
  client.close();
  let bytes = 0;
  for await (const chunk of tunnel) bytes += (chunk as Buffer).length;
  t.equal(bytes, 400 * piece.length, 'and comes when it is read, to the last byte');
});

t.test('who goes takes it along, and the other way round', async (t) => {
  const first = await open(t);
  first.tunnel.resume();
  first.client.terminate();
  await once(first.tunnel, 'close');
  t.ok(first.tunnel.destroyed);
  first.tunnel.write('into the void');
  const second = await open(t);
  second.tunnel.destroy();
  await once(second.client, 'close');
  t.equal(second.client.readyState, WebSocket.CLOSED);
});
