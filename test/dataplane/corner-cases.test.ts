/** Orders of events that are rare and that a service must survive all the same. */
import t from 'tap';
import { icmpErrorAbout } from './errors.ts';
import { cluster, MTU, settle, TestHost, type TestService } from './host.ts';
import { ipBytes, payloadOf, tcpOffload, tcpPacket, udpPacket } from './packets.ts';

const SYN = 2;
const ACK = 16;
const RST = 4;
const FIN = 1;
const WEB = '10.96.0.80';
const CLIENT = '10.244.1.10';

function service(protocol: number, endpoints: string[], epoch = 1): TestService {
  return { address: WEB, port: 80, protocol, endpoints, epoch };
}

function tcp(from: string, to: string, fromPort: number, toPort: number, flags: number) {
  return tcpPacket({ from, to, fromPort, toPort, flags });
}

function datagram(from: string, to: string, fromPort: number, toPort: number) {
  return udpPacket({ from, to, fromPort, toPort, payload: payloadOf(8) });
}

t.test('a burst of datagrams uses up one attempt, not one each', async (t) => {
  for (const burst of [1, 2, 4, 6]) {
    const host = new TestHost({ number: 1, pods: 3, services: [service(17, ['10.244.1.99:80', '10.244.1.11:80'])] });
    for (let n = 0; n < burst; n++) host.send(0, datagram(CLIENT, WEB, 5, 80));
    settle([host]);
    t.ok(host.at(1).length >= 1, `of ${burst} the held one arrives`);
    t.same(host.at(0), []);
    t.equal(host.drops['service-all-failed'], undefined);
  }
});

t.test('an answer after a change does not tie the client to an endpoint that left', async (t) => {
  const host = new TestHost({ number: 1, pods: 3, services: [service(17, ['10.244.1.11:80'])] });
  host.send(0, datagram(CLIENT, WEB, 5, 80));
  settle([host]);
  host.at(1);
  host.publish({ services: [service(17, ['10.244.1.12:80'], 2)] });
  host.send(1, datagram('10.244.1.11', CLIENT, 80, 5));
  host.send(0, datagram(CLIENT, WEB, 5, 80));
  settle([host]);
  t.match(host.at(0), [{ from: WEB, valid: true }], 'the answer passes');
  t.same([host.at(1).length, host.at(2).length], [0, 1]);
});

t.test('an answer that has arrived counts, however late the worker looks', async (t) => {
  const host = new TestHost({ number: 1, pods: 3, services: [service(6, ['10.244.1.11:80', '10.244.1.12:80'])] });
  host.send(0, tcp(CLIENT, WEB, 5, 80, SYN));
  settle([host]);
  host.at(1);
  host.send(1, tcp('10.244.1.11', CLIENT, 80, 5, SYN | ACK));
  host.wait(400);
  t.match(host.at(0), [{ from: WEB, flags: SYN | ACK }]);
  t.same(host.at(2), []);
});

t.test('ports of a connection that was lost long ago, or whose endpoint left, are balanced anew', async (t) => {
  for (const lost of ['idle', 'endpoint']) {
    const host = new TestHost({ number: 1, pods: 3, services: [service(6, ['10.244.1.11:80'])] });
    host.send(0, tcp(CLIENT, WEB, 5, 80, SYN));
    host.send(1, tcp('10.244.1.11', CLIENT, 80, 5, SYN | ACK));
    settle([host]);
    host.at(1);
    host.send(0, tcp(CLIENT, WEB, 5, 80, SYN));
    settle([host]);
    t.equal(host.at(1).length, 1, 'a SYN sent twice stays with its connection');
    host.publish({ services: [service(6, ['10.244.1.12:80'], 2)] });
    if (lost === 'idle') {
      host.publish({ services: [service(6, ['10.244.1.12:80', '10.244.1.11:80'], 3)] });
      host.wait(61_000);
    }
    host.send(0, tcp(CLIENT, WEB, 5, 80, SYN));
    settle([host]);
    t.same([host.at(1).length, host.at(2).length], [0, 1], lost);
  }
});

