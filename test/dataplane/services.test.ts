/** Services in the dataplane: balancing, translation, hairpin, refusal and failover, over ports in memory. */
import t from 'tap';
import { GAUGE } from '../../src/dataplane/counters.ts';
import { setU16, u16 } from '../../src/wire/bytes.ts';
import { fold } from '../../src/wire/checksum.ts';
import { icmpErrorAbout } from './errors.ts';
import { run } from './family.ts';
import { cluster, HOST_PORT, settle, TestHost, type TestService } from './host.ts';
import { ipBytes, payloadOf, pseudoSum, read, tcpOffload, tcpPacket, udpPacket } from './packets.ts';

const SYN = 2;
const ACK = 16;
const RST = 4;
const FIN = 1;
const WEB = '10.96.0.80';
const CLIENT = '10.244.1.10';

function web(...endpoints: string[]): TestService {
  return { address: WEB, port: 80, endpoints };
}

function syn(fromPort: number, from = CLIENT) {
  return tcpPacket({ from, to: WEB, fromPort, toPort: 80, flags: SYN });
}

/** Host 1 with a client in pod 0 and endpoints in its other pods. */
function oneHost(...endpoints: string[]): TestHost {
  return new TestHost({ number: 1, pods: 5, services: [web(...endpoints)] });
}

t.test('connections go round the endpoints in turn, and each stays with its own', async (t) => {
  const host = oneHost('10.244.1.11:8080', '10.244.1.12:8080', '10.244.1.13:8080');
  for (let n = 0; n < 9; n++) host.send(0, syn(1000 + n));
  settle([host]);
  const arrived = [1, 2, 3].map((pod) => host.at(pod));
  t.same(
    arrived.map((seen) => seen.length),
    [3, 3, 3],
  );
  t.match(arrived[0]![0], { from: CLIENT, to: '10.244.1.11', toPort: 8080, fromPort: 1000, valid: true });
  host.send(1, tcpPacket({ from: '10.244.1.11', to: CLIENT, fromPort: 8080, toPort: 1000, flags: SYN | ACK }));
  host.send(0, tcpPacket({ from: CLIENT, to: WEB, fromPort: 1000, toPort: 80, flags: ACK, payload: payloadOf(10) }));
  settle([host]);
  t.match(host.at(0), [{ from: WEB, fromPort: 80, toPort: 1000, flags: SYN | ACK, valid: true }]);
  t.match(host.at(1), [{ flags: ACK, length: 50, valid: true }]);
});

t.test('across hosts the client keeps its address, and the answer finds its way back', async (t) => {
  const hosts = cluster(2, { services: [web('10.244.2.10:80')] });
  const [a, b] = hosts as [TestHost, TestHost];
  a.send(0, syn(1000));
  settle(hosts);
  t.match(b.at(0), [{ from: CLIENT, to: '10.244.2.10', toPort: 80, flags: SYN, valid: true }]);
  b.send(0, tcpPacket({ from: '10.244.2.10', to: CLIENT, fromPort: 80, toPort: 1000, flags: SYN | ACK }));
  settle(hosts);
  t.match(a.at(0), [{ from: WEB, flags: SYN | ACK, valid: true }]);
});

t.test('checksums that are left to the device stay so, addresses counted and ports not', async (t) => {
  const host = oneHost('10.244.1.11:8080');
  const partial = syn(1000);
  // The pseudo-header's sum, as the kernel leaves it.
  const field = ipBytes() + 16;
  setU16(partial, field, fold(pseudoSum({ from: CLIENT, to: WEB }, 6, 20)));
  host.io.inject(16, partial, tcpOffload(0));
  settle([host]);
  const [out] = host.io.sent(17);
  t.equal(u16(out!.bytes, field), fold(pseudoSum({ from: CLIENT, to: '10.244.1.11' }, 6, 20)));
});

