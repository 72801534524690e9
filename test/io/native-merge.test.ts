/**
 * Super-packets that leave in one write, where that must not be: what the receiver's kernel would cut again otherwise
 * than its sender meant, and a kernel that takes no write so large. A connected UDP socket stands for the device: it
 * shows each write as it was made, and takes none of more than 65,507 bytes.
 */
import { createHash } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { GSO_TCPV4, PACKET_FLAG } from '../../src/io/vector.ts';
import {
  Bench,
  ENCAP_BYTES,
  encapsulated,
  type Inner,
  naiveSum,
  pseudoHeader,
  randomBytes,
  TCP,
} from './native-packets.ts';

const PORT = 16;
const VNET_BYTES = 10;
const HEADER_BYTES = 52;
const GSO_SIZE_AT = 4;

const ROUNDS = Number(process.env.WEFT_FUZZ_ROUNDS ?? 60);

/** A bench whose port 16 writes into a socket, and what comes out of it. */
async function device(t: Test, mergeBytes: number): Promise<{ bench: Bench; writes: () => Buffer[] }> {
  const far = new Bench();
  const near = createSocket('udp4');
  near.connect(far.udp({ gro: false, encapBytes: 0 }), '127.0.0.1');
  await once(near, 'connect');
  const bench = new Bench();
  t.teardown(() => {
    bench.close();
    far.close();
    near.close();
  });
  const { fd } = (near as Socket & { _handle: { fd: number } })._handle;
  bench.io.attach({ id: PORT, kind: 'tun', fd, vnetHeaderBytes: VNET_BYTES, mergeBytes, sendOnly: true });
  const writes = () => {
    bench.io.exchange(bench.vector, 0);
    bench.vector.count = 0;
    return far.receive(0).map(({ bytes }) => bytes);
  };
  return { bench, writes };
}

/** Queues a TCP super-packet, or a plain packet where `gsoSize` is 0. Returns its bytes in the arena. */
function queueInner(bench: Bench, inner: Omit<Inner, 'protocol'>, gsoSize: number): Uint8Array {
  const bytes = encapsulated({ protocol: TCP, partial: gsoSize > 0, ...inner }).subarray(ENCAP_BYTES);
  const i = bench.queue(bytes, 0);
  const { vector } = bench;
  vector.outPort[i] = PORT;
  vector.l3Offset[i] = 0;
  if (gsoSize > 0) {
    vector.flags[i] = PACKET_FLAG.checksumPartial;
    vector.checksumStart[i] = 20;
    vector.checksumOffset[i] = 16;
    vector.gsoType[i] = GSO_TCPV4;
    vector.gsoSize[i] = gsoSize;
  }
  return vector.arena.subarray(vector.offset[i], vector.offset[i]! + bytes.length);
}

/** Queues super-packet number `k` of a connection. */
function queue(bench: Bench, k: number, size: number, more: Partial<Inner> = {}, gsoSize = 1400): Uint8Array {
  return queueInner(bench, { payload: randomBytes(size, k + 1), seq: 1000 + k * size, ...more }, gsoSize);
}

t.test('what would be cut otherwise than it was meant leaves alone', async (t) => {
  const { bench, writes } = await device(t, 60_000);
  const accurateEcn = () => {
    queue(bench, 0, 2800);
    queue(bench, 1, 2800)[32]! |= 1;
  };
  const cases: [string, number, () => void][] = [
    ['alike', 1, () => [0, 1].forEach((k) => queue(bench, k, 2800))],
    ['not where DF differs', 2, () => [0, 1].forEach((k) => queue(bench, k, 2800, { dontFragment: k === 0 }))],
    ['not without DF', 2, () => [0, 1].forEach((k) => queue(bench, k, 2800, { dontFragment: false }))],
    ['not into larger segments', 2, () => [0, 1].forEach((k) => queue(bench, k, 2800, {}, 1400 - k * 400))],
    ['not past the bit of accurate ECN', 2, accurateEcn],
  ];
  for (const [name, expected, fill] of cases) {
    fill();
    t.equal(writes().length, expected, name);
  }
});

