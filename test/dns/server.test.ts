/** The server on loopback sockets: UDP, TCP, sizes, bounds, what it does not answer. */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { TYPE } from '../../src/dns/codes.ts';
import { DnsServer, DnsServerError } from '../../src/dns/server.ts';
import { fakeUpstream } from './fake-upstream.ts';
import { ip, queryBytes, read, sampleRecords } from './sample-cluster.ts';
import { framed, startServer, tcpAsk, udpAsk } from './socket-client.ts';

const web = queryBytes('Web.Default.svc.cluster.local', TYPE.a);
const crowd = 'crowd.default.svc.cluster.local';

t.test('answers over UDP and over TCP at one port', async (t) => {
  const server = await startServer(t);
  for (const message of [await udpAsk(server.port, web), (await tcpAsk(server.port, [framed(web)], 1))[0]]) {
    const packet = read(message);
    t.match(packet, { id: 0x1234, rcode: 0, flag_aa: true, flag_ra: true, flag_tc: false });
    t.match(packet.answers, [{ name: 'Web.Default.svc.cluster.local', type: 'A', ttl: 5, data: '10.96.0.20' }]);
  }
  t.match(server.counters(), { queries: { udp: 1, tcp: 1 }, answers: { NOERROR: 2 }, tcp: { accepted: 1 }, errors: 0 });
});

t.test('keeps to what the asker can take, and says so', async (t) => {
  const server = await startServer(t);
  const sizes: [number | undefined, number, number][] = [
    [undefined, 512, 28],
    [300, 512, 28],
    [1000, 1000, 58],
    [1232, 1232, 73],
    [4096, 1232, 73],
  ];
  for (const [udpBytes, most, answers] of sizes) {
    const query = queryBytes(crowd, TYPE.a, udpBytes === undefined ? {} : { udpBytes });
    const packet = read(await udpAsk(server.port, query));
    t.equal(packet.flag_tc, true);
    t.ok(packet.bytes <= most, `${packet.bytes} of ${most}`);
    t.equal(packet.answers?.length, Math.floor((most - 12 - 37 - (udpBytes === undefined ? 0 : 11)) / 16));
    t.ok((packet.answers?.length ?? 0) >= answers - 1);
    t.equal(packet.additionals?.length, udpBytes === undefined ? 0 : 1);
  }
  const whole = read((await tcpAsk(server.port, [framed(queryBytes(crowd, TYPE.a))], 1))[0]);
  t.equal(whole.answers?.length, 200);
  t.equal(whole.flag_tc, false);
  t.equal(server.counters().truncated, sizes.length);
});

t.test('several questions on one connection, in pieces, with the client’s side closed', async (t) => {
  const server = await startServer(t);
  const queries = Array.from({ length: 100 }, (_, id) =>
    framed(queryBytes('web.default.svc.cluster.local', 1, { id })),
  );
  const stream = Buffer.concat(queries);
  const pieces = [stream.subarray(0, 1), stream.subarray(1, 70), stream.subarray(70)];
  const messages = await tcpAsk(server.port, pieces, 100, true);
  const ids = messages.map((message) => read(message).id ?? -1);
  t.strictSame(
    ids.sort((a, b) => a - b),
    Array.from({ length: 100 }, (_, id) => id),
  );
  t.equal(server.counters().tcp.accepted, 1);
});

t.test('an idle connection ends, even one that dribbles', async (t) => {
  const server = await startServer(t, { tcpIdleMs: 150 });
  const began = performance.now();
  const dribble = Array.from({ length: 200 }, () => Buffer.from([0]));
  t.strictSame(await tcpAsk(server.port, [Buffer.from([1, 0]), ...dribble], 1).catch(() => []), []);
  t.ok(performance.now() - began < 900, 'before all of it was sent');
  t.equal(server.counters().tcp.idleClosed, 1);
});

