/** Client affinity over ports in memory: who stays with whom, and until when. */
import t from 'tap';
import { Affinity } from '../../src/dataplane/affinity.ts';
import { endpointId, settle, TestHost, type TestService } from './host.ts';
import { tcpPacket, udpPacket } from './packets.ts';

const SYN = 2;
const RST = 4;
const ACK = 16;
const WEB = '10.96.0.80';
const SECONDS = 60;
const PODS = ['10.244.1.14:80', '10.244.1.15:80', '10.244.1.16:80'];

const web = (change: Partial<TestService> = {}): TestService[] => [
  { address: WEB, port: 80, endpoints: PODS, affinitySeconds: SECONDS, ...change },
];

/** Clients in pods 0 to 3, endpoints in pods 4 to 6. */
function hostWith(change: Partial<TestService> = {}): TestHost {
  return new TestHost({ number: 1, pods: 7, services: web(change) });
}

let port = 1024;
/** The endpoint, 0 to 2, that a client's next connection reaches, answered there if `flags` says so. */
function connect(host: TestHost, client: number, flags = SYN | ACK): number {
  port = port === 60_000 ? 1024 : port + 1;
  const from = `10.244.1.${10 + client}`;
  host.send(client, tcpPacket({ from, to: WEB, fromPort: port, toPort: 80, flags: SYN }));
  settle([host]);
  for (const pod of [4, 5, 6]) {
    const [seen] = host.at(pod);
    if (!seen) continue;
    host.send(pod, tcpPacket({ from: seen.to, to: seen.from, fromPort: 80, toPort: seen.fromPort, flags }));
    settle([host]);
    host.at(client);
    return pod - 4;
  }
  return -1;
}

t.test("a client's connections all go to one endpoint, other clients' to others", async (t) => {
  for (const scheduler of ['failover', 'rr', 'random', 'wrr', 'lc', 'mh'] as const) {
    const host = hostWith({ scheduler });
    const first = [0, 1, 2].map((client) => connect(host, client));
    for (let n = 0; n < 10; n++) {
      t.same(
        [2, 0, 1].map((client) => connect(host, client)),
        [2, 0, 1].map((client) => first[client]),
        scheduler,
      );
    }
    if (scheduler !== 'random' && scheduler !== 'mh') t.equal(new Set(first).size, 3);
  }
});

t.test("the time runs from the client's latest connection", async (t) => {
  const host = hostWith();
  const [first] = [connect(host, 0), connect(host, 1)];
  for (let n = 0; n < 5; n++) {
    host.io.advance(SECONDS * 1000 - 1000);
    t.equal(connect(host, 0), first, 'it slides');
  }
  host.io.advance(SECONDS * 1000 + 200);
  t.not(connect(host, 0), first, 'and ends');
});

t.test('it is dropped when its endpoint leaves, or weighs nothing any more', async (t) => {
  const host = hostWith({ scheduler: 'rr' });
  const first = connect(host, 0);
  const others = PODS.filter((_, n) => n !== first);
  host.publish({ services: web({ scheduler: 'rr', endpoints: others, epoch: 2 }) });
  const second = connect(host, 0);
  t.not(second, first);
  host.publish({ services: web({ scheduler: 'rr', epoch: 3 }) });
  t.equal(connect(host, 0), second, 'the one that came back is a new one');
  const weights = PODS.map((e, n) => (n === second ? `${e}*0` : e));
  host.publish({ services: web({ scheduler: 'rr', endpoints: weights, epoch: 4 }) });
  t.not(connect(host, 0), second);
});

t.test('a failed attempt sends the client to another endpoint, for good', async (t) => {
  const host = hostWith();
  const first = connect(host, 0);
  const from = '10.244.1.10';
  host.send(0, tcpPacket({ from, to: WEB, fromPort: 9, toPort: 80, flags: SYN }));
  settle([host]);
  const [seen] = host.at(4 + first);
  host.send(4 + first, tcpPacket({ from: seen!.to, to: from, fromPort: 80, toPort: 9, flags: RST | ACK }));
  settle([host]);
  const second = [0, 1, 2].find((n) => host.at(4 + n).length > 0);
  t.not(second, undefined);
  t.not(second, first);
  for (let n = 0; n < 4; n++) t.equal(connect(host, 0), second);
});

t.test('an endpoint that is left out has its clients elsewhere', async (t) => {
  const host = hostWith();
  const first = connect(host, 0);
  const { endpoints, nowMs } = host.pipeline.context;
  for (let n = 0; n < 3; n++) endpoints.failed(endpointId(`${WEB} 6 80`, PODS[first]!), nowMs, true);
  t.not(connect(host, 0), first);
});

t.test('datagrams too, and each service port by itself', async (t) => {
  const dns = {
    address: WEB,
    port: 53,
    protocol: 17,
    endpoints: ['10.244.1.14:53', '10.244.1.15:53'],
    affinitySeconds: 9,
  };
  const host = new TestHost({ number: 1, pods: 7, services: [dns, { ...dns, port: 54 }] });
  const ask = (fromPort: number, toPort: number) => {
    host.send(0, udpPacket({ from: '10.244.1.10', to: WEB, fromPort, toPort }));
    settle([host]);
    return [4, 5].find((pod) => host.at(pod).length > 0);
  };
  t.equal(ask(1, 54), 4);
  t.equal(ask(2, 53), 4);
  t.equal(ask(3, 53), 4);
  t.equal(ask(4, 54), 4);
});

t.test('the table is bounded: the one that was idle longest gives way', async (t) => {
  const table = new Affinity();
  t.equal(table.find(1, 0, 0, 0xffff, 1, 0, 10), -1);
  const clients = 200_000;
  for (let n = 0; n < clients; n++) table.set(1, 0, 0, 0xffff, n, n & 7, 3, n >> 6);
  const now = clients >> 6;
  const found = (n: number) => table.find(1, 0, 0, 0xffff, n, now, 1_000_000) >= 0;
  let recent = 0;
  for (let n = clients - 20_000; n < clients; n++) if (found(n)) recent++;
  t.ok(recent > 19_900, `${recent} of the latest 20,000`);
  let old = 0;
  for (let n = 0; n < 20_000; n++) if (found(n)) old++;
  t.ok(old < 100, `${old} of the first`);
  const entry = table.find(1, 0, 0, 0xffff, clients - 1, now, 10);
  t.same([table.endpointOf(entry), table.incarnationOf(entry)], [(clients - 1) & 7, 3]);
  t.equal(table.find(1, 0, 0, 0xffff, clients - 1, now + 11, 10), -1, 'too old');
  t.equal(table.find(2, 0, 0, 0xffff, clients - 1, now, 10), -1, 'another service');
});
