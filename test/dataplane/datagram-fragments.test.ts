/** Datagrams in fragments through services, over ports in memory: both directions, any order, and what is refused. */
import t from 'tap';
import { PATIENCE_MS } from '../../src/dataplane/datagram-fragments.ts';
import { run } from './family.ts';
import { fragmentOf, fragmentsOf, numbers, partOf, place, reassembled } from './fragments.ts';
import { cluster, settle, TestHost } from './host.ts';
import { echoPacket, payloadOf, read, tcpPacket, udpPacket } from './packets.ts';
import { Random } from './random.ts';

const CLIENT = '10.244.1.10';
const DNS = '10.96.0.53';
const services = [
  { address: DNS, port: 53, protocol: 17, endpoints: ['10.244.1.11:5353', '10.244.2.10:5353'] },
  { address: '10.96.0.54', port: 53, protocol: 17, endpoints: [] },
];

function question(fromPort: number, bytes: number, to = DNS): Uint8Array {
  return udpPacket({ from: CLIENT, to, fromPort, toPort: 53, payload: payloadOf(bytes) });
}

/** What came to a pod, put together. */
function arrived(host: TestHost, pod: number): Uint8Array[] {
  return reassembled(host.io.sent(16 + pod).map((p) => p.bytes));
}

function sendAll(host: TestHost, pod: number, packets: readonly Uint8Array[]): void {
  for (const packet of packets) host.send(pod, packet);
}

for (const [name, bytes] of [
  ['20,000 bytes', 20_000],
  ['60,000 bytes', 60_000],
] as const) {
  t.test(`${name} to an endpoint of either host and back`, async (t) => {
    const hosts = cluster(2, { services });
    const [a, b] = hosts as [TestHost, TestHost];
    for (const [fromPort, host, pod, endpoint] of [
      [1001, a, 1, '10.244.1.11'],
      [1002, b, 0, '10.244.2.10'],
    ] as const) {
      sendAll(a, 0, fragmentsOf(question(fromPort, bytes), fromPort));
      settle(hosts);
      const [asked, ...others] = arrived(host, pod);
      t.equal(others.length, 0);
      t.match(read(asked!), { from: CLIENT, to: endpoint, fromPort, toPort: 5353, length: bytes + 28, valid: true });
      t.equal(numbers.get(asked!), fromPort, 'the sender numbers what stays its own');
      const answer = { from: endpoint, to: CLIENT, fromPort: 5353, toPort: fromPort, payload: payloadOf(bytes) };
      sendAll(host, pod, fragmentsOf(udpPacket(answer), 7));
      settle(hosts);
      const [answered] = arrived(a, 0);
      const seen = { from: DNS, to: CLIENT, fromPort: 53, toPort: fromPort, length: bytes + 28, valid: true };
      t.match(read(answered!), seen);
    }
    for (const { pipeline } of hosts) {
      t.same([pipeline.context.fragments.size, pipeline.context.fragments.waiting.size], [0, 0], 'nothing is kept');
    }
    t.same(a.drops, {});
  });
}

t.test('whole datagrams and those in fragments are one connection', async (t) => {
  const host = new TestHost({ number: 1, services });
  host.send(0, question(1, 10));
  sendAll(host, 0, fragmentsOf(question(1, 3000), 1));
  settle([host]);
  t.same(
    arrived(host, 1).map((p) => read(p).length),
    [38, 3028],
  );
  t.equal(host.pipeline.context.flows.size, 1);
});

