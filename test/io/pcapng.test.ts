/** Captures: written and read back, read in either byte order, and damaged ones refused by the byte. */
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { CaptureError, type CapturePacket, CaptureWriter, LINK_TYPE, readCapture } from '../../src/io/pcapng.ts';
import * as c from '../wire/captures.ts';

function written(write: (w: CaptureWriter) => void): Uint8Array {
  const blocks: Uint8Array[] = [];
  write(new CaptureWriter((block) => blocks.push(block)));
  return Uint8Array.from(Buffer.concat(blocks));
}

function packet(fields: Partial<CapturePacket> = {}): CapturePacket {
  const bytes = fields.bytes ?? Uint8Array.of(1, 2, 3);
  return { interfaceId: 0, timeNs: 1n, bytes, originalBytes: bytes.length, comments: [], ...fields };
}

/** Big-endian blocks by hand, as a capture from another machine has them. */
function bigEndian(type: number, ...fields: (number | Uint8Array)[]): Buffer {
  const parts = fields.map((f) => {
    if (typeof f !== 'number') return Buffer.concat([f, Buffer.alloc(-f.length & 3)]);
    const word = Buffer.alloc(4);
    word.writeUInt32BE(f);
    return word;
  });
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(type, 0);
  head.writeUInt32BE(body.length + 12, 4);
  return Buffer.concat([head, body, head.subarray(4)]);
}

function problem(file: Uint8Array): CaptureError {
  try {
    readCapture(file);
  } catch (error) {
    if (error instanceof CaptureError) return error;
    throw error;
  }
  throw new Error('read without an error');
}

const SECTION_BE = bigEndian(0x0a0d0d0a, 0x1a2b3c4d, 0x00010000, 0xffffffff, 0xffffffff);

t.test('what is written reads back the same', async (t) => {
  const packets = [
    packet({ timeNs: 1_700_000_000_123_456_789n, bytes: c.tcpSyn, comments: ['first', 'größer'], direction: 'in' }),
    packet({ interfaceId: 1, timeNs: 2n ** 63n, bytes: new Uint8Array(0), originalBytes: 9, direction: 'out' }),
    packet({ bytes: c.echoRequest6.subarray(c.INNER_L3), comments: [''] }),
    packet({ bytes: new Uint8Array(65535).fill(7) }),
  ];
  const interfaces = [
    { name: 'eth0', linkType: LINK_TYPE.ethernet },
    { name: 'weft0', linkType: LINK_TYPE.raw },
  ];
  const file = written((w) => {
    t.same(
      interfaces.map((i) => w.addInterface(i)),
      [0, 1],
    );
    for (const p of packets) w.packet(p);
  });
  t.equal(file.length % 4, 0);
  const back = readCapture(file);
  t.same(back.interfaces, interfaces);
  t.strictSame(
    back.packets.map((p) => ({ ...p, bytes: [...p.bytes] })),
    packets.map((p) => ({ ...p, bytes: [...p.bytes] })),
  );
  t.throws(() => written((w) => w.packet(packet())), RangeError, 'a packet of no interface');
});

t.test('big-endian, microseconds, time offset, simple packets, unknown blocks, two sections', async (t) => {
  const bytes = Uint8Array.of(1, 2, 3, 4, 5);
  const offset = Uint8Array.of(0, 14, 0, 8, 0, 0, 0, 0, 0, 0, 0, 100);
  const binary = Uint8Array.of(0, 9, 0, 1, 0x80 | 10, 0, 0, 0);
  const file = Buffer.concat([
    SECTION_BE,
    bigEndian(1, 0x00010000, 0),
    bigEndian(1, 0x00650000, 4, offset, binary, 0),
    bigEndian(0x7777, 1, 2, 3),
    bigEndian(6, 0, 0, 1_000_001, 5, 5, bytes),
    bigEndian(6, 1, 0, 1536, 5, 60, bytes),
    bigEndian(3, 5, bytes),
    written((w) => {
      w.addInterface({ name: 'second', linkType: LINK_TYPE.raw });
      w.packet(packet({ timeNs: 5n }));
    }),
  ]);
  const { interfaces, packets } = readCapture(file);
  t.same(interfaces, [
    { name: '', linkType: 1 },
    { name: '', linkType: 101 },
    { name: 'second', linkType: 101 },
  ]);
  t.same(
    packets.map((p) => p.interfaceId),
    [0, 1, 0, 2],
  );
  t.same(
    packets.map((p) => p.timeNs),
    [1_000_001_000n, 101_500_000_000n, 0n, 5n],
  );
  t.same(
    packets.map((p) => p.originalBytes),
    [5, 60, 5, 3],
  );
  t.same(packets[2]?.bytes, bytes);
});

