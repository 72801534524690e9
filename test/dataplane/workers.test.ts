/**
 * Several workers of one dataplane, over ports in memory: whichever worker reads a packet, its connection is kept by
 * one of them, and what a single worker would do is done.
 */
import t from 'tap';
import { GAUGE } from '../../src/dataplane/counters.ts';
import type { Crossing } from '../../src/dataplane/crossing.ts';
import { u16 } from '../../src/wire/bytes.ts';
import { icmpErrorAbout } from './errors.ts';
import type { TestService } from './host.ts';
import { echoPacket, ipBytes, payloadOf, read, tcpOffload, tcpPacket, udpPacket } from './packets.ts';
import { settleAll, WorkerHost } from './worker-host.ts';

const SYN = 2;
const ACK = 16;
const RST = 4;
const WEB = '10.96.0.80';
const GATEWAY = '10.244.1.1';
/** Pods 0, 2, … are read by worker 0, pods 1, 3, … by worker 1. */
const [EVEN, ODD, EVEN2, ODD2] = ['10.244.1.10', '10.244.1.11', '10.244.1.12', '10.244.1.13'];

function web(...endpoints: string[]): TestService {
  return { address: WEB, port: 80, endpoints };
}

function dns(...endpoints: string[]): TestService {
  return { address: WEB, port: 53, protocol: 17, endpoints };
}

function host(...services: TestService[]): WorkerHost {
  return new WorkerHost({ number: 1, pods: 5, workers: 2, services });
}

function segment(from: string, fromPort: number, to: string, toPort: number, flags: number): Uint8Array {
  return tcpPacket({ from, to, fromPort, toPort, flags });
}

function datagram(from: string, fromPort: number, to: string, toPort: number): Uint8Array {
  return udpPacket({ from, to, fromPort, toPort, payload: payloadOf(20) });
}

t.test('between pods of two workers both directions meet the worker of the client', async (t) => {
  const h = host();
  h.send(0, segment(EVEN, 1000, ODD, 80, SYN));
  settleAll([h]);
  t.match(h.at(1), [{ from: EVEN, to: ODD, flags: SYN, ttl: 63, valid: true }]);
  h.send(1, segment(ODD, 80, EVEN, 1000, SYN | ACK));
  h.send(0, segment(EVEN, 1000, ODD, 80, ACK));
  settleAll([h]);
  t.match(h.at(0), [{ from: ODD, flags: SYN | ACK, ttl: 63, valid: true }]);
  t.match(h.at(1), [{ flags: ACK, ttl: 63 }]);
  t.same(h.flows, [1, 0]);
  h.send(1, segment(ODD, 2000, EVEN, 81, SYN));
  settleAll([h]);
  t.same(h.flows, [1, 1], 'the other way it is the other worker');
  t.same(h.drops, {});
});

t.test('between pods of one worker nothing is handed over', async (t) => {
  const h = host();
  h.send(0, segment(EVEN, 1000, EVEN2, 80, SYN));
  h.send(2, segment(EVEN2, 80, EVEN, 1000, SYN | ACK));
  h.send(3, datagram(ODD2, 5, ODD, 6));
  settleAll([h]);
  t.same([h.at(2).length, h.at(0).length, h.at(1).length], [1, 1, 1]);
  t.equal(h.workers[0]!.crossing.given + h.workers[1]!.crossing.given, 0);
  t.same(h.wakes, [], 'nobody was woken');
});

t.test('what does not say who began meets the worker of its destination', async (t) => {
  const h = host();
  h.send(0, datagram(EVEN, 5, ODD, 6));
  settleAll([h]);
  h.send(1, datagram(ODD, 6, EVEN, 5));
  h.send(0, datagram(EVEN, 5, ODD, 6));
  settleAll([h]);
  t.same([h.at(1).length, h.at(0).length], [2, 1]);
  t.same(h.flows, [0, 1]);
  t.equal(h.workers[0]!.pipeline.context.counters.gauges[GAUGE.handedOver], 2);
});

t.test('a worker that sleeps is woken once, and none falls asleep before a packet', async (t) => {
  const h = host();
  const [first, second] = h.workers.map((worker) => worker.crossing) as [Crossing, Crossing];
  h.send(0, datagram(EVEN, 5, ODD, 6));
  t.equal(second.waits(1000), 1000, 'there is nothing: it may sleep');
  h.workers[0]!.step();
  h.workers[0]!.step();
  t.same(h.wakes, [1]);
  h.send(0, datagram(EVEN, 5, ODD, 6));
  h.workers[0]!.step();
  t.same(h.wakes, [1], 'awake, it is not woken again');
  t.equal(second.waits(-1), 0, 'it does not sleep before it has taken them');
  t.equal(first.waits(-1), -1);
  settleAll([h]);
  t.equal(h.at(1).length, 2);
});