t.test('a write that is too large for the kernel is made as smaller ones', async (t) => {
  const { bench, writes } = await device(t, 200_000);
  const size = 30_000;
  const [first, ...others] = [0, 1, 2].map((k) =>
    Buffer.from(queue(bench, k, size, { tcpFlags: k === 0 ? 0x10 : 0x18 })),
  );
  const got = writes();
  t.equal(got.length, 2, 'one alone, and two together, for which there is room');
  t.same(got[0]?.subarray(VNET_BYTES), first, 'with the headers that it came with');
  t.equal(got[0]?.readUInt16LE(GSO_SIZE_AT), 1400);
  const both = got[1]?.subarray(VNET_BYTES) ?? Buffer.alloc(HEADER_BYTES);
  t.same(both.subarray(HEADER_BYTES), Buffer.concat(others.map((packet) => packet.subarray(HEADER_BYTES))));
  t.equal(both.readUInt16BE(2), HEADER_BYTES + 2 * size);
  t.equal(naiveSum(both.subarray(0, 20)), 0xffff, 'the IP checksum');
  t.equal(both.readUInt16BE(36), naiveSum(pseudoHeader(both, both.length - 20)), 'and the sum of the pseudo-header');
  t.match([bench.stat('mergeFallbacks'), bench.stat('mergedPackets'), bench.stat('txPackets')], [1, 2, 3]);
  t.match([bench.stat('txErrors'), bench.stat('txDropped')], [0, 0]);
});

/** What a connection carried, in order: pieces that continue each other count as one. */
class Carried {
  readonly #pieces: { seq: number; bytes: Buffer[]; end: number }[] = [];

  add(seq: number, bytes: Buffer): void {
    const last = this.#pieces.at(-1);
    if (last?.end === seq) {
      last.bytes.push(bytes);
      last.end += bytes.length;
    } else this.#pieces.push({ seq, bytes: [bytes], end: seq + bytes.length });
  }

  get told(): string[] {
    return this.#pieces.map(
      ({ seq, bytes }) => `${seq} ${createHash('sha1').update(Buffer.concat(bytes)).digest('hex')}`,
    );
  }
}

t.test('nothing is lost, doubled or overtaken within a connection, whatever is merged or refused', async (t) => {
  const { bench, writes } = await device(t, 200_000);
  let state = 97;
  const below = (n: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % n;
  };
  const ports = [1, 2, 3];
  for (let round = 0; round < ROUNDS; round++) {
    const meant = new Map(ports.map((port) => [port, new Carried()]));
    const seen = new Map(ports.map((port) => [port, new Carried()]));
    const seqs = new Map(ports.map((port) => [port, 1000]));
    for (let n = 0; n < 24; n++) {
      const sourcePort = below(8) < 5 ? 1 : 1 + below(3);
      const gsoSize = below(6) === 0 ? 0 : below(8) === 0 ? 1000 : 1400;
      const payload = randomBytes(1 + (gsoSize === 0 ? below(1400) : 1400 + below(20_000)), n + 1);
      // Now and then a gap, or something that was sent before.
      const seq = seqs.get(sourcePort)! + (below(12) === 0 ? 700 : below(12) === 0 ? -100 : 0);
      const more = { tcpFlags: below(4) === 0 ? 0x18 : 0x10, window: below(12) === 0 ? 9 : 512 };
      queueInner(bench, { payload, seq, sourcePort, ...more }, gsoSize);
      seqs.set(sourcePort, seq + payload.length);
      meant.get(sourcePort)!.add(seq, payload);
    }
    for (const write of writes()) {
      const packet = write.subarray(VNET_BYTES);
      if (packet.readUInt16BE(2) !== packet.length) t.fail("a length that is not the packet's");
      seen.get(packet.readUInt16BE(20))!.add(packet.readUInt32BE(24), packet.subarray(HEADER_BYTES));
    }
    for (const port of ports) t.same(seen.get(port)?.told, meant.get(port)?.told, `round ${round}, port ${port}`);
  }
  t.ok(bench.stat('mergedPackets') > 0 && bench.stat('mergeFallbacks') > 0, 'both ways were taken');
  t.equal(bench.stat('txPackets'), ROUNDS * 24);
});
