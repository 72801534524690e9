/** The TCP proxy port on loopback: who serves, how it moves on, half-close, resets, what nobody waits for. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { Bound } from '../../src/relay/bound.ts';
import { idOf, type Target } from '../../src/relay/endpoint-picker.ts';
import { TcpProxy } from '../../src/relay/tcp-proxy.ts';
import { named, readAll, silentServer, tcpClient, tcpServer } from './endpoints.ts';

async function proxyOf(t: Test, targets: readonly Target[], affinitySeconds?: number, limit = 1000) {
  // Always 0.999…: the order stays as it is given.
  const proxy = new TcpProxy({ affinitySeconds, random: () => 0.9999 }, new Bound(limit));
  proxy.update(targets);
  const port = await proxy.listen('127.0.0.1', 0);
  t.teardown(() => proxy.abort());
  return { proxy, port, ask: () => readAll(tcpClient('127.0.0.1', port)) };
}

/** Still counted when the client has heard the end already. */
async function idle(proxy: TcpProxy): Promise<void> {
  for (let i = 0; i < 100 && proxy.counts().active > 0; i++) await sleep(10);
}

t.test('round robin, evenly, and with affinity always the same', async (t) => {
  const servers = await Promise.all(['127.0.0.2', '127.0.0.3', '127.0.0.4'].map((address) => named(t, address)));
  const { ask, proxy } = await proxyOf(t, servers);
  const heard: Record<string, number> = {};
  for (let i = 0; i < 30; i++) {
    const { text } = await ask();
    heard[text] = (heard[text] ?? 0) + 1;
  }
  t.same(heard, { '127.0.0.2': 10, '127.0.0.3': 10, '127.0.0.4': 10 });
  await idle(proxy);
  t.same(proxy.counts(), { accepted: 30, active: 0, moved: 0, failed: 0, limited: 0 });
  t.same(
    proxy.picker.counts().map(({ counts }) => counts),
    Array(3).fill({ connections: 10, active: 0, failures: 0 }),
  );

  const bound = await proxyOf(t, servers, 60);
  const first = await bound.ask();
  for (let i = 0; i < 5; i++) t.equal((await bound.ask()).text, first.text);
});

t.test('an endpoint that refuses is passed over at once, however many there are', async (t) => {
  const good = await named(t, '127.0.0.2');
  const refusing = Array.from({ length: 8 }, (_, i) => ({ address: `127.0.0.${10 + i}`, port: 9 }));
  const { ask, proxy } = await proxyOf(t, [...refusing, good]);
  const before = performance.now();
  t.equal((await ask()).text, '127.0.0.2');
  t.ok(performance.now() - before < 240, 'without waiting');
  t.equal(proxy.counts().moved, 8);
});

t.test('a silent endpoint costs its own client 250 ms and no other anything', async (t) => {
  const silent = await silentServer(t, '127.0.0.9');
  const servers = [silent, await named(t, '127.0.0.2'), await named(t, '127.0.0.3')];
  const { port, proxy } = await proxyOf(t, servers);
  const took: number[] = [];
  const answers = await Promise.all(
    Array.from({ length: 30 }, async () => {
      const began = performance.now();
      const { text } = await readAll(tcpClient('127.0.0.1', port));
      took.push(performance.now() - began);
      return text;
    }),
  );
  t.ok(
    answers.every((text) => text !== ''),
    'all are served',
  );
  const late = took.filter((ms) => ms > 200);
  t.equal(late.length, 10, 'a third of them met it');
  t.ok(
    late.every((ms) => ms >= 245 && ms < 600),
    `those waited 250 ms: ${Math.max(...late).toFixed(0)} at most`,
  );
  t.comment(`others: ${Math.max(...took.filter((ms) => ms <= 200)).toFixed(0)} ms at most`);
  t.equal(proxy.picker.counts().find(({ target }) => idOf(target) === idOf(silent))?.counts.failures, 10);
});

t.test('affinity ends with the first failure', async (t) => {
  const a = await named(t, '127.0.0.2');
  const b = await named(t, '127.0.0.3');
  const { ask } = await proxyOf(t, [a, b], 60);
  const first = (await ask()).text;
  (first === a.address ? a : b).stop();
  const other = (await ask()).text;
  t.not(other, first);
  t.equal((await ask()).text, other);
});

t.test('nobody answers, or nobody is there: a reset', async (t) => {
  const { ask, proxy } = await proxyOf(t, [{ address: '127.0.0.10', port: 9 }]);
  t.equal((await ask()).code, 'ECONNRESET');
  t.same(proxy.counts().failed, 1);
  proxy.update([]);
  t.equal((await ask()).code, 'ECONNRESET');
});