t.test("a flow to an address that becomes a service becomes the service's", async (t) => {
  const host = new TestHost({ number: 1, pods: 3 });
  host.send(0, datagram(CLIENT, WEB, 5, 80));
  settle([host]);
  host.at(0);
  host.publish({ services: [service(17, ['10.244.1.11:80'])] });
  host.send(0, datagram(CLIENT, WEB, 5, 80));
  settle([host]);
  t.equal(host.at(1).length, 1);
});

t.test('datagrams that nobody answers do not take failover from others', async (t) => {
  const host = new TestHost({
    number: 1,
    pods: 4,
    services: [
      service(17, ['10.244.1.11:80', '10.244.1.12:80']),
      { address: '10.96.0.81', port: 80, endpoints: ['10.244.1.99:80', '10.244.1.13:80'] },
    ],
  });
  for (let port = 1; port <= 9000; port++) {
    host.send(0, datagram(CLIENT, WEB, port, 80));
    if (port % 500 === 0) settle([host]);
  }
  host.send(1, tcp('10.244.1.11', '10.96.0.81', 5, 80, SYN));
  settle([host]);
  t.equal(host.at(3).length, 1, 'the connection moved on from its dead endpoint');
  host.wait(2000);
  host.send(3, tcp('10.244.1.13', '10.244.1.11', 80, 5, SYN | ACK));
  settle([host]);
  t.equal(host.pipeline.context.attempts.held, 0, 'datagrams are not held for longer than 2 s');
});

t.test(
  'the last packet of a connection goes its way, though its ports are taken again in the same vector',
  async (t) => {
    const host = new TestHost({ number: 1, pods: 3, services: [service(6, ['10.244.1.11:80', '10.244.1.12:80'])] });
    host.send(0, tcp(CLIENT, WEB, 5, 80, SYN));
    host.send(1, tcp('10.244.1.11', CLIENT, 80, 5, SYN | ACK));
    host.send(1, tcp('10.244.1.11', CLIENT, 80, 5, FIN | ACK));
    settle([host]);
    host.at(1);
    host.send(0, tcp(CLIENT, WEB, 5, 80, FIN | ACK));
    host.send(0, tcp(CLIENT, WEB, 5, 80, SYN));
    settle([host]);
    t.match(host.at(1), [{ to: '10.244.1.11', flags: FIN | ACK, valid: true }]);
    t.match(host.at(2), [{ to: '10.244.1.12', flags: SYN, valid: true }]);
  },
);

t.test('a SYN sent again goes where its connection was moved in the same vector', async (t) => {
  const hosts = cluster(3, { services: [service(6, ['10.244.2.10:80', '10.244.3.10:80'])] });
  const [a, b] = hosts as [TestHost, TestHost];
  a.send(0, tcp(CLIENT, WEB, 5, 80, SYN));
  settle(hosts);
  // The SYN stands in front of the refusal in host 1's next vector.
  a.send(0, tcp(CLIENT, WEB, 5, 80, SYN));
  b.send(0, tcp('10.244.2.10', CLIENT, 80, 5, RST | ACK));
  b.step();
  b.step();
  t.equal(a.io.waiting, 2);
  settle(hosts);
  t.same(
    hosts.map((host) => host.drops['peer-transit']),
    [undefined, undefined, undefined],
  );
});

t.test('an error right after a change still moves a connection on', async (t) => {
  const services = [service(17, ['10.244.1.11:80', '10.244.1.12:80'])];
  const host = new TestHost({ number: 1, pods: 3, services });
  host.send(0, datagram(CLIENT, WEB, 5, 80));
  settle([host]);
  const [arrived] = host.io.sent(17);
  host.publish({});
  host.send(1, icmpErrorAbout(arrived!.bytes, '10.244.1.11', 3, 3));
  settle([host]);
  t.equal(host.at(2).length, 1);
});

