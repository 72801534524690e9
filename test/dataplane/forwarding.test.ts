/** Packets between pods of one host and of several, through the whole pipeline over ports in memory. */
import t from 'tap';
import { u16 } from '../../src/wire/bytes.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { run } from './family.ts';
import { cluster, settle, TestHost, underlay, words } from './host.ts';
import { echoPacket, ipBytes, payloadOf, read, redirect, tcpOffload, tcpPacket, udpPacket } from './packets.ts';

t.test('a pod reaches a pod of its own host, one hop away', async (t) => {
  const host = new TestHost({ number: 1 });
  host.send(0, echoPacket({ from: '10.244.1.10', to: '10.244.1.11' }));
  settle([host]);
  const [seen] = host.at(1);
  t.match(seen, { from: '10.244.1.10', to: '10.244.1.11', ttl: 63, type: 8, valid: true });
  t.same(host.drops, {});
});

t.test('a pod reaches a pod of another host, two hops away, and is answered', async (t) => {
  const [a, b] = cluster(2) as [TestHost, TestHost];
  a.send(
    0,
    udpPacket({ from: '10.244.1.10', to: '10.244.2.11', fromPort: 4000, toPort: 5000, payload: payloadOf(100) }),
  );
  settle([a, b]);
  t.match(b.at(1), [{ from: '10.244.1.10', toPort: 5000, ttl: 62, length: 128, valid: true }]);
  b.send(1, udpPacket({ from: '10.244.2.11', to: '10.244.1.10', fromPort: 5000, toPort: 4000 }));
  settle([a, b]);
  t.match(a.at(0), [{ from: '10.244.2.11', toPort: 4000, ttl: 62, valid: true }]);
  t.equal(a.pipeline.context.flows.size, 1, 'both directions are one connection');
});

t.test('the time to live runs out at each host in turn, and each says so', async (t) => {
  const [a, b] = cluster(2) as [TestHost, TestHost];
  for (const ttl of [1, 2, 3]) {
    a.send(0, udpPacket({ from: '10.244.1.10', to: '10.244.2.10', fromPort: 4000 + ttl, toPort: 33434, ttl }));
  }
  settle([a, b]);
  t.match(a.at(0), [
    { from: '10.244.1.1', type: 11, code: 0, valid: true },
    { from: '10.244.2.1', type: 11, code: 0, valid: true },
  ]);
  t.match(b.at(0), [{ ttl: 1 }], 'the third arrives');
  t.same([a.drops['ttl-expired'], b.drops['ttl-expired']], [1, 1]);
});

t.test('gateways answer pings, also those of other hosts', async (t) => {
  const [a, b] = cluster(2) as [TestHost, TestHost];
  a.send(0, echoPacket({ from: '10.244.1.10', to: '10.244.1.1' }));
  a.send(0, echoPacket({ from: '10.244.1.10', to: '10.244.2.1' }));
  a.send(0, echoPacket({ from: '10.244.1.10', to: '10.244.2.0' }));
  settle([a, b]);
  t.match(a.at(0), [
    { from: '10.244.1.1', type: 0, valid: true },
    { from: '10.244.2.1', type: 0, valid: true },
    { from: '10.244.2.0', type: 0, valid: true },
  ]);
  a.send(0, tcpPacket({ from: '10.244.1.10', to: '10.244.1.1', fromPort: 1, toPort: 22, flags: 2 }));
  settle([a]);
  t.equal(a.io.sent(0).length, 1, 'anything else for the gateway goes to the host');
});

