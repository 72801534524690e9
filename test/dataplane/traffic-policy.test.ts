/**
 * Sources outside the cluster, addresses that a service shares with the host, and endpoints in the host's own stack:
 * what external and internal traffic policies, node ports and the relay are made of, over ports in memory.
 */
import t from 'tap';
import { run } from './family.ts';
import { cluster, HOST_PORT, settle, TestHost, type TestService } from './host.ts';
import { echoPacket, payloadOf, read, type Seen, tcpPacket, udpPacket } from './packets.ts';
import { WorkerHost } from './worker-host.ts';

const SYN = 2;
const RST = 4;
const ACK = 16;
const WEB = '10.96.0.80';
const POD = '10.244.1.10';
const GATEWAY = '10.244.1.1';
const VTEP = '10.244.1.0';
const WORLD = '192.0.2.7';
const NODE = '198.51.100.1';

const web = (change: Partial<TestService>): TestService[] => [
  { address: WEB, port: 80, endpoints: ['10.244.1.11:8080'], ...change },
];

function hostWith(change: Partial<TestService>): TestHost {
  return new TestHost({ number: 1, pods: 4, services: web(change) });
}

function fromHost(host: TestHost, packet: Uint8Array): void {
  host.io.inject(HOST_PORT, packet);
  settle([host]);
}

function atHost(host: TestHost): Seen[] {
  return host.io.sent(HOST_PORT).map((p) => read(p.bytes));
}

const syn = (from: string, fromPort = 1000, to = WEB) => tcpPacket({ from, to, fromPort, toPort: 80, flags: SYN });

/** What answers a packet that arrived. */
function replyTo(seen: Seen): Uint8Array {
  const back = { from: seen.to, to: seen.from, fromPort: seen.toPort, toPort: seen.fromPort };
  return seen.protocol === 17 ? udpPacket(back) : tcpPacket({ ...back, flags: SYN | ACK });
}

t.test('externalTrafficPolicy Cluster: the world is shown as this host, pods as themselves', async (t) => {
  const host = hostWith({ masquerade: true });
  fromHost(host, syn(WORLD));
  const [seen] = host.at(1);
  t.match(seen, { from: GATEWAY, to: '10.244.1.11', toPort: 8080, flags: SYN, valid: true });
  host.send(1, replyTo(seen!));
  settle([host]);
  t.match(atHost(host), [{ from: WEB, to: WORLD, fromPort: 80, toPort: 1000, flags: SYN | ACK, valid: true }]);
  host.send(0, syn(POD));
  fromHost(host, syn(GATEWAY, 1001));
  t.match(host.at(1), [{ from: POD }, { from: GATEWAY, fromPort: 1001 }], 'the host itself keeps its address too');
});

t.test('two of the world with one port are told apart, and both are answered', async (t) => {
  const host = hostWith({ masquerade: true });
  fromHost(host, syn(WORLD));
  fromHost(host, syn('192.0.2.8'));
  const seen = host.at(1);
  t.equal(new Set(seen.map((s) => s.fromPort)).size, 2);
  for (const one of seen) host.send(1, replyTo(one));
  settle([host]);
  t.same(
    atHost(host).map((s) => [s.to, s.toPort]),
    [
      [WORLD, 1000],
      ['192.0.2.8', 1000],
    ],
  );
});

t.test('an endpoint on another host answers this one, which answers the world', async (t) => {
  const hosts = cluster(2, { services: web({ masquerade: true, endpoints: ['10.244.2.10:80'] }) });
  const [a, b] = hosts as [TestHost, TestHost];
  a.io.inject(HOST_PORT, syn(WORLD));
  settle(hosts);
  const [seen] = b.at(0);
  t.match(seen, { from: GATEWAY, valid: true });
  b.send(0, replyTo(seen!));
  settle(hosts);
  t.match(atHost(a), [{ from: WEB, to: WORLD, valid: true }]);
});

t.test('externalTrafficPolicy Local: the world has the endpoints of this host, and keeps its address', async (t) => {
  const host = hostWith({ endpoints: ['10.244.2.10:80', '10.244.3.10:80'], outside: ['10.244.1.12:80'] });
  for (let n = 0; n < 3; n++) fromHost(host, syn(WORLD, 1000 + n));
  t.same(
    host.at(2).map((s) => s.from),
    [WORLD, WORLD, WORLD],
  );
  host.send(0, syn(POD));
  settle([host]);
  t.equal(host.at(2).length, 0, 'pods have all');
});