t.test("a service's answer from another worker's pod comes from the service", async (t) => {
  const h = host(web(`${ODD}:8080`));
  h.send(0, segment(EVEN, 1000, WEB, 80, SYN));
  settleAll([h]);
  t.match(h.at(1), [{ from: EVEN, to: ODD, fromPort: 1000, toPort: 8080, flags: SYN, valid: true }]);
  h.send(1, segment(ODD, 8080, EVEN, 1000, SYN | ACK));
  settleAll([h]);
  t.match(h.at(0), [{ from: WEB, fromPort: 80, toPort: 1000, flags: SYN | ACK, valid: true }]);
  t.same(h.flows, [1, 0]);
  t.equal(h.workers[0]!.pipeline.context.attempts.held, 0, 'the answer ended the attempt');
});

t.test('a refusal read by another worker moves the connection on; so does an error', async (t) => {
  const h = host(web(`${ODD}:80`, `${ODD2}:80`, `${EVEN2}:80`));
  h.send(0, segment(EVEN, 1000, WEB, 80, SYN));
  settleAll([h]);
  h.send(1, segment(ODD, 80, EVEN, 1000, RST | ACK));
  settleAll([h]);
  const [moved] = h.sent(16 + 3);
  t.ok(moved, 'to the next endpoint');
  h.send(3, icmpErrorAbout(moved!.bytes, ODD2, 3, 3));
  settleAll([h]);
  t.match(h.at(2), [{ to: EVEN2, flags: SYN, ttl: 63, valid: true }]);
  t.same(h.at(0), [], 'the client hears nothing');
  h.send(2, segment(EVEN2, 80, EVEN, 1000, SYN | ACK));
  settleAll([h]);
  t.match(h.at(0), [{ from: WEB, flags: SYN | ACK, valid: true }]);
});

t.test('silence moves the connection on, and at last refuses it', async (t) => {
  const h = host(web(`${ODD}:80`, `${ODD2}:80`));
  h.send(0, segment(EVEN, 1000, WEB, 80, SYN));
  settleAll([h]);
  for (const ms of [250, 500, 1000, 2000]) h.wait(ms);
  t.same([h.at(1).length, h.at(3).length], [2, 2]);
  t.match(h.at(0), [{ from: WEB, flags: RST | ACK, valid: true }]);
});

t.test('an error about an established connection quotes what the client sent', async (t) => {
  const h = host(dns(`${ODD}:5353`));
  h.send(0, datagram(EVEN, 7, WEB, 53));
  settleAll([h]);
  const [asked] = h.sent(16 + 1);
  const port = u16(asked!.bytes, ipBytes());
  h.send(1, datagram(ODD, 5353, EVEN, port));
  settleAll([h]);
  t.match(h.at(0), [{ from: WEB, fromPort: 53, toPort: 7, valid: true }]);
  h.send(1, icmpErrorAbout(asked!.bytes, ODD, 3, 3));
  settleAll([h]);
  const [error] = h.sent(16);
  t.match(read(error!.bytes), { from: WEB, to: EVEN, valid: true }, 'it comes from the service');
  t.match(
    read(error!.bytes.subarray(ipBytes() + 8)),
    { from: EVEN, to: WEB, fromPort: 7, toPort: 53 },
    'and is about it',
  );
});

t.test('a pod reaches itself through its service, and is not taken for the host', async (t) => {
  const h = host(web(`${ODD}:8080`));
  h.send(1, segment(ODD, 1000, WEB, 80, SYN));
  h.sendFromHost(segment(GATEWAY, 1000, WEB, 80, SYN));
  settleAll([h]);
  const asked = h.at(1);
  t.match(asked, [
    { from: GATEWAY, to: ODD, toPort: 8080, flags: SYN, valid: true },
    { from: '10.244.1.0', to: ODD, fromPort: 1000, toPort: 8080, flags: SYN, valid: true },
  ]);
  for (const { from } of asked) h.send(1, segment(ODD, 8080, from, 1000, SYN | ACK));
  settleAll([h]);
  t.match(h.at(1), [{ from: WEB, to: ODD, fromPort: 80, toPort: 1000, flags: SYN | ACK, valid: true }]);
  t.match(h.atHost(), [{ from: WEB, to: GATEWAY, fromPort: 80, toPort: 1000 }], 'the host from the same port too');
});

