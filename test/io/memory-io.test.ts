/** Ports in memory: what goes in is laid out as a device would, what goes out is what the descriptors say. */
import t from 'tap';
import { MemoryIo, type SentPacket } from '../../src/io/memory-io.ts';
import {
  GSO_TCPV4,
  HEADROOM_BYTES,
  PACKET_FLAG,
  PacketVector,
  RECEIVE_BYTES,
  SPARE_PACKETS,
  VECTOR_PACKETS,
} from '../../src/io/vector.ts';
import { parseAddress, type Words, word4, wordsFrom4 } from '../../src/wire/address.ts';
import { setU16, u16 } from '../../src/wire/bytes.ts';
import { fold, pseudoSum4 } from '../../src/wire/checksum.ts';
import * as c from '../wire/captures.ts';

const OVERLAY = 1;
const A = wordsFrom4(0xc0000201);
const B = wordsFrom4(0xc0000202);

/** Sends packet `i` of a vector on a port and nothing else. */
function only(vector: PacketVector, i: number, port: number): void {
  vector.outPort.fill(-1, 0, vector.count);
  vector.outPort[i] = port;
}

function one(packets: readonly SentPacket[]): SentPacket {
  if (packets.length !== 1 || !packets[0]) throw new Error(`${packets.length} packets, expected one`);
  return packets[0];
}

