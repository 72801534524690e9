/**
 * Questions that the dataplane answers itself, beside what the DNS server says: the same bytes, or no answer here. What
 * the server answered is learned, and forgotten when the cluster changes.
 */
import t from 'tap';
import { GAUGE } from '../../src/dataplane/counters.ts';
import type { ClusterRecords } from '../../src/dns/cluster-records.ts';
import { newDnsCounters } from '../../src/dns/counters.ts';
import { Forwarder } from '../../src/dns/forwarder.ts';
import { ReadyAnswers } from '../../src/dns/ready-answers.ts';
import { Resolver } from '../../src/dns/resolver.ts';
import { Responder } from '../../src/dns/responder.ts';
import { HEADROOM_BYTES } from '../../src/io/vector.ts';
import { buildNames, findName, hashQuestion } from '../../src/tables/names.ts';
import { setU16 } from '../../src/wire/bytes.ts';
import { finish, fold, pseudoSum4, pseudoSum6, sum } from '../../src/wire/checksum.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { mutated, randomFrom } from '../dns/mutate.ts';
import { ip, queryBytes, sampleRecords } from '../dns/sample-cluster.ts';
import { wordsOf } from './family.ts';
import { TestHost } from './host.ts';
import { ipBytes, pseudoSum, udpPacket } from './packets.ts';

const SERVER = '10.96.0.10';
const CLIENT = '10.244.1.10';
const ROUNDS = 10_000;
const PARTIAL = 1;

/** A host whose dataplane learns what its DNS server answers. */
function learningHost() {
  const host = new TestHost({ number: 1, pods: 2 });
  const { context } = host.pipeline;
  let records: ClusterRecords = sampleRecords;
  const ready = new ReadyAnswers({
    servers: [wordsOf(SERVER)],
    publish: (table) => {
      context.names = table;
    },
    gatherMs: 0,
  });
  const counters = newDnsCounters();
  const forwarder = new Forwarder({ upstreams: [], own: { address: SERVER, port: 53 }, counters });
  const resolver = new Resolver({ forwarder, counters, cacheBytes: 0 });
  const common = { domain: 'cluster.local', address: SERVER, records: () => records, forwarder, resolver, counters };
  const teacher = new Responder({ ...common, ready });
  const server = new Responder(common);
  t.teardown(() => ready.close());
  return {
    host,
    ready,
    change: (next: ClusterRecords) => {
      records = next;
      teacher.recordsChanged();
      server.recordsChanged();
    },
    /** The server's answer, learned. */
    teach: (query: Buffer) => teacher.respond(query, { transport: 'udp', address: CLIENT }),
    /** The server's answer, not learned. */
    serverSays: (query: Buffer) => server.respond(query, { transport: 'udp', address: CLIENT }),
    /** The dataplane's answer, if it has one; its packet checked. */
    ask: (query: Buffer, meta?: Parameters<TestHost['io']['inject']>[2], change?: (packet: Uint8Array) => void) => {
      const packet = udpPacket({ from: CLIENT, to: SERVER, fromPort: 4321, toPort: 53, payload: query });
      change?.(packet);
      host.io.inject(16, packet, meta);
      host.step();
      host.step();
      const [answer] = host.io.sent(16).filter((sent) => protocolOf(sent.bytes) === 17);
      return answer && checked(answer.bytes, answer.flags);
    },
  };
}

const protocolOf = (packet: Uint8Array) => packet[ipBytes() === ipv6.HEADER_BYTES ? 6 : 9];
const gathered = () => new Promise((resolve) => setTimeout(resolve, 20));