t.test('schedulers choose among the endpoints of the world', async (t) => {
  for (const scheduler of ['failover', 'rr', 'random', 'wrr', 'lc', 'wlc', 'sh', 'dh', 'sed', 'nq', 'mh'] as const) {
    const outside = ['10.244.1.12:80', '10.244.1.13:80'];
    const host = hostWith({ scheduler, endpoints: ['10.244.2.10:80', ...outside], outside, affinitySeconds: 9 });
    for (let n = 0; n < 8; n++) fromHost(host, syn(`192.0.2.${n + 1}`));
    t.equal(host.at(2).length + host.at(3).length, 8, scheduler);
    fromHost(host, syn('192.0.2.1', 2000));
    t.equal(host.at(2).length + host.at(3).length, 1);
  }
});

t.test('failover moves on among the endpoints of the world', async (t) => {
  const host = hostWith({ endpoints: ['10.244.2.10:80'], outside: ['10.244.1.99:80', '10.244.1.12:80'] });
  fromHost(host, syn(WORLD));
  t.match(host.at(2), [{ from: WORLD, flags: SYN, valid: true }]);
});

t.test('without an endpoint for them the world is dropped or refused, as the policy says', async (t) => {
  const drops = hostWith({ outside: [], whenEmpty: 'drop' });
  fromHost(drops, syn(WORLD));
  t.same(atHost(drops), []);
  t.same(drops.drops, { 'service-no-local-endpoint': 1 });
  drops.send(0, syn(POD));
  settle([drops]);
  t.equal(drops.at(1).length, 1, 'pods are served');
  const refuses = hostWith({ outside: [] });
  fromHost(refuses, syn(WORLD));
  t.match(atHost(refuses), [{ from: WEB, to: WORLD, flags: RST | ACK, valid: true }]);
  const nobody = hostWith({ endpoints: [], whenEmpty: 'drop' });
  nobody.send(0, syn(POD));
  settle([nobody]);
  t.same([nobody.at(0).length, nobody.drops], [0, { 'service-no-local-endpoint': 1 }], 'internalTrafficPolicy Local');
});

t.test('on an address of the host itself, what is for no service goes on to the host', async (t) => {
  const shared = { address: NODE, port: 80, endpoints: ['10.244.1.11:8080'], shared: true };
  const host = new TestHost({ number: 1, pods: 4, services: [shared] });
  host.send(0, syn(POD, 1000, NODE));
  settle([host]);
  t.match(host.at(1), [{ from: POD, toPort: 8080 }], 'the service');
  host.send(0, tcpPacket({ from: POD, to: NODE, fromPort: 1, toPort: 22, flags: SYN }));
  host.send(0, tcpPacket({ from: POD, to: NODE, fromPort: 2, toPort: 22, flags: ACK }));
  host.send(0, udpPacket({ from: POD, to: NODE, fromPort: 3, toPort: 80 }));
  host.send(0, echoPacket({ from: POD, to: NODE }));
  settle([host]);
  t.match(atHost(host), [{ toPort: 22, flags: SYN }, { toPort: 22, flags: ACK }, { protocol: 17 }, { type: 8 }]);
  fromHost(host, replyTo({ ...read(syn(POD, 1, NODE)), toPort: 22 }));
  t.match(host.at(0), [{ from: NODE, fromPort: 22, toPort: 1 }], 'and its answers come back');
  // A service comes to stand at the port of datagrams: those move, the others do not.
  host.publish({ services: [shared, { ...shared, protocol: 17 }] });
  host.send(0, tcpPacket({ from: POD, to: NODE, fromPort: 1, toPort: 22, flags: ACK }));
  host.send(0, udpPacket({ from: POD, to: NODE, fromPort: 3, toPort: 80 }));
  settle([host]);
  t.match(atHost(host), [{ toPort: 22, flags: ACK }]);
  t.match(host.at(1), [{ protocol: 17, toPort: 8080 }]);
  t.same(host.drops, {});
});

t.test('who comes from an address of the host itself is not of the world', async (t) => {
  const services = [
    ...web({ masquerade: true, outside: ['10.244.1.12:80'] }),
    { address: NODE, port: 80, endpoints: ['10.244.1.11:80'], shared: true },
  ];
  const host = new TestHost({ number: 1, pods: 4, services });
  fromHost(host, syn(NODE));
  if (run.family === 4) fromHost(host, syn('172.31.0.11', 1001));
  t.same(
    host.at(1).map((s) => s.from),
    run.family === 4 ? [NODE, '172.31.0.11'] : [NODE],
  );
  fromHost(host, syn(WORLD));
  t.match(host.at(2), [{ from: GATEWAY }]);
});

