/**
 * Seeded garbage against the engine: descriptors that say anything at all, and packets mutated from good ones. The
 * engine lives when this test does; nothing it sends or receives may reach outside of the arena.
 */
import t from 'tap';
import { FIELD, FIELD_COUNT, VECTOR_PACKETS } from '../../src/io/vector.ts';
import { Bench, ENCAP_BYTES, encapsulated, randomBytes, TCP, UDP } from './native-packets.ts';

const ROUNDS = Number(process.env.WEFT_FUZZ_ROUNDS ?? 60);

function* random(seed: number): Generator<number, never> {
  let state = seed | 1;
  for (;;) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    yield state;
  }
}

t.test('descriptors that say anything', async (t) => {
  const bench = new Bench();
  t.teardown(() => bench.close());
  const port = bench.udp({ trustPartial: true });
  const words = random(20_261);
  const next = () => words.next().value;
  const { vector } = bench;
  const tempting = [0, 1, -1, 20, 22, 42, 64, 100, 1398, 1472, 65_535, 65_536, 0x7fffffff, -0x80000000];
  const sentBefore = bench.stat('txPackets');
  for (let round = 0; round < ROUNDS; round++) {
    vector.count = 0;
    for (let n = 0; n < 60; n++) {
      const inner = {
        protocol: next() & 1 ? TCP : UDP,
        ipv6: (next() & 3) === 0,
        payload: randomBytes((next() >>> 0) % 5000, next()),
        partial: true,
      };
      const i = bench.queue(encapsulated(inner), port);
      vector.gsoType[i] = [0, 1, 4, 5][next() & 3]!;
      vector.gsoSize[i] = (next() >>> 0) % 2000;
      vector.flags[i] = next() & 3;
      vector.checksumStart[i] = 42;
      vector.checksumOffset[i] = 16;
      for (let changes = next() & 3; changes > 0; changes--) {
        const field = (next() >>> 0) % FIELD_COUNT;
        if (field === FIELD.outPort) continue;
        const value = next() & 1 ? tempting[(next() >>> 0) % tempting.length]! : next();
        // Datagrams stay on loopback: the destination is not the fuzzer's.
        if (field >= FIELD.peer0 && field <= FIELD.peerPort) continue;
        vector.descriptors[field * VECTOR_PACKETS + i] = value;
      }
    }
    bench.io.exchange(vector, 0);
    for (let i = 0; i < vector.count; i++) {
      const end = vector.offset[i]! + vector.length[i]!;
      if (vector.offset[i]! < 0 || end > vector.arena.length)
        t.fail(`round ${round}: packet ${i} outside of the arena`);
    }
  }
  t.ok(bench.stat('txMalformed') > 0, 'some made no sense');
  t.ok(bench.stat('txPackets') > sentBefore && bench.stat('rxPackets') > 0, 'some did');
});

t.test('packets mutated from good ones', async (t) => {
  const from = new Bench();
  const to = new Bench();
  t.teardown(() => {
    from.close();
    to.close();
  });
  from.udp();
  const port = to.udp({ trustPartial: true });
  const words = random(4789);
  const next = () => words.next().value;
  let received = 0;
  for (let round = 0; round < ROUNDS * 3; round++) {
    from.vector.count = 0;
    const shape = { protocol: next() & 1 ? TCP : UDP, ipv6: (next() & 3) === 0 };
    const bytes = 1 + ((next() >>> 0) % 1200);
    for (let n = 0; n < 20; n++) {
      const packet = encapsulated({ ...shape, payload: randomBytes(bytes, n + 1), seq: n * bytes, id: n });
      for (let changes = (next() & 7) - 5; changes > 0; changes--) {
        const at = next() & 1 ? ENCAP_BYTES + ((next() >>> 0) % 40) : (next() >>> 0) % packet.length;
        if (at < packet.length) packet[at] = next();
      }
      from.queue(next() & 15 ? packet : packet.subarray(0, 23 + ((next() >>> 0) % (packet.length - 23))), port);
    }
    from.io.exchange(from.vector, 0);
    for (const packet of to.receive(0)) received += packet.bytes.length;
  }
  t.ok(received > 0 && to.stat('coalescedPackets') > 0 && to.stat('checksumBad') > 0);
});
