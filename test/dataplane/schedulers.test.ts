/** Who gets a service's next connection, by scheduler, over ports in memory. */
import t from 'tap';
import type { Scheduler } from '../../src/tables/services.ts';
import { endpointId, settle, TestHost } from './host.ts';
import { type Seen, tcpPacket, udpPacket } from './packets.ts';
import { Random } from './random.ts';

const SYN = 2;
const RST = 4;
const ACK = 16;
const FIN = 1;
const WEB = '10.96.0.80';
const CLIENT = '10.244.1.10';
const PODS = ['10.244.1.11:80', '10.244.1.12:80', '10.244.1.13:80'];

/** Host 1 with clients in its first pod and endpoints in those from pod 1 on. */
function hostWith(scheduler: Scheduler, endpoints = PODS, pods = 8): TestHost {
  return new TestHost({ number: 1, pods, services: [{ address: WEB, port: 80, endpoints, scheduler }] });
}

function syn(fromPort: number, from = CLIENT): Uint8Array {
  return tcpPacket({ from, to: WEB, fromPort, toPort: 80, flags: SYN });
}

/** Begins connections one after another, all still open; which pod each reached, counted from the first endpoint's. */
function begin(host: TestHost, ports: readonly number[], from = 0): number[] {
  const out: number[] = [];
  for (const port of ports) {
    host.send(from, syn(port, `10.244.1.${10 + from}`));
    settle([host]);
    for (let pod = 0; pod < (host.options.pods ?? 2); pod++) if (host.at(pod).length > 0) out.push(pod - 1);
  }
  return out;
}

const range = (first: number, count: number) => Array.from({ length: count }, (_, n) => first + n);
const active = (host: TestHost, endpoints = PODS) =>
  endpoints.map((e) => host.pipeline.context.endpoints.activeOf(endpointId(`${WEB} 6 80`, e)));

/** What pod `n` says on the connection that reached it from a client's port. */
function answer(host: TestHost, pod: number, port: number, flags: number): void {
  const from = `10.244.1.${10 + pod}`;
  host.send(pod, tcpPacket({ from, to: CLIENT, fromPort: 80, toPort: port, flags }));
  settle([host]);
}

function say(host: TestHost, port: number, flags: number): void {
  host.send(0, tcpPacket({ from: CLIENT, to: WEB, fromPort: port, toPort: 80, flags }));
  settle([host]);
}

t.test('rr goes round; plain stays with the first; random meets all, and not in turn', async (t) => {
  t.same(begin(hostWith('rr'), range(1000, 6)), [0, 1, 2, 0, 1, 2]);
  t.same(begin(hostWith('plain'), range(1000, 3)), [0, 0, 0]);
  const met = begin(hostWith('random'), range(1000, 300));
  const counts = [0, 1, 2].map((n) => met.filter((m) => m === n).length);
  t.ok(
    counts.every((n) => n > 70 && n < 130),
    `${counts}`,
  );
  t.ok(
    range(1, 299).some((n) => met[n] === met[n - 1]),
    'the same twice in a row',
  );
});

