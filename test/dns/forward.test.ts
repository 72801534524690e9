/** Names of others, through upstreams on the loopback that answer, lie, stay silent, truncate or refuse. */
import t from 'tap';
import { TYPE } from '../../src/dns/codes.ts';
import { addressAnswer, fakeUpstream, replyBytes } from './fake-upstream.ts';
import { queryBytes, read } from './sample-cluster.ts';
import { framed, startServer, tcpAsk, udpAsk } from './socket-client.ts';

const query = queryBytes('Www.example.com', TYPE.a);
const answered = (asked: Buffer) => [replyBytes(asked, 0x8180, [addressAnswer(192, 0, 2, 7)])];

/** A port of the loopback that nobody listens on. */
async function deadUpstream(): Promise<string> {
  const { createSocket } = await import('node:dgram');
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const address = `127.0.0.1:${socket.address().port}`;
  await new Promise<void>((resolve) => socket.close(resolve));
  return address;
}

t.test('other names go out under another id and come back under ours, over UDP and TCP', async (t) => {
  const upstream = await fakeUpstream(t, answered);
  const server = await startServer(t, { upstreams: [upstream.address], cacheBytes: 0 });
  t.strictSame(server.upstreams, [upstream.address]);
  for (const message of [await udpAsk(server.port, query), (await tcpAsk(server.port, [framed(query)], 1))[0]]) {
    const packet = read(message);
    t.match(packet, { id: 0x1234, rcode: 0, flag_aa: false });
    t.match(packet.answers, [{ name: 'Www.example.com', data: '192.0.2.7' }]);
  }
  const ids = new Set<number>();
  for (let i = 0; i < 20; i++) await udpAsk(server.port, query);
  for (const { query } of upstream.asked) ids.add(query.readUInt16BE(0));
  t.ok(ids.size > 15, 'ids are drawn');
  t.equal(upstream.asked.length, 22);
  await udpAsk(server.port, queryBytes('web.default.svc.cluster.local', 1));
  await udpAsk(server.port, queryBytes('no.such.cluster.local', 1));
  await udpAsk(server.port, queryBytes('9.9.244.10.in-addr.arpa', TYPE.ptr));
  t.equal(upstream.asked.length, 22, 'our own names stay');
  await udpAsk(server.port, queryBytes('8.8.8.8.in-addr.arpa', TYPE.ptr));
  t.equal(upstream.asked.length, 23, 'reverse names of others do not');
});

t.test('any type travels, options of the asker do not', async (t) => {
  const upstream = await fakeUpstream(t, (asked) => [replyBytes(asked)]);
  const server = await startServer(t, { upstreams: [upstream.address] });
  t.equal(read(await udpAsk(server.port, queryBytes('example.com', 65, { udpBytes: 4096 }))).rcode, 0);
  t.match(read(upstream.asked[0]?.query), { flag_rd: true, questions: [{ name: 'example.com', type: 'UNKNOWN_65' }] });
  t.match(read(upstream.asked[0]?.query).additionals, [{ type: 'OPT', udpPayloadSize: 1232, options: [] }]);
});

t.test('the next upstream after a dead, a silent and a refusing one; those that failed go last', async (t) => {
  const silent = await fakeUpstream(t, () => []);
  const refusing = await fakeUpstream(t, (asked) => [replyBytes(asked, 0x8182)]);
  const good = await fakeUpstream(t, answered);
  const upstreams = [await deadUpstream(), silent.address, refusing.address, good.address];
  const server = await startServer(t, { upstreams, upstreamTimeoutMs: 100, cacheBytes: 0, probeMs: 60_000 });
  for (let i = 0; i < 3; i++) t.match(read(await udpAsk(server.port, query)).answers, [{ data: '192.0.2.7' }]);
  t.equal(silent.asked.length, 2, 'twice, then no more');
  t.match(Object.values(server.counters().upstreams), [{ out: 1 }, { out: 1 }, { answered: 3 }, { answered: 3 }]);
  t.match(server.counters().forward, { asked: 3, answered: 3, tryFailures: 4 });
});

t.test('SERVFAIL without an upstream, with a dead one, and the refusal itself where there is no better', async (t) => {
  const none = await startServer(t);
  t.equal(read(await udpAsk(none.port, query)).rcode, 2);
  const dead = await startServer(t, { upstreams: [await deadUpstream(), 'nonsense', '127.0.0.1:99999'] });
  t.equal(dead.upstreams.length, 1);
  t.equal(read(await udpAsk(dead.port, query)).rcode, 2);
  t.equal(dead.counters().forward.failed, 1);
  const refusing = await fakeUpstream(t, (asked) => [replyBytes(asked, 0x8185)]);
  const refused = await startServer(t, { upstreams: [refusing.address] });
  t.equal(read(await udpAsk(refused.port, query)).rcode, 5);
});

