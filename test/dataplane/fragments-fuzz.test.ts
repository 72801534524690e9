/**
 * Fragments that nobody should send, at random and seeded: overlapping, repeated, cut within headers, without an end or
 * a beginning, in any order and at any time. What passes to a service's endpoint is compared, fragment by fragment,
 * with what a naive model lets pass, and no byte of a datagram passes twice.
 */
import t from 'tap';
import { PATIENCE_MS } from '../../src/dataplane/datagram-fragments.ts';
import { fragmentOf, partOf, place } from './fragments.ts';
import { settle, TestHost } from './host.ts';
import { payloadOf, tcpPacket, udpPacket } from './packets.ts';
import { Random } from './random.ts';

const ROUNDS = 12_000;
const CLIENT = '10.244.1.10';
const SERVICE = '10.96.0.53';
const services = [
  { address: SERVICE, port: 53, protocol: 17, endpoints: ['10.244.1.11:5353'] },
  { address: SERVICE, port: 53, protocol: 6, endpoints: ['10.244.1.11:5353'] },
];

interface Fragment {
  offset: number;
  length: number;
  more: boolean;
  /** Long enough for its protocol's header, if it is the first one. */
  whole: boolean;
}

/** What may pass of one datagram, kept in the plainest way: fragments in lists, bytes in a set. */
class Model {
  #known = false;
  #givenUp = false;
  #waiting: Fragment[] = [];
  #passed = new Set<number>();
  #total = -1;
  #heardMs = 0;

  /** Which fragments pass now that this one has come. */
  feed(f: Fragment, nowMs: number): Fragment[] {
    const malformed = f.length <= 0 || (f.more && f.length % 8 !== 0) || f.offset + f.length > 65_535;
    if (malformed || this.#givenUp) return [];
    this.#heardMs = nowMs;
    if (!this.#known && f.offset !== 0) {
      this.#waiting.push(f);
      return [];
    }
    if (!this.#known && !f.whole) {
      this.#giveUp();
      return [];
    }
    const released = this.#known ? [] : this.#waiting;
    if (!this.#known) this.#waiting = [];
    this.#known = true;
    return [...this.#pass(f), ...released.flatMap((each) => this.feed(each, nowMs))];
  }

  /** Forgets what has not been heard of for a while. */
  expire(nowMs: number): void {
    if (nowMs - this.#heardMs >= PATIENCE_MS) this.#reset();
  }

  #pass(f: Fragment): Fragment[] {
    const end = f.offset + f.length;
    // Blocks of 8 bytes, a last one that is shorter included.
    const blocks = Array.from({ length: Math.ceil(f.length / 8) }, (_, n) => f.offset / 8 + n);
    const before = blocks.filter((block) => this.#passed.has(block)).length;
    if (before === blocks.length) return [];
    const last = Math.max(-1, ...this.#passed);
    const beyond = this.#total >= 0 && (f.more ? end > this.#total : end !== this.#total);
    if (before > 0 || beyond || (!f.more && Math.ceil(end / 8) <= last)) {
      this.#giveUp();
      return [];
    }
    for (const block of blocks) this.#passed.add(block);
    if (!f.more) this.#total = end;
    if (this.#total >= 0 && this.#passed.size === Math.ceil(this.#total / 8)) this.#reset();
    return [f];
  }

  #giveUp(): void {
    this.#waiting = [];
    this.#givenUp = true;
  }

  #reset(): void {
    this.#known = false;
    this.#givenUp = false;
    this.#waiting = [];
    this.#passed.clear();
    this.#total = -1;
  }
}

t.test('what passes is what the model lets pass', async (t) => {
  const r = new Random(5722);
  const host = new TestHost({ number: 1, services });
  const { fragments } = host.pipeline.context;
  const models = new Map<number, Model>();
  const differences: string[] = [];
  let passed = 0;
  for (let n = 0; n < ROUNDS; n++) {
    // Few datagrams at a time, and now and then others.
    const id = (n >> 9) * 8 + r.below(8);
    const isTcp = id % 4 === 0;
    const o = { from: CLIENT, to: SERVICE, fromPort: 1000 + id, toPort: 53, payload: payloadOf(400) };
    const packet = isTcp ? tcpPacket({ ...o, flags: 2 }) : udpPacket(o);
    const offset = r.chance(0.3) ? 0 : 8 * r.below(40);
    const length = r.pick([8, 16, 24, 32, 64, r.below(80)]);
    const more = r.chance(0.85);
    const bytes = fragmentOf(packet, id, offset, offset + length, more);
    const f = { offset, length, more, whole: length >= (isTcp ? 20 : 8) };
    if (r.chance(0.02)) {
      f.offset = 65_536 - 8 * (1 + r.below(8));
      place(bytes, f.offset, more);
    }
    // Neither an end nor a fragment: a whole packet, of another test.
    if (f.offset === 0 && !more) continue;
    host.send(0, bytes);
    settle([host]);
    const now = host.io.nowMs;
    if (!models.has(id)) models.set(id, new Model());
    const wanted = models.get(id)!.feed(f, now);
    for (const model of models.values()) model.expire(now);
    const arrived = host.io.sent(17).map((p) => partOf(p.bytes)!);
    const shown = arrived.map((p) => `${p.id} ${p.offset} ${p.payload.length} ${p.more}`);
    const expected = wanted.map((each) => `${id} ${each.offset} ${each.length} ${each.more}`);
    passed += shown.length;
    if (shown.join() !== expected.join()) differences.push(`${n}: ${shown.join()} instead of ${expected.join()}`);
    host.io.sent();
    if (r.chance(0.02)) host.io.advance(r.below(PATIENCE_MS));
  }
  t.same(differences.slice(0, 5), []);
  t.ok(passed > ROUNDS / 20, `${passed} fragments passed`);
  for (const reason of ['fragment-header', 'fragment-overlap', 'fragment-unfinished']) {
    t.ok((host.drops[reason] ?? 0) > 10, `${reason}: ${host.drops[reason]}`);
  }
  host.wait(PATIENCE_MS);
  t.same([fragments.size, fragments.waiting.size], [0, 0], 'nothing is kept');
});

t.test('bytes at random where fragments should be', async (t) => {
  const r = new Random(1858);
  const host = new TestHost({ number: 1, services });
  const packet = udpPacket({ from: CLIENT, to: SERVICE, fromPort: 1, toPort: 53, payload: payloadOf(3000) });
  let bad = 0;
  for (let n = 0; n < 20_000; n++) {
    const from = 8 * r.below(100);
    const b = fragmentOf(packet, r.below(20), from, from + 1 + r.below(300), r.chance(0.7));
    for (let k = r.below(4); k > 0; k--) b[r.below(Math.min(b.length, 60))] = r.pick([0, 1, 0xff, r.below(256)]);
    host.send(0, r.chance(0.2) ? b.slice(0, r.below(b.length)) : b);
    if (r.chance(0.6)) continue;
    host.step();
    for (let i = 0; i < host.vector.count; i++) {
      const [offset, length] = [host.vector.offset[i]!, host.vector.length[i]!];
      if (host.vector.outPort[i]! >= 0 && (offset < 0 || length < 20 || offset + length > host.vector.arena.length))
        bad++;
    }
    host.io.sent();
    if (r.chance(0.01)) host.io.advance(r.below(4000));
  }
  t.equal(bad, 0);
  settle([host]);
  host.wait(PATIENCE_MS);
  const { fragments } = host.pipeline.context;
  t.same([fragments.size, fragments.waiting.size], [0, 0]);
});