t.test('the host reaches pods and services, and pods the host and the world, whoever reads them', async (t) => {
  const h = host(web(`${ODD}:80`));
  h.sendFromHost(segment(GATEWAY, 1000, WEB, 80, SYN));
  h.sendFromHost(segment(GATEWAY, 1001, ODD, 80, SYN));
  h.sendFromHost(datagram(GATEWAY, 1002, ODD, 53));
  h.sendFromHost(echoPacket({ from: GATEWAY, to: ODD }));
  settleAll([h]);
  t.equal(h.at(1).length, 4);
  h.send(1, segment(ODD, 80, GATEWAY, 1000, SYN | ACK));
  h.send(1, segment(ODD, 80, GATEWAY, 1001, SYN | ACK));
  h.send(1, datagram(ODD, 53, GATEWAY, 1002));
  h.send(1, echoPacket({ from: ODD, to: GATEWAY, reply: true }));
  h.send(1, segment(ODD, 5000, '192.0.2.1', 443, SYN));
  h.send(1, datagram(ODD, 5001, '192.0.2.1', 53));
  settleAll([h]);
  const seen = h.atHost().sort((a, b) => a.protocol - b.protocol || a.toPort - b.toPort);
  t.match(seen, [
    { from: ODD, type: 0 },
    { from: ODD, to: '192.0.2.1', toPort: 443, valid: true },
    { from: WEB, fromPort: 80, toPort: 1000, valid: true },
    { from: ODD, fromPort: 80, toPort: 1001, valid: true },
    { from: ODD, to: '192.0.2.1', toPort: 53, valid: true },
    { from: ODD, fromPort: 53, toPort: 1002, valid: true },
  ]);
  h.sendFromHost(segment('192.0.2.1', 443, ODD, 5000, SYN | ACK));
  h.sendFromHost(datagram('192.0.2.1', 53, ODD, 5001));
  settleAll([h]);
  t.equal(h.at(1).length, 2, 'the world answers');
  t.same(h.sharedKeys(), [], 'no connection is known to two workers');
});

t.test('one socket that asks a server and its service is told which of the two answers', async (t) => {
  for (const first of [WEB, ODD]) {
    const h = host(dns(`${ODD}:53`));
    const second = first === WEB ? ODD : WEB;
    for (const to of [first, second, first]) h.send(0, datagram(EVEN, 7, to, 53));
    settleAll([h]);
    const asked = h.at(1);
    t.equal(new Set(asked.map((seen) => seen.fromPort)).size, 2, 'they come from two ports');
    for (const port of new Set(asked.map((seen) => seen.fromPort))) h.send(1, datagram(ODD, 53, EVEN, port));
    settleAll([h]);
    const answers = h.at(0).map((seen) => `${seen.from}:${seen.toPort} ${seen.valid}`);
    t.same(answers.sort(), [`${ODD}:7 true`, `${WEB}:7 true`].sort(), `${first} first`);
  }
});

t.test('one port of a client for a server and its service: connections stay apart', async (t) => {
  for (const first of [WEB, ODD]) {
    const h = host(web(`${ODD}:80`));
    for (const to of [first, first === WEB ? ODD : WEB]) h.send(0, segment(EVEN, 7, to, 80, SYN));
    settleAll([h]);
    const asked = h.at(1);
    t.equal(new Set(asked.map((seen) => seen.fromPort)).size, 2);
    for (const seen of asked) h.send(1, segment(ODD, 80, EVEN, seen.fromPort, SYN | ACK));
    settleAll([h]);
    const answers = h.at(0).map((seen) => `${seen.from}:${seen.toPort} ${seen.valid}`);
    t.same(answers.sort(), [`${ODD}:7 true`, `${WEB}:7 true`].sort(), `${first} first`);
  }
});

t.test('across hosts, whichever worker the kernel gives a packet to', async (t) => {
  for (const steer of [undefined, () => 0, () => 1]) {
    const make = (number: number) =>
      new WorkerHost({ number, hosts: 2, workers: 2, services: [web('10.244.2.11:80')], ...(steer && { steer }) });
    const hosts = [make(1), make(2)] as const;
    const [a, b] = hosts;
    a.send(0, segment(EVEN, 1000, WEB, 80, SYN));
    a.sendFromHost(segment(GATEWAY, 1001, WEB, 80, SYN));
    a.send(1, echoPacket({ from: ODD, to: '10.244.2.1' }));
    a.send(1, datagram(ODD, 9, '10.244.2.99', 9));
    a.send(0, echoPacket({ from: EVEN, to: '10.244.2.10', ttl: 2 }));
    settleAll(hosts);
    t.match(
      b.at(1).sort((x, y) => x.fromPort - y.fromPort),
      [
        { from: EVEN, flags: SYN },
        { from: GATEWAY, flags: SYN },
      ],
    );
    b.send(1, segment('10.244.2.11', 80, EVEN, 1000, SYN | ACK));
    b.send(1, segment('10.244.2.11', 80, GATEWAY, 1001, SYN | ACK));
    settleAll(hosts);
    t.match(
      a.at(0).sort((x, y) => x.protocol - y.protocol),
      [
        { from: '10.244.2.1', type: 11, valid: true },
        { from: WEB, fromPort: 80, toPort: 1000, flags: SYN | ACK, valid: true },
      ],
      'the service answers, and the host on the way shows itself',
    );
    t.match(a.atHost(), [{ from: WEB, toPort: 1001, flags: SYN | ACK, valid: true }]);
    t.match(
      a.at(1).sort((x, y) => x.type - y.type),
      [
        { from: '10.244.2.1', type: 0 },
        { from: '10.244.2.1', type: 3, code: 1 },
      ],
      'the gateway answers, and says what is unreachable',
    );
    for (const h of hosts) t.same(h.sharedKeys(), []);
  }
});