t.test('any order, many at once: what arrives is what a receiver would have made of them', async (t) => {
  const r = new Random(791);
  for (let round = 0; round < 60; round++) {
    const hosts = cluster(2, { services });
    const [a, b] = hosts as [TestHost, TestHost];
    const count = 1 + r.below(12);
    const lengths = Array.from({ length: count }, () => 1400 + r.below(20_000));
    const all = lengths.flatMap((bytes, n) => fragmentsOf(question(2000 + n, bytes), 300 + n, 576 + r.below(870)));
    shuffle(r, all);
    for (const packet of all) {
      a.send(0, packet);
      if (r.chance(0.2)) settle(hosts);
    }
    settle(hosts);
    const seen = [...arrived(a, 1), ...arrived(b, 0)].map((p) => read(p)).sort((x, y) => x.fromPort - y.fromPort);
    t.same(
      seen.map(({ fromPort, length, valid }) => [fromPort, length, valid]),
      lengths.map((bytes, n) => [2000 + n, bytes + 28, true]),
    );
    // And back: the overlay brings them out of order too.
    const back = seen.map((s) =>
      udpPacket({ from: s.to, to: CLIENT, fromPort: 5353, toPort: s.fromPort, payload: payloadOf(s.length) }),
    );
    // Endpoints that know nothing of each other may number alike.
    const next: Record<string, number> = { '10.244.1.11': 5, '10.244.2.10': 5 };
    const replies = back.flatMap((p) => {
      const { from } = read(p);
      next[from]!++;
      return fragmentsOf(p, next[from]!).map((f) => ({ f, from }));
    });
    shuffle(r, replies);
    for (const { f, from } of replies) (from === '10.244.1.11' ? a : b).send(from === '10.244.1.11' ? 1 : 0, f);
    settle(hosts);
    t.match(
      arrived(a, 0)
        .map((p) => read(p))
        .sort((x, y) => x.toPort - y.toPort),
      lengths.map((_, n) => ({ from: DNS, fromPort: 53, toPort: 2000 + n, valid: true })),
    );
    t.same([...Object.keys(a.drops), ...Object.keys(b.drops)], []);
  }
});

t.test('a pod reaches itself, numbered anew', async (t) => {
  const own = [{ address: DNS, port: 53, protocol: 17, endpoints: [`${CLIENT}:5353`] }];
  const host = new TestHost({ number: 1, services: own });
  sendAll(host, 0, fragmentsOf(question(1000, 5000), 9));
  sendAll(host, 0, fragmentsOf(question(1001, 5000), 10).reverse());
  settle([host]);
  const seen = arrived(host, 0);
  t.match(
    seen.map((p) => read(p)),
    [
      { from: '10.244.1.1', fromPort: 1000, valid: true },
      { from: '10.244.1.1', fromPort: 1001, valid: true },
    ],
  );
  t.notSame(numbers.get(seen[0]!), numbers.get(seen[1]!));
});

t.test('what lies to a service is refused by name, and never reaches an endpoint twice', async (t) => {
  const packet = question(1, 3592);
  const syn = tcpPacket({ from: CLIENT, to: DNS, fromPort: 1, toPort: 53, flags: 2, payload: payloadOf(64) });
  const cases: [string, Uint8Array[], Record<string, number>][] = [
    ['not in blocks of 8', [fragmentOf(packet, 1, 0, 1001, true)], { 'fragment-header': 1 }],
    ['empty', [fragmentOf(packet, 1, 8, 8, true)], { 'fragment-header': 1 }],
    [
      'a TCP header in two (RFC 1858)',
      [fragmentOf(syn, 1, 0, 8, true), fragmentOf(syn, 1, 8, 84, false)],
      { 'fragment-header': 1, 'fragment-overlap': 1 },
    ],
    [
      'a TCP header overwritten',
      [fragmentOf(syn, 1, 8, 32, true), fragmentOf(syn, 1, 0, 32, true)],
      { 'fragment-overlap': 1, 'service-no-port': 1 },
    ],
    [
      'overlapping (RFC 5722): all the rest of it too',
      [
        fragmentOf(packet, 1, 0, 1200, true),
        fragmentOf(packet, 1, 1192, 2400, true),
        fragmentOf(packet, 1, 2400, 3600, true),
      ],
      { 'fragment-overlap': 2 },
    ],
    [
      'two ends',
      [
        fragmentOf(packet, 1, 0, 800, true),
        fragmentOf(packet, 1, 1200, 2000, false),
        fragmentOf(packet, 1, 2000, 2800, false),
      ],
      { 'fragment-overlap': 1 },
    ],
    [
      'the same twice is harmless',
      [0, 0, 1, 1, 2].map((n) => fragmentOf(packet, 1, n * 1200, (n + 1) * 1200, n < 2)),
      { 'fragment-overlap': 2 },
    ],
  ];
  for (const [name, fragments, drops] of cases) {
    const host = new TestHost({ number: 1, services });
    for (const f of fragments) {
      host.send(0, f);
      settle([host]);
    }
    t.same(host.drops, drops, name);
    const parts = host.io.sent(17).map((p) => partOf(p.bytes)!);
    const bytes = parts.map(({ offset, payload }) => [offset, payload.length] as const);
    const sorted = bytes.sort(([x], [y]) => x - y);
    sorted.forEach(([at], n) => {
      const [before, length] = sorted[n - 1] ?? [0, 0];
      t.ok(at >= before + length, `${name}: no byte twice`);
    });
    host.wait(PATIENCE_MS);
    t.equal(host.pipeline.context.fragments.size, 0);
    t.equal(host.pipeline.context.fragments.waiting.size, 0);
  }
  const host = new TestHost({ number: 1, services });
  const beyond = fragmentOf(packet, 1, 0, 1000, false);
  place(beyond, 65_528, false);
  host.send(0, beyond);
  settle([host]);
  t.same(host.drops, { 'fragment-header': 1 }, 'past 65,535');
});