t.test('nobody sends from an address that is not his', async (t) => {
  const [a, b] = cluster(3) as [TestHost, TestHost, TestHost];
  const forged = udpPacket({ from: '10.244.1.11', to: '10.244.2.10', fromPort: 1, toPort: 2 });
  a.send(0, forged);
  a.io.inject(0, forged);
  a.io.inject(0, udpPacket({ from: '10.244.3.10', to: '10.244.1.10', fromPort: 1, toPort: 2 }));
  settle([a, b]);
  t.equal(a.drops['source-spoofed'], 3, "neither a pod nor the host, which has another host's pods over the tunnel");
  t.same(a.at(0), []);
  t.same(b.at(0), []);
  // A known host that sends from a third one's range.
  const lie = new TestHost({ number: 3, hosts: 3 });
  lie.send(0, udpPacket({ from: '10.244.3.10', to: '10.244.2.10', fromPort: 1, toPort: 2 }));
  lie.step();
  lie.step();
  const [wire] = lie.io.sent(1);
  b.io.inject(1, wire!.bytes, { peer: words(underlay(1)) });
  settle([b]);
  t.equal(b.drops['peer-source'], 1);
  t.same(b.at(0), []);
});

t.test('only known hosts, only our network, only what is for this host', async (t) => {
  const [a, b] = cluster(2) as [TestHost, TestHost];
  const alone = new TestHost({ number: 1 });
  alone.send(0, udpPacket({ from: '10.244.1.10', to: '10.244.2.10', fromPort: 1, toPort: 2 }));
  alone.step();
  alone.step();
  const [sent] = alone.io.sent(1);
  const wire = sent!.bytes;
  const inject = (change: (b: Uint8Array) => void, peer = underlay(1)) => {
    const copy = wire.slice();
    change(copy);
    b.io.inject(1, copy, { peer: words(peer) });
    settle([b]);
  };
  inject(() => {}, '172.31.0.99');
  t.equal(b.drops['vtep-unknown'], 1);
  inject((p) => (p[0] = 0));
  t.equal(b.drops['vxlan-header'], 1);
  inject((p) => (p[6] = 9));
  t.equal(b.drops['vxlan-vni'], 1);
  inject((p) => (p[13] = 0xee));
  t.equal(b.drops['ethernet-destination'], 1);
  inject((p) => (p[21] = 0x99));
  t.equal(b.drops['ethernet-type'], 1);
  inject((p) => {
    redirect(p, 22, '8.8.8.8');
  });
  t.equal(b.drops['peer-transit'], 1, 'a peer does not use us as its router');
  t.same(b.at(0), []);
  inject(() => {});
  t.equal(b.at(0).length, 1, 'the unchanged packet passes');
  t.same(a.drops, {});
});

t.test('addresses of ours that nobody has are unreachable at once', async (t) => {
  const [a, b] = cluster(2) as [TestHost, TestHost];
  a.send(0, udpPacket({ from: '10.244.1.10', to: '10.244.2.99', fromPort: 1, toPort: 2 }));
  a.send(0, echoPacket({ from: '10.244.1.10', to: '10.244.77.1' }));
  settle([a, b]);
  t.match(a.at(0), [
    { from: '10.244.1.1', type: 3, code: 1, valid: true },
    { from: '10.244.2.1', type: 3, code: 1, valid: true },
  ]);
});

t.test('what is too big is cut, or its sender told the size', async (t) => {
  const [a, b] = cluster(2) as [TestHost, TestHost];
  const big = payloadOf(3000);
  a.send(
    0,
    udpPacket({ from: '10.244.1.10', to: '10.244.2.10', fromPort: 1, toPort: 2, payload: big, dontFragment: true }),
  );
  settle([a, b]);
  const [told] = a.io.sent(16);
  t.match(read(told!.bytes), { from: '10.244.1.1', type: 3, code: 4, valid: true });
  t.equal(u16(told!.bytes, ipBytes() + 6), 1450, 'with the MTU of the overlay');
  // Nobody but its sender may cut an IPv6 packet.
  if (run.family === 6) return;
  a.send(0, udpPacket({ from: '10.244.1.10', to: '10.244.2.10', fromPort: 1, toPort: 2, payload: big }));
  settle([a, b]);
  const fragments = b.io.sent(16).map((p) => p.bytes);
  t.equal(fragments.length, 3);
  const whole = new Uint8Array(3008);
  for (const f of fragments) {
    t.ok(f.length <= 1450 && ipv4.checksumValid(f, 0));
    whole.set(f.subarray(20), ipv4.fragmentOffsetBytes(f, 0));
  }
  t.same(whole.subarray(8), big, 'put together they are the packet');
  t.equal(fragments.filter((f) => ipv4.moreFragments(f, 0)).length, 2);
});

