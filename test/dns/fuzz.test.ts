/** 10,000 mutated messages through the whole way of a message: never an exception, every answer readable. */
import t from 'tap';
import { TYPE } from '../../src/dns/codes.ts';
import { newDnsCounters } from '../../src/dns/counters.ts';
import { Forwarder } from '../../src/dns/forwarder.ts';
import { Resolver } from '../../src/dns/resolver.ts';
import { Responder } from '../../src/dns/responder.ts';
import { addressAnswer, fakeUpstream, replyBytes } from './fake-upstream.ts';
import { mutated, randomFrom } from './mutate.ts';
import { queryBytes, read, sampleRecords } from './sample-cluster.ts';

const ROUNDS = 10_000;

t.test('mutated queries', async (t) => {
  const counters = newDnsCounters();
  const own = { address: '10.96.0.10', port: 53 };
  const forwarder = new Forwarder({ upstreams: [], own, counters });
  const resolver = new Resolver({ forwarder, counters, cacheBytes: 1 << 20 });
  const records = (): typeof sampleRecords => sampleRecords;
  const responder = new Responder({
    domain: 'cluster.local',
    address: own.address,
    records,
    forwarder,
    resolver,
    counters,
  });
  const cookie = Buffer.from([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
  const subnet = Buffer.from([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0, 10, 0, 0]);
  const withOption = (option: Buffer): Buffer => {
    const message = Buffer.concat([queryBytes('web.default.svc.cluster.local', 1), option]);
    message[11] = 1;
    return message;
  };
  const seeds = [
    ...[
      'web.default.svc',
      'crowd.default.svc',
      '_http._tcp.db.default.svc',
      'outside.default.svc',
      'ring-a.default.svc',
    ].flatMap((name) => [1, 28, 33, 255].map((type) => queryBytes(`${name}.cluster.local`, type, { udpBytes: 1232 }))),
    queryBytes('7.1.244.10.in-addr.arpa', 12),
    queryBytes('www.example.com', 1),
    withOption(cookie),
    withOption(subnet),
  ];
  for (const seed of seeds)
    t.equal(read(await responder.respond(seed, { transport: 'tcp' })).id, 0x1234, 'unharmed, all are answered');

  const random = randomFrom(0x5eed);
  const unreadable: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const message = mutated(seeds[random(seeds.length)] ?? Buffer.alloc(0), random);
    const transport = random(2) === 0 ? 'udp' : 'tcp';
    const client = { transport, address: '10.244.1.5' } as const;
    try {
      const reply = await responder.respond(message, client);
      if (!reply) continue;
      const packet = read(reply);
      const limit = transport === 'udp' ? 1232 : 65535;
      if (!packet.flag_qr || packet.id !== message.readUInt16BE(0) || reply.length > limit)
        throw new Error('wrong answer');
    } catch (error) {
      unreadable.push(`${message.toString('hex')}: ${String(error)}`);
    }
  }
  t.strictSame(unreadable, []);
  t.equal(counters.errors, 0);
  const sum = (counts: Record<string, number>): number => Object.values(counts).reduce((a, b) => a + b, 0);
  const all = sum(counters.answers) + sum(counters.dropped);
  t.equal(all, ROUNDS + seeds.length, 'every message is counted once');
  for (const reason of ['questionCount', 'recordCount', 'badName', 'cutShort', 'badRecord', 'trailing']) {
    t.ok((counters.malformed[reason] ?? 0) > 10, `${reason}: ${counters.malformed[reason]}`);
  }
  t.ok((counters.answers['NOERROR'] ?? 0) > 400, 'many stay questions');
  t.ok((counters.dropped['response'] ?? 0) > 10);
});

t.test('mutated replies of an upstream, relayed and read', async (t) => {
  const random = randomFrom(0xface);
  const alias = Buffer.from([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, 97, 0xc0, 16]);
  const upstream = await fakeUpstream(t, (asked) => {
    const reply = replyBytes(asked, 0x8180, [alias, addressAnswer(192, 0, 2, 7)]);
    const end = reply.length - alias.length - 16;
    // The question stays, or the reply would be taken for a forged one and never be looked at.
    return [Buffer.concat([reply.subarray(0, end), mutated(reply.subarray(end), random)])];
  });
  const counters = newDnsCounters();
  const own = { address: '10.96.0.10', port: 53 };
  const forwarder = new Forwarder({ upstreams: [upstream.address], own, counters, detectLoops: false });
  const resolver = new Resolver({ forwarder, counters, cacheBytes: 0, failureMs: 0 });
  t.teardown(() => forwarder.close());
  const records = (): typeof sampleRecords => sampleRecords;
  const responder = new Responder({
    domain: 'cluster.local',
    address: own.address,
    records,
    forwarder,
    resolver,
    counters,
  });
  for (let round = 0; round < 20; round++) {
    const asked = Array.from({ length: 25 }, (_, i) => {
      const name = i % 5 === 0 ? `www${i}.example.com` : 'outside.default.svc.cluster.local';
      return { relayed: i % 5 === 0, reply: responder.respond(queryBytes(name, TYPE.a), { transport: 'udp' }) };
    });
    for (const { relayed, reply } of asked) {
      const message = await reply;
      if (message?.readUInt16BE(0) !== 0x1234) t.fail(`round ${round}: no answer`);
      if (!relayed) read(message);
    }
  }
  t.equal(counters.errors, 0);
  t.ok((counters.answers['NOERROR'] ?? 0) > 80, `NOERROR: ${counters.answers['NOERROR']}`);
  t.ok((counters.answers['SERVFAIL'] ?? 0) > 20, `SERVFAIL: ${counters.answers['SERVFAIL']}`);
});
