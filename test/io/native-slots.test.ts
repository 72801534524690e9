/**
 * Datagrams that come one by one, as from a wire whose devices join nothing: each lands in a slot, and segments of one
 * connection in slots side by side become one super-packet, as those of an aggregate do.
 */
import t, { type Test } from 'tap';
import { Bench, ENCAP_BYTES, encapsulated, type Inner, type Received, randomBytes, TCP } from './native-packets.ts';

/** Sockets without segmentation and aggregation; the receiver has seen before that datagrams come one by one. */
function plainPair(t: Test, options: { trustPartial?: boolean; mtu?: number } = {}) {
  const [from, to] = [new Bench(), new Bench()];
  t.teardown(() => {
    from.close();
    to.close();
  });
  from.udp({ gso: false, gro: false });
  const port = to.udp({ gso: false, gro: false, ...options });
  deliver(from, to, port, [segment(100), segment(200)]);
  return { from, to, port };
}

/** Sends each by itself; everything is there before the receiver looks. */
function deliver(from: Bench, to: Bench, port: number, packets: readonly Buffer[]): Received[] {
  for (const bytes of packets) from.queue(bytes, port);
  from.io.exchange(from.vector, 0);
  from.vector.count = 0;
  return to.receive();
}

const PAYLOAD = 1000;
function segment(k: number, more: Partial<Inner> = {}): Buffer {
  return encapsulated({ protocol: TCP, payload: randomBytes(PAYLOAD, k + 1), seq: 1000 + k * PAYLOAD, ...more });
}
const payloads = (got: readonly Received[]) => Buffer.concat(got.map((p) => p.bytes.subarray(ENCAP_BYTES + 52)));
const expected = (ks: readonly number[]) => Buffer.concat(ks.map((k) => randomBytes(PAYLOAD, k + 1)));
const count = (n: number) => Array.from({ length: n }, (_, k) => k);

t.test('segments in slots side by side become super-packets', async (t) => {
  const { from, to, port } = plainPair(t);
  const got = deliver(
    from,
    to,
    port,
    count(60).map((k) => segment(k)),
  );
  t.equal(got.length, 2, 'as many as one receive brings together');
  t.ok(got.every((p) => p.stride > PAYLOAD && p.gsoSize === PAYLOAD));
  t.same(payloads(got), expected(count(60)));
});

t.test('a shorter one is the last of its run, another size begins the next', async (t) => {
  const { from, to, port } = plainPair(t);
  const short = encapsulated({ protocol: TCP, payload: randomBytes(10, 9), seq: 1000 + 3 * PAYLOAD });
  const got = deliver(from, to, port, [...count(3).map((k) => segment(k)), short, segment(4), segment(5)]);
  t.equal(got.length, 2);
  t.same(payloads(got.slice(0, 1)), Buffer.concat([expected([0, 1, 2]), randomBytes(10, 9)]));
  t.same(payloads(got.slice(1)), expected([4, 5]));
});

t.test('what does not belong together stays apart, in order', async (t) => {
  for (const [name, change] of [
    ['a gap', { seq: 77 }],
    ['another connection', { sourcePort: 4 }],
    ['a FIN', { tcpFlags: 0x11 }],
  ] as const) {
    const { from, to, port } = plainPair(t);
    const packets = [segment(0), segment(1), segment(2, change), segment(3)];
    const got = deliver(from, to, port, packets);
    t.equal(got.length, 3, name);
    t.same(payloads(got), expected(count(4)), name);
  }
});

t.test('a damaged segment is not merged', async (t) => {
  const { from, to, port } = plainPair(t);
  const packets = count(3).map((k) => segment(k));
  packets[1]![200]! ^= 1;
  const got = deliver(from, to, port, packets);
  t.equal(got.length, 3);
  t.ok(to.stat('checksumBad') > 0);
  t.same(got[1]?.bytes, packets[1]);
});

t.test('checksums that a kernel of this machine left unfinished merge where they are trusted', async (t) => {
  for (const trustPartial of [true, false]) {
    const { from, to, port } = plainPair(t, { trustPartial });
    const packets = count(4).map((k) => segment(k, { partial: true }));
    t.equal(deliver(from, to, port, packets).length, trustPartial ? 1 : 4);
  }
});

t.test('two senders are two runs', async (t) => {
  const { from, to, port } = plainPair(t);
  const other = new Bench();
  t.teardown(() => other.close());
  other.udp({ gso: false, gro: false });
  for (const [bench, k] of [
    [from, 0],
    [other, 1],
    [from, 2],
  ] as const) {
    bench.queue(segment(k), port);
    bench.io.exchange(bench.vector, 0);
    bench.vector.count = 0;
  }
  const got = to.receive();
  t.equal(got.length, 3);
  t.equal(new Set(got.map((p) => p.peerPort)).size, 2);
});

t.test('a datagram larger than a slot goes on into a buffer, whole', async (t) => {
  const { from, to, port } = plainPair(t);
  const large = encapsulated({ protocol: TCP, payload: randomBytes(30_000, 5), seq: 9 });
  const packets = [segment(0), segment(1), large, segment(2), segment(3)];
  const got = deliver(from, to, port, packets);
  t.equal(got.length, 3);
  t.same(got[1]?.bytes, large);
  t.same(payloads([got[0]!, got[2]!]), expected(count(4)));
  // Once more, now that it is known that not all are small.
  t.same(
    deliver(from, to, port, packets).map((p) => p.bytes.length),
    [...packets.slice(0, 2), large, ...packets.slice(3)].map((p) => p.length),
  );
});

t.test('slots are as large as the MTU asks for', async (t) => {
  const { from, to, port } = plainPair(t, { mtu: 8950 });
  const jumbo = (k: number) =>
    encapsulated({ protocol: TCP, payload: randomBytes(8000, k + 1), seq: 1 + k * 8000, tcpFlags: 0x10 });
  const got = deliver(from, to, port, [jumbo(0), jumbo(1), jumbo(2)]);
  t.equal(got.length, 1);
  t.equal(got[0]?.bytes.length, ENCAP_BYTES + 52 + 3 * 8000);
});

t.test('many more than there are slots and descriptors all arrive, in order', async (t) => {
  const { from, to, port } = plainPair(t);
  // Every other one of another connection, so that nothing merges.
  const packets = count(900).map((k) => segment(k, { sourcePort: 40_000 + (k % 2) }));
  const got: Received[] = [];
  for (let i = 0; i < packets.length; i += 100) {
    for (const bytes of packets.slice(i, i + 100)) from.queue(bytes, port);
    from.io.exchange(from.vector, 0);
    from.vector.count = 0;
  }
  got.push(...to.receive());
  t.equal(got.length, 900);
  t.same(payloads(got), expected(count(900)));
});
