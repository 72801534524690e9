/**
 * Super-packets through two engines over UDP on loopback: segmented, packed, aggregated by the kernel, coalesced; and
 * everything that must not be merged. Needs no rights.
 */
import t, { type Test } from 'tap';
import { loadNativeAddon } from '../../src/io/native-addon.ts';
import {
  FIELD,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  PACKET_FLAG,
  RECEIVE_BYTES,
  SPARE_PACKETS,
  VECTOR_PACKETS,
} from '../../src/io/vector.ts';
import {
  Bench,
  checksumsTrue,
  ENCAP_BYTES,
  encapsulated,
  type Inner,
  naiveSum,
  pseudoHeader,
  randomBytes,
  TCP,
  UDP,
} from './native-packets.ts';

function pair(
  t: Test,
  receiver: { trustPartial?: boolean; gro?: boolean } = {},
  sender: { gso?: boolean } = {},
  underlay: '127.0.0.1' | '::1' = '127.0.0.1',
) {
  const from = new Bench(underlay);
  const to = new Bench(underlay);
  t.teardown(() => {
    from.close();
    to.close();
  });
  from.udp(sender);
  return { from, to, port: to.udp(receiver) };
}

/** Queues a super-packet, its checksum partial as a TUN device delivers it. */
function queueSuper(bench: Bench, inner: Inner, gsoSize: number, port: number): Buffer {
  const bytes = encapsulated({ ...inner, partial: true });
  const i = bench.queue(bytes, port);
  const l4 = ENCAP_BYTES + (inner.ipv6 ? 40 : 20);
  bench.vector.gsoType[i] = inner.protocol === UDP ? GSO_UDP_L4 : inner.ipv6 ? GSO_TCPV6 : GSO_TCPV4;
  bench.vector.gsoSize[i] = gsoSize;
  bench.vector.flags[i] = PACKET_FLAG.checksumPartial;
  bench.vector.checksumStart[i] = l4;
  bench.vector.checksumOffset[i] = inner.protocol === UDP ? 6 : 16;
  return bytes;
}

const SUPER_PACKETS: readonly (readonly [string, Inner, number])[] = [
  ['TCP over IPv4', { protocol: TCP, payload: randomBytes(40_000, 1), tcpFlags: 0x18 }, GSO_TCPV4],
  ['TCP over IPv6', { protocol: TCP, payload: randomBytes(40_000, 2), tcpFlags: 0x18, ipv6: true }, GSO_TCPV6],
  ['UDP over IPv4', { protocol: UDP, payload: randomBytes(40_000, 3) }, GSO_UDP_L4],
  ['UDP over IPv6', { protocol: UDP, payload: randomBytes(40_000, 4), ipv6: true }, GSO_UDP_L4],
  ['without DF, ids in order', { protocol: TCP, payload: randomBytes(9000, 5), dontFragment: false }, GSO_TCPV4],
];

for (const [name, inner, gsoType, underlay] of SUPER_PACKETS.flatMap((row) =>
  (['127.0.0.1', '::1'] as const).map((underlay) => [...row, underlay] as const),
)) {
  t.test(`a super-packet comes out as it went in: ${name}, by ${underlay}`, async (t) => {
    const { from, to, port } = pair(t, {}, {}, underlay);
    const sent = queueSuper(from, inner, 1398, port);
    from.io.exchange(from.vector, 0);
    const [got, ...rest] = to.receive();
    t.equal(rest.length, 0, 'one packet');
    t.same(got?.bytes, sent, 'the same bytes, partial checksum included');
    t.match(got, { gsoType, gsoSize: 1398, flags: PACKET_FLAG.checksumPartial, l3Offset: ENCAP_BYTES, inPort: 1 });
    t.match(got?.peer, underlay === '::1' ? [0, 0, 0, 1] : [0, 0, 0xffff, 0x7f000001]);
    t.equal(got?.headerBytes, sent.length - inner.payload.length);
    t.equal(from.stat('segments'), Math.ceil(inner.payload.length / 1398));
    t.equal(from.stat('syscallsSend'), 1, 'all segments in one system call');
    t.equal(to.stat('coalescedSegments'), from.stat('segments'));
  });
}