t.test("the gateway as an endpoint: the host's own processes come from the VTEP's address", async (t) => {
  const host = hostWith({ scheduler: 'plain', endpoints: [`${GATEWAY}:40000`, '10.244.1.11:80'] });
  host.send(0, syn(POD));
  settle([host]);
  const [relayed] = atHost(host);
  t.match(relayed, { from: POD, to: GATEWAY, toPort: 40_000, flags: SYN, valid: true });
  fromHost(host, replyTo(relayed!));
  t.match(host.at(0), [{ from: WEB, fromPort: 80, toPort: 1000, valid: true }]);
  fromHost(host, syn(GATEWAY, 2000));
  const [own] = atHost(host);
  t.match(own, { from: VTEP, to: GATEWAY, fromPort: 2000, toPort: 40_000, valid: true });
  fromHost(host, replyTo(own!));
  t.match(atHost(host), [{ from: WEB, to: GATEWAY, fromPort: 80, toPort: 2000, flags: SYN | ACK, valid: true }]);
  fromHost(host, tcpPacket({ from: GATEWAY, to: POD, fromPort: 40_000, toPort: 1000, flags: RST }));
  t.match(host.at(0), [{ from: WEB, flags: RST }], 'plain: a refusal is for the client');
  const datagrams = hostWith({ scheduler: 'plain', endpoints: [`${GATEWAY}:40000`], protocol: 17 });
  fromHost(datagrams, udpPacket({ from: GATEWAY, to: WEB, fromPort: 7, toPort: 80, payload: payloadOf(9) }));
  const [datagram] = atHost(datagrams);
  t.match(datagram, { from: VTEP, to: GATEWAY, valid: true });
  fromHost(datagrams, replyTo(datagram!));
  t.match(atHost(datagrams), [{ from: WEB, to: GATEWAY, toPort: 7, valid: true }]);
});

t.test('an endpoint on the host itself sees the world as the VTEP: its own address would be refused', async (t) => {
  // A pod on the host's network has its address.
  const host = hostWith({ masquerade: true, endpoints: [`${NODE}:8080`] });
  fromHost(host, syn(WORLD));
  const [seen] = atHost(host);
  t.match(seen, { from: VTEP, to: NODE, toPort: 8080, valid: true });
  fromHost(host, replyTo(seen!));
  t.match(atHost(host), [{ from: WEB, to: WORLD, valid: true }]);
  fromHost(host, syn(NODE, 3000));
  t.match(atHost(host), [{ from: VTEP, to: NODE }], 'it reaches itself');
  host.send(0, syn(POD));
  settle([host]);
  t.match(atHost(host), [{ from: POD, to: NODE }]);
});

t.test('so it does with externalTrafficPolicy Local, or its answers would go out beside us', async (t) => {
  const host = hostWith({ outside: [`${NODE}:8080`] });
  fromHost(host, syn(WORLD));
  const [seen] = atHost(host);
  t.match(seen, { from: VTEP, to: NODE, toPort: 8080, valid: true });
  fromHost(host, replyTo(seen!));
  t.match(atHost(host), [{ from: WEB, to: WORLD, fromPort: 80, toPort: 1000, valid: true }]);
});

t.test('with several workers, whoever reads the endpoint', async (t) => {
  for (const workers of [2, 3]) {
    for (const pod of [1, 2, 3]) {
      const services = web({ masquerade: true, endpoints: [`10.244.1.${10 + pod}:80`] });
      const host = new WorkerHost({ number: 1, pods: 4, workers, services });
      host.sendFromHost(syn(WORLD));
      host.wait(1);
      const [seen] = host.at(pod);
      t.match(seen, { from: GATEWAY, valid: true });
      host.send(pod, replyTo(seen!));
      host.wait(1);
      t.match(host.atHost(), [{ from: WEB, to: WORLD, toPort: 1000, valid: true }], `${workers} workers, pod ${pod}`);
    }
    const services = web({ scheduler: 'plain', endpoints: [`${GATEWAY}:40000`] });
    const host = new WorkerHost({ number: 1, pods: 4, workers, services });
    for (const pod of [0, 1, 2]) {
      host.send(pod, syn(`10.244.1.${10 + pod}`));
      host.wait(1);
      const [seen] = host.atHost();
      t.match(seen, { from: `10.244.1.${10 + pod}`, to: GATEWAY, valid: true });
      host.sendFromHost(replyTo(seen!));
      host.wait(1);
      t.match(host.at(pod), [{ from: WEB, flags: SYN | ACK, valid: true }]);
    }
  }
});
