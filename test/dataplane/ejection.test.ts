/** Failover's outlier ejection over ports in memory: what a dead endpoint costs, and how it comes back. */
import t from 'tap';
import {
  EJECT_AFTER,
  ENDPOINT_AREA_BYTES,
  ENDPOINT_LIMIT,
  EndpointStates,
  USABLE,
} from '../../src/dataplane/endpoint-states.ts';
import { buildServices } from '../../src/tables/services.ts';
import { wordsFrom4 } from '../../src/wire/address.ts';
import { endpointId, settle, TestHost } from './host.ts';
import { tcpOffload, tcpPacket } from './packets.ts';

const SYN = 2;
const ACK = 16;
const WEB = '10.96.0.80';
const CLIENT = '10.244.1.10';
const PODS = ['10.244.1.11:80', '10.244.1.12:80', '10.244.1.13:80'];

/** A client and three endpoints of which those in `dead` say nothing. */
class Lab {
  readonly host = new TestHost({ number: 1, pods: 4, services: [{ address: WEB, port: 80, endpoints: PODS }] });
  readonly dead = new Set<number>();
  /** Begun and not yet answered: by client port, since when. */
  readonly waiting = new Map<number, number>();
  /** How long each answered connection took. */
  readonly took: number[] = [];
  readonly reached = [0, 0, 0];
  #port = 1024;