t.test('segments are whole packets with true checksums', async (t) => {
  // To a receiver that does not coalesce, because every datagram arrives alone.
  const { from, to, port } = pair(t, { gro: false }, { gso: false });
  const payload = randomBytes(3000, 6);
  queueSuper(from, { protocol: TCP, payload, seq: 0xfffffe00, tcpFlags: 0x99, id: 0xffff }, 1398, port);
  from.io.exchange(from.vector, 0);
  const got = to.receive();
  t.equal(got.length, 3);
  t.ok(got.every((packet) => checksumsTrue(packet.bytes) && packet.gsoType === GSO_NONE));
  const tcp = got.map((packet) => packet.bytes.subarray(ENCAP_BYTES + 20));
  t.same(
    tcp.map((header) => header.readUInt32BE(4)),
    [0xfffffe00, 0x376, 0x8ec],
    'sequence numbers wrap',
  );
  t.same(
    tcp.map((header) => header[13]),
    [0x90, 0x10, 0x19],
    'CWR on the first, FIN and PSH on the last',
  );
  t.same(
    got.map((packet) => packet.bytes.readUInt16BE(ENCAP_BYTES + 4)),
    [0xffff, 0, 1],
    'ids count on',
  );
  t.same(Buffer.concat(tcp.map((header) => header.subarray(32))), payload);
});

t.test('a strided super-packet can be sent on', async (t) => {
  const { from, to, port } = pair(t);
  const third = new Bench();
  t.teardown(() => third.close());
  const thirdPort = third.udp();
  const sent = queueSuper(from, { protocol: TCP, payload: randomBytes(30_000, 7) }, 1398, port);
  from.io.exchange(from.vector, 0);
  t.equal(to.io.exchange(to.vector, 1000), 1);
  t.ok((to.vector.stride[0] ?? 0) > 0, 'strided');
  to.vector.outPort[0] = 1;
  to.vector.peerPort[0] = thirdPort;
  to.io.exchange(to.vector, 0);
  const [got, ...rest] = third.receive();
  t.equal(rest.length, 0);
  t.same(got?.bytes, sent);
});

/** Sends packets of equal size in one aggregate, so that only their contents decide about merging. */
function sendRun(t: Test, packets: readonly Buffer[], receiver: { trustPartial?: boolean } = {}) {
  const { from, to, port } = pair(t, receiver);
  for (const bytes of packets) from.queue(bytes, port);
  from.io.exchange(from.vector, 0);
  t.equal(from.stat('syscallsSend'), 1, 'packed into one system call');
  return { got: to.receive(), to };
}

const payload = (seed: number) => randomBytes(1000, seed);
const run = (change: (index: number) => Partial<Inner>, protocol = TCP) =>
  [0, 1, 2, 3].map((i) =>
    encapsulated({ protocol, payload: payload(i + 1), seq: 5000 + i * 1000, id: 7 + i, ...change(i) }),
  );

t.test('equal datagrams in order merge', async (t) => {
  const { got } = sendRun(
    t,
    run(() => ({})),
  );
  t.equal(got.length, 1);
  const merged = got[0]!.bytes;
  t.same(merged.subarray(ENCAP_BYTES + 52), Buffer.concat([1, 2, 3, 4].map(payload)));
  t.equal(merged.readUInt16BE(ENCAP_BYTES + 2), 52 + 4000, 'total length');
  const ip = merged.subarray(ENCAP_BYTES);
  t.equal(naiveSum(ip.subarray(0, 20)), 0xffff, 'header checksum');
  t.equal(ip.readUInt16BE(20 + 16), naiveSum(pseudoHeader(ip, 4032)), 'the pseudo-header sum of the whole');
});

