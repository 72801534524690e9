/** What becomes of a service's connections when their endpoint leaves, over ports in memory. */
import t from 'tap';
import { DRAIN_MS } from '../../src/dataplane/connection.ts';
import { icmpErrorAbout } from './errors.ts';
import { cluster, settle, TestHost } from './host.ts';
import { ipBytes, payloadOf, tcpPacket, udpPacket } from './packets.ts';
import { Random } from './random.ts';

const SYN = 2;
const RST = 4;
const ACK = 16;
const WEB = '10.96.0.80';
const CLIENT = '10.244.1.10';

const web = (...endpoints: string[]) => [{ address: WEB, port: 80, endpoints, epoch: endpoints.length }];

/** A client in pod 0 with an established connection to the endpoint in pod 1, while pod 2 is the other one. */
function established(): TestHost {
  const host = new TestHost({ number: 1, pods: 3, services: web('10.244.1.11:80', '10.244.1.12:80') });
  say(host, SYN);
  answer(host, SYN | ACK);
  say(host, ACK);
  host.io.sent();
  return host;
}

function say(host: TestHost, flags: number, ack = 5000): void {
  host.send(0, tcpPacket({ from: CLIENT, to: WEB, fromPort: 1000, toPort: 80, flags, ack }));
  settle([host]);
}

function answer(host: TestHost, flags: number): void {
  host.send(
    1,
    tcpPacket({ from: '10.244.1.11', to: CLIENT, fromPort: 80, toPort: 1000, flags, payload: payloadOf(9) }),
  );
  settle([host]);
}

/** Lets time pass in steps, as it does where timers wake a worker. */
function passes(host: TestHost, milliseconds: number): void {
  for (let left = milliseconds; left > 0; left -= 1000) host.wait(Math.min(left, 1000));
}

const ASKS = { from: WEB, to: CLIENT, fromPort: 80, toPort: 1000, flags: ACK, valid: true };

t.test('an established connection goes on for a time, then its client is reset', async (t) => {
  const host = established();
  host.publish({ services: web('10.244.1.12:80') });
  for (let left = DRAIN_MS - 10_000; left > 0; left -= 10_000) {
    passes(host, 10_000);
    say(host, ACK);
    answer(host, ACK);
  }
  t.same([host.at(1).length, host.at(0).length], [DRAIN_MS / 10_000 - 1, DRAIN_MS / 10_000 - 1], 'it drains');
  host.io.advance(20_000);
  say(host, ACK);
  t.match(host.at(0), [{ from: WEB, flags: RST, valid: true }], 'and ends');
  t.equal(host.drops['service-endpoint-gone'], 1);
  t.equal(host.pipeline.context.flows.size, 0);
  say(host, SYN);
  t.equal(host.at(2).length, 1, 'the client is served again');
});

t.test('a client that only waits is told as well, and so is the endpoint that goes on sending', async (t) => {
  const host = established();
  host.publish({ services: web('10.244.1.12:80') });
  passes(host, 5000);
  host.io.advance(DRAIN_MS);
  answer(host, ACK);
  t.match(host.at(1), [{ to: '10.244.1.11', flags: RST, valid: true }], 'the endpoint is reset');
  t.match(host.at(0), [ASKS], 'the client is asked what it expects');
  say(host, ACK, 7777);
  const [reset] = host.io.sent(16);
  const l4 = reset!.bytes.subarray(ipBytes());
  t.same([l4[13], (l4[6]! << 8) | l4[7]!], [RST, 7777], 'and reset with just that');
});

t.test('a connection in which nothing happens ends too', async (t) => {
  const host = established();
  host.publish({ services: web('10.244.1.12:80') });
  passes(host, 30_000);
  t.ok(host.at(1).length > 0, 'its endpoint is asked whether it is there');
  t.same(host.at(0), []);
  passes(host, DRAIN_MS - 30_000);
  passes(host, 6000);
  const [first] = host.at(0);
  t.match(first, ASKS);
  passes(host, 20_000);
  t.equal(host.pipeline.context.flows.size, 0);
});

t.test('where the pod is gone the client is reset at once, speaking or waiting', async (t) => {
  const speaks = established();
  speaks.publish({ pods: 1, services: web() });
  say(speaks, ACK);
  t.match(speaks.at(0), [{ from: WEB, flags: RST, valid: true }]);
  const waits = established();
  waits.publish({ pods: 1, services: web() });
  passes(waits, 6000);
  t.match(waits.at(0)[0], ASKS);
  say(waits, ACK);
  t.match(waits.at(0), [{ from: WEB, flags: RST, valid: true }]);
  t.equal(waits.pipeline.context.flows.size, 0);
});

t.test("a pod that is gone on another host: that host's word ends the connection", async (t) => {
  const hosts = cluster(2, { services: web('10.244.2.10:80') });
  const [a, b] = hosts as [TestHost, TestHost];
  const say = (flags: number) => {
    a.send(0, tcpPacket({ from: CLIENT, to: WEB, fromPort: 1000, toPort: 80, flags, ack: 9 }));
    settle(hosts);
  };
  const established = () => {
    say(SYN);
    b.send(0, tcpPacket({ from: '10.244.2.10', to: CLIENT, fromPort: 80, toPort: 1000, flags: SYN | ACK }));
    settle(hosts);
    a.io.sent(16);
  };
  established();
  b.publish({ pods: 0, services: web() });
  say(ACK);
  t.match(a.at(0), [ASKS], 'asked at once');
  say(ACK);
  t.match(a.at(0), [{ from: WEB, flags: RST }]);
  b.publish({ pods: 1, services: web('10.244.2.10:80') });
  established();
  for (const host of hosts) host.publish({ services: web() });
  b.publish({ pods: 0 });
  for (let n = 0; n < 30; n++) {
    for (const host of hosts) host.io.advance(1000);
    settle(hosts);
  }
  t.match(a.at(0)[0], ASKS, 'a silent one has its endpoint asked');
});