function numbered(lengthBytes: number): Uint8Array {
  return Uint8Array.from({ length: lengthBytes }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
}

t.test('receives in order over all ports, with headroom, alignment and a clean descriptor', async (t) => {
  const io = new MemoryIo({ overlayPorts: [OVERLAY] });
  const vector = new PacketVector();
  vector.descriptors.fill(0x5a5a5a5a);
  vector.count = 0;
  io.inject(16, numbered(100));
  io.inject(OVERLAY, c.echoRequest.subarray(c.VXLAN), { peer: B, peerPort: 51530 });
  io.inject(17, numbered(1));
  t.equal(io.exchange(vector, -1), 3);
  t.equal(vector.count, 3);
  t.same([...vector.inPort.subarray(0, 3)], [16, OVERLAY, 17]);
  t.same([...vector.outPort.subarray(0, 3)], [-1, -1, -1]);
  t.same([...vector.length.subarray(0, 3)], [100, c.echoRequest.length - c.VXLAN, 1]);
  t.same([...vector.l3Offset.subarray(0, 3)], [0, 22, 0], 'the inner IP header of an overlay packet');
  for (const field of [vector.flags, vector.gsoType, vector.stride, vector.hash, vector.headerBytes]) {
    t.same([...field.subarray(0, 3)], [0, 0, 0]);
  }
  t.same([vector.peer2[1], (vector.peer3[1] ?? 0) >>> 0, vector.peerPort[1]], [0xffff, 0xc0000202, 51530]);
  const starts = [...vector.offset.subarray(0, 3)];
  t.same(starts, [HEADROOM_BYTES, 256 + HEADROOM_BYTES, 512 + HEADROOM_BYTES], 'in steps of 64 bytes');
  const first = starts[0] ?? 0;
  t.same(vector.arena.slice(first, first + 100), numbered(100));
});

t.test('the injected bytes are copied', async (t) => {
  const io = new MemoryIo();
  const vector = new PacketVector();
  const packet = Buffer.from(numbered(50));
  io.inject(16, packet);
  packet.fill(0);
  io.exchange(vector, 0);
  only(vector, 0, 17);
  io.exchange(vector, 0);
  const bytes = one(io.sent(17)).bytes;
  vector.arena.fill(0);
  t.same(bytes, numbered(50));
});

t.test('sends what has an out port, once, and keeps ports apart', async (t) => {
  const io = new MemoryIo();
  const vector = new PacketVector();
  for (let i = 0; i < 4; i++) io.inject(16, Uint8Array.of(i));
  io.exchange(vector, 0);
  vector.outPort.set([17, -1, 18, 17]);
  const made = vector.append(2);
  vector.arena.set([8, 9], vector.offset[made]);
  vector.outPort[made] = 18;
  t.equal(io.exchange(vector, 0), 0);
  t.equal(vector.count, 0, 'the vector begins anew');
  const bytes = (port: number) => io.sent(port).map((p) => [...p.bytes]);
  t.same(bytes(17), [[0], [3]]);
  t.same(bytes(18), [[2], [8, 9]]);
  t.same(io.sent(), [], 'taken');
  io.exchange(vector, 0);
  t.same(io.sent(), []);
});

t.test('a vector leaves room for the dataplane and never more than the arena', async (t) => {
  const io = new MemoryIo();
  const vector = new PacketVector();
  for (let i = 0; i < 1000; i++) io.inject(16, Uint8Array.of(i & 255, i >> 8));
  t.equal(io.exchange(vector, 0), VECTOR_PACKETS - SPARE_PACKETS);
  t.equal(io.waiting, 1000 - VECTOR_PACKETS + SPARE_PACKETS);
  t.equal(io.exchange(vector, 0), 1000 - VECTOR_PACKETS + SPARE_PACKETS);
  const start = vector.offset[0] ?? 0;
  t.equal((vector.arena[start] ?? 0) + 256 * (vector.arena[start + 1] ?? 0), VECTOR_PACKETS - SPARE_PACKETS);

  let received = 0;
  const longest = numbered(65535);
  for (let i = 0; i < 200; i++) io.inject(16, longest);
  while (io.waiting > 0) {
    const n = io.exchange(vector, 0);
    t.ok(n > 0);
    received += n;
    t.ok((vector.offset[n - 1] ?? 0) + 65535 <= RECEIVE_BYTES);
  }
  t.equal(received, 200);
  t.throws(() => io.inject(16, new Uint8Array(RECEIVE_BYTES)), RangeError);
});

t.test('waiting moves the clock, unless there is something to do', async (t) => {
  const io = new MemoryIo();
  const vector = new PacketVector();
  io.exchange(vector, 25);
  t.equal(io.nowMs, 25);
  io.exchange(vector, 0);
  io.exchange(vector, -1);
  t.equal(io.nowMs, 25);
  io.inject(16, numbered(20));
  io.exchange(vector, 1000);
  t.equal(io.nowMs, 25);
  io.wake();
  t.equal(io.exchange(vector, 1000), 0);
  t.equal(io.nowMs, 25, 'woken');
  io.exchange(vector, 5);
  io.advance(70);
  t.equal(io.nowMs, 100);
});

t.test('strided super-packets: as receive offload leaves them, and linear again when sent', async (t) => {
  const io = new MemoryIo();
  const vector = new PacketVector();
  const packet = numbered(40 + 1000 * 3 + 17);
  io.inject(16, packet, { gsoType: GSO_TCPV4, gsoSize: 1000, stridedHeaderBytes: 40, flags: 1, checksumStart: 20 });
  io.exchange(vector, 0);
  t.equal(vector.length[0], packet.length);
  t.same([vector.stride[0], vector.headerBytes[0], vector.gsoSize[0]], [1040, 40, 1000]);
  const at = (vector.offset[0] ?? 0) + 3 * 1040;
  t.same(vector.arena.slice(at, at + 57), Uint8Array.of(...packet.subarray(0, 40), ...packet.subarray(3040)));
  // What the dataplane does when it strips a prefix: the segments stay where they are.
  vector.offset[0] = at - 3 * 1040 + 8;
  vector.length[0] = packet.length - 8;
  vector.headerBytes[0] = 32;
  only(vector, 0, 17);
  io.exchange(vector, 0);
  const sent = one(io.sent(17));
  t.same(sent.bytes, packet.subarray(8));
  t.match(sent, { gsoType: GSO_TCPV4, gsoSize: 1000, flags: 1, checksumStart: 20 });
  t.throws(() => io.inject(16, packet, { stridedHeaderBytes: 40 }), RangeError, 'no segment size');
});

t.test('a descriptor outside the arena is the dataplane’s bug and is named', async (t) => {
  const io = new MemoryIo();
  for (const [offset, length] of [
    [-1, 10],
    [100, -1],
    [7 * 1024 * 1024 - 5, 6],
  ] as const) {
    const vector = new PacketVector();
    const i = vector.append(10);
    vector.offset[i] = offset;
    vector.length[i] = length;
    vector.outPort[i] = 16;
    t.throws(() => io.exchange(vector, 0), RangeError, `${offset} ${length}`);
  }
});

t.test('a link carries overlay packets between hosts, by the peer’s address', async (t) => {
  const a = new MemoryIo({ overlayPorts: [OVERLAY] });
  const b = new MemoryIo({ overlayPorts: [5] });
  MemoryIo.link(a, OVERLAY, b, 5, A, B);
  const vector = new PacketVector();
  const frame = c.tcpSyn.subarray(c.VXLAN);
  const send = (io: MemoryIo, port: number, peer: Words, change: (i: number) => void = () => {}) => {
    const i = vector.append(frame.length);
    vector.arena.set(frame, vector.offset[i]);
    for (const [w, field] of [vector.peer0, vector.peer1, vector.peer2, vector.peer3].entries()) {
      field[i] = peer[w] ?? 0;
    }
    change(i);
    only(vector, i, port);
    io.exchange(vector, 0);
  };
  send(a, OVERLAY, B);
  t.equal(a.sent().length, 0, 'it crossed');
  t.equal(b.exchange(vector, 0), 1);
  t.same([vector.inPort[0], vector.l3Offset[0], (vector.peer3[0] ?? 0) >>> 0], [5, 22, word4(A)]);
  t.same(vector.arena.slice(vector.offset[0], (vector.offset[0] ?? 0) + frame.length), frame);

  send(b, 5, A);
  t.equal(a.exchange(vector, 0), 1, 'and back');
  const stranger = parseAddress('192.0.2.9');
  if (!stranger) throw new Error('does not parse');
  send(a, OVERLAY, stranger);
  t.equal(one(a.sent(OVERLAY)).peer[3], word4(stranger), 'nobody’s: kept');
  t.equal(b.waiting, 0);

  const l4 = c.INNER_L4 - c.VXLAN;
  send(a, OVERLAY, B, (i) => {
    vector.flags[i] = PACKET_FLAG.checksumPartial;
    vector.checksumStart[i] = l4;
    vector.checksumOffset[i] = 16;
  });
  b.exchange(vector, 0);
  t.equal(u16(vector.arena, (vector.offset[0] ?? 0) + l4 + 16), c.TCP_SYN_TRUE_CHECKSUM, 'completed on the way');
  t.equal(vector.flags[0], 0);

  send(a, OVERLAY, B, (i) => {
    vector.flags[i] = PACKET_FLAG.checksumPartial;
    vector.checksumStart[i] = l4;
    vector.checksumOffset[i] = 16;
    vector.gsoType[i] = GSO_TCPV4;
    vector.gsoSize[i] = 1410;
  });
  b.exchange(vector, 0);
  t.same([vector.flags[0], vector.gsoType[0], vector.gsoSize[0], vector.checksumStart[0]], [1, 1, 1410, l4]);
});

t.test('a UDP checksum that comes out as 0 crosses a link as 0xffff', async (t) => {
  const a = new MemoryIo();
  const b = new MemoryIo();
  MemoryIo.link(a, 1, b, 1, A, B);
  const vector = new PacketVector();
  const i = vector.append(12);
  const o = vector.offset[i] ?? 0;
  // Header 8, checksum at 6; the last 2 bytes bring the sum to 0xffff.
  const pseudo = fold(pseudoSum4(1, 2, 17, 12));
  setU16(vector.arena, o + 6, pseudo);
  setU16(vector.arena, o + 10, 0xffff - pseudo);
  vector.flags[i] = PACKET_FLAG.checksumPartial;
  vector.checksumOffset[i] = 6;
  vector.peer2[i] = 0xffff;
  vector.peer3[i] = word4(B);
  only(vector, i, 1);
  a.exchange(vector, 0);
  b.exchange(vector, 0);
  t.equal(u16(vector.arena, (vector.offset[0] ?? 0) + 6), 0xffff);
});

t.test('close forgets everything', async (t) => {
  const io = new MemoryIo();
  io.inject(16, numbered(9));
  io.close();
  t.equal(io.waiting, 0);
  t.equal(io.exchange(new PacketVector(), 0), 0);
});