for (const [name, change, protocol] of [
  ['a gap in the sequence', (i: number) => (i > 1 ? { seq: 5001 + i * 1000 } : {}), TCP],
  ['another acknowledgement', (i: number) => (i > 1 ? { ack: 78 } : {}), TCP],
  ['another window', (i: number) => (i > 1 ? { window: 513 } : {}), TCP],
  ['another flow', (i: number) => (i > 1 ? { sourcePort: 40001 } : {}), TCP],
  ['another TTL', (i: number) => (i > 1 ? { ttl: 62 } : {}), TCP],
  ['a push in the middle', (i: number) => (i === 1 ? { tcpFlags: 0x18 } : {}), TCP],
  ['ids out of order without DF', (i: number) => ({ dontFragment: false, id: i > 1 ? 90 + i : 7 + i }), TCP],
  ['another UDP flow', (i: number) => (i > 1 ? { sourcePort: 40001 } : {}), UDP],
] as const) {
  t.test(`${name} ends a run`, async (t) => {
    const { got } = sendRun(t, run(change, protocol));
    t.equal(got.length, 2, 'two runs of two');
    const headerBytes = protocol === TCP ? 52 : 28;
    const all = Buffer.concat(got.map((packet) => packet.bytes.subarray(ENCAP_BYTES + headerBytes)));
    t.same(all, Buffer.concat([1, 2, 3, 4].map(payload)), 'nothing lost, in order');
  });
}

for (const flags of [0x02, 0x04, 0x11, 0x30, 0x50, 0x90]) {
  t.test(`TCP flags ${flags} never merge`, async (t) => {
    const { got } = sendRun(
      t,
      run(() => ({ tcpFlags: flags })),
    );
    t.equal(got.length, 4);
  });
}

t.test('out of order stays out of order', async (t) => {
  const packets = run(() => ({}));
  const shuffled = [packets[2]!, packets[0]!, packets[3]!, packets[1]!];
  const { got } = sendRun(t, shuffled);
  t.same(
    got.map((packet) => packet.bytes),
    shuffled,
  );
});

for (const [name, spoil] of [
  ['payload', (bytes: Buffer) => (bytes[ENCAP_BYTES + 100]! ^= 0x40)],
  ['checksum', (bytes: Buffer) => (bytes[ENCAP_BYTES + 36]! ^= 0x01)],
  ['IP header checksum', (bytes: Buffer) => (bytes[ENCAP_BYTES + 10]! ^= 0x01)],
] as const) {
  t.test(`a corrupted ${name} is not laundered`, async (t) => {
    for (const corrupted of [0, 1, 2, 3]) {
      const packets = run(() => ({}));
      spoil(packets[corrupted]!);
      const { got, to } = sendRun(t, packets);
      const whole = got.find((packet) => packet.bytes.equals(packets[corrupted]!));
      t.match(whole, { gsoType: GSO_NONE, flags: 0 }, `packet ${corrupted} arrives as it was sent`);
      t.equal(
        got.filter((packet) => packet.gsoType !== GSO_NONE).every((packet) => packet.gsoSize === 1000),
        true,
      );
      t.ok(to.stat('checksumBad') > 0);
    }
  });
}

t.test('UDP without a checksum, fragments and IP options never merge', async (t) => {
  const zero = run(() => ({}), UDP);
  for (const bytes of zero) bytes.writeUInt16BE(0, ENCAP_BYTES + 26);
  t.equal(sendRun(t, zero).got.length, 4, 'zero checksum');
  const fragments = run(() => ({}));
  for (const bytes of fragments) bytes.writeUInt16BE(0x2000, ENCAP_BYTES + 6);
  t.equal(sendRun(t, fragments).got.length, 4, 'fragments');
  const options = run(() => ({}));
  for (const bytes of options) bytes[ENCAP_BYTES] = 0x46;
  t.equal(sendRun(t, options).got.length, 4, 'options');
});

