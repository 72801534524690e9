/** The ring between two workers against a plain queue: what goes in comes out, in order, or is refused for lack of room. */
import t from 'tap';
import { CONTROL_WORDS, RING_BYTES, RingConsumer, RingProducer } from '../../src/dataplane/hand-over-ring.ts';
import { ARENA_BYTES, HEADROOM_BYTES, PacketVector } from '../../src/io/vector.ts';
import { Random } from './random.ts';

const FIELDS = [
  'inPort',
  'flags',
  'gsoType',
  'gsoSize',
  'checksumOffset',
  'peer0',
  'peer1',
  'peer2',
  'peer3',
  'peerPort',
] as const;

interface Packet {
  bytes: Uint8Array;
  fields: Record<string, number>;
}

function ring() {
  const control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  const from = new PacketVector();
  const to = new PacketVector(new Uint8Array(new SharedArrayBuffer(ARENA_BYTES + RING_BYTES)));
  return {
    from,
    to,
    producer: new RingProducer(control, from.arena, to.arena, ARENA_BYTES),
    consumer: new RingConsumer(control),
  };
}

/** A random packet as packet 0 of a vector, in strides now and then, at any alignment; what should come out. */
function write(r: Random, vector: PacketVector, front: number): Packet {
  vector.begin(0);
  const length = r.chance(0.1) ? 30_000 + r.below(35_000) : 40 + r.below(r.chance(0.5) ? 100 : 1500);
  const i = vector.place(256 + r.below(64), length);
  const fields: Record<string, number> = {};
  for (const name of FIELDS) fields[name] = vector[name][i] = r.next() | 0;
  const header = 40 + r.below(20);
  const size = 200 + r.below(1200);
  const strided = length > header + size && r.chance(0.3);
  const bytes = new Uint8Array(front + length);
  for (let n = 0; n < bytes.length; n++) bytes[n] = r.next();
  const o = vector.offset[i]! - front;
  if (strided) {
    fields.gsoSize = vector.gsoSize[i] = size;
    vector.stride[i] = front + header + size + r.below(8);
    vector.headerBytes[i] = header;
    vector.arena.set(bytes.subarray(0, front + header), o);
    for (let k = 0, at = front + header; at < bytes.length; k++, at += size) {
      vector.arena.set(bytes.subarray(at, at + size), o + k * vector.stride[i] + front + header);
    }
  } else vector.arena.set(bytes, o);
  vector.checksumStart[i] = r.pick([0, 20, 40]);
  fields.checksumStart = vector.checksumStart[i] === 0 ? 0 : vector.checksumStart[i] + front;
  return { bytes, fields };
}

t.test('20,000 packets of every size, taken in portions of every size', async (t) => {
  const r = new Random(42);
  const { from, to, producer, consumer } = ring();
  const queue: Packet[] = [];
  let shown = 0;
  let refused = 0;
  let wrong = 0;
  let taken: Packet[] = [];
  const check = () => {
    for (const [i, packet] of taken.entries()) {
      const o = to.offset[i]!;
      const same =
        o >= ARENA_BYTES + HEADROOM_BYTES &&
        to.stride[i] === 0 &&
        to.outPort[i] === -1 &&
        Buffer.compare(to.arena.subarray(o, o + to.length[i]!), packet.bytes) === 0 &&
        Object.entries(packet.fields).every(([name, value]) => to[name as (typeof FIELDS)[number]][i] === value);
      if (!same) wrong++;
    }
  };
  for (let n = 0; n < 20_000; n++) {
    const front = r.pick([0, 22]);
    const packet = write(r, from, front);
    if (producer.push(from, 0, front)) queue.push(packet);
    else refused++;
    if (r.chance(0.2)) {
      producer.publish();
      shown = queue.length;
    }
    if (!r.chance(n % 4000 < 2000 ? 0.3 : 0.02)) continue;
    // What was taken is whole until more is taken, whatever has been written meanwhile.
    check();
    to.begin(r.below(900));
    const most = r.below(200);
    const first = to.count;
    const count = consumer.take(to, most);
    const wanted = Math.min(most, shown, to.outPort.length - first);
    if (count !== wanted || consumer.waiting !== count < shown) wrong++;
    taken = queue.splice(0, count);
    shown -= count;
    for (const field of [to.offset, to.length, to.stride, to.outPort, to.checksumStart, ...FIELDS.map((f) => to[f])]) {
      field.copyWithin(0, first, first + count);
    }
  }
  t.equal(wrong, 0);
  t.ok(refused > 10, `${refused} were refused`);
});

t.test('counts may go round', async (t) => {
  const { from, to, producer, consumer } = ring();
  let passed = 0;
  for (let n = 0; n < 5000; n++) {
    from.begin(0);
    const i = from.place(256, 64);
    from.arena[256] = n;
    if (!producer.push(from, i, 0)) break;
    if (!producer.publish()) break;
    to.begin(0);
    if (consumer.take(to, 10) === 1 && to.arena[to.offset[0]!] === (n & 0xff)) passed++;
  }
  t.equal(passed, 5000);
  t.notOk(producer.publish(), 'nothing new, nothing to show');
});