t.test('a pod that is its own endpoint reaches itself through its service', async (t) => {
  const host = oneHost('10.244.1.10:8080');
  host.send(0, syn(1000));
  settle([host]);
  t.match(host.at(0), [{ from: '10.244.1.1', to: CLIENT, toPort: 8080, flags: SYN, valid: true }]);
  host.send(0, tcpPacket({ from: CLIENT, to: '10.244.1.1', fromPort: 8080, toPort: 1000, flags: SYN | ACK }));
  settle([host]);
  t.match(host.at(0), [{ from: WEB, to: CLIENT, fromPort: 80, toPort: 1000, flags: SYN | ACK, valid: true }]);
});

t.test(
  "a process of the host reaches its service's endpoints on hosts from another address than the host's own",
  async (t) => {
    const host = oneHost('172.31.0.11:8888', '10.244.1.11:80');
    const seen: (string | undefined)[] = [];
    for (let n = 0; n < 2; n++) {
      host.io.inject(HOST_PORT, syn(1000 + n, '10.244.1.1'));
      settle([host]);
      seen.push(host.at(HOST_PORT - 16)[0]?.from, host.at(1)[0]?.from);
    }
    t.same(seen.filter(Boolean).sort(), ['10.244.1.0', '10.244.1.1'], 'its stack would keep the answer to itself');
  },
);

t.test('UDP is balanced by flow', async (t) => {
  const host = new TestHost({
    number: 1,
    pods: 4,
    services: [{ address: '10.96.0.53', port: 53, protocol: 17, endpoints: ['10.244.1.11:5353', '10.244.1.12:5353'] }],
  });
  const ask = (fromPort: number) =>
    host.send(0, udpPacket({ from: CLIENT, to: '10.96.0.53', fromPort, toPort: 53, payload: payloadOf(9) }));
  for (const port of [1, 2, 3, 4, 1, 2, 3, 4]) ask(port);
  settle([host]);
  t.same(
    [host.at(1).map((s) => s.fromPort), host.at(2).map((s) => s.fromPort)],
    [
      [1, 3, 1, 3],
      [2, 4, 2, 4],
    ],
  );
  host.send(1, udpPacket({ from: '10.244.1.11', to: CLIENT, fromPort: 5353, toPort: 1 }));
  settle([host]);
  t.match(host.at(0), [{ from: '10.96.0.53', fromPort: 53, toPort: 1, valid: true }]);
});

t.test('what cannot be served is refused at once', async (t) => {
  const host = oneHost();
  host.send(0, syn(1000));
  settle([host]);
  t.match(host.at(0), [{ from: WEB, fromPort: 80, toPort: 1000, flags: RST | ACK, valid: true }], 'no endpoint');
  host.send(0, tcpPacket({ from: CLIENT, to: WEB, fromPort: 1, toPort: 81, flags: SYN }));
  host.send(0, udpPacket({ from: CLIENT, to: WEB, fromPort: 1, toPort: 80 }));
  settle([host]);
  t.match(
    host.at(0),
    [
      { from: WEB, fromPort: 81, flags: RST | ACK, valid: true },
      { from: WEB, type: 3, code: 3, valid: true },
    ],
    'no such port',
  );
  host.publish({ services: [web('10.244.1.11:80')] });
  host.send(0, tcpPacket({ from: CLIENT, to: WEB, fromPort: 9, toPort: 80, flags: ACK, ack: 5 }));
  settle([host]);
  t.match(host.at(0), [{ from: WEB, flags: RST, valid: true }], 'the middle of nothing');
  t.match(host.drops, { 'service-no-endpoint': 1, 'service-no-port': 2, 'service-no-connection': 1 });
});

t.test('a refusal moves the connection to the next endpoint, unseen by the client', async (t) => {
  const host = oneHost('10.244.1.11:80', '10.244.1.12:80');
  host.send(0, syn(1000));
  settle([host]);
  t.equal(host.at(1).length, 1);
  host.send(1, tcpPacket({ from: '10.244.1.11', to: CLIENT, fromPort: 80, toPort: 1000, flags: RST | ACK, ack: 1001 }));
  settle([host]);
  t.match(host.at(2), [{ from: CLIENT, to: '10.244.1.12', flags: SYN, fromPort: 1000, ttl: 63, valid: true }]);
  t.same(host.at(0), [], 'the client hears nothing');
  host.send(2, tcpPacket({ from: '10.244.1.12', to: CLIENT, fromPort: 80, toPort: 1000, flags: SYN | ACK }));
  settle([host]);
  t.match(host.at(0), [{ from: WEB, flags: SYN | ACK, valid: true }]);
  t.equal(host.pipeline.context.attempts.held, 0, 'nothing is held any more');
  host.send(2, tcpPacket({ from: '10.244.1.12', to: CLIENT, fromPort: 80, toPort: 1000, flags: RST }));
  settle([host]);
  t.match(host.at(0), [{ from: WEB, flags: RST }], "once answered, a reset is the client's");
});