t.test('every worker learns a MAC that one of them asked for', async (t) => {
  const hosts = [1, 2].map((number) => new WorkerHost({ number, hosts: 2, workers: 2, learn: [3 - number] }));
  const [a, b] = hosts as [WorkerHost, WorkerHost];
  settleAll(hosts);
  a.send(0, echoPacket({ from: EVEN, to: '10.244.2.10' }));
  a.send(1, echoPacket({ from: ODD, to: '10.244.2.11' }));
  settleAll(hosts);
  t.same([b.at(0).length, b.at(1).length], [1, 1]);
  t.same(a.drops['neighbour-unresolved'], undefined);
});

t.test('a super-packet is handed over whole, also one that receive offload left in strides', async (t) => {
  const h = host();
  const payload = payloadOf(20_000);
  const packet = tcpPacket({ from: EVEN, to: ODD, fromPort: 1, toPort: 2, flags: ACK, payload, dontFragment: true });
  const meta = tcpOffload(1390);
  h.send(0, packet, meta);
  settleAll([h]);
  const [whole] = h.sent(16 + 1);
  t.match(whole, { ...meta, l3Offset: 0 });
  t.same(whole?.bytes.subarray(ipBytes()), packet.subarray(ipBytes()));
  const steered = new WorkerHost({ number: 2, hosts: 2, workers: 2, steer: () => 0 });
  const from = new WorkerHost({ number: 1, hosts: 2, workers: 2 });
  from.send(0, tcpPacket({ from: EVEN, to: '10.244.2.11', fromPort: 1, toPort: 2, flags: ACK, payload }), meta);
  from.workers[0]!.step();
  from.workers[0]!.step();
  const [wire] = from.sent(1);
  steered.arrive(wire!.bytes, 1, {
    ...meta,
    checksumStart: 22 + ipBytes(),
    stridedHeaderBytes: 22 + ipBytes() + 20,
  });
  settleAll([steered]);
  const [out] = steered.sent(16 + 1);
  t.match(out, meta);
  t.same(out?.bytes.subarray(ipBytes() + 20), payload);
  t.equal(steered.workers[0]!.crossing.given, 1);
});

t.test('what a worker has no room for is dropped and counted; afterwards it goes on', async (t) => {
  const h = host();
  const [busy, idle] = [h.workers[1]!, h.workers[0]!];
  const payload = payloadOf(60_000);
  const packet = udpPacket({ from: EVEN, to: ODD, fromPort: 1, toPort: 2, payload });
  const meta = { ...tcpOffload(1390), gsoType: 5, checksumOffset: 6 };
  for (let n = 0; n < 60; n++) h.send(0, packet, meta);
  while (idle.step());
  const dropped = h.drops['worker-busy'] ?? 0;
  t.ok(dropped > 20 && dropped < 30, `2 MB hold the others, ${dropped} were dropped`);
  while (busy.step());
  t.equal(h.sent(16 + 1).length, 60 - dropped);
  h.send(0, packet, meta);
  settleAll([h]);
  t.same(h.sent(16 + 1)[0]?.bytes.subarray(ipBytes() + 8), payload);
});

t.test('counters: a packet that was handed over is received once and sent once', async (t) => {
  const h = host();
  for (let n = 0; n < 10; n++) h.send(0, datagram(EVEN, 5, ODD, 6));
  settleAll([h]);
  const sum = (port: number, what: 'rxPackets' | 'txPackets') =>
    h.workers.reduce((total, { pipeline }) => total + pipeline.context.counters.port(port)[what], 0);
  t.same([sum(16, 'rxPackets'), sum(17, 'txPackets')], [10, 10]);
  t.same([sum(16, 'txPackets'), sum(17, 'rxPackets')], [0, 0]);
});
