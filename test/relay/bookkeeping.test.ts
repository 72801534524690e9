/** The relay's small pure parts: attempts, proxy ports, conversations in order of use, datagrams kept. */
import t from 'tap';
import { dialTimeoutMs, triesAgain } from '../../src/relay/attempts.ts';
import { Bound } from '../../src/relay/bound.ts';
import { Conversations } from '../../src/relay/conversations.ts';
import { candidates, parsePortRange } from '../../src/relay/port-range.ts';
import { Unanswered } from '../../src/relay/unanswered.ts';
import { randomFrom } from './endpoints.ts';

t.test('four silent attempts, a little longer each time; refusals cost no time', async (t) => {
  t.same([0, 1, 2, 3, 9].map(dialTimeoutMs), [250, 500, 1000, 2000, 2000]);
  t.ok(triesAgain(3, true, 2));
  t.notOk(triesAgain(4, true, 9));
  t.ok(triesAgain(8, false, 9), 'nine endpoints, eight of which refused');
  t.notOk(triesAgain(9, false, 9));
  t.ok(triesAgain(3, false, 1), 'one alone has four chances');
  t.notOk(triesAgain(16, false, 100));
  t.notOk(triesAgain(1, true, 0), 'the endpoints left meanwhile');
});

t.test('port ranges', async (t) => {
  t.same(parsePortRange('40000-40999'), { first: 40000, last: 40999 });
  t.same(parsePortRange('7-7'), { first: 7, last: 7 });
  for (const wrong of ['', '1', '2-1', '0-5', '1-65536', 'a-b', '1-2-3', '-1-5'])
    t.equal(parsePortRange(wrong), undefined);
  t.same([...candidates(undefined)], [0]);
  for (let seed = 0; seed < 20; seed++) {
    const all = [...candidates({ first: 10, last: 14 }, randomFrom(seed))];
    t.same([...all].sort(), [10, 11, 12, 13, 14], `each once, from ${all[0]} on`);
  }
});

t.test('a bound', async (t) => {
  const bound = new Bound(2);
  t.same([bound.take(), bound.take(), bound.take()], [true, true, false]);
  bound.release();
  t.equal(bound.used, 1);
  t.ok(bound.take());
});

t.test('conversations end in the order in which they fell silent', async (t) => {
  const all = new Conversations<{ name: string; usedAtMs: number }>(100);
  const of = (name: string) => ({ name, usedAtMs: 0 });
  t.equal(all.oldest(), undefined);
  const [a, b, c] = [of('a'), of('b'), of('c')];
  all.touch('a', a, 0);
  all.touch('b', b, 10);
  all.touch('c', c, 20);
  all.touch('a', a, 50);
  t.equal(all.oldest(), b);
  t.same(all.expired(109), []);
  t.same(all.expired(120), [b, c]);
  all.delete('b');
  t.same([...all.values()], [c, a]);
  t.equal(all.get('a'), a);
  t.equal(all.size, 2);
});

t.test('datagrams without an answer: few, young, small in sum', async (t) => {
  const bytes = new Bound(200_000);
  const kept = new Unanswered(bytes);
  const sizes = (now: number) => kept.young(now).map((datagram) => datagram.length);
  for (let i = 1; i <= 20; i++) kept.add(new Uint8Array(i), i);
  t.same(sizes(20), [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20], 'the last sixteen');
  t.same(sizes(1018), [19, 20], 'of the last second');
  t.equal(bytes.used, 39);
  const other = new Unanswered(bytes);
  for (let i = 0; i < 6; i++) other.add(new Uint8Array(65_507), 2000);
  t.equal(other.young(2000).length, 3, 'what there is no room for is not kept');
  for (const each of [kept, other]) each.clear();
  t.same(sizes(2000), []);
  t.equal(bytes.used, 0);
});