t.test('damaged files are refused by the byte', async (t) => {
  const good = written((w) => {
    w.addInterface({ name: 'x', linkType: LINK_TYPE.raw });
    w.packet(packet());
  });
  const view = new DataView(good.buffer);
  const idb = view.getUint32(4, true);
  const epb = idb + view.getUint32(idb + 4, true);
  const changed = (at: number, value: number) => {
    const copy = good.slice();
    new DataView(copy.buffer).setUint32(at, value, true);
    return problem(copy);
  };
  const cases: [CaptureError, number, RegExp][] = [
    [problem(new Uint8Array(0)), 0, /too short/],
    [problem(Uint8Array.of(0xd4, 0xc3, 0xb2, 0xa1, ...new Uint8Array(20))), 0, /classic pcap/],
    [problem(new TextEncoder().encode('hello, this is text')), 0, /no pcapng/],
    [changed(8, 0x12345678), 8, /byte-order magic/],
    [changed(12, 2), 12, /version 2/],
    [changed(idb + 4, 8), idb + 4, /block length 8/],
    [changed(idb + 4, 21), idb + 4, /block length 21/],
    [changed(idb + 4, 0xfffffffc), idb + 4, /block of 4294967292 bytes/],
    [changed(epb - 4, 12), epb - 4, /in front, 12 behind/],
    [changed(epb + 8, 1), epb + 8, /interface 1/],
    [changed(epb + 20, 0xffffffff), epb + 20, /packet of 4294967295 bytes/],
    [changed(idb + 16, 0xffff0002), idb + 18, /option 2 of 65535 bytes/],
    [problem(good.subarray(0, good.length - 4)), epb + 4, /block of/],
    [problem(good.subarray(0, epb + 5)), epb, /5 bytes left/],
    [problem(Buffer.concat([SECTION_BE, bigEndian(1, 5)])), SECTION_BE.length + 8, /interface of 4 bytes, needs 8/],
    [problem(Buffer.concat([SECTION_BE, bigEndian(3, 5, 0)])), SECTION_BE.length + 8, /describes no interface/],
  ];
  for (const [error, offset, message] of cases) {
    t.match(error.message, message);
    t.match(error.message, `byte ${offset}:`);
    t.equal(error.offset, offset, error.message);
    t.equal(error.code, 'ERR_CAPTURE');
  }
});

t.test('any damage ends in a capture or a CaptureError', async (t) => {
  const good = written((w) => {
    w.addInterface({ name: 'eth0', linkType: LINK_TYPE.ethernet });
    w.packet(packet({ bytes: c.udp, comments: ['a comment'], direction: 'in' }));
    w.packet(packet({ bytes: c.arpReply }));
  });
  let damaged = 0;
  const change = fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 0, max: 255 }));
  const property = fc.property(fc.array(change, { maxLength: 5 }), fc.nat(good.length), (changes, cut) => {
    const file = good.slice(0, cut % 3 === 0 ? cut : good.length);
    for (const [at, value] of changes) file[at] = value;
    try {
      const { interfaces, packets } = readCapture(file);
      return packets.every((p) => interfaces[p.interfaceId] !== undefined && p.bytes.length <= file.length);
    } catch (error) {
      damaged++;
      return error instanceof CaptureError && error.offset <= file.length;
    }
  });
  fc.assert(property, { seed: 101, numRuns: 5000 });
  t.ok(damaged > 1000, `${damaged} files were refused`);
});

const skip = spawnSync('tcpdump', ['--version']).error ? 'tcpdump is not installed' : false;

t.test('tcpdump reads what is written', { skip }, async (t) => {
  const path = join(tmpdir(), `weft-pcapng-${process.pid}.pcapng`);
  t.teardown(() => rmSync(path, { force: true }));
  // tcpdump takes one link type a file.
  const file = written((w) => {
    w.addInterface({ name: 'v0', linkType: LINK_TYPE.ethernet });
    w.packet(packet({ timeNs: 1_700_000_000_123_456_789n, bytes: c.echoRequest, comments: ['kept'], direction: 'in' }));
    w.packet(packet({ timeNs: 1_700_000_001_000_000_001n, bytes: c.tcpReset, direction: 'out' }));
  });
  writeFileSync(path, file);
  const { stdout, stderr, status } = spawnSync('tcpdump', ['-nn', '-tt', '--nano', '-r', path], { encoding: 'utf8' });
  t.equal(status, 0, stderr);
  t.match(stdout, '1700000000.123456789 IP 192.0.2.1.51530 > 192.0.2.2.4789: VXLAN, flags [I] (0x08), vni 1');
  t.match(stdout, 'IP 10.244.1.0 > 10.244.2.0: ICMP echo request, id 7051, seq 1, length 24');
  t.match(stdout, '1700000001.000000001 IP 192.0.2.2.33084');
  t.match(stdout, 'Flags [R.], seq 0, ack 2426643261');
});
