import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import t from 'tap';
import { httpLoad } from '../../src/lab/http-load.ts';

t.test('counts answers and failures, and pauses between two requests', async (t) => {
  let count = 0;
  let busy = 0;
  const server = createServer((request, response) => {
    busy++;
    count++;
    setTimeout(() => {
      busy--;
      response.statusCode = count % 10 === 0 ? 500 : 200;
      response.end(request.url === '/x?y=1' ? 'yes' : 'no');
    }, 2);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/x?y=1`;
  let paused = 0;
  const pause = async (): Promise<void> => {
    t.same([busy, count], [0, 40], 'nothing is in work in the pause');
    paused++;
  };
  const result = await httpLoad({ url, requests: 100, concurrency: 7, timeoutMs: 5000, pauseAfter: 40, pause });
  t.equal(paused, 1);
  t.equal(count, 100);
  t.equal(result.failed + (result.answers.yes ?? 0), 100);
  t.same(Object.keys(result.answers), ['yes']);
  t.ok((result.failures['status 500'] ?? 0) > 0);
  t.ok(result.maxMs >= result.medianMs && result.medianMs > 1);
});

t.test('what is refused, silent or cut off has failed', async (t) => {
  const silent = createTcpServer(() => {}).listen(0, '127.0.0.1');
  const rude = createTcpServer((socket) => socket.end()).listen(0, '127.0.0.1');
  await Promise.all([once(silent, 'listening'), once(rude, 'listening')]);
  t.teardown(() => silent.close());
  t.teardown(() => rude.close());
  const load = async (port: number) =>
    (await httpLoad({ url: `http://127.0.0.1:${port}/`, requests: 2, concurrency: 1, timeoutMs: 50 })).failures;
  t.same(await load((silent.address() as AddressInfo).port), { 'no answer within 50 ms': 2 });
  t.same(await load((rude.address() as AddressInfo).port), { 'no answer': 2 });
  t.same(await load(1), { ECONNREFUSED: 2 });
});

t.test('begins no more in a second than it may, and tells what ended when', async (t) => {
  let count = 0;
  const server = createServer((_, response) => {
    response.statusCode = ++count === 20 ? 500 : 200;
    response.end('yes');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const before = Date.now();
  const load = await httpLoad({ url, requests: 40, concurrency: 4, timeoutMs: 5000, perSecond: 100, intervalMs: 50 });
  t.ok(load.seconds >= 0.385, 'the 40th begins 390 ms after the first');
  const { beganAt, intervals } = load.timeline ?? { beganAt: 0, intervals: [] };
  t.ok(beganAt >= before && beganAt <= Date.now());
  t.ok(intervals.length >= 8, 'as many intervals as the time took');
  const sum = (of: (interval: (typeof intervals)[number]) => number) => intervals.reduce((n, i) => n + of(i), 0);
  t.equal(
    sum(({ answers }) => answers.yes ?? 0),
    39,
  );
  t.equal(
    sum(({ failed }) => failed),
    1,
  );
  t.equal(Math.max(...intervals.map(({ maxMs }) => maxMs)), load.maxMs);
  t.equal(
    (await httpLoad({ url, requests: 1, concurrency: 1, timeoutMs: 5000 })).timeline,
    undefined,
    'only for who asks',
  );
});