t.test('connections are bounded, and the bound frees again', async (t) => {
  const server = await startServer(t, { tcpConnections: 2 });
  const held = [connect(server.port, '127.0.0.1'), connect(server.port, '127.0.0.1')];
  for (const socket of held) await new Promise((resolve) => socket.once('connect', resolve));
  t.strictSame(await tcpAsk(server.port, [framed(web)], 1).catch(() => []), []);
  t.equal(server.counters().tcp.overflowed, 1);
  for (const socket of held) socket.destroy();
  for (let i = 0; server.counters().tcp.open > 0 && i < 100; i++) await pause(10);
  t.equal((await tcpAsk(server.port, [framed(web)], 1)).length, 1);
});

t.test('one client does not take all connections', async (t) => {
  const server = await startServer(t, { tcpConnections: 10, tcpConnectionsPerClient: 2 });
  const held = [1, 2].map(() => connect({ port: server.port, host: '127.0.0.1', localAddress: '127.0.0.2' }));
  for (const socket of held) await new Promise((resolve) => socket.once('connect', resolve));
  const third = connect({ port: server.port, host: '127.0.0.1', localAddress: '127.0.0.2' });
  third.on('error', () => {});
  await new Promise((resolve) => third.once('close', resolve));
  t.equal((await tcpAsk(server.port, [framed(web)], 1)).length, 1, 'another one is served');
  for (const socket of held) socket.destroy();
  for (let i = 0; server.counters().tcp.open > 0 && i < 100; i++) await pause(10);
  const again = connect({ port: server.port, host: '127.0.0.1', localAddress: '127.0.0.2' });
  again.write(framed(web));
  t.ok(await new Promise((resolve) => again.once('data', resolve)), 'and it is, when it has let go');
  again.destroy();
});

t.test('answers of one connection come as they are ready, in any order', async (t) => {
  const upstream = await fakeUpstream(t, () => []);
  const server = await startServer(t, { upstreams: [upstream.address], upstreamTimeoutMs: 200 });
  const slow = framed(queryBytes('slow.example.com', TYPE.a, { id: 1 }));
  const messages = await tcpAsk(
    server.port,
    [Buffer.concat([slow, framed(queryBytes('cluster.local', 6, { id: 2 }))])],
    2,
  );
  t.strictSame(
    messages.map((message) => read(message).id),
    [2, 1],
  );
});

t.test('what is refused, not known, malformed', async (t) => {
  const server = await startServer(t);
  const rcodeOf = async (query: Buffer) => read(await udpAsk(server.port, query)).rcode;
  t.equal(await rcodeOf(queryBytes('cluster.local', 255)), 5, 'ANY');
  t.equal(await rcodeOf(queryBytes('cluster.local', 252)), 5, 'AXFR');
  t.equal(await rcodeOf(queryBytes('example.com', 252)), 5, 'AXFR of others');
  const chaos = Buffer.from(web);
  chaos[chaos.length - 1] = 3;
  t.equal(await rcodeOf(chaos), 5, 'class CH');
  t.equal(await rcodeOf(queryBytes('cluster.local', 1, { flags: 0x2000 })), 4, 'opcode NOTIFY');
  t.equal(await rcodeOf(web.subarray(0, 20)), 1, 'cut short');
  t.equal(await rcodeOf(queryBytes('nobody.default.svc.cluster.local', 1)), 3);
  const version1 = queryBytes('cluster.local', 1, { udpBytes: 1232 });
  version1[version1.length - 5] = 1;
  t.match(read(await udpAsk(server.port, version1)).additionals, [{ extendedRcode: 1, ednsVersion: 0 }], 'BADVERS');
  t.match(server.counters(), {
    answers: { REFUSED: 4, NOTIMP: 1, FORMERR: 1, NXDOMAIN: 1, BADVERS: 1 },
    malformed: { badName: 1 },
  });
});

t.test('responses and scraps are not answered', async (t) => {
  const server = await startServer(t);
  const response = Buffer.from(web);
  response[2] = 0x81;
  const client = createSocket('udp4');
  t.teardown(() => client.close());
  const heard: Buffer[] = [];
  client.on('message', (message) => heard.push(message));
  for (const message of [response, Buffer.alloc(0), Buffer.alloc(11), web])
    client.send(message, server.port, '127.0.0.1');
  for (let i = 0; heard.length < 1 && i < 100; i++) await pause(10);
  t.equal(heard.length, 1, 'the question alone');
  t.strictSame(server.counters().dropped, { response: 1, short: 2 });
});