t.test('wrr by weight, smoothly; a weight of 0 gets nothing', async (t) => {
  const weighted = ['10.244.1.11:80*5', '10.244.1.12:80*1', '10.244.1.13:80*1', '10.244.1.14:80*0'];
  t.same(begin(hostWith('wrr', weighted), range(1000, 14)), [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
  for (const scheduler of ['rr', 'lc', 'wlc', 'sed', 'nq', 'sh', 'dh', 'mh', 'wrr'] as const) {
    const met = begin(hostWith(scheduler, ['10.244.1.11:80*0', '10.244.1.12:80*1']), range(1000, 4));
    t.same(met, [1, 1, 1, 1], scheduler);
  }
});

t.test('with every weight at 0 the client is refused', async (t) => {
  for (const scheduler of ['rr', 'wrr', 'lc', 'wlc', 'sed', 'nq', 'sh', 'dh', 'mh'] as const) {
    const host = hostWith(scheduler, ['10.244.1.11:80*0']);
    host.send(0, syn(1000));
    settle([host]);
    t.match(host.at(0), [{ from: WEB, flags: RST | ACK }], scheduler);
  }
});

t.test('lc, wlc, sed and nq look at the connections that are open', async (t) => {
  const lc = hostWith('lc');
  t.same(begin(lc, [1, 2, 3, 4, 5]), [0, 1, 2, 0, 1]);
  t.same(active(lc), [2, 2, 1]);
  answer(lc, 1, 1, SYN | ACK);
  answer(lc, 1, 1, RST);
  answer(lc, 1, 4, RST);
  t.same(active(lc), [0, 2, 1], 'a reset ends one');
  lc.at(0);
  t.same(begin(lc, [6, 7, 8]), [0, 2, 0]);
  const weighted = ['10.244.1.11:80*4', '10.244.1.12:80*2', '10.244.1.13:80*1'];
  const spread = (scheduler: Scheduler) => {
    const met = begin(hostWith(scheduler, weighted), range(1000, 70));
    return [0, 1, 2].map((n) => met.filter((m) => m === n).length);
  };
  t.same(spread('wlc'), [40, 20, 10], 'by weight');
  t.same(spread('sed'), [40, 20, 10], 'by what it would be with one more');
  t.same(begin(hostWith('sed', weighted), [1, 2, 3]), [0, 1, 0]);
  t.same(begin(hostWith('nq', weighted), [1, 2, 3]), [0, 1, 2], 'nobody idles');
});

t.test('connections that are open are counted exactly, however they end', async (t) => {
  const host = hostWith('lc');
  const total = () => active(host).reduce((sum, n) => sum + n, 0);
  begin(host, [1, 2, 3, 4]);
  t.equal(total(), 4);
  answer(host, 1, 1, SYN | ACK);
  say(host, 1, FIN | ACK);
  t.equal(total(), 4, 'half closed is open');
  answer(host, 1, 1, FIN | ACK);
  t.equal(total(), 3, 'both sides have closed');
  host.publish({});
  answer(host, 2, 2, SYN | ACK);
  answer(host, 2, 2, RST);
  t.equal(total(), 2, 'reset, after a swap of tables');
  say(host, 2, ACK);
  t.equal(total(), 3, 'a reset that nobody believed');
  answer(host, 2, 2, RST);
  t.equal(total(), 2);
  begin(host, [1, 2]);
  t.equal(total(), 4, 'ports used again');
  host.wait(65_000);
  host.wait(10_000);
  t.equal(total(), 0, 'forgotten after their time');
  t.equal(host.pipeline.context.flows.size, 0);
});

t.test('an endpoint that leaves and comes back has its connections still', async (t) => {
  const host = hostWith('lc');
  begin(host, [1, 2, 3]);
  for (const port of [1, 2, 3]) answer(host, port, port, SYN | ACK);
  const services = (...endpoints: string[]) => [
    { address: WEB, port: 80, endpoints, scheduler: 'lc' as const, epoch: endpoints.length },
  ];
  host.publish({ services: services(...PODS.slice(1)) });
  say(host, 1, ACK);
  t.equal(host.at(1).length, 1, 'it drains');
  host.publish({ services: services(...PODS) });
  t.same(active(host), [0, 1, 1], 'its id stands for a new endpoint');
  say(host, 1, ACK);
  t.same(active(host), [1, 1, 1], 'until its connection is heard of');
  say(host, 1, ACK | RST);
  t.same(active(host), [0, 1, 1]);
});

t.test('counts stay exact through a table that overflows and evicts', async (t) => {
  const host = new TestHost({
    number: 1,
    pods: 4,
    maxFlows: 4096,
    services: [{ address: WEB, port: 80, protocol: 17, endpoints: PODS, scheduler: 'lc' }],
  });
  for (let n = 0; n < 6000; n++) {
    host.send(0, udpPacket({ from: CLIENT, to: WEB, fromPort: 1024 + n, toPort: 80 }));
    if (n % 50 === 49) {
      host.wait(200);
      host.io.sent();
    }
  }
  const { flows, endpoints } = host.pipeline.context;
  t.ok(flows.evicted > 1000, `${flows.evicted} evicted`);
  const open = PODS.map((e) => endpoints.activeOf(endpointId(`${WEB} 17 80`, e)));
  t.equal(
    open.reduce((sum, n) => sum + n, 0),
    flows.size,
  );
  t.ok(Math.max(...open) - Math.min(...open) <= 200, `${open}`);
});

t.test('sh and dh follow addresses, mh the address and port', async (t) => {
  const endpoints = range(1, 7).map((n) => `10.244.1.${10 + n}:80`);
  const sh = hostWith('sh', endpoints, 64);
  const of = range(8, 50).map((pod) => {
    const met = begin(sh, [1000, 2000, 3000], pod);
    t.equal(new Set(met).size, 1, 'a client stays with one endpoint');
    return met[0];
  });
  t.equal(new Set(of).size, 7, 'clients spread');
  const dh = hostWith('dh', endpoints, 64);
  t.equal(new Set([...begin(dh, [1, 2], 8), ...begin(dh, [3], 9), ...begin(dh, [4], 10)]).size, 1);
  const mh = hostWith('mh', endpoints, 64);
  const met = begin(mh, range(1000, 700));
  t.equal(new Set(met).size, 7);
  t.same(begin(hostWith('mh', endpoints, 64), range(1000, 700)), met, 'the same on another host');
});

t.test('mh: few flows of the others move when one of ten endpoints leaves', async (t) => {
  const endpoints = range(1, 10).map((n) => `10.244.1.${10 + n}:80`);
  const ports = range(1000, 3000);
  const place = (list: string[]) => begin(hostWith('mh', list, 12), ports);
  const before = place(endpoints);
  const after = place(endpoints.filter((_, n) => n !== 3));
  const others = before.filter((pod) => pod !== 3).length;
  const moved = before.filter((pod, n) => pod !== 3 && after[n] !== pod).length;
  t.ok(moved / others < 0.04, `${((100 * moved) / others).toFixed(1)} % moved`);
  t.ok(others > 2500);
});

t.test('without failover nothing is held and nothing tried again', async (t) => {
  for (const scheduler of ['plain', 'random', 'rr', 'wrr', 'lc', 'wlc', 'sh', 'dh', 'sed', 'nq', 'mh'] as const) {
    const host = hostWith(scheduler);
    host.send(0, syn(1000));
    settle([host]);
    t.equal(host.pipeline.context.attempts.held, 0, scheduler);
    const pod = [1, 2, 3].find((n) => host.at(n).length > 0)!;
    answer(host, pod, 1000, RST | ACK);
    t.match(host.at(0), [{ from: WEB, flags: RST | ACK, valid: true }], 'the refusal is for the client');
    const counters = host.endpoints[endpointId(`${WEB} 6 80`, PODS[pod - 1]!)];
    t.match(counters, { begun: 1, failures: 1, active: 0, ejections: 0 }, 'and counted');
  }
});

t.test('a seeded mixture of everything keeps every count', async (t) => {
  for (const scheduler of ['failover', 'lc', 'wlc', 'sed', 'nq', 'mh', 'wrr'] as const) {
    const r = new Random(31);
    let list = PODS;
    const service = () => [
      { address: WEB, port: 80, endpoints: list, scheduler, epoch: list.length },
      { address: WEB, port: 80, protocol: 17, endpoints: list, scheduler, epoch: list.length },
    ];
    const host = new TestHost({ number: 1, pods: 6, services: service(), maxFlows: 4096 });
    const back = (pod: number, seen: Seen) => {
      const flags = r.pick([SYN | ACK, SYN | ACK, SYN | ACK, RST | ACK, FIN | ACK, ACK]);
      const reply = { from: seen.to, to: seen.from, fromPort: seen.toPort, toPort: seen.fromPort };
      host.send(pod, seen.protocol === 17 ? udpPacket(reply) : tcpPacket({ ...reply, flags }));
    };
    for (let n = 0; n < 4000; n++) {
      const packet = { from: CLIENT, to: WEB, fromPort: 1 + r.below(300), toPort: 80 };
      if (r.chance(0.2)) host.send(0, udpPacket(packet));
      else host.send(0, tcpPacket({ ...packet, flags: r.pick([SYN, SYN, SYN, ACK, FIN | ACK, RST]) }));
      if (r.chance(0.3)) settle([host]);
      for (let pod = 1; pod < 6; pod++) for (const seen of host.at(pod)) if (r.chance(0.7)) back(pod, seen);
      if (r.chance(0.01)) {
        list = [...PODS, '10.244.1.14:80', '10.244.1.99:80'].filter(() => r.chance(0.7));
        host.publish({ services: service() });
      }
      if (r.chance(0.02)) host.wait(r.below(30_000));
    }
    settle([host]);
    host.wait(20 * 60_000);
    for (let n = 0; n < 20; n++) host.wait(86_400_000 / 10);
    t.equal(host.pipeline.context.flows.size, 0, scheduler);
    const left = Object.values(host.endpoints).filter((e) => e.active !== 0);
    t.same(left, [], 'with no connection left, none is counted');
    t.equal(host.pipeline.context.attempts.held, 0);
  }
});
