/** Answers of upstreams, kept: how long, for whom, out of date, in how much room. A clock of the test's own. */
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { newDnsCounters } from '../../src/dns/counters.ts';
import { Forwarder } from '../../src/dns/forwarder.ts';
import { type Query, readQuery } from '../../src/dns/query.ts';
import { Resolver } from '../../src/dns/resolver.ts';
import { addressAnswer, type FakeUpstream, fakeUpstream, negativeReply, replyBytes } from './fake-upstream.ts';
import { queryBytes, read } from './sample-cluster.ts';

function query(name: string, more: Parameters<typeof queryBytes>[2] = {}, type = 1): Query {
  const result = readQuery(queryBytes(name, type, more));
  if (result.kind !== 'query') throw new Error(name);
  return result.query;
}

const answered = (asked: Buffer) => [replyBytes(asked, 0x8180, [addressAnswer(192, 0, 2, 7)])];

async function cached(t: Test, cacheBytes = 1 << 20, timeoutMs = 100) {
  const upstream: FakeUpstream = await fakeUpstream(t, answered);
  const counters = newDnsCounters();
  const clock = { ms: 1000 };
  const forwarder = new Forwarder({
    upstreams: [upstream.address],
    own: { address: '10.96.0.10', port: 53 },
    counters,
    detectLoops: false,
    timeoutMs,
    probeMs: 60_000,
  });
  t.teardown(() => forwarder.close());
  const resolver = new Resolver({ forwarder, counters, cacheBytes, staleAfterMs: 200, now: () => clock.ms });
  const ask = async (q: Query) => {
    const resolved = await resolver.resolve(q);
    return resolved && { ...read(resolved.message), source: resolved.source };
  };
  return { upstream, counters, clock, ask };
}

t.test('asked once, then answered as long as it may be believed, by what is left of its time', async (t) => {
  const { upstream, counters, clock, ask } = await cached(t);
  t.match(await ask(query('www.Example.com')), { source: 'upstream', answers: [{ ttl: 60 }] });
  clock.ms += 20_900;
  const again = await ask(query('WWW.example.COM', { id: 77, flags: 0x0000 }));
  t.match(again, { source: 'cache', id: 77, flag_rd: false, flag_aa: false });
  t.match(again?.answers, [{ name: 'WWW.example.COM', ttl: 40, data: '192.0.2.7' }], 'in the spelling of who asks');
  t.equal(upstream.asked.length, 1);
  clock.ms += 39_200;
  t.match(await ask(query('www.example.com')), { source: 'upstream', answers: [{ ttl: 60 }] });
  t.equal(upstream.asked.length, 2);
  t.match(counters.cache, { hits: 1, misses: 2, stale: 0, entries: 1 });
});

t.test('type, DNSSEC and checking bits make other questions', async (t) => {
  const { upstream, ask } = await cached(t);
  const questions = [
    query('www.example.com'),
    query('www.example.com', {}, 28),
    query('www.example.com', { udpBytes: 1232 }),
    query('www.example.com', { flags: 0x0110 }),
    query('www.example.com', { flags: 0x0120 }),
  ];
  for (let round = 0; round < 2; round++) for (const question of questions) await ask(question);
  // The answer to the AAAA question holds no AAAA and no SOA: not kept.
  t.equal(upstream.asked.length, questions.length + 1);
});

t.test('what is not there is remembered by the SOA, for its own time (RFC 2308)', async (t) => {
  const { upstream, clock, ask } = await cached(t);
  upstream.script = (asked) => [negativeReply(asked, 3, 300, 20)];
  t.equal((await ask(query('nobody.example.com')))?.rcode, 3);
  clock.ms += 5000;
  t.match(await ask(query('nobody.example.com')), {
    rcode: 3,
    source: 'cache',
    authorities: [{ type: 'SOA', ttl: 15 }],
  });
  clock.ms += 16_000;
  t.equal((await ask(query('nobody.example.com')))?.source, 'upstream', 'the lesser of TTL and minimum');
  upstream.script = (asked) => [negativeReply(asked, 0, 30, 3600)];
  await ask(query('www.example.com', {}, 28));
  t.match(await ask(query('www.example.com', {}, 28)), { rcode: 0, answers: [], source: 'cache' }, 'NODATA');
  upstream.script = (asked) => [replyBytes(asked, 0x8183)];
  await ask(query('bare.example.com'));
  t.equal((await ask(query('bare.example.com')))?.source, 'upstream', 'no SOA, nothing to go by');
});

t.test('failures, truncated ones and those of no time are not kept', async (t) => {
  const { upstream, counters, ask } = await cached(t);
  const zero = Buffer.from(addressAnswer(192, 0, 2, 7)).fill(0, 6, 10);
  const top = Buffer.from(addressAnswer(192, 0, 2, 7)).fill(0xff, 6, 10);
  const scripts = [
    (asked: Buffer) => [replyBytes(asked, 0x8182)],
    (asked: Buffer, transport: 'udp' | 'tcp') => (transport === 'udp' ? [replyBytes(asked, 0x8380)] : []),
    (asked: Buffer) => [replyBytes(asked, 0x8180, [zero])],
    (asked: Buffer) => [replyBytes(asked, 0x8180, [top])],
  ];
  for (const script of scripts) {
    upstream.script = script;
    t.ok(await ask(query('www.example.com')));
  }
  t.equal(counters.cache.entries, 0);
});