t.test('our own address is never asked', async (t) => {
  const first = await startServer(t);
  const { port } = first;
  await first.close();
  const server = await startServer(t, { port, upstreams: [`127.0.0.1:${port}`] });
  t.strictSame(server.upstreams, []);
  t.equal(read(await udpAsk(port, query)).rcode, 2);
  t.equal(server.counters().queries.udp, 1);
});

t.test('forged replies are ignored: another id, another question, no response', async (t) => {
  const upstream = await fakeUpstream(t, (asked) => {
    const lie = (change: (reply: Buffer) => void): Buffer => {
      const reply = replyBytes(asked, 0x8180, [addressAnswer(203, 0, 113, 66)]);
      change(reply);
      return reply;
    };
    return [
      lie((reply) => reply.writeUInt16BE(reply.readUInt16BE(0) ^ 1, 0)),
      lie((reply) => reply.writeUInt8(0x79, 14)),
      lie((reply) => reply.writeUInt16BE(0x0100, 2)),
      lie((reply) => reply.writeUInt16BE(0, 4)),
      Buffer.alloc(5),
      ...answered(asked),
    ];
  });
  const server = await startServer(t, { upstreams: [upstream.address] });
  t.match(read(await udpAsk(server.port, query)).answers, [{ data: '192.0.2.7' }]);
  t.equal(server.counters().forward.mismatches, 5);
});

t.test(
  'a truncated reply is fetched over TCP; a long one goes to a TCP asker whole, to a UDP asker with TC',
  async (t) => {
    const many = Array.from({ length: 60 }, (_, i) => addressAnswer(192, 0, 2, i));
    const upstream = await fakeUpstream(t, (asked, transport) =>
      transport === 'udp' ? [replyBytes(asked, 0x8380)] : [replyBytes(asked, 0x8180, many)],
    );
    const server = await startServer(t, { upstreams: [upstream.address], cacheBytes: 0 });
    t.equal(read((await tcpAsk(server.port, [framed(query)], 1))[0]).answers?.length, 60);
    t.match(read(await udpAsk(server.port, query)), { flag_tc: true, answers: { length: 0 } });
    const roomy = read(await udpAsk(server.port, queryBytes('Www.example.com', 1, { udpBytes: 1232 })));
    t.match(roomy, { flag_tc: false, answers: { length: 60 } });
    t.equal(server.counters().forward.tcpRetries, 3);
    upstream.script = (asked, transport) => (transport === 'udp' ? [replyBytes(asked, 0x8380)] : []);
    t.match(read(await udpAsk(server.port, query)), { flag_tc: true, rcode: 0 }, 'no TCP there: what there is');
    t.equal(read((await tcpAsk(server.port, [framed(query)], 1))[0]).rcode, 2, 'of no use over TCP');
  },
);

t.test('questions under way are bounded', async (t) => {
  const silent = await fakeUpstream(t, () => []);
  const server = await startServer(t, { upstreams: [silent.address], upstreamTimeoutMs: 300, pendingForwards: 4 });
  const names = Array.from({ length: 10 }, (_, i) => queryBytes(`www${i}.example.com`, TYPE.a));
  const replies = await Promise.all(names.map((name) => udpAsk(server.port, name)));
  for (const reply of replies) t.equal(read(reply).rcode, 2);
  t.match(server.counters().forward, { asked: 4, refused: 6, failed: 4 });
});

t.test('close does not wait for upstreams', async (t) => {
  const silent = await fakeUpstream(t, () => []);
  const server = await startServer(t, { upstreams: [silent.address] });
  void udpAsk(server.port, query, 50);
  while (silent.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const began = performance.now();
  await server.close();
  t.ok(performance.now() - began < 200);
});

t.test('an ExternalName’s target is looked up and appended', async (t) => {
  const upstream = await fakeUpstream(t, answered);
  const server = await startServer(t, { upstreams: [upstream.address], cacheBytes: 0 });
  const outside = queryBytes('outside.default.svc.cluster.local', TYPE.a);
  const packet = read(await udpAsk(server.port, outside));
  t.match(packet.answers, [
    { name: 'outside.default.svc.cluster.local', type: 'CNAME', data: 'www.example.com' },
    { name: 'www.example.com', type: 'A', ttl: 60, data: '192.0.2.7' },
  ]);
  upstream.script = (asked) => [replyBytes(asked, 0x8183)];
  t.match(read(await udpAsk(server.port, outside)), { rcode: 3, answers: [{ type: 'CNAME' }] });
  upstream.script = (asked) => [Buffer.concat([replyBytes(asked, 0x8180, [Buffer.from([0xc0])])])];
  t.equal(read(await udpAsk(server.port, outside)).rcode, 2, 'nonsense from the upstream');
});