t.test('a service without an endpoint refuses the first fragment', async (t) => {
  const host = new TestHost({ number: 1, services });
  sendAll(host, 0, fragmentsOf(question(1, 5000, '10.96.0.54'), 1));
  settle([host]);
  t.match(host.at(0), [{ from: '10.96.0.54', type: 3, code: 3, valid: true }]);
});

t.test('fragments wait for their first one only so long, and only so many', async (t) => {
  const host = new TestHost({ number: 1, services });
  const { fragments } = host.pipeline.context;
  const packet = question(1, 60_000);
  const later = fragmentsOf(packet, 1).slice(1);
  sendAll(host, 0, later);
  settle([host]);
  t.equal(fragments.waiting.size, later.length);
  host.wait(PATIENCE_MS - 1);
  t.equal(fragments.waiting.size, later.length);
  host.wait(1);
  t.same([fragments.waiting.size, fragments.size], [0, 0]);
  t.same(host.drops, { 'fragment-unfinished': later.length });
  t.equal(host.pipeline.waitMs(host.io.nowMs), -1);

  for (let id = 0; id < 900; id++) host.send(0, fragmentOf(packet, id, 1200, 2400, true));
  settle([host]);
  t.ok(fragments.size === 256 && fragments.waiting.size === 256, 'one pod may have an eighth');
  sendAll(host, 0, fragmentsOf(packet, 6000));
  settle([host]);
  t.same(arrived(host, 1), [], 'and harms itself');
  t.ok(host.drops['fragment-limit']! > 600);
  sendAll(
    host,
    1,
    fragmentsOf(
      udpPacket({ from: '10.244.1.11', to: DNS, fromPort: 1, toPort: 53, payload: payloadOf(9000) }),
      1,
    ).reverse(),
  );
  settle([host]);
  t.equal(host.io.sent(1).length + arrived(host, 1).length > 0, true, 'no other');
  host.wait(PATIENCE_MS);
  t.same([fragments.size, fragments.waiting.size], [0, 0]);
});

t.test('straight to a pod they pass as they come; large pings too', async (t) => {
  const hosts = cluster(2);
  const [a, b] = hosts as [TestHost, TestHost];
  const to = '10.244.2.10';
  const datagram = udpPacket({ from: CLIENT, to, fromPort: 1, toPort: 2, payload: payloadOf(9000) });
  const [first, ...rest] = fragmentsOf(datagram, 1);
  sendAll(a, 0, [first!]);
  settle(hosts);
  t.equal(b.io.sent(16).length, 1, 'at once');
  sendAll(a, 0, rest.reverse());
  sendAll(a, 0, fragmentsOf(echoPacket({ from: CLIENT, to, payload: payloadOf(8000) }), 2).reverse());
  settle(hosts);
  t.same(
    arrived(b, 0).map((p) => read(p).length),
    [8028],
  );
  t.same([...Object.keys(a.drops), ...Object.keys(b.drops)], []);
});

t.test('the next hop is smaller still: fragments of fragments, or a sender that is told', async (t) => {
  const hosts = cluster(2, { services, peerMtu: 700 });
  const [a, b] = hosts as [TestHost, TestHost];
  sendAll(a, 0, fragmentsOf(question(1, 3000), 1));
  sendAll(a, 0, fragmentsOf(question(2, 9000), 2));
  settle(hosts);
  const seen = arrived(b, 0).map((p) => read(p));
  if (run.family === 6) t.match(a.at(0)[0], { from: '10.244.1.1', to: CLIENT, type: 3, code: 4, valid: true });
  else t.match(seen, [{ to: '10.244.2.10', fromPort: 2, length: 9028, valid: true }]);
});

function shuffle<T>(r: Random, list: T[]): void {
  for (let n = list.length - 1; n > 0; n--) {
    const other = r.below(n + 1);
    [list[n], list[other]] = [list[other]!, list[n]!];
  }
}
