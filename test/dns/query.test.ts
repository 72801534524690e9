/** Queries off the wire: what is read, what is dropped, what is a FORMERR and why. */
import t from 'tap';
import { type QueryResult, readQuery } from '../../src/dns/query.ts';
import { queryBytes } from './sample-cluster.ts';

function reason(result: QueryResult): string {
  return 'reason' in result ? `${result.kind} ${result.reason}` : result.kind;
}

function patched(bytes: Buffer, offset: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt16BE(value, offset);
  return copy;
}

const plain = queryBytes('Web.default.svc.cluster.local', 1);
const withEdns = queryBytes('web.default.svc.cluster.local', 1, { udpBytes: 4096 });

t.test('reads a query', async (t) => {
  const result = readQuery(plain);
  t.match(result, {
    kind: 'query',
    query: { id: 0x1234, flags: 0x0100, type: 1, class: 1, name: { text: 'Web.default.svc.cluster.local' } },
  });
  if (result.kind === 'query') {
    t.strictSame(Buffer.from(result.query.question), plain.subarray(12));
    t.equal(result.query.edns, undefined);
  }
  t.match(readQuery(withEdns), { query: { edns: { version: 0, udpBytes: 4096, dnssecOk: false } } });
  t.match(readQuery(queryBytes('a', 1, { udpBytes: 100 })), { query: { edns: { udpBytes: 512 } } });
});

t.test('never answers a response, nor less than a header', async (t) => {
  t.equal(reason(readQuery(patched(plain, 2, 0x8180))), 'drop response');
  for (let length = 0; length < 12; length++) t.equal(reason(readQuery(plain.subarray(0, length))), 'drop short');
});

t.test('every way to be malformed has its reason', async (t) => {
  t.equal(reason(readQuery(patched(plain, 4, 0))), 'fault questionCount');
  t.equal(reason(readQuery(patched(plain, 4, 2))), 'fault questionCount');
  t.equal(reason(readQuery(patched(plain, 6, 1))), 'fault recordCount');
  t.equal(reason(readQuery(patched(plain, 8, 1))), 'fault recordCount');
  t.equal(reason(readQuery(patched(plain, 10, 5))), 'fault recordCount');
  t.equal(reason(readQuery(patched(plain, 10, 1))), 'fault badRecord', 'counted, not there');
  t.equal(reason(readQuery(patched(plain, 12, 0xc00c))), 'fault badName', 'a pointer to itself');
  t.equal(reason(readQuery(plain.subarray(0, plain.length - 1))), 'fault cutShort');
  t.equal(reason(readQuery(Buffer.concat([plain, Buffer.from([0])]))), 'fault trailing');
  t.equal(reason(readQuery(Buffer.concat([withEdns, Buffer.from([0])]))), 'fault trailing');
  const opt = withEdns.subarray(withEdns.length - 11);
  t.equal(reason(readQuery(patched(Buffer.concat([withEdns, opt]), 10, 2))), 'fault badOpt', 'two OPT records');
  for (let length = 12; length < withEdns.length; length++) {
    t.match(reason(readQuery(withEdns.subarray(0, length))), /^fault /, `${length} of ${withEdns.length} bytes`);
  }
});

t.test('other opcodes are told apart before anything else is read', async (t) => {
  for (const opcode of [1, 2, 4, 5, 6, 15]) {
    t.strictSame(readQuery(patched(plain.subarray(0, 12), 2, opcode << 11)), {
      kind: 'opcode',
      id: 0x1234,
      flags: opcode << 11,
    });
  }
});
