/**
 * What a service's client hears of the way to its endpoint: path MTU, hops, endpoints that are gone. It must read like
 * errors about the packets that the client sent, to the addresses that it knows.
 */
import t from 'tap';
import { u32 } from '../../src/wire/bytes.ts';
import * as icmp from '../../src/wire/icmp.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import { icmpErrorAbout } from './errors.ts';
import { run } from './family.ts';
import { fragmentsOf } from './fragments.ts';
import { cluster, settle, type TestHost } from './host.ts';
import { echoPacket, ipBytes, payloadOf, read, tcpPacket, udpPacket } from './packets.ts';

const SYN = 2;
const ACK = 16;
const CLIENT = '10.244.1.10';
const WEB = '10.96.0.80';
const ENDPOINT = '10.244.2.10';
const services = [
  { address: WEB, port: 80, endpoints: [`${ENDPOINT}:8080`, '10.244.2.11:8080'] },
  { address: WEB, port: 53, protocol: 17, endpoints: [`${ENDPOINT}:5353`] },
];

/** Two hosts, and a connection from host 1 to the endpoint on host 2. */
function connected(): { hosts: TestHost[]; a: TestHost; b: TestHost } {
  const hosts = cluster(2, { services });
  const [a, b] = hosts as [TestHost, TestHost];
  a.send(0, tcpPacket({ from: CLIENT, to: WEB, fromPort: 1000, toPort: 80, flags: SYN }));
  settle(hosts);
  b.send(0, tcpPacket({ from: ENDPOINT, to: CLIENT, fromPort: 8080, toPort: 1000, flags: SYN | ACK }));
  settle(hosts);
  a.io.sent();
  b.io.sent();
  return { hosts, a, b };
}

/** What an error quotes, with the hops that it has taken put back. */
function quoteOf(error: Uint8Array, ttl: number): Uint8Array {
  const quote = error.slice(ipBytes() + icmp.HEADER_BYTES);
  if (run.family === 6) {
    ipv6.setHopLimit(quote, 0, ttl);
  } else {
    ipv4.setTtl(quote, 0, ttl);
    ipv4.fillChecksum(quote, 0);
  }
  return quote;
}

for (const quoted of [ipBytes() + 8, ipBytes() + 20, 576]) {
  t.test(`fragmentation needed, ${quoted} bytes quoted`, async (t) => {
    const { hosts, a, b } = connected();
    const data = { fromPort: 1000, toPort: 80, flags: ACK, dontFragment: true, payload: payloadOf(1200) };
    const sent = tcpPacket({ from: CLIENT, to: WEB, ...data });
    a.send(0, sent);
    settle(hosts);
    const [arrived] = b.io.sent(16);
    // From a router behind the endpoint's host, which is heard by host 2's own stack.
    b.io.inject(0, icmpErrorAbout(arrived!.bytes, '192.0.2.9', 3, 4, { rest: 1000, quoted }));
    settle(hosts);
    const [heard] = a.io.sent(16);
    t.match(read(heard!.bytes), { from: '192.0.2.9', to: CLIENT, type: 3, code: 4, valid: true });
    t.equal(u32(heard!.bytes, ipBytes() + 4), 1000);
    t.same(quoteOf(heard!.bytes, 64), sent.slice(0, quoted), 'as the client sent it, to the bit');
  });
}

t.test('an endpoint that complains of a datagram, whole or in fragments, complains as the service', async (t) => {
  const hosts = cluster(2, { services });
  const [a, b] = hosts as [TestHost, TestHost];
  const whole = udpPacket({ from: CLIENT, to: WEB, fromPort: 7, toPort: 53, payload: payloadOf(9) });
  const big = udpPacket({ from: CLIENT, to: WEB, fromPort: 8, toPort: 53, payload: payloadOf(5000) });
  const [first, ...rest] = fragmentsOf(big, 1);
  for (const packet of [whole, first!, ...rest]) a.send(0, packet);
  settle(hosts);
  const arrived = b.io.sent(16).map((p) => p.bytes);
  t.equal(arrived.length, 2 + rest.length);
  for (const [n, sent] of [whole, first!].entries()) {
    // In IPv6 the ports stand behind the fragment header.
    const quoted = ipBytes() + (run.family === 6 ? 16 : 8);
    b.send(0, icmpErrorAbout(arrived[n]!, ENDPOINT, 3, 3, { quoted }));
    settle(hosts);
    const [heard] = a.io.sent(16);
    t.match(read(heard!.bytes), { from: WEB, to: CLIENT, type: 3, code: 3, valid: true });
    t.same(quoteOf(heard!.bytes, 64), sent.slice(0, quoted));
  }
});