t.test('garbage passes through', async (t) => {
  const { from, to, port } = pair(t, { trustPartial: true });
  const sent: Buffer[] = [];
  const got: Buffer[] = [];
  for (let seed = 1; seed < 400; seed++) {
    const length = 1 + ((seed * 13) % 200);
    from.vector.count = 0;
    for (let k = 1; k <= 3; k++) {
      const bytes = randomBytes(length, seed * 10 + k);
      // Some look like IP at first sight, or the garbage would end at the version.
      if (seed % 2 === 0 && length > ENCAP_BYTES + 9) {
        bytes[ENCAP_BYTES] = seed % 4 === 0 ? 0x45 : 0x60;
        bytes[ENCAP_BYTES + (seed % 4 === 0 ? 9 : 6)] = seed % 3 === 0 ? TCP : UDP;
      }
      const i = from.queue(bytes, port);
      if (length <= ENCAP_BYTES) from.vector.l3Offset[i] = 0;
      sent.push(bytes);
    }
    from.io.exchange(from.vector, 0);
    if (seed % 20 === 0) got.push(...to.receive().map((packet) => packet.bytes));
  }
  got.push(...to.receive().map((packet) => packet.bytes));
  t.ok(Buffer.concat(got).equals(Buffer.concat(sent)));
});

t.test('packing: sizes, order, limits', async (t) => {
  const { from, to, port } = pair(t);
  const sizes = [100, 100, 100, 60, 100, 200, 200, 50, ...Array<number>(150).fill(64)];
  const packets = sizes.map((size, i) => randomBytes(size, i + 1));
  for (const bytes of packets) from.queue(bytes, port);
  from.io.exchange(from.vector, 0);
  t.equal(from.stat('syscallsSend'), 1);
  // 100 100 100 60 | 100 | 200 200 50 | 64 x 64 | 64 x 64 | 64 x 22
  t.equal(from.stat('packedDatagrams'), sizes.length - 6);
  t.same(
    to.receive().map((packet) => packet.bytes),
    packets,
  );
});

t.test('more than one send holds', async (t) => {
  const { from, to, port } = pair(t);
  const payloads = [1, 2, 3].map((seed) => randomBytes(60_000, seed));
  for (const [i, bytes] of payloads.entries()) {
    queueSuper(from, { protocol: TCP, payload: bytes, seq: i * 60_000 }, 1398, port);
  }
  from.io.exchange(from.vector, 0);
  const got = to.receive();
  t.same(Buffer.concat(got.map((packet) => packet.bytes.subarray(ENCAP_BYTES + 52))), Buffer.concat(payloads));
});

t.test('datagrams wait for a vector that has room', async (t) => {
  const { from, to, port } = pair(t);
  const sent: Buffer[] = [];
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 1000; i++) sent.push(randomBytes(64, round * 1000 + i + 1));
    for (const bytes of sent.slice(-1000)) from.queue(bytes, port);
    from.io.exchange(from.vector, 0);
  }
  t.equal(to.io.exchange(to.vector, 1000), VECTOR_PACKETS - SPARE_PACKETS, 'a full vector, the spare kept free');
  const first = Array.from({ length: to.vector.count }, (_, i) =>
    Buffer.from(to.vector.arena.slice(to.vector.offset[i], to.vector.offset[i]! + 64)),
  );
  to.vector.count = 0;
  const got = [...first, ...to.receive().map((packet) => packet.bytes)];
  t.ok(Buffer.concat(got).equals(Buffer.concat(sent)), 'every one, in order');
});

t.test('a partial checksum without GSO is completed on the way out', async (t) => {
  for (const [protocol, checksumOffset] of [
    [TCP, 16],
    [UDP, 6],
  ] as const) {
    const { from, to, port } = pair(t);
    const i = from.queue(encapsulated({ protocol, payload: randomBytes(333, 8), partial: true }), port);
    from.vector.flags[i] = PACKET_FLAG.checksumPartial;
    from.vector.checksumStart[i] = ENCAP_BYTES + 20;
    from.vector.checksumOffset[i] = checksumOffset;
    from.io.exchange(from.vector, 0);
    const [got] = to.receive();
    t.ok(got !== undefined && checksumsTrue(got.bytes));
  }
});