/** The message of an answer's packet. */
function checked(packet: Uint8Array, flags: number): Buffer {
  const bytes = Buffer.from(packet);
  const l4 = ipBytes();
  const length = bytes.length - l4;
  const six = l4 === ipv6.HEADER_BYTES;
  const pseudo = six
    ? pseudoSum6(bytes, 0, 17, length)
    : pseudoSum4(ipv4.source(bytes, 0), ipv4.destination(bytes, 0), 17, length);
  if (six ? !ipv6.check(bytes, 0, bytes.length) : !ipv4.checksumValid(bytes, 0)) throw new Error('IP header');
  if ((six ? ipv6.payloadBytes(bytes, 0) : ipv4.totalBytes(bytes, 0) - l4) !== length) throw new Error('IP length');
  if (bytes.readUInt16BE(l4) !== 53 || bytes.readUInt16BE(l4 + 2) !== 4321) throw new Error('ports');
  if (bytes.readUInt16BE(l4 + 4) !== length) throw new Error('UDP length');
  if ((flags & PARTIAL) !== 0) bytes.writeUInt16BE(finish(sum(bytes, l4, length)), l4 + 6);
  if (finish(sum(bytes, l4, length, pseudo)) !== 0) throw new Error('UDP checksum');
  return bytes.subarray(l4 + 8);
}

const NAMES = [
  'web.default.svc',
  'dual.default.svc',
  'db.default.svc',
  'db-0.db.default.svc',
  '_http._tcp.db.default.svc',
];
const FULL = [
  ...NAMES.map((name) => `${name}.cluster.local`),
  '10-244-1-5.default.pod.cluster.local',
  'dns-version.cluster.local',
  '20.0.96.10.in-addr.arpa',
];
const TYPES = [1, 28, 33, 12, 16];

t.test('what the server answered once, the dataplane answers in the same bytes', async (t) => {
  const { host, teach, serverSays, ask } = learningHost();
  const queries = FULL.flatMap((name) =>
    TYPES.flatMap((type) =>
      [undefined, 512, 1232, 4096].map((udpBytes) => queryBytes(name, type, { ...(udpBytes ? { udpBytes } : {}) })),
    ),
  );
  t.equal(ask(queryBytes(FULL[0]!, 1)), undefined, 'nothing is known yet');
  for (const query of queries) await teach(query);
  await gathered();
  let answered = 0;
  for (const query of queries) {
    const fast = ask(query);
    if (fast) answered++;
    t.strictSame(fast, await serverSays(query));
  }
  t.equal(answered, queries.length, 'all of these');
  t.equal(host.pipeline.context.counters.gauges[GAUGE.namesAnswered], answered);
  const shouted = queryBytes('WEB.Default.SVC.cluster.LOCAL', 1, { id: 0xbeef });
  t.strictSame(ask(shouted), await serverSays(shouted), 'in the case of the question');
});

t.test('what it leaves to the server', async (t) => {
  const { host, teach, ask } = learningHost();
  const web = queryBytes('web.default.svc.cluster.local', 1);
  const others = [
    queryBytes('nothing.default.svc.cluster.local', 1),
    queryBytes('outside.default.svc.cluster.local', 1),
    queryBytes('alias.default.svc.cluster.local', 1),
    queryBytes('crowd.default.svc.cluster.local', 1),
    queryBytes('www.example.com', 1),
    queryBytes('cluster.local', 6),
    queryBytes('web.default.svc.cluster.local', 255),
  ];
  for (const query of [web, ...others]) await teach(query);
  await gathered();
  t.ok(ask(web));
  for (const query of others) t.equal(ask(query), undefined, query.toString('latin1'));
  t.equal(ask(queryBytes('web.default.svc.cluster.local', 65)), undefined, 'a type that is a letter in another case');
  t.equal(
    ask(web, {}, (packet) => {
      packet[ipBytes() + 6]! ^= 1;
    }),
    undefined,
    'a wrong checksum',
  );
  const left = { flags: PARTIAL, checksumStart: ipBytes(), checksumOffset: 6 };
  t.ok(
    ask(web, left, (packet) => {
      const addresses = { from: CLIENT, to: SERVER };
      setU16(packet, ipBytes() + 6, fold(pseudoSum(addresses, 17, packet.length - ipBytes())));
    }),
    'one that is left to the device',
  );
  t.equal(ask(web, left), undefined, 'which it could not complete');
  t.equal(ask(web, { gsoType: 5, gsoSize: 20 }), undefined, 'several datagrams in one');
  host.io.inject(16, udpPacket({ from: CLIENT, to: '10.96.0.11', fromPort: 4321, toPort: 53, payload: web }));
  host.io.inject(16, udpPacket({ from: CLIENT, to: SERVER, fromPort: 4321, toPort: 54, payload: web }));
  host.io.inject(16, udpPacket({ from: '10.244.1.99', to: SERVER, fromPort: 4321, toPort: 53, payload: web }));
  const before = host.pipeline.context.counters.gauges[GAUGE.namesAnswered];
  host.step();
  t.equal(host.pipeline.context.counters.gauges[GAUGE.namesAnswered], before, 'others’ addresses, ports, sources');
});