t.test(
  'out of date it still serves while nobody answers, and is refreshed when somebody does (RFC 8767)',
  async (t) => {
    const { upstream, counters, clock, ask } = await cached(t);
    await ask(query('www.example.com'));
    clock.ms += 61_000;
    upstream.script = () => [];
    t.match(await ask(query('www.example.com')), { source: 'stale', answers: [{ ttl: 30, data: '192.0.2.7' }] });
    const tries = upstream.asked.length;
    clock.ms += 1000;
    t.equal((await ask(query('www.example.com')))?.source, 'stale');
    t.equal(upstream.asked.length, tries, 'the upstreams are left alone for a while');
    clock.ms += 5000;
    upstream.script = (asked) => [replyBytes(asked, 0x8182)];
    t.equal((await ask(query('www.example.com')))?.source, 'stale', 'SERVFAIL is no news');
    clock.ms += 6000;
    upstream.script = (asked) => [replyBytes(asked, 0x8180, [addressAnswer(192, 0, 2, 8)])];
    t.match(await ask(query('www.example.com')), { source: 'upstream', answers: [{ data: '192.0.2.8' }] });
    t.equal((await ask(query('www.example.com')))?.source, 'cache');
    clock.ms += 25 * 3600 * 1000;
    upstream.script = () => [];
    t.equal(await ask(query('www.example.com')), undefined, 'not after a day');
    t.match(counters.cache, { stale: 3, entries: 0, bytes: 0 });
  },
);

t.test('popular names are fetched before their end, and nobody waits', async (t) => {
  const { upstream, counters, clock, ask } = await cached(t);
  await ask(query('www.example.com'));
  await ask(query('rare.example.com'));
  for (let i = 0; i < 3; i++) await ask(query('www.example.com'));
  clock.ms += 55_000;
  t.equal((await ask(query('rare.example.com')))?.source, 'cache');
  t.equal((await ask(query('www.example.com')))?.source, 'cache');
  for (let i = 0; upstream.asked.length < 3 && i < 100; i++) await pause(5);
  await pause(10);
  clock.ms += 10_000;
  t.match(await ask(query('www.example.com')), { source: 'cache', answers: [{ ttl: 50 }] });
  t.equal(upstream.asked.length, 3);
  t.equal(counters.cache.prefetched, 1);
});

t.test('the same question of many is one question to the upstreams', async (t) => {
  const { upstream, counters, ask } = await cached(t);
  const asked = Array.from({ length: 50 }, (_, id) =>
    ask(query(id % 2 ? 'www.example.com' : 'WWW.example.com', { id })),
  );
  const replies = await Promise.all(asked);
  t.strictSame(
    replies.map((reply) => reply?.id),
    replies.map((_, id) => id),
  );
  t.ok(replies.every((reply, id) => reply?.questions?.[0]?.name === (id % 2 ? 'www.example.com' : 'WWW.example.com')));
  t.equal(upstream.asked.length, 1);
  t.equal(counters.cache.joined, 49);
});

t.test('bounded by bytes: what was asked for least recently goes', async (t) => {
  const { upstream, counters, ask } = await cached(t, 20_000, 5000);
  await ask(query('kept.example.com'));
  for (let i = 0; i < 200; i++) {
    await ask(query(`n${i}.example.com`));
    await ask(query('kept.example.com'));
  }
  t.equal(upstream.asked.length, 201);
  t.ok(counters.cache.bytes <= 20_000 && counters.cache.bytes > 15_000, `${counters.cache.bytes} bytes`);
  t.equal(counters.cache.entries + counters.cache.evicted, 201);
  t.equal((await ask(query('n0.example.com')))?.source, 'upstream');
  t.equal((await ask(query('n199.example.com')))?.source, 'cache');
  const none = await cached(t, 0);
  await none.ask(query('www.example.com'));
  t.match(none.counters.cache, { entries: 0, bytes: 0 });
});

t.test('a question that failed is not asked again for a moment, longer each time', async (t) => {
  let wellAgain = false;
  const upstream = await fakeUpstream(t, (asked) => (wellAgain ? answered(asked) : [replyBytes(asked, 0x8182)]));
  const counters = newDnsCounters();
  const own = { address: '10.96.0.10', port: 53 };
  const forwarder = new Forwarder({ upstreams: [upstream.address], own, counters, detectLoops: false });
  t.teardown(() => forwarder.close());
  let now = 1000;
  const resolver = new Resolver({ forwarder, counters, cacheBytes: 1 << 20, now: () => now });
  const ask = async () => {
    const resolved = await resolver.resolve(query('sick.example.com'));
    return resolved && read(resolved.message).rcode;
  };
  const askedAt = async (ms: number) => {
    now = 1000 + ms;
    const before = counters.cache.misses;
    t.equal(await ask(), 2, `at ${ms} ms`);
    return counters.cache.misses > before;
  };
  t.equal(await askedAt(0), true);
  t.equal(await askedAt(999), false, 'a second');
  t.equal(await askedAt(1001), true);
  t.equal(await askedAt(2999), false, 'two');
  t.equal(await askedAt(3002), true);
  t.equal(await askedAt(7001), false, 'four');
  t.equal(await askedAt(7003), true);
  t.equal(await askedAt(12_002), false, 'five, and no longer');
  t.equal(counters.cache.failures, 4);
  wellAgain = true;
  resolver.upstreamsChanged();
  t.equal(await ask(), 0, 'others may know');
});