t.test('a partial checksum is believed only where the port says so', async (t) => {
  const large = encapsulated({ protocol: TCP, payload: randomBytes(20_000, 9), partial: true });
  const small = encapsulated({ protocol: TCP, payload: new Uint8Array(0), partial: true });
  for (const trustPartial of [true, false]) {
    const { from, to, port } = pair(t, { trustPartial });
    for (const bytes of [large, small]) from.queue(bytes, port);
    from.io.exchange(from.vector, 0);
    const got = to.receive();
    t.same(
      got.map((packet) => packet.bytes),
      [large, small],
    );
    if (trustPartial) {
      t.match(got, [
        {
          flags: PACKET_FLAG.checksumPartial,
          gsoType: GSO_TCPV4,
          gsoSize: 1450 - 52,
          checksumStart: 42,
          checksumOffset: 16,
        },
        { flags: PACKET_FLAG.checksumPartial, gsoType: GSO_NONE, checksumStart: 42, checksumOffset: 16 },
      ]);
    } else {
      t.ok(got.every((packet) => packet.flags === 0 && packet.gsoType === GSO_NONE));
    }
  }
});

t.test('descriptors that make no sense are counted, not sent', async (t) => {
  const { from, port } = pair(t);
  const wrong: ((i: number) => void)[] = [
    (i) => (from.vector.offset[i] = -5),
    (i) => (from.vector.offset[i] = 0x7fffffff),
    (i) => (from.vector.length[i] = 0x7fffffff),
    (i) => (from.vector.length[i] = 0),
    (i) => (from.vector.l3Offset[i] = -1),
    (i) => (from.vector.l3Offset[i] = 5000),
    (i) => (from.vector.outPort[i] = 4095),
    (i) => (from.vector.outPort[i] = 0x7fffffff),
    (i) => (from.vector.stride[i] = 100),
    (i) => (from.vector.peer2[i] = 1),
    (i) => (from.vector.gsoType[i] = 99),
    (i) => {
      from.vector.gsoType[i] = GSO_TCPV4;
      from.vector.gsoSize[i] = 0;
    },
    (i) => {
      from.vector.gsoType[i] = GSO_TCPV4;
      from.vector.gsoSize[i] = -1;
    },
    (i) => {
      from.vector.gsoType[i] = GSO_TCPV4;
      from.vector.gsoSize[i] = 10;
      from.vector.stride[i] = 0x7fffffff;
      from.vector.headerBytes[i] = ENCAP_BYTES + 52;
    },
    (i) => {
      from.vector.flags[i] = PACKET_FLAG.checksumPartial;
      from.vector.checksumStart[i] = -4;
    },
    (i) => {
      from.vector.flags[i] = PACKET_FLAG.checksumPartial;
      from.vector.checksumStart[i] = 42;
      from.vector.checksumOffset[i] = 0x7ffffff0;
    },
  ];
  for (const [n, spoil] of wrong.entries()) {
    spoil(from.queue(encapsulated({ protocol: TCP, payload: randomBytes(100, n + 1) }), port));
    from.io.exchange(from.vector, 0);
    t.equal(from.stat('txMalformed'), n + 1, `case ${n}`);
  }
  t.equal(from.stat('syscallsSend'), 0);
});

t.test('a refused datagram does not stop the next', async (t) => {
  const { from, to, port } = pair(t);
  const gone = new Bench();
  const closedPort = gone.udp();
  gone.close();
  from.queue(randomBytes(50, 1), closedPort);
  from.queue(randomBytes(50, 2), port);
  from.io.exchange(from.vector, 0);
  from.queue(randomBytes(50, 3), port);
  from.io.exchange(from.vector, 0);
  t.equal(to.receive().length, 2);
});