t.test('no other pod can end a connection by an error', async (t) => {
  const host = established();
  say(host, ACK);
  const [arrived] = host.io.sent(17);
  host.send(2, icmpErrorAbout(arrived!.bytes, '10.244.1.12', 3, 1));
  settle([host]);
  answer(host, ACK);
  say(host, ACK);
  t.equal(host.at(1).length, 1, 'it goes on');
});

t.test('an endpoint that comes back has its time begin anew', async (t) => {
  const host = established();
  host.publish({ services: web('10.244.1.12:80') });
  say(host, ACK);
  host.publish({ services: web('10.244.1.12:80', '10.244.1.11:80') });
  host.io.advance(2 * DRAIN_MS);
  say(host, ACK);
  t.equal(host.at(1).length, 2);
  t.same(host.at(0), []);
});

t.test('datagrams move with the next one, answered or not', async (t) => {
  const dns = (...endpoints: string[]) => [
    { address: WEB, port: 53, protocol: 17, endpoints, epoch: endpoints.length },
  ];
  const host = new TestHost({ number: 1, pods: 3, services: dns('10.244.1.11:53', '10.244.1.12:53') });
  const ask = () => {
    host.send(0, udpPacket({ from: CLIENT, to: WEB, fromPort: 7, toPort: 53 }));
    settle([host]);
  };
  ask();
  host.send(1, udpPacket({ from: '10.244.1.11', to: CLIENT, fromPort: 53, toPort: 7 }));
  settle([host]);
  host.publish({ services: dns('10.244.1.12:53') });
  ask();
  t.same([host.at(1).length, host.at(2).length], [1, 1]);
});

t.test('endpoints that come and go under load fail no connection', async (t) => {
  const r = new Random(99);
  const all = [1, 2, 3, 4].map((pod) => `10.244.1.${10 + pod}:80`);
  let list = all.slice(0, 3);
  const host = new TestHost({ number: 1, pods: 6, services: web(...list) });
  const leaving = new Map<number, number>();
  const open = new Map<number, string>();
  let begun = 0;
  let failed = 0;
  let answered = 0;
  const tcp = (fromPort: number, flags: number) => tcpPacket({ from: CLIENT, to: WEB, fromPort, toPort: 80, flags });
  for (let n = 0; n < 3000; n++) {
    for (let k = r.below(4); k > 0; k--) {
      const port = 1024 + (begun++ % 60_000);
      open.set(port, 'syn');
      host.send(0, tcp(port, SYN));
    }
    for (const [port, state] of open) if (state === 'up' && r.chance(0.3)) host.send(0, tcp(port, ACK));
    if (r.chance(0.05)) {
      // One leaves or comes back; never all.
      const one = r.below(4);
      const on = list.includes(all[one]!);
      if (on && list.length > 1) {
        list = list.filter((e) => e !== all[one]);
        leaving.set(one, n + 50);
      } else if (!on) {
        list = [...list, all[one]!];
        leaving.delete(one);
      }
      host.pipeline.context.nowMs = host.io.nowMs;
      host.publish({ services: [{ ...web(...list)[0]!, epoch: n + 10 }] });
    }
    if (r.chance(0.1)) host.wait(r.below(100));
    host.step();
    for (let pod = 1; pod < 5; pod++) {
      for (const seen of host.at(pod)) {
        if (seen.flags === ACK) continue;
        // A pod that has left takes nothing new after a while: it refuses, or is silent.
        const gone = (leaving.get(pod - 1) ?? Infinity) < n;
        if (gone && r.chance(0.5)) continue;
        const reply = { from: seen.to, to: seen.from, fromPort: 80, toPort: seen.fromPort };
        host.send(pod, tcpPacket({ ...reply, flags: gone ? RST | ACK : SYN | ACK }));
      }
    }
    for (const seen of host.at(0)) {
      if ((seen.flags & RST) !== 0) failed++;
      else if (seen.flags === (SYN | ACK)) {
        if (open.get(seen.toPort) === 'syn') answered++;
        open.set(seen.toPort, 'up');
      }
      if (open.size > 200) open.delete(open.keys().next().value!);
    }
  }
  passes(host, 5000);
  for (let pod = 1; pod < 5; pod++) {
    for (const seen of host.at(pod)) {
      const reply = { from: seen.to, to: seen.from, fromPort: 80, toPort: seen.fromPort };
      if (seen.flags === SYN) host.send(pod, tcpPacket({ ...reply, flags: SYN | ACK }));
    }
  }
  settle([host]);
  answered += host.at(0).filter((seen) => seen.flags === (SYN | ACK)).length;
  t.equal(failed, 0);
  t.ok(begun > 3000 && begun - answered <= 3, `${answered} of ${begun} answered`);
});