t.test('a change is forgotten at once, and what did not change stays', async (t) => {
  const { ready, change, teach, serverSays, ask } = learningHost();
  const web = queryBytes('web.default.svc.cluster.local', 1);
  const db = queryBytes('db.default.svc.cluster.local', 1);
  const pointer = queryBytes('20.0.96.10.in-addr.arpa', 12);
  const absent = queryBytes('db.default.svc.cluster.local', 28);
  const teachAll = async () => {
    for (const query of [web, db, pointer, absent]) await teach(query);
    await gathered();
  };
  await teachAll();
  t.ok([web, db, pointer, absent].every((query) => ask(query)));
  const [first, ...rest] = sampleRecords.services;
  change({ ...sampleRecords, services: [{ ...first!, clusterIps: [ip('10.96.0.77')] }, ...rest] });
  t.equal(ask(web), undefined);
  t.equal(ask(pointer), undefined);
  t.equal(ask(absent), undefined, 'its SOA has another serial now');
  t.strictSame(ask(db), await serverSays(db));
  await teachAll();
  t.strictSame(ask(web), await serverSays(web), 'and learned anew');
  t.ok(ask(web)?.includes(Buffer.from([10, 96, 0, 77])));
  t.equal(ready.entries, 3, 'the old address has no name now');
});

t.test(`${ROUNDS} mutated questions: the server’s bytes or none`, async (t) => {
  const { host, teach, serverSays, ask } = learningHost();
  const seeds = FULL.flatMap((name) =>
    TYPES.flatMap((type) => [queryBytes(name, type), queryBytes(name, type, { udpBytes: 1232 })]),
  );
  for (const seed of seeds) await teach(seed);
  await gathered();
  const random = randomFrom(0xd15);
  const wrong: string[] = [];
  let answered = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const seed = seeds[random(seeds.length)]!;
    const query = random(4) === 0 ? Buffer.from(seed) : mutated(seed, random);
    if (query.length > 1400) continue;
    // Flags that are echoed, flags that are not, ids.
    if (random(2) === 0 && query.length > 4) query.writeUInt16BE(query.readUInt16BE(2) ^ (1 << random(16)), 2);
    const fast = ask(query);
    if (!fast) continue;
    answered++;
    const slow = await serverSays(query);
    if (!slow || !fast.equals(slow))
      wrong.push(`${query.toString('hex')}: ${fast.toString('hex')} ${slow?.toString('hex')}`);
  }
  t.strictSame(wrong, []);
  t.ok(answered > ROUNDS / 5, `${answered} answered`);
  t.equal(host.pipeline.context.counters.gauges[GAUGE.namesAnswered], answered);
});

t.test('a vector full of questions', async (t) => {
  const { host, teach } = learningHost();
  const web = queryBytes('web.default.svc.cluster.local', 1);
  await teach(web);
  await gathered();
  for (let n = 0; n < 800; n++) {
    host.send(
      n & 1,
      udpPacket({ from: `10.244.1.${10 + (n & 1)}`, to: SERVER, fromPort: 1000 + n, toPort: 53, payload: web }),
    );
  }
  host.step();
  host.step();
  const ports = [0, 1].flatMap((pod) => host.at(pod).map((seen) => seen.toPort));
  t.equal(new Set(ports).size, 800, 'each its own answer');
  t.equal(host.pipeline.context.flows.size, 0, 'without a connection');
});

