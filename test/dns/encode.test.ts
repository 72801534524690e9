/** Our encoder against dns-packet's decoder: the same records come out, compressed, and never more than fits. */
import fc from 'fast-check';
import t from 'tap';
import { CLASS_IN, TYPE } from '../../src/dns/codes.ts';
import { encodeForward, encodeHeaderOnly, encodeQuestion, encodeReply, type Reply } from '../../src/dns/encode.ts';
import { type Query, readQuery } from '../../src/dns/query.ts';
import type { DnsRecord } from '../../src/dns/record.ts';
import { formatAddress } from '../../src/wire/address.ts';
import { ask, ip, queryBytes, read } from './sample-cluster.ts';

function query(name: string, type: number, udpBytes?: number): Query {
  const result = readQuery(queryBytes(name, type, udpBytes === undefined ? {} : { udpBytes }));
  if (result.kind !== 'query') throw new Error(`${name}: ${result.kind}`);
  return result.query;
}

function reply(answers: DnsRecord[], rest: Partial<Reply> = {}): Reply {
  return { rcode: 0, authoritative: true, answers, authorities: [], additionals: [], ...rest };
}

/** Records in dns-packet's words. */
function expected(record: DnsRecord): { name: string; ttl: number; data: unknown } {
  const head = { name: record.owner || '.', ttl: record.ttlSeconds };
  switch (record.type) {
    case TYPE.a:
    case TYPE.aaaa:
      return { ...head, data: formatAddress(record.address) };
    case TYPE.srv:
      return { ...head, data: { priority: 0, weight: record.weight, port: record.port, target: record.target || '.' } };
    case TYPE.txt:
      return { ...head, data: [Buffer.from(record.text)] };
    case TYPE.soa: {
      const { server, mailbox, serial, negativeTtlSeconds } = record;
      const times = { refresh: 7200, retry: 1800, expire: 86400, minimum: negativeTtlSeconds };
      return { ...head, data: { mname: server || '.', rname: mailbox || '.', serial, ...times } };
    }
    default:
      return { ...head, data: record.target || '.' };
  }
}

const label = fc.constantFrom('a', 'b', 'web', 'default', 'svc', 'cluster', 'local', '_tcp', 'x'.repeat(63));
const name = fc
  .array(label, { maxLength: 6 })
  .map((labels) => labels.join('.'))
  .filter((text) => text.length < 254);
const head = { owner: name, ttlSeconds: fc.nat(0x7fffffff) };
const v4 = fc.nat(0xffffffff).map((a) => [0, 0, 0xffff, a] as const);
const word = fc.integer({ min: 0x10000, max: 0xffffffff });
const v6 = fc.tuple(word, word, word, word);
const record: fc.Arbitrary<DnsRecord> = fc.oneof(
  fc.record({ ...head, type: fc.constant(TYPE.a), address: v4 }),
  fc.record({ ...head, type: fc.constant(TYPE.aaaa), address: v6 }),
  fc.record({ ...head, type: fc.constantFrom(TYPE.cname, TYPE.ns, TYPE.ptr), target: name }),
  fc.record({ ...head, type: fc.constant(TYPE.srv), weight: fc.nat(65535), port: fc.nat(65535), target: name }),
  fc.record({ ...head, type: fc.constant(TYPE.txt), text: fc.stringMatching(/^[a-z0-9.]{0,40}$/) }),
  fc.record({
    ...head,
    type: fc.constant(TYPE.soa),
    server: name,
    mailbox: name,
    serial: fc.nat(0xffffffff),
    negativeTtlSeconds: fc.nat(0x7fffffff),
  }),
);

t.test('any records survive, in every section, through a stranger’s decoder', async (t) => {
  const sections = fc.tuple(fc.array(record), fc.array(record), fc.array(record));
  fc.assert(
    fc.property(name, sections, fc.boolean(), (question, [answers, authorities, additionals], edns) => {
      const asked = query(question, TYPE.a, edns ? 4096 : undefined);
      const packet = read(encodeReply(asked, reply(answers, { authorities, additionals }), 65535));
      const strip = (records: unknown) =>
        (records as { type: string; name: string; ttl: number; data: unknown }[])
          .filter(({ type }) => type !== 'OPT')
          .map(({ name, ttl, data }) => ({ name, ttl, data }));
      t.strictSame(strip(packet.answers), answers.map(expected));
      t.strictSame(strip(packet.authorities), authorities.map(expected));
      t.strictSame(strip(packet.additionals), additionals.map(expected));
      t.equal(packet.flag_tc, false);
    }),
    { seed: 3, numRuns: 300 },
  );
});

