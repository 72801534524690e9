/** Which upstream answers: hedging, health, stub domains, loops, changes while questions are under way. */
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { TYPE } from '../../src/dns/codes.ts';
import { addressAnswer, fakeUpstream, replyBytes } from './fake-upstream.ts';
import { queryBytes, read } from './sample-cluster.ts';
import { startServer, udpAsk } from './socket-client.ts';

const from = (last: number) => (asked: Buffer) => [replyBytes(asked, 0x8180, [addressAnswer(192, 0, 2, last)])];
let count = 0;
/** Another name each time. */
const fresh = (domain = 'example.com') => queryBytes(`n${count++}.${domain}`, TYPE.a);

t.test('a silent upstream costs the hedge once it is asked, and nothing once it is out', async (t) => {
  const silent = await fakeUpstream(t, () => []);
  const good = await fakeUpstream(t, from(7));
  const server = await startServer(t, {
    upstreams: [silent.address, good.address],
    upstreamTimeoutMs: 400,
    hedgeMs: 60,
    probeMs: 100,
  });
  const timed = async () => {
    const began = performance.now();
    t.match(read(await udpAsk(server.port, fresh())).answers, [{ data: '192.0.2.7' }]);
    return performance.now() - began;
  };
  const first = await timed();
  t.ok(first >= 55 && first < 350, `after ${first.toFixed(0)} ms, before the timeout`);
  await timed();
  const upstream = () => server.counters().upstreams[silent.address];
  for (let i = 0; upstream()?.out !== 1 && i < 100; i++) await pause(20);
  t.match(upstream(), { failed: 2, out: 1, answered: 0 }, 'found out though nobody waited for it');
  t.ok((await timed()) < 55, 'the good one is asked first');
  const before = silent.asked.length;
  silent.script = from(9);
  for (let i = 0; upstream()?.out !== 0 && i < 100; i++) await pause(20);
  t.equal(upstream()?.out, 0, 'a probe found it well');
  t.ok(silent.asked.length > before);
  t.match(read(await udpAsk(server.port, fresh())).answers, [{ data: '192.0.2.9' }], 'and it is the first again');
});

t.test('two are asked at once, no more', async (t) => {
  const silent = await Promise.all([1, 2, 3].map(() => fakeUpstream(t, () => [])));
  const upstreams = silent.map((each) => each.address);
  const server = await startServer(t, { upstreams, upstreamTimeoutMs: 200, hedgeMs: 20, probeMs: 60_000 });
  const asked = udpAsk(server.port, fresh());
  await pause(120);
  t.strictSame(
    silent.map((each) => each.asked.length),
    [1, 1, 0],
  );
  t.equal(read(await asked).rcode, 2);
  t.equal(silent[2]?.asked.length, 1);
});

t.test('stub domains have upstreams of their own; the longest counts', async (t) => {
  const [host, corp, lab] = await Promise.all([1, 2, 3].map((last) => fakeUpstream(t, from(last))));
  const server = await startServer(t, {
    upstreams: [host?.address ?? ''],
    stubs: [
      { domain: 'Corp.example.', upstreams: [corp?.address ?? ''] },
      { domain: 'lab.corp.example', upstreams: [lab?.address ?? ''] },
    ],
  });
  const answer = async (query: Buffer) => read(await udpAsk(server.port, query)).answers;
  t.match(await answer(fresh('example.com')), [{ data: '192.0.2.1' }]);
  t.match(await answer(fresh('corp.example')), [{ data: '192.0.2.2' }]);
  t.match(await answer(queryBytes('corp.example', TYPE.a)), [{ data: '192.0.2.2' }], 'the domain itself');
  t.match(await answer(fresh('x.Lab.corp.example')), [{ data: '192.0.2.3' }]);
  t.match(await answer(fresh('notcorp.example')), [{ data: '192.0.2.1' }]);
  t.match(server.counters().upstreams, { [`${corp?.address} for Corp.example.`]: { answered: 2 } });
});

t.test('an upstream that leads back to us is not asked', async (t) => {
  const told: string[] = [];
  const mirror = await fakeUpstream(t, () => []);
  const good = await fakeUpstream(t, from(7));
  const server = await startServer(t, {
    upstreams: [mirror.address, good.address],
    detectLoops: true,
    onLoop: (upstream) => void told.push(upstream),
  });
  for (let i = 0; mirror.asked.length + good.asked.length < 2 && i < 100; i++) await pause(10);
  const token = mirror.asked[0]?.query ?? Buffer.alloc(0);
  t.match(read(token).questions, [{ type: 'HINFO', name: /^[0-9a-f]{16}\.[0-9a-f]{16}$/ }]);
  t.strictSame(server.upstreams.length, 2);
  t.equal(read(await udpAsk(server.port, token)).rcode, 5, 'it comes back: caught');
  t.strictSame(server.upstreams, [good.address]);
  t.equal(server.counters().forward.loops, 1);
  t.strictSame(told, [mirror.address]);
  t.match(read(await udpAsk(server.port, fresh())).answers, [{ data: '192.0.2.7' }]);
  t.equal(mirror.asked.length, 1);
});

t.test('the host’s resolvers change; who asked before is answered by those before', async (t) => {
  const old = await fakeUpstream(t, () => []);
  const other = await fakeUpstream(t, from(8));
  const server = await startServer(t, { upstreams: [old.address], upstreamTimeoutMs: 1000 });
  const early = udpAsk(server.port, fresh());
  for (let i = 0; old.asked.length < 1 && i < 100; i++) await pause(5);
  server.hostChanged([other.address]);
  t.strictSame(server.upstreams, [other.address]);
  t.match(read(await udpAsk(server.port, fresh())).answers, [{ data: '192.0.2.8' }]);
  t.strictSame(Object.keys(server.counters().upstreams), [other.address]);
  t.equal(read(await early).rcode, 2, 'the old one stayed silent');
  server.hostChanged([]);
  t.equal(read(await udpAsk(server.port, fresh())).rcode, 2);
});

t.test('at most 15 upstreams, each once', async (t) => {
  const upstreams = Array.from({ length: 40 }, (_, i) => `192.0.2.${1 + (i >> 1)}`);
  const server = await startServer(t, { upstreams });
  t.equal(server.upstreams.length, 15);
  t.equal(server.upstreams[0], '192.0.2.1:53');
});