t.test('wake ends a wait, from another thread too; a timeout ends it by itself', async (t) => {
  const bench = new Bench();
  t.teardown(() => bench.close());
  const before = bench.io.nowMs;
  t.equal(bench.io.exchange(bench.vector, 30), 0);
  t.ok(bench.io.nowMs > before);
  bench.addon.wake(bench.waker);
  const start = performance.now();
  t.equal(bench.io.exchange(bench.vector, -1), 0);
  t.ok(performance.now() - start < 50);
});

t.test('construction and attachment refuse what they cannot work with', async (t) => {
  const addon = loadNativeAddon();
  const bench = new Bench();
  t.teardown(() => bench.close());
  const { vector, stats, waker } = bench;
  const options = {
    arena: vector.arena,
    descriptors: vector.descriptors,
    receiveBytes: RECEIVE_BYTES,
    packets: VECTOR_PACKETS,
    sparePackets: 1,
    headroomBytes: 128,
    fields: FIELD,
    waker,
    stats,
  };
  for (const [change, message] of [
    [{ fields: { ...FIELD, stride: 8 } }, /field stride/],
    [{ fields: {} }, /field inPort/],
    [{ descriptors: new Int32Array(5) }, /another size/],
    [{ stats: new Float64Array(1) }, /another size/],
    [{ arena: new Uint8Array(10) }, /receiveBytes/],
    [{ receiveBytes: vector.arena.length + 1 }, /receiveBytes/],
    [{ arena: vector.descriptors as unknown as Uint8Array }, /arena/],
    [{ waker: 1.5 }, /waker/],
  ] as const) {
    t.throws(() => new addon.Engine({ ...options, ...change }), { message }, String(message));
  }
  t.throws(() => new addon.Engine({ ...options, waker: 987_654 }), { code: 'EBADF', syscall: 'epoll_ctl' });
  const engine = new addon.Engine(options);
  for (const port of [
    { id: 4096, fd: 0, kind: 'udp' },
    { id: -1, fd: 0, kind: 'udp' },
    { id: 1, fd: 0, kind: 'serial' },
    { id: 1, fd: 0, kind: 'tun', vnetHeaderBytes: 11 },
    { id: 1, fd: 0, kind: 'tap', vnetHeaderBytes: 10 },
    { id: 1, fd: -1, kind: 'udp' },
  ]) {
    t.throws(() => engine.attach(port as never), `${JSON.stringify(port)}`);
  }
  t.throws(() => engine.attach({ id: 1, fd: 987_654, kind: 'udp' }), { code: 'EBADF', syscall: 'fcntl' });
  t.throws(() => engine.attach({ id: 1, fd: waker, kind: 'udp' }), { code: 'ENOTSOCK', syscall: 'getsockopt' });
  engine.detach(77);
  engine.close();
  engine.close();
  t.throws(() => engine.txrx(0, 0), { message: /closed/ });
});

t.test('errors name the call and the place', async (t) => {
  const addon = loadNativeAddon();
  const udp = { port: 0, receiveBufferBytes: 0, sendBufferBytes: 0, gso: false, gro: false };
  t.throws(() => addon.openUdp({ ...udp, address: 'nowhere' }), { code: 'EINVAL', syscall: 'inet_pton' });
  t.throws(() => addon.openUdp({ ...udp, address: '192.0.2.1' }), {
    code: 'EADDRNOTAVAIL',
    errno: -99,
    syscall: 'bind',
    message: /^bind 192\.0\.2\.1 port 0: .*\(EADDRNOTAVAIL\)$/,
  });
  t.throws(() => addon.openUdp({ ...udp, address: '127.0.0.1', netns: '/nowhere' }), {
    code: 'ENOENT',
    syscall: 'open',
  });
  t.throws(() => addon.openTun({ name: 'a-name-beyond-15-letters', kind: 'tun', offloads: true }), {
    code: 'ENAMETOOLONG',
  });
  t.throws(() => addon.closeFd(987_654), { code: 'EBADF', syscall: 'close' });
});