  connect(): void {
    this.waiting.set(this.#port, this.host.io.nowMs);
    this.host.send(0, tcpPacket({ from: CLIENT, to: WEB, fromPort: this.#port++, toPort: 80, flags: SYN }));
    this.#settle();
  }

  passes(milliseconds: number): void {
    this.host.io.advance(milliseconds);
    this.#settle();
  }

  #settle(): void {
    settle([this.host]);
    for (const pod of [1, 2, 3]) {
      for (const seen of this.host.at(pod)) {
        this.reached[pod - 1]!++;
        if (this.dead.has(pod - 1)) continue;
        const reply = { from: seen.to, to: seen.from, fromPort: 80, toPort: seen.fromPort };
        this.host.send(pod, tcpPacket({ ...reply, flags: SYN | ACK }));
      }
    }
    settle([this.host]);
    for (const seen of this.host.at(0)) {
      if (seen.flags !== (SYN | ACK)) continue;
      this.took.push(this.host.io.nowMs - this.waiting.get(seen.toPort)!);
      this.waiting.delete(seen.toPort);
    }
  }

  get counters() {
    return PODS.map((e) => this.host.endpoints[endpointId(`${WEB} 6 80`, e)]);
  }
}

t.test('a dead endpoint costs those that met it 250 ms, and is met less and less', async (t) => {
  const lab = new Lab();
  lab.dead.add(1);
  let begun = 0;
  for (let ms = 0; ms < 120_000; ms += 50) {
    lab.connect();
    begun++;
    lab.passes(50);
  }
  lab.passes(300);
  t.equal(lab.took.length, begun, 'none failed');
  t.same(
    [...new Set(lab.took)].sort((a, b) => a - b),
    [0, 250],
    'no other delay',
  );
  const met = lab.took.filter((ms) => ms === 250).length;
  // Those under way until the first three had failed, then one after 1, 2, 4, 8, 16, 32 and 60 s.
  t.ok(met <= 5 + 7, `${met} of ${begun} met it`);
  t.equal(lab.counters[1]?.failures, met);
  t.ok((lab.counters[1]?.ejections ?? 0) >= 7);
  t.ok(Math.abs(lab.reached[0]! - lab.reached[2]!) <= 12, `the others share evenly: ${lab.reached}`);
});

t.test('one connection at a time finds out, and a success brings it back', async (t) => {
  const lab = new Lab();
  lab.dead.add(0);
  for (let n = 0; n < 9; n++) lab.connect();
  lab.passes(250);
  t.ok((lab.counters[0]?.ejectedForMs ?? 0) > 900, 'left out for a second');
  lab.dead.delete(0);
  const before = lab.reached[0]!;
  for (let n = 0; n < 30; n++) lab.connect();
  t.equal(lab.reached[0], before, 'nobody goes there');
  lab.passes(1001);
  for (let n = 0; n < 30; n++) lab.connect();
  t.ok(lab.reached[0]! - before >= 10, 'it has its share again');
  t.equal(lab.counters[0]?.ejectedForMs, 0);
});

t.test('while one finds out, nobody else goes there', async (t) => {
  const lab = new Lab();
  lab.dead.add(0);
  for (let n = 0; n < 9; n++) lab.connect();
  lab.passes(250);
  lab.passes(1100);
  const before = lab.reached[0]!;
  for (let n = 0; n < 30; n++) lab.connect();
  t.equal(lab.reached[0]! - before, 1);
});

t.test('a client cannot have endpoints left out by packets that stacks pass over', async (t) => {
  const lab = new Lab();
  const { host } = lab;
  host.publish({ pods: 5 });
  const attack = { from: '10.244.1.14', to: WEB, toPort: 80 };
  const damaged = (fromPort: number): Uint8Array => {
    const packet = tcpPacket({ ...attack, fromPort, flags: SYN });
    packet[packet.length - 4]! ^= 0x55;
    return packet;
  };
  const md5 = [1, 1, 19, 18, ...new Array<number>(16).fill(7)];
  for (let n = 0; n < 30; n++) {
    host.send(4, damaged(2000 + n));
    host.io.inject(20, damaged(3000 + n), tcpOffload(0));
    host.send(4, tcpPacket({ ...attack, fromPort: 4000 + n, flags: SYN | 1 }));
    host.send(4, tcpPacket({ ...attack, fromPort: 5000 + n, flags: SYN | 4 }));
    host.send(4, tcpPacket({ ...attack, fromPort: 6000 + n, flags: SYN, options: md5 }));
    settle([host]);
  }
  // The endpoints hear of the signed ones alone, and have no key.
  for (const pod of [1, 2, 3]) t.equal(host.at(pod).length, 10);
  for (let n = 0; n < 20; n++) lab.passes(250);
  const failures = lab.counters.map((one) => [one?.failures, one?.ejections]);
  t.same(failures, [
    [0, 0],
    [0, 0],
    [0, 0],
  ]);
  t.equal(host.drops['l4-header'], 60);
});

t.test('the last one is never left out', async (t) => {
  const lab = new Lab();
  for (const n of [0, 1, 2]) lab.dead.add(n);
  for (let n = 0; n < 30; n++) {
    lab.connect();
    lab.passes(100);
  }
  t.equal(lab.counters.filter((one) => one!.ejectedForMs === 0).length, 1);
  lab.passes(10_000);
  for (let n = 0; n < 3; n++) lab.dead.delete(n);
  lab.took.length = 0;
  for (let n = 0; n < 30; n++) lab.connect();
  t.equal(lab.took.length, 30, 'all well again');
});

t.test(
  'with all left out but one, and that one gone from the service, the others are asked all the same',
  async (t) => {
    const lab = new Lab();
    lab.dead.add(0).add(1);
    for (let n = 0; n < 12; n++) {
      lab.connect();
      lab.passes(300);
    }
    lab.dead.clear();
    lab.host.publish({ services: [{ address: WEB, port: 80, endpoints: PODS.slice(0, 2), epoch: 2 }] });
    lab.took.length = 0;
    for (let n = 0; n < 6; n++) lab.connect();
    t.same(lab.took, [0, 0, 0, 0, 0, 0]);
  },
);

t.test('workers go by what any of them has found', async (t) => {
  const areas = [0, 1].map(() => new SharedArrayBuffer(ENDPOINT_AREA_BYTES));
  const [a, b] = [new EndpointStates(areas, 0), new EndpointStates(areas, 1)] as const;
  t.notOk(b.someFail);
  for (let n = 0; n < EJECT_AFTER; n++) a.failed(7, 1000 + n, true);
  t.ok(b.someFail);
  t.same(
    [a, b].map((s) => s.usable(7, 1500)),
    [USABLE.no, USABLE.no],
  );
  t.same(
    [a, b].map((s) => s.usable(7, 2100)),
    [USABLE.onTrial, USABLE.onTrial],
  );
  b.tryAgain(7, 2100);
  t.same(
    [a, b].map((s) => s.usable(7, 2101)),
    [USABLE.no, USABLE.no],
    'one tries for all',
  );
  b.succeeded(7, 2110);
  t.same(
    [a, b].map((s) => s.usable(7, 2111)),
    [USABLE.yes, USABLE.yes],
    'and finds out for all',
  );
  a.succeeded(7, 2120);
  t.notOk(a.someFail || b.someFail, 'nothing is left of it');
});

t.test('times grow to a minute, and begin anew after a success', async (t) => {
  const s = new EndpointStates();
  let now = 0;
  const outFor = () => {
    const from = now;
    while (s.usable(3, now) === USABLE.no) now += 100;
    return (now - from) / 1000;
  };
  const seconds: number[] = [];
  for (let n = 0; n < EJECT_AFTER; n++) s.failed(3, now, true);
  for (let n = 0; n < 9; n++) {
    seconds.push(outFor());
    s.tryAgain(3, now);
    s.failed(3, now, true);
  }
  t.same(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
  s.succeeded(3, now);
  for (let n = 0; n < EJECT_AFTER; n++) s.failed(3, now, true);
  t.equal(outFor(), 1);
});

t.test('an id that is used again begins at nothing; ids beyond the limit share one entry', async (t) => {
  const s = new EndpointStates();
  const of = (ip: number, id = 5) =>
    buildServices([
      {
        id: 0,
        address: wordsFrom4(1),
        protocol: 6,
        port: 80,
        epoch: 1,
        endpoints: [{ address: wordsFrom4(ip), port: 80, id }],
      },
    ]);
  const none = buildServices([]);
  s.swap(none, of(1));
  for (let n = 0; n < EJECT_AFTER; n++) s.failed(5, 10, true);
  t.equal(s.usable(5, 11), USABLE.no);
  s.swap(of(1), of(1));
  t.equal(s.usable(5, 11), USABLE.no, 'the same endpoint');
  s.swap(of(1), none);
  s.swap(none, of(2));
  t.equal(s.usable(5, 11), USABLE.yes);
  t.notOk(s.someFail);
  s.swap(of(2), of(1, ENDPOINT_LIMIT + 9));
  for (let n = 0; n < 9; n++) s.failed(ENDPOINT_LIMIT + 9, 10, true);
  t.equal(s.usable(ENDPOINT_LIMIT + 9, 11), USABLE.yes);
});