t.test('silence everywhere ends after 250 + 500 + 1000 + 2000 ms', async (t) => {
  const { ask } = await proxyOf(t, [await silentServer(t, '127.0.0.9')]);
  const before = performance.now();
  t.equal((await ask()).code, 'ECONNRESET');
  const ms = performance.now() - before;
  t.ok(ms > 3700 && ms < 4500, `${ms.toFixed(0)} ms`);
});

t.test('half-close both ways', async (t) => {
  const afterEnd = await tcpServer(t, '127.0.0.2', (socket) => {
    let bytes = 0;
    socket.on('data', (part) => {
      bytes += part.length;
    });
    // Only once the client has ended does it begin to speak, for a while.
    socket.on('end', async () => {
      socket.write(`${bytes} `);
      await sleep(50);
      socket.end('bytes');
    });
  });
  const one = await proxyOf(t, [afterEnd]);
  const client = tcpClient('127.0.0.1', one.port);
  client.write('x'.repeat(100_000));
  client.end();
  t.equal((await readAll(client)).text, '100000 bytes');

  let late = '';
  const endsFirst = await tcpServer(t, '127.0.0.3', (socket) => {
    socket.end('bye');
    socket.on('data', (part) => {
      late += String(part);
    });
  });
  const two = await proxyOf(t, [endsFirst]);
  const talker = tcpClient('127.0.0.1', two.port);
  talker.resume();
  await once(talker, 'end');
  talker.write('still ');
  await sleep(50);
  talker.end('here');
  await once(talker, 'close');
  await idle(two.proxy);
  await sleep(20);
  t.equal(late, 'still here');
  t.equal(two.proxy.counts().active, 0);
});

t.test('resets are carried both ways', async (t) => {
  let served: Socket | undefined;
  let ended = '';
  const server = await tcpServer(t, '127.0.0.2', (socket) => {
    served = socket;
    socket.write('hello');
    socket.on('error', (error: NodeJS.ErrnoException) => {
      ended = error.code ?? '';
    });
    socket.resume();
  });
  const { port, proxy } = await proxyOf(t, [server]);
  const first = tcpClient('127.0.0.1', port);
  await once(first, 'data');
  first.resetAndDestroy();
  await idle(proxy);
  await sleep(20);
  t.equal(ended, 'ECONNRESET', 'the endpoint hears of its client');

  const second = tcpClient('127.0.0.1', port);
  await once(second, 'data');
  const end = readAll(second);
  served?.resetAndDestroy();
  t.equal((await end).code, 'ECONNRESET', 'the client of its endpoint');
  await idle(proxy);
  t.equal(proxy.counts().active, 0);
});

t.test('a slow reader holds its writer back', async (t) => {
  let written = 0;
  const server = await tcpServer(t, '127.0.0.2', (socket) => {
    const chunk = Buffer.alloc(65_536);
    const more = (): void => {
      while (!socket.destroyed && socket.writable) {
        written += chunk.length;
        if (!socket.write(chunk)) return void socket.once('drain', more);
      }
    };
    more();
  });
  const { port } = await proxyOf(t, [server]);
  const client = tcpClient('127.0.0.1', port);
  client.pause();
  await sleep(500);
  const held = written;
  await sleep(300);
  t.equal(written, held, `held after ${(held / 1e6).toFixed(1)} MB`);
  t.ok(held < 40e6, "no more than the kernel's own buffers");
  client.resume();
  await sleep(200);
  t.ok(written > held, 'goes on with its reader');
  client.destroy();
});

t.test('bounded: one too many is reset and counted', async (t) => {
  const server = await tcpServer(t, '127.0.0.2', (socket) => socket.write('hello'));
  const { port, proxy, ask } = await proxyOf(t, [server], undefined, 2);
  const open = [tcpClient('127.0.0.1', port), tcpClient('127.0.0.1', port)];
  await Promise.all(open.map((socket) => once(socket, 'data')));
  t.equal((await ask()).code, 'ECONNRESET');
  t.match(proxy.counts(), { accepted: 2, active: 2, limited: 1 });
  open[0]?.resetAndDestroy();
  for (let i = 0; i < 100 && proxy.counts().active > 1; i++) await sleep(10);
  const third = tcpClient('127.0.0.1', port);
  t.equal(`${(await once(third, 'data'))[0]}`, 'hello', 'there is room again');
  for (const socket of [third, ...open]) socket.destroy();
});

t.test('a closed port and a removed endpoint leave connections alone', async (t) => {
  const echo = await tcpServer(t, '127.0.0.2', (socket) => socket.pipe(socket));
  const { port, proxy, ask } = await proxyOf(t, [echo]);
  const client = tcpClient('127.0.0.1', port);
  client.write('one');
  t.equal(`${(await once(client, 'data'))[0]}`, 'one');
  proxy.update([]);
  proxy.close();
  t.equal((await ask()).code, 'ECONNREFUSED');
  client.write('two');
  t.equal(`${(await once(client, 'data'))[0]}`, 'two');
  t.equal(proxy.counts().active, 1);
  client.destroy();
});
