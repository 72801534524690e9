/** Whose turn it is: shuffled on change, then strictly cyclic; affinity; the way round of one connection. */
import t from 'tap';
import { EndpointPicker, idOf, type Target } from '../../src/relay/endpoint-picker.ts';
import { randomFrom } from './endpoints.ts';

const targets = (count: number, first = 1): Target[] =>
  Array.from({ length: count }, (_, i) => ({ address: `10.0.0.${first + i}`, port: 80 }));

t.test('strictly cyclic, and the same set in another order changes nothing', async (t) => {
  const picker = new EndpointPicker({ affinitySeconds: undefined, random: randomFrom(1) });
  picker.update(targets(5));
  const round = Array.from({ length: 5 }, () => picker.first('a')?.id);
  t.equal(new Set(round).size, 5, 'each once');
  t.same(
    Array.from({ length: 3 }, () => picker.first('b')?.id),
    round.slice(0, 3),
    'again, whoever asks',
  );
  picker.update(targets(5).reverse());
  t.equal(picker.first('a')?.id, round[3], 'goes on where it was');
  picker.update(targets(4));
  const after = Array.from({ length: 4 }, () => picker.first('a')?.id);
  t.equal(new Set(after).size, 4, 'another set begins anew');
});

t.test('orders are shuffled', async (t) => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 50; seed++) {
    const picker = new EndpointPicker({ affinitySeconds: undefined, random: randomFrom(seed) });
    picker.update(targets(3));
    seen.add([0, 0, 0].map(() => picker.first('a')?.id).join());
  }
  t.equal(seen.size, 6, 'every order comes up');
});

t.test('a connection that moves on meets each endpoint once and leaves the others their turns', async (t) => {
  const picker = new EndpointPicker({ affinitySeconds: undefined, random: randomFrom(2) });
  picker.update(targets(4));
  const order = picker.counts().map(({ target }) => idOf(target));
  const met: (string | undefined)[] = [];
  let choice = picker.first('a');
  for (let i = 0; i < 4 && choice; i++) {
    met.push(choice.id);
    choice = picker.next(choice);
  }
  t.same(met, order);
  t.equal(picker.first('b')?.id, order[1], 'the second connection has the second turn');
});

t.test('affinity holds until its endpoint fails, leaves, or the time is over', async (t) => {
  let now = 0;
  const picker = new EndpointPicker({ affinitySeconds: 10, random: randomFrom(3), now: () => now });
  picker.update(targets(3));
  const first = picker.first('a');
  const second = picker.first('b');
  t.not(second?.id, first?.id, 'another client has another endpoint');
  for (let i = 0; i < 5; i++) {
    now += 9000;
    t.equal(picker.first('a')?.id, first?.id, 'sliding');
  }
  const own = picker.first('a');
  const moved = own && picker.next(own);
  t.not(moved?.id, first?.id, 'after a failure the next one, never the same again');
  t.equal(picker.first('a')?.id, moved?.id, 'which is kept from then on');
  picker.update(targets(3).filter((target) => idOf(target) !== moved?.id));
  t.not(picker.first('a')?.id, moved?.id, 'left');
  const last = picker.first('a')?.id;
  now += 10_000;
  const again = [picker.first('c')?.id, picker.first('a')?.id];
  t.equal(new Set(again).size, 2, `time over: ${last} is nothing special any more`);
});

t.test('nobody, and one alone', async (t) => {
  const picker = new EndpointPicker({ affinitySeconds: 5 });
  t.equal(picker.first('a'), undefined);
  picker.update(targets(1));
  const choice = picker.first('a');
  t.equal(choice?.id, '10.0.0.1:80');
  t.equal(choice && picker.next(choice)?.id, '10.0.0.1:80', 'the only one is tried again');
  if (choice) choice.counts.failures++;
  picker.update(targets(2));
  t.equal(picker.counts().find(({ target }) => target.address === '10.0.0.1')?.counts.failures, 1, 'counts go on');
  picker.update([]);
  t.equal(choice && picker.next(choice), undefined);
});

t.test('names of endpoints', async (t) => {
  t.equal(idOf({ address: 'fd00::1', port: 80 }), '[fd00::1]:80');
});
