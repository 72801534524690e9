/**
 * Super-packets that leave in one write, where that must not be: what the receiver's kernel would cut again otherwise
 * than its sender meant, and a kernel that takes no write so large. A connected UDP socket stands for the device: it
 * shows each write as it was made, and takes none of more than 65,507 bytes.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
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

/** A bench whose port 16 writes into a socket, and what comes out of it. */
async function device(t: Test, mergeBytes: number): Promise<{ bench: Bench; writes: () => Promise<Buffer[]> }> {
  const [far, near] = [createSocket('udp4'), createSocket('udp4')];
  t.teardown(() => Promise.all([far, near].map((socket) => new Promise<void>((done) => socket.close(done)))));
  far.bind(0, '127.0.0.1');
  await once(far, 'listening');
  near.connect(far.address().port, '127.0.0.1');
  await once(near, 'connect');
  const bench = new Bench();
  t.teardown(() => bench.close());
  const { fd } = (near as Socket & { _handle: { fd: number } })._handle;
  bench.io.attach({ id: PORT, kind: 'tun', fd, vnetHeaderBytes: VNET_BYTES, mergeBytes, sendOnly: true });
  const got: Buffer[] = [];
  far.on('message', (message) => got.push(message));
  const writes = async () => {
    bench.io.exchange(bench.vector, 0);
    bench.vector.count = 0;
    for (let n = -1; n !== got.length; await sleep(20)) n = got.length;
    return got.splice(0);
  };
  return { bench, writes };
}

/** Queues super-packet number `k` of a connection; `change` may change its bytes. Returns them. */
function queue(bench: Bench, k: number, size: number, more: Partial<Inner> = {}, gsoSize = 1400): Uint8Array {
  const inner = { protocol: TCP, payload: randomBytes(size, k + 1), seq: 1000 + k * size, partial: true, ...more };
  const bytes = encapsulated(inner).subarray(ENCAP_BYTES);
  const i = bench.queue(bytes, 0);
  const { vector } = bench;
  vector.outPort[i] = PORT;
  vector.l3Offset[i] = 0;
  vector.flags[i] = PACKET_FLAG.checksumPartial;
  vector.checksumStart[i] = 20;
  vector.checksumOffset[i] = 16;
  vector.gsoType[i] = GSO_TCPV4;
  vector.gsoSize[i] = gsoSize;
  return vector.arena.subarray(vector.offset[i], vector.offset[i]! + bytes.length);
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
    t.equal((await writes()).length, expected, name);
  }
});

t.test('a write that is too large for the kernel is made as smaller ones', async (t) => {
  const { bench, writes } = await device(t, 200_000);
  const size = 30_000;
  const [first, ...others] = [0, 1, 2].map((k) =>
    Buffer.from(queue(bench, k, size, { tcpFlags: k === 0 ? 0x10 : 0x18 })),
  );
  const got = await writes();
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
