/** 30,000 mutated replies through the reader that the cache relies on, beside a stranger's decoder. */
import { decode, encode } from 'dns-packet';
import t from 'tap';
import { renderCached } from '../../src/dns/answer-cache.ts';
import { readQuery } from '../../src/dns/query.ts';
import { scanReply } from '../../src/dns/reply-scan.ts';
import { addressAnswer, negativeReply, replyBytes } from './fake-upstream.ts';
import { mutated, randomFrom } from './mutate.ts';
import { queryBytes } from './sample-cluster.ts';

const ROUNDS = 30_000;
const asked = queryBytes('www.example.com', 1, { udpBytes: 1232 });

const rich = encode({
  type: 'response',
  id: 7,
  flags: 0x0180,
  questions: [{ name: 'www.example.com', type: 'A', class: 'IN' }],
  answers: [
    { type: 'CNAME', name: 'www.example.com', ttl: 300, data: 'a.example.net' },
    { type: 'A', name: 'a.example.net', ttl: 20, data: '192.0.2.1' },
    { type: 'MX', name: 'a.example.net', ttl: 30, data: { preference: 5, exchange: 'm.example.net' } },
    { type: 'TXT', name: 'a.example.net', ttl: 0, data: ['x', 'y'.repeat(200)] },
    { type: 'SRV', name: '_a._tcp.example.net', ttl: 40, data: { port: 1, target: 'b.example.net' } },
  ],
  authorities: [
    {
      type: 'SOA',
      name: 'example.net',
      ttl: 60,
      data: { mname: 'ns.example.net', rname: 'h.example.net', serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 9 },
    },
  ],
  additionals: [
    {
      type: 'OPT',
      name: '.',
      udpPayloadSize: 1232,
      extendedRcode: 0,
      ednsVersion: 0,
      flags: 0,
      flag_do: true,
      options: [],
    },
    { type: 'AAAA', name: 'b.example.net', ttl: 50, data: 'fd00::1' },
  ],
});

t.test('what an undamaged reply says', async (t) => {
  t.match(scanReply(rich), { negative: false, lifeSeconds: 0, rcode: 0, truncated: false, ttlOffsets: { length: 7 } });
  t.match(scanReply(replyBytes(asked, 0x8180, [addressAnswer(1, 2, 3, 4)])), { lifeSeconds: 60, negative: false });
  t.match(scanReply(negativeReply(asked, 3, 300, 20)), { lifeSeconds: 20, negative: true, rcode: 3 });
  t.match(scanReply(negativeReply(asked, 0, 10, 20)), { lifeSeconds: 10, negative: true });
  const alias = Buffer.from([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 16]);
  t.match(scanReply(replyBytes(asked, 0x8183, [alias])), { lifeSeconds: 0, negative: true }, 'an alias and no SOA');
});

t.test('names that lead nowhere', async (t) => {
  const record = (name: number[]) => Buffer.from([...name, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 1, 2, 3, 4]);
  const at = replyBytes(asked).length;
  const names: [string, number[]][] = [
    ['a pointer to itself', [0xc0, at]],
    ['a pointer ahead', [0xc0, at + 6]],
    ['a pointer into the header', [0xc0, 4]],
    ['a label and back to it', [1, 97, 0xc0, at]],
    ['a reserved label', [0x41, 97, 0]],
    ['more than 255 octets', [...Array.from({ length: 4 }, () => [63, ...Array(63).fill(97)]).flat(), 0]],
  ];
  for (const [what, name] of names) t.equal(scanReply(replyBytes(asked, 0x8180, [record(name)])), undefined, what);
  t.ok(scanReply(replyBytes(asked, 0x8180, [record([1, 97, 0xc0, 12])])), 'a pointer back is a name');
  t.equal(scanReply(Buffer.concat([replyBytes(asked), Buffer.from([0])])), undefined, 'an octet too many');
});

t.test('mutated replies', async (t) => {
  const result = readQuery(asked);
  if (result.kind !== 'query') throw new Error(result.kind);
  const seeds = [
    rich,
    replyBytes(asked, 0x8180, [addressAnswer(1, 2, 3, 4), addressAnswer(5, 6, 7, 8)]),
    negativeReply(asked, 3, 300, 20),
  ];
  const random = randomFrom(0xcafe);
  let read = 0;
  const wrong: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const message = mutated(seeds[random(seeds.length)] ?? rich, random);
    try {
      const scan = scanReply(message);
      if (!scan) continue;
      read++;
      const records = [6, 8, 10].reduce((sum, at) => sum + message.readUInt16BE(at), 0);
      const { ttlOffsets, lifeSeconds, questionEnd } = scan;
      const inside = ttlOffsets.every((at, i) => at > (ttlOffsets[i - 1] ?? questionEnd - 1) && at + 10 <= 65536 + 10);
      if (!inside || ttlOffsets.length > records) throw new Error('offsets');
      if (ttlOffsets.some((at) => at + 6 > message.length)) throw new Error('past the end');
      if (!(lifeSeconds >= 0 && lifeSeconds <= 0x7fffffff)) throw new Error('life');
      // Only what echoes our question gets as far as the cache.
      if (questionEnd !== 12 + result.query.question.length) continue;
      const entry = { message, ttlOffsets, storedMs: 0, lifeMs: lifeSeconds * 1000, hits: 0, retryMs: 0 };
      for (const now of [0, 1e6, 1e12]) {
        if (renderCached(entry, result.query, now).length !== message.length) throw new Error('rendered');
      }
    } catch (error) {
      wrong.push(`${message.toString('hex')}: ${String(error)}`);
    }
  }
  t.strictSame(wrong, []);
  t.ok(read > ROUNDS / 20, `${read} were readable`);
  t.equal(decode(rich).answers?.length, 5);
});
