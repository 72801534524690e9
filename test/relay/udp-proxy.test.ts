/** The UDP proxy port on loopback: conversations, any size, refusals, what ends a conversation. */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { ConversationRoom } from '../../src/relay/conversation-room.ts';
import type { Target } from '../../src/relay/endpoint-picker.ts';
import { UdpProxy } from '../../src/relay/udp-proxy.ts';
import { udpClient, udpServer } from './endpoints.ts';

async function proxyOf(
  t: Test,
  targets: readonly Target[],
  { idleMs = 5000, limit = 100, room = new ConversationRoom(limit) } = {},
) {
  const proxy = new UdpProxy({ affinitySeconds: undefined, random: () => 0.9999 }, room, idleMs);
  proxy.update(targets);
  const port = await proxy.listen('127.0.0.1', 0);
  t.teardown(() => proxy.abort());
  return { proxy, port };
}

/** Answers with its address, its client's port as it sees it, and the datagram's length. */
const teller = (t: Test, address: string) =>
  udpServer(t, address, (socket, datagram, from) =>
    socket.send(`${address} ${from.port} ${datagram.length}`, from.port, from.address),
  );

const REFUSING = { address: '127.0.0.10', port: 9 };

t.test('a client keeps its endpoint and its port there; clients take turns', async (t) => {
  const servers = [await teller(t, '127.0.0.2'), await teller(t, '127.0.0.3')];
  const { proxy, port } = await proxyOf(t, servers);
  const a = await udpClient(t);
  const b = await udpClient(t);
  const first = `${await a.ask('x', port)}`;
  t.match(first, /^127\.0\.0\.2 \d+ 1$/);
  for (let i = 0; i < 5; i++) t.equal(`${await a.ask('x', port)}`, first);
  t.match(`${await b.ask('xy', port)}`, /^127\.0\.0\.3 \d+ 2$/);
  t.match(proxy.counts(), { accepted: 2, active: 2, failed: 0 });
});

t.test('datagrams of any size, both ways', async (t) => {
  const echo = await udpServer(t, '127.0.0.2', (socket, datagram, from) =>
    socket.send(datagram, from.port, from.address),
  );
  const { port } = await proxyOf(t, [echo]);
  const client = await udpClient(t);
  for (const length of [0, 1, 4096, 4097, 40_000, 65_507]) {
    const datagram = Buffer.alloc(length, length % 251);
    t.same(await client.ask(datagram, port), datagram, `${length} bytes`);
  }
});

t.test('an endpoint whose host refuses is moved on from, with what was sent', async (t) => {
  const good = await teller(t, '127.0.0.2');
  const { proxy, port } = await proxyOf(t, [REFUSING, { address: '127.0.0.11', port: 9 }, good]);
  const client = await udpClient(t);
  const began = performance.now();
  t.match(`${await client.ask('hello', port)}`, /^127\.0\.0\.2 \d+ 5$/);
  t.ok(performance.now() - began < 200, 'at once');
  t.match(proxy.counts(), { moved: 2, failed: 0, active: 1 });
});

t.test('an endpoint that goes while somebody talks to it', async (t) => {
  const first = await teller(t, '127.0.0.2');
  const second = await teller(t, '127.0.0.3');
  const { port } = await proxyOf(t, [first, second]);
  const client = await udpClient(t);
  t.match(`${await client.ask('x', port)}`, /^127\.0\.0\.2 /);
  first.stop();
  t.match(`${await client.ask('x', port)}`, /^127\.0\.0\.3 /, 'the datagram that was refused is sent to the other');
});

t.test('nobody there: given up after four tries, and tried anew with the next datagram', async (t) => {
  const { proxy, port } = await proxyOf(t, [REFUSING]);
  const client = await udpClient(t);
  t.equal(await client.ask('x', port, 300), undefined);
  t.match(proxy.counts(), { failed: 1, active: 0, moved: 3 });
  const good = await teller(t, '127.0.0.2');
  proxy.update([good]);
  t.match(`${await client.ask('x', port)}`, /^127\.0\.0\.2 /);
  proxy.update([]);
  t.equal(await client.ask('x', port, 100), undefined);
  t.match(proxy.counts(), { active: 0 });
});

t.test('an endpoint that leaves the service ends its conversations at once', async (t) => {
  const servers = [await teller(t, '127.0.0.2'), await teller(t, '127.0.0.3')];
  const { proxy, port } = await proxyOf(t, servers);
  const client = await udpClient(t);
  t.match(`${await client.ask('x', port)}`, /^127\.0\.0\.2 /);
  proxy.update(servers.slice(1));
  t.equal(proxy.counts().active, 0);
  t.match(`${await client.ask('x', port)}`, /^127\.0\.0\.3 /);
  proxy.close();
  t.equal(proxy.counts().active, 0);
});

t.test('silence ends a conversation, traffic either way keeps it', async (t) => {
  const streamed = await udpServer(t, '127.0.0.2', async (socket, _, from) => {
    for (let i = 0; i < 10; i++) {
      socket.send(`${i}`, from.port, from.address);
      await sleep(50);
    }
  });
  const { proxy, port } = await proxyOf(t, [streamed], { idleMs: 200 });
  const client = await udpClient(t);
  await client.ask('go', port);
  await sleep(400);
  t.equal(proxy.counts().active, 1, 'the endpoint talks');
  for (let i = 0; i < 40 && proxy.counts().active > 0; i++) await sleep(50);
  t.equal(proxy.counts().active, 0);
  t.same(proxy.picker.counts()[0]?.counts, { connections: 1, active: 0, failures: 0 });
});

t.test('bounded: the one that was silent longest makes room', async (t) => {
  const server = await teller(t, '127.0.0.2');
  const { proxy, port } = await proxyOf(t, [server], { limit: 3 });
  const clients = await Promise.all(Array.from({ length: 5 }, () => udpClient(t)));
  for (const client of clients) t.ok(await client.ask('x', port));
  t.match(proxy.counts(), { accepted: 5, active: 3, limited: 2 });
});

t.test('bounded over all ports: a busy one cannot keep another out', async (t) => {
  const server = await teller(t, '127.0.0.2');
  const room = new ConversationRoom(2);
  const one = await proxyOf(t, [server], { room });
  const two = await proxyOf(t, [server], { room });
  for (let i = 0; i < 3; i++) t.ok(await (await udpClient(t)).ask('x', one.port));
  t.ok(await (await udpClient(t)).ask('x', two.port));
  t.match(one.proxy.counts(), { accepted: 3, active: 1, limited: 1 });
  t.match(two.proxy.counts(), { accepted: 1, active: 1, limited: 1 });
});