t.test('a pod cannot move or end the connections of others by forged errors', async (t) => {
  const hosts = cluster(2, { pods: 4, services: [service(6, ['10.244.2.10:80', '10.244.1.12:80'])] });
  const [a, b] = hosts as [TestHost, TestHost];
  a.send(0, tcp(CLIENT, WEB, 5, 80, SYN));
  settle(hosts);
  const [arrived] = b.io.sent(16);
  a.send(3, icmpErrorAbout(arrived!.bytes, '10.244.1.13', 3, 3));
  b.send(3, icmpErrorAbout(arrived!.bytes, '10.244.2.13', 3, 3));
  settle(hosts);
  t.same([a.at(0), a.at(2)], [[], []]);
  t.equal(a.drops['flow-invalid'], 2);
  b.send(0, icmpErrorAbout(arrived!.bytes, '10.244.2.10', 3, 3));
  settle(hosts);
  t.equal(a.at(2).length, 1, 'the endpoint itself is believed');
});

t.test('a reset that its receiver did not believe ends nothing', async (t) => {
  const host = new TestHost({ number: 1, pods: 3, services: [service(6, ['10.244.1.11:80'])] });
  host.send(0, tcp(CLIENT, WEB, 5, 80, SYN));
  host.send(1, tcp('10.244.1.11', CLIENT, 80, 5, SYN | ACK));
  host.send(1, tcp('10.244.1.11', CLIENT, 80, 5, RST));
  host.send(0, tcp(CLIENT, WEB, 5, 80, ACK));
  settle([host]);
  host.wait(30_000);
  host.at(1);
  host.send(0, tcp(CLIENT, WEB, 5, 80, ACK));
  settle([host]);
  t.match(host.at(1), [{ flags: ACK, valid: true }]);
});

t.test('a checksum that is to be written where none belongs is refused', async (t) => {
  const host = new TestHost({ number: 1, pods: 2 });
  const packet = tcp(CLIENT, '10.244.1.11', 5, 80, SYN);
  for (const [checksumStart, checksumOffset] of [
    [ipBytes(), 2],
    [0, 12],
    [ipBytes() + 4, 16],
    [ipBytes(), 6],
  ] as const) {
    host.io.inject(16, packet, { flags: 1, checksumStart, checksumOffset });
  }
  host.io.inject(16, packet, { ...tcpOffload(100), gsoType: 5 });
  host.io.inject(16, packet, { ...tcpOffload(100), flags: 0 });
  settle([host]);
  t.equal(host.drops['l4-header'], 6);
  t.same(host.at(1), []);
});

t.test('what a super-packet stands for is counted in segments', async (t) => {
  const [a, b] = cluster(2) as [TestHost, TestHost];
  const size = MTU - ipBytes() - 20;
  const packet = tcpPacket({
    from: CLIENT,
    to: '10.244.2.10',
    fromPort: 1,
    toPort: 2,
    flags: ACK,
    payload: payloadOf(10 * size),
  });
  a.io.inject(16, packet, tcpOffload(size));
  settle([a, b]);
  t.equal(a.pipeline.context.counters.port(16).rxPackets, 10);
  t.equal(a.pipeline.context.counters.port(1).txPackets, 10);
  t.equal(b.pipeline.context.counters.port(16).txPackets, 10);
});

t.test('no pod uses up the errors that others are owed', async (t) => {
  const host = new TestHost({ number: 1, pods: 3 });
  for (let n = 0; n < 600; n++) host.send(0, datagram(CLIENT, '10.244.1.99', 1000 + n, 9));
  settle([host]);
  t.ok(host.at(0).length <= 251);
  host.send(1, datagram('10.244.1.11', '10.244.1.99', 5, 9));
  settle([host]);
  t.match(host.at(1), [{ type: 3, code: 1 }]);
});