t.test('SERVFAIL until the cluster is known, then follows it', async (t) => {
  let records: typeof sampleRecords | undefined;
  const server = await startServer(t, { records: () => records, syncWaitMs: 300 });
  t.equal(read(await udpAsk(server.port, web)).rcode, 2, 'not known in time');
  const waiting = udpAsk(server.port, web);
  setTimeout(() => {
    records = sampleRecords;
  }, 100);
  t.equal(read(await waiting).rcode, 0, 'known while the question waited');
  const soa = async () => (read(await udpAsk(server.port, queryBytes('cluster.local', TYPE.soa))).answers ?? [])[0];
  const before = (await soa()) as { data: { serial: number } };
  records = { ...sampleRecords, pods: [{ namespace: 'default', name: 'new', address: ip('10.244.7.7') }] };
  t.equal(read(await udpAsk(server.port, queryBytes('10-244-7-7.default.pod.cluster.local', 1))).rcode, 0);
  t.equal(((await soa()) as { data: { serial: number } }).data.serial, before.data.serial + 1);
  records = structuredClone(records);
  t.equal(((await soa()) as { data: { serial: number } }).data.serial, before.data.serial + 1, 'nothing new');
});

t.test('the TTL of all that is the cluster’s, and how long an absence may be believed', async (t) => {
  const server = await startServer(t, { ttlSeconds: 0 });
  const answered = read(await udpAsk(server.port, web));
  t.match(answered.answers, [{ ttl: 0 }]);
  const absent = read(await udpAsk(server.port, queryBytes('nobody.default.svc.cluster.local', 1)));
  t.match(absent.authorities, [{ ttl: 0, data: { minimum: 0 } }]);
  const long = await startServer(t, { ttlSeconds: 3600 });
  t.match(read(await udpAsk(long.port, web)).answers, [{ ttl: 3600 }]);
});

t.test('a name as long as names may be does not exist; a longer one is none', async (t) => {
  const server = await startServer(t);
  const label = 'x'.repeat(63);
  // 255 octets on the wire, with the lengths and the root.
  const longest = `${label}.${label}.${label}.${'x'.repeat(253 - 192 - '.default.svc.cluster.local'.length)}.default.svc.cluster.local`;
  t.equal(longest.length, 253);
  t.equal(read(await udpAsk(server.port, queryBytes(longest, 1))).rcode, 3);
  t.equal(read(await udpAsk(server.port, queryBytes(`y${longest}`, 1))).rcode, 1, 'one octet more');
});

t.test('a fault of ours is SERVFAIL, told, and not the end', async (t) => {
  const told: string[] = [];
  let broken = true;
  const server = await startServer(t, {
    records: () => {
      if (broken) throw new Error('no records today');
      return sampleRecords;
    },
    log: { warn: (_detail, message) => void told.push(message) },
  });
  t.equal(read(await udpAsk(server.port, web)).rcode, 2);
  t.equal(told.length, 1);
  broken = false;
  t.equal(read(await udpAsk(server.port, web)).rcode, 0);
});

t.test('a busy port and a missing address are named', async (t) => {
  const server = await startServer(t);
  const options = { port: server.port, domain: 'cluster.local', records: () => sampleRecords, upstreams: [] };
  const busy = DnsServer.start({ ...options, address: '127.0.0.1' });
  await t.rejects(busy, { code: 'DNS_BIND', message: /127\.0\.0\.1:\d+: EADDRINUSE: another process/ });
  await t.rejects(DnsServer.start({ ...options, address: '192.0.2.1' }), { message: /EADDRNOTAVAIL: no device/ });
  await t.rejects(DnsServer.start({ ...options, address: '192.0.2.1' }), DnsServerError);
});

t.test('close frees the port, ends connections, and can be called twice', async (t) => {
  const server = await startServer(t);
  const { port } = server;
  const socket = connect(port, '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  const ended = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => {});
  socket.resume();
  const began = performance.now();
  await Promise.all([server.close(), server.close()]);
  await ended;
  t.ok(performance.now() - began < 500);
  await startServer(t, { port });
});