t.test('a super-packet passes as one, with its checksum still to be done', async (t) => {
  const [a, b] = cluster(2) as [TestHost, TestHost];
  const packet = tcpPacket({
    from: '10.244.1.10',
    to: '10.244.2.10',
    fromPort: 1,
    toPort: 2,
    flags: 16,
    payload: payloadOf(30_000),
    dontFragment: true,
  });
  a.io.inject(16, packet, tcpOffload(1350));
  settle([a, b]);
  const [out] = b.io.sent(16);
  t.match(out, { ...tcpOffload(1350), l3Offset: 0 });
  t.equal(out!.bytes.length, packet.length);
  t.same(out!.bytes.subarray(ipBytes()), packet.subarray(ipBytes()));
});

t.test('a super-packet of more segments than any stack makes is dropped', async (t) => {
  const [a, b] = cluster(2) as [TestHost, TestHost];
  const options = { from: '10.244.1.10', to: '10.244.2.10', fromPort: 1, toPort: 2, payload: payloadOf(60_000) };
  const tcp = (gsoSize: number) => {
    a.io.inject(16, tcpPacket({ ...options, flags: 16 }), tcpOffload(gsoSize));
  };
  const udp = (gsoSize: number) =>
    a.io.inject(16, udpPacket(options), { ...tcpOffload(gsoSize), gsoType: 5, checksumOffset: 6 });
  [() => tcp(1), () => tcp(8), () => udp(100)].forEach((send) => send());
  settle([a, b]);
  t.equal(a.drops['l4-header'], 3);
  t.same(b.io.sent(16), []);
  [() => tcp(36), () => udp(500)].forEach((send) => send());
  settle([a, b]);
  t.match(b.io.sent(16), [{ gsoSize: 36 }, { gsoSize: 500 }], 'the smallest that they do make pass');
});

t.test('a peer whose MAC nobody wrote down is asked for it, and answers', async (t) => {
  const hosts = cluster(2, { learn: [2] });
  const [a, b] = hosts as [TestHost, TestHost];
  settle(hosts);
  a.send(0, echoPacket({ from: '10.244.1.10', to: '10.244.2.10' }));
  settle(hosts);
  t.match(b.at(0), [{ type: 8, valid: true }]);
  t.equal(b.drops.consumed, 2, 'the ARP request became an answer, and so did the neighbour solicitation');
  a.publish({ pods: 3 });
  a.send(0, echoPacket({ from: '10.244.1.10', to: '10.244.2.10', id: 78 }));
  a.step();
  t.same(a.drops['neighbour-unresolved'], undefined, 'what was learned outlives new tables');
});

t.test('new tables change the way of connections that go on', async (t) => {
  const host = new TestHost({ number: 1, pods: 2 });
  const packet = udpPacket({ from: '10.244.1.10', to: '10.244.1.11', fromPort: 1, toPort: 2 });
  host.send(0, packet);
  settle([host]);
  t.equal(host.at(1).length, 1);
  host.publish({ pods: 1 });
  host.send(0, packet);
  settle([host]);
  t.same(host.at(1), []);
  t.match(host.at(0), [{ type: 3, code: 1 }], 'the pod is gone, and the sender is told');
});

t.test("a host does not send a peer's packet on to another, even when the pod has moved there", async (t) => {
  const hosts = cluster(3) as [TestHost, TestHost, TestHost];
  const [a, b] = hosts;
  const packet = udpPacket({ from: '10.244.1.10', to: '10.244.2.10', fromPort: 1, toPort: 2 });
  a.send(0, packet);
  settle(hosts);
  t.equal(b.at(0).length, 1);
  b.publish({ moved: { address: '10.244.2.10', host: 3 } });
  a.send(0, packet);
  settle(hosts);
  t.equal(b.drops['peer-transit'], 1);
});