t.test('any limit holds: whole records, TC exactly when answers or authorities are missing', async (t) => {
  fc.assert(
    fc.property(
      fc.array(record),
      fc.array(record),
      fc.integer({ min: 512, max: 1300 }),
      (answers, additionals, limit) => {
        const packet = read(encodeReply(query('web', TYPE.a, 1232), reply(answers, { additionals }), limit));
        const kept = packet.answers?.length ?? 0;
        const extra = (packet.additionals?.length ?? 0) - 1;
        t.ok(packet.bytes <= limit, `${packet.bytes} of ${limit}`);
        t.equal(packet.flag_tc, kept < answers.length);
        t.ok(extra === 0 || kept === answers.length, 'additional records never take the place of answers');
        t.strictSame(
          (packet.answers as { data: unknown }[]).map(({ data }) => data),
          answers.slice(0, kept).map((one) => expected(one).data),
        );
      },
    ),
    { seed: 4, numRuns: 300 },
  );
});

t.test('names are compressed, SRV targets are not, the case of the question is kept', async (t) => {
  const asked = query('WEB.Default.svc.cluster.local', TYPE.a);
  const message = encodeReply(asked, ask('web.default.svc', TYPE.a), 512);
  t.equal(message.length, 12 + asked.question.length + 16, 'an owner is 2 bytes');
  t.strictSame(message.subarray(12, 12 + asked.question.length), Buffer.from(asked.question));
  t.equal((read(message).answers as { name: string }[])[0]?.name, 'WEB.Default.svc.cluster.local');

  const srv = encodeReply(
    query('_http._tcp.web.default.svc.cluster.local', 33),
    ask('_http._tcp.web.default.svc', 33),
    512,
  );
  t.not(srv.indexOf('\x03web\x07default\x03svc\x07cluster\x05local\x00', 60, 'latin1'), -1, 'the target in full');

  const crowd = encodeReply(query('crowd.default.svc.cluster.local', TYPE.a), ask('crowd.default.svc', TYPE.a), 65535);
  t.equal(crowd.length, 12 + 37 + 200 * 16);
  t.equal(read(crowd).answers?.length, 200);
});

t.test('pointers reach no further than 14 bits', async (t) => {
  const answers = Array.from({ length: 1500 }, (_, i): DnsRecord => {
    return { type: TYPE.ptr, owner: 'a', ttlSeconds: 5, target: `host-${i}.zone-${i % 700}.example` };
  });
  const message = encodeReply(query('a', TYPE.ptr), reply(answers), 65535);
  t.ok(message.length > 0x4000 + 2000);
  t.strictSame(
    (read(message).answers as { data: string }[]).map(({ data }) => data),
    answers.map((one) => 'target' in one && one.target),
  );
});

t.test('a question with odd octets is echoed as it came and never mistaken for a name of ours', async (t) => {
  const labels = Buffer.concat([Buffer.from([5]), Buffer.from('web.d'), Buffer.from([2, 0, 255, 0, 0, 1, 0, 1])]);
  const header = queryBytes('', 1).subarray(0, 12);
  const result = readQuery(Buffer.concat([header, labels]));
  if (result.kind !== 'query') throw new Error(result.kind);
  const answers: DnsRecord[] = [{ type: TYPE.ptr, owner: 'd', ttlSeconds: 5, target: 'web.d' }];
  const message = encodeReply(result.query, reply(answers), 512);
  t.strictSame(message.subarray(12, 12 + labels.length), labels);
  t.match(read(message).answers, [{ name: 'd', data: 'web.d' }]);
});

t.test('extended rcodes, flags, headers alone, queries to upstreams', async (t) => {
  const bad = encodeReply(query('a', 1, 1232), reply([], { rcode: 16, authoritative: false }), 512);
  t.equal(bad.readUInt16BE(2) & 15, 0);
  t.match(read(bad).additionals, [{ type: 'OPT', extendedRcode: 1, udpPayloadSize: 1232 }]);
  t.match(read(encodeReply(query('a', 1), reply([]), 512)), {
    flag_aa: true,
    flag_ra: true,
    flag_rd: true,
    flag_qr: true,
  });
  t.strictSame(encodeHeaderOnly(7, 0x2100, 4), Buffer.from([0, 7, 0xa1, 4, 0, 0, 0, 0, 0, 0, 0, 0]));
  const forward = read(encodeForward(query('Example.com', TYPE.aaaa, 4096), 99));
  t.match(forward, { id: 99, type: 'query', flag_rd: true, questions: [{ name: 'Example.com', type: 'AAAA' }] });
  t.match(forward.additionals, [{ udpPayloadSize: 1232 }]);
  t.equal(encodeForward(query('a', 1), 1).length, 19);
  t.strictSame(Buffer.from(encodeQuestion('a.b', 28)), Buffer.from([1, 97, 1, 98, 0, 0, 28, 0, CLASS_IN]));
  t.throws(() =>
    encodeReply(query('a', 1), reply([{ type: TYPE.a, owner: 'x y', ttlSeconds: 5, address: ip('1.2.3.4') }]), 512),
  );
});