t.test('an endpoint that remembers an earlier connection with these ports is asked again at once', async (t) => {
  const host = oneHost('10.244.1.11:80', '10.244.1.12:80');
  const { endpoints } = host.pipeline.context;
  const stale = (flags: number) =>
    host.send(1, tcpPacket({ from: '10.244.1.11', to: CLIENT, fromPort: 80, toPort: 1000, flags, ack: 77 }));
  const reset = () => host.send(0, tcpPacket({ from: CLIENT, to: WEB, fromPort: 1000, toPort: 80, flags: RST }));
  host.send(0, syn(1000));
  settle([host]);
  t.match(host.at(1), [{ flags: SYN }]);
  stale(ACK);
  settle([host]);
  t.match(host.at(0), [{ from: WEB, flags: ACK, valid: true }], 'the client hears of it');
  reset();
  settle([host]);
  t.match(
    host.at(1),
    [
      { flags: RST, valid: true },
      { flags: SYN, fromPort: 1000, valid: true },
    ],
    'and asks again',
  );
  t.same(host.at(2), []);
  t.equal(host.pipeline.context.attempts.held, 1, 'the packet is kept: it is no answer yet');

  // Alive: it answers now. Dead, but for what its kernel remembers: it refuses, and that moves the connection on.
  stale(RST | ACK);
  settle([host]);
  t.match(host.at(2), [{ flags: SYN, fromPort: 1000, valid: true }]);
  t.same(host.at(0), []);
  t.ok(endpoints.someFail, 'it has not been well in between');

  const stubborn = oneHost('10.244.1.11:80', '10.244.1.12:80');
  const again = tcpPacket({ from: '10.244.1.11', to: CLIENT, fromPort: 80, toPort: 1000, flags: ACK, ack: 77 });
  stubborn.send(0, syn(1000));
  for (let n = 0; n < 5; n++) {
    stubborn.send(1, again.slice());
    stubborn.send(0, tcpPacket({ from: CLIENT, to: WEB, fromPort: 1000, toPort: 80, flags: RST }));
    settle([stubborn]);
  }
  t.equal(stubborn.at(0).length, 1, 'whoever goes on remembering is not believed twice');
  stubborn.at(1);
  stubborn.wait(250);
  t.match(stubborn.at(2), [{ flags: SYN, fromPort: 1000, valid: true }], 'and left after 250 ms');
});

t.test('silence moves the connection on after 250 ms, 500 ms, 1 s and 2 s; then the client is refused', async (t) => {
  const host = oneHost('10.244.1.11:80', '10.244.1.12:80');
  host.send(0, syn(1000));
  settle([host]);
  const arrivals = () => [host.at(1).length, host.at(2).length];
  t.same(arrivals(), [1, 0]);
  host.wait(249);
  t.same(arrivals(), [0, 0]);
  host.wait(1);
  t.same(arrivals(), [0, 1]);
  host.wait(500);
  t.same(arrivals(), [1, 0]);
  host.wait(1000);
  t.same(arrivals(), [0, 1]);
  t.same(host.at(0), []);
  host.wait(2000);
  t.same(arrivals(), [0, 0]);
  t.match(host.at(0), [{ from: WEB, fromPort: 80, toPort: 1000, flags: RST | ACK, valid: true }]);
  t.equal(host.drops['service-all-failed'], 1);
  t.equal(host.pipeline.context.flows.size, 0);
  t.equal(host.pipeline.waitMs(host.io.nowMs), -1, 'nothing is left to wait for');
});