t.test('a client that complains of an answer is heard by the endpoint as itself', async (t) => {
  const { hosts, a, b } = connected();
  const data = { fromPort: 8080, toPort: 1000, flags: ACK, payload: payloadOf(500) };
  const sent = tcpPacket({ from: ENDPOINT, to: CLIENT, ...data });
  b.send(0, sent);
  settle(hosts);
  const [arrived] = a.io.sent(16);
  a.send(0, icmpErrorAbout(arrived!.bytes, CLIENT, 3, 4, { rest: 600, quoted: ipBytes() + 20 }));
  settle(hosts);
  const [heard] = b.io.sent(16);
  t.match(read(heard!.bytes), { from: CLIENT, to: ENDPOINT, type: 3, code: 4, valid: true });
  t.same(quoteOf(heard!.bytes, 64), sent.slice(0, ipBytes() + 20));
});

t.test('who sends through a host cannot speak for a pod behind the tunnel, nor one pod for another', async (t) => {
  const hosts = cluster(2, { services });
  const [a, b] = hosts as [TestHost, TestHost];
  a.send(0, tcpPacket({ from: CLIENT, to: WEB, fromPort: 1000, toPort: 80, flags: SYN }));
  settle(hosts);
  const [arrived] = b.io.sent(16);
  const { context } = a.pipeline;
  const about = (from: string, type: number, code: number) => icmpErrorAbout(arrived!.bytes, from, type, code);
  a.io.inject(0, about('192.0.2.9', 3, 1));
  a.io.inject(0, about('192.0.2.9', 11, 0));
  a.send(1, about('10.244.1.11', 3, 1));
  a.send(1, about('10.244.1.11', 11, 0));
  a.io.inject(0, tcpPacket({ from: ENDPOINT, to: CLIENT, fromPort: 8080, toPort: 1000, flags: 4 }));
  settle(hosts);
  t.equal(context.attempts.held, 1, 'its endpoint still has its time');
  t.equal(b.io.sent(17).length, 0, 'the other one is not tried');
  t.equal(a.drops['source-spoofed'], 1, "a pod's address comes over the tunnel");
  b.send(0, tcpPacket({ from: ENDPOINT, to: CLIENT, fromPort: 8080, toPort: 1000, flags: SYN | ACK }));
  settle(hosts);
  a.io.sent();
  a.io.inject(0, about('192.0.2.9', 3, 1));
  settle(hosts);
  a.io.sent();
  a.send(0, tcpPacket({ from: CLIENT, to: WEB, fromPort: 1000, toPort: 80, flags: ACK }));
  settle(hosts);
  t.match(b.at(0), [{ flags: ACK, toPort: 8080 }], 'and the connection goes on');
});

t.test('a service address answers pings where its client is; an address of nobody does not', async (t) => {
  const { hosts, a } = connected();
  a.send(0, echoPacket({ from: CLIENT, to: WEB, ttl: 1 }));
  a.send(0, echoPacket({ from: CLIENT, to: '10.96.0.99' }));
  settle(hosts);
  t.match(a.at(0), [
    { from: WEB, to: CLIENT, type: 0, length: 84, valid: true },
    { type: 3, code: 1 },
  ]);
});

t.test('traceroute sees each host once, and disturbs no endpoint', async (t) => {
  const hosts = cluster(2, { services });
  const [a, b] = hosts as [TestHost, TestHost];
  const probe = (protocol: number, ttl: number, fromPort: number) => {
    const to = { from: CLIENT, to: WEB, fromPort, ttl };
    a.send(0, protocol === 6 ? tcpPacket({ ...to, toPort: 80, flags: SYN }) : udpPacket({ ...to, toPort: 53 }));
    settle(hosts);
  };
  for (const protocol of [6, 17]) {
    for (const [ttl, hop] of [
      [1, '10.244.1.1'],
      [2, '10.244.2.1'],
    ] as const) {
      probe(protocol, ttl, 2000 + ttl);
      t.match(a.at(0), [{ from: hop, type: 11, code: 0, valid: true }], `protocol ${protocol}, hop ${ttl}`);
    }
    probe(protocol, 3, 2003);
    t.equal(b.io.sent(16).length + b.io.sent(17).length, 1, 'the third hop is the endpoint');
  }
  const { attempts } = a.pipeline.context;
  t.ok(attempts.held <= 2, 'only what has arrived waits for its answer');
  b.io.sent();
  for (let n = 0; n < 10; n++) a.wait(500);
  settle(hosts);
  const silent = a.at(0).filter((seen) => seen.toPort !== 2003);
  t.same(silent, [], 'nothing comes later');
});