t.test('answers leave nothing for the garbage collector', async (t) => {
  const { host, teach } = learningHost();
  const web = queryBytes('web.default.svc.cluster.local', 1, { udpBytes: 1232 });
  await teach(web);
  await gathered();
  const { vector, pipeline } = host;
  const packet = udpPacket({ from: CLIENT, to: SERVER, fromPort: 4321, toPort: 53, payload: web });
  const run = (vectors: number) => {
    for (let n = 0; n < vectors; n++) {
      for (let i = 0; i < 64; i++) {
        const at = HEADROOM_BYTES + i * 512;
        for (let b = 0; b < packet.length; b++) vector.arena[at + b] = packet[b]!;
        vector.inPort[i] = 16;
        vector.offset[i] = at;
        vector.length[i] = packet.length;
        vector.flags[i] = 0;
        vector.l3Offset[i] = 0;
      }
      vector.begin(64);
      pipeline.process(1 + n / 100);
    }
  };
  run(1000);
  // The least of some: in one of them the engine may still be compiling.
  let bytes = Infinity;
  for (let n = 0; n < 4; n++) {
    const before = process.memoryUsage().heapUsed;
    run(1000);
    bytes = Math.min(bytes, Math.abs(process.memoryUsage().heapUsed - before) / (1000 * 64));
  }
  t.equal(pipeline.context.counters.gauges[GAUGE.namesAnswered], 5000 * 64);
  t.ok(bytes < 8, `${bytes.toFixed(2)} bytes an answer`);
});

t.test('the table is bounded, and holds what was learned last', async (t) => {
  const tables: number[] = [];
  const ready = new ReadyAnswers({
    servers: [wordsOf(SERVER)],
    publish: (table) => void tables.push(table.slots.length),
    entryLimit: 10,
    gatherMs: 0,
  });
  const counters = newDnsCounters();
  const forwarder = new Forwarder({ upstreams: [], own: { address: SERVER, port: 53 }, counters });
  const resolver = new Resolver({ forwarder, counters, cacheBytes: 0 });
  const responder = new Responder({
    domain: 'cluster.local',
    address: SERVER,
    records: () => sampleRecords,
    forwarder,
    resolver,
    counters,
    ready,
  });
  for (const name of FULL)
    for (const type of TYPES) await responder.respond(queryBytes(name, type), { transport: 'udp' });
  t.ok(ready.entries > 0 && ready.entries <= 10, `${ready.entries} entries`);
  t.ok(ready.bytes < 2000);
  await gathered();
  t.strictSame(tables, [32 * 4]);
  ready.close();
  t.equal(ready.entries, 0);
});

t.test('questions of one hash are told apart', async (t) => {
  const question = (n: number) => Uint8Array.from([2, 97 + (n >> 4), 97 + (n & 15), 0, 0, 1, 0, 1]);
  const all = Array.from({ length: 200 }, (_, n) => ({
    question: question(n),
    records: Uint8Array.of(n),
    answers: 1,
    authorities: 0,
    additionals: 0,
    // All begin at one slot.
    hash: hashQuestion(question(n), 0, 8) & ~0xffff,
  }));
  const honest = buildNames(
    [],
    all.map((each) => ({ ...each, hash: hashQuestion(each.question, 0, 8) })),
    1232,
  );
  for (const { question: asked, records } of all) {
    const slot = findName(honest, asked, 0, asked.length);
    t.equal(honest.bytes[honest.slots[slot + 1]! - 1 + asked.length], records[0]);
  }
  t.equal(findName(honest, question(777), 0, 8), -1);
});