t.test('an endpoint that is no pod is passed over at once; so is one whose host says unreachable', async (t) => {
  const host = oneHost('10.244.1.99:80', '10.244.1.12:80');
  host.send(0, syn(1000));
  settle([host]);
  t.match(host.at(2), [{ flags: SYN, valid: true }]);
  const hosts = cluster(2, { services: [web('10.244.2.99:80', '10.244.2.10:80')] });
  const [a, b] = hosts as [TestHost, TestHost];
  a.send(0, syn(1000));
  settle(hosts);
  t.match(b.at(0), [{ from: CLIENT, flags: SYN, valid: true }]);
  t.same(a.at(0), []);
});

t.test('with every endpoint gone the client is refused, not left to wait', async (t) => {
  const host = oneHost('10.244.1.98:80', '10.244.1.99:80');
  host.send(0, syn(1000));
  settle([host]);
  t.match(host.at(0), [{ from: WEB, flags: RST | ACK, valid: true }]);
});

t.test('the first datagram moves on when its endpoint is unreachable', async (t) => {
  const host = new TestHost({
    number: 1,
    pods: 4,
    services: [{ address: WEB, port: 53, protocol: 17, endpoints: ['10.244.1.11:53', '10.244.1.12:53'] }],
  });
  host.send(0, udpPacket({ from: CLIENT, to: WEB, fromPort: 7, toPort: 53, payload: payloadOf(20) }));
  settle([host]);
  const [first] = host.io.sent(17);
  host.send(1, icmpErrorAbout(first!.bytes, '10.244.1.11', 3, 3));
  settle([host]);
  t.match(host.at(2), [{ from: CLIENT, toPort: 53, length: 48, valid: true }]);
  t.same(host.at(0), []);
});

t.test('an error about a translated packet reaches the client as one about its own', async (t) => {
  const hosts = cluster(2, { services: [web('10.244.2.10:80')] });
  const [a, b] = hosts as [TestHost, TestHost];
  a.send(0, syn(1000));
  settle(hosts);
  const [arrived] = b.io.sent(16);
  b.send(0, icmpErrorAbout(arrived!.bytes, '10.244.2.10', 3, 13));
  settle(hosts);
  const [told] = a.io.sent(16);
  const sent = syn(1000);
  const quoted = told!.bytes.subarray(ipBytes() + 8);
  const addresses = run.family === 6 ? 8 : 12;
  t.same(quoted.subarray(addresses, ipBytes() + 4), sent.subarray(addresses, ipBytes() + 4), 'quotes what was sent');
  t.match(read(told!.bytes), { from: WEB, to: CLIENT, type: 3, code: 13, valid: true }, 'and comes from the service');
});

t.test('ports that are used again are a new connection', async (t) => {
  const host = oneHost('10.244.1.11:80', '10.244.1.12:80');
  host.send(0, syn(1000));
  settle([host]);
  const answer = (flags: number) =>
    host.send(1, tcpPacket({ from: '10.244.1.11', to: CLIENT, fromPort: 80, toPort: 1000, flags }));
  answer(SYN | ACK);
  host.send(0, tcpPacket({ from: CLIENT, to: WEB, fromPort: 1000, toPort: 80, flags: FIN | ACK }));
  answer(FIN | ACK);
  settle([host]);
  host.at(1);
  host.send(0, syn(1000));
  settle([host]);
  t.match([host.at(1).length, host.at(2).length], [0, 1], 'balanced anew');
  t.equal(host.pipeline.context.flows.size, 1);
});

t.test('two connections of one client that would look alike to an endpoint are kept apart', async (t) => {
  const host = new TestHost({
    number: 1,
    pods: 4,
    services: [web('10.244.1.11:80'), { address: '10.96.0.81', port: 80, endpoints: ['10.244.1.11:80'] }],
  });
  host.send(0, syn(1000));
  host.send(0, tcpPacket({ from: CLIENT, to: '10.96.0.81', fromPort: 1000, toPort: 80, flags: SYN }));
  host.send(0, tcpPacket({ from: CLIENT, to: '10.244.1.11', fromPort: 1000, toPort: 80, flags: SYN }));
  settle([host]);
  const seen = host.at(1);
  t.equal(new Set(seen.map((s) => s.fromPort)).size, 3);
  t.ok(seen.every((s) => s.valid));
  for (const s of seen)
    host.send(1, tcpPacket({ from: '10.244.1.11', to: CLIENT, fromPort: 80, toPort: s.fromPort, flags: SYN | ACK }));
  settle([host]);
  t.same(
    host.at(0).map((s) => [s.from, s.toPort]),
    [
      [WEB, 1000],
      ['10.96.0.81', 1000],
      ['10.244.1.11', 1000],
    ],
  );
});

t.test("established connections outlive their endpoint's place in the service; datagrams move", async (t) => {
  const endpoints = ['10.244.1.11:80', '10.244.1.12:80'];
  const udp = (list: string[], epoch: number): TestService[] => [
    { ...web(...list), epoch },
    { address: WEB, port: 80, protocol: 17, endpoints: list, epoch },
  ];
  const host = new TestHost({ number: 1, pods: 4, services: udp(endpoints, 1) });
  host.send(0, syn(1000));
  host.send(0, udpPacket({ from: CLIENT, to: WEB, fromPort: 5, toPort: 80 }));
  settle([host]);
  t.equal(host.at(1).length, 2);
  host.send(1, tcpPacket({ from: '10.244.1.11', to: CLIENT, fromPort: 80, toPort: 1000, flags: SYN | ACK }));
  settle([host]);
  host.publish({ services: udp(['10.244.1.12:80'], 2) });
  host.send(0, tcpPacket({ from: CLIENT, to: WEB, fromPort: 1000, toPort: 80, flags: ACK }));
  host.send(0, udpPacket({ from: CLIENT, to: WEB, fromPort: 5, toPort: 80 }));
  settle([host]);
  t.match(host.at(1), [{ flags: ACK }]);
  t.match(host.at(2), [{ protocol: 17 }]);
});

t.test('the turn starts again when the set of endpoints changes, and only then', async (t) => {
  const host = oneHost('10.244.1.11:80', '10.244.1.12:80');
  host.send(0, syn(1));
  settle([host]);
  host.publish({});
  host.send(0, syn(2));
  settle([host]);
  t.same([host.at(1).length, host.at(2).length], [1, 1]);
  host.publish({ services: [{ ...web('10.244.1.13:80', '10.244.1.14:80'), epoch: 2 }] });
  host.send(0, syn(3));
  settle([host]);
  t.equal(host.at(3).length, 1);
});

t.test('10,000 connections with a dead endpoint: none fails, the living share them', async (t) => {
  const host = oneHost('10.244.1.11:80', '10.244.1.12:80', '10.244.1.13:80');
  let answered = 0;
  const spread = [0, 0, 0];
  for (let n = 0; n < 10_000; n += 100) {
    for (let k = 0; k < 100; k++) host.send(0, syn(1024 + n + k));
    // The client is in pod 0; pod 1 refuses, pods 2 and 3 answer.
    for (let turn = 0; turn < 3; turn++) {
      settle([host]);
      for (const pod of [1, 2, 3]) {
        for (const s of host.at(pod)) {
          const flags = pod === 1 ? RST | ACK : SYN | ACK;
          if (pod !== 1) spread[pod - 1]!++;
          host.send(pod, tcpPacket({ from: s.to, to: s.from, fromPort: 80, toPort: s.fromPort, flags }));
        }
      }
    }
    settle([host]);
    const seen = host.at(0);
    answered += seen.filter((s) => s.flags === (SYN | ACK) && s.valid).length;
    t.equal(seen.filter((s) => (s.flags & RST) !== 0).length, 0);
  }
  t.equal(answered, 10_000);
  t.same(spread[1]! + spread[2]!, 10_000);
  t.ok(Math.abs(spread[1]! - spread[2]!) < 100, `${spread[1]} and ${spread[2]}`);
  const moved = host.pipeline.context.counters.gauges[GAUGE.attemptsMoved];
  t.ok(moved! <= 34, `${moved} met it: those of the first vector, before it was left out`);
  t.equal(host.pipeline.context.attempts.held, 0);
});
