/** Maglev's table: everybody has their share, and who leaves takes little of the others' along. */
import t from 'tap';
import { buildMaglev, type MaglevEndpoint } from '../../src/tables/maglev.ts';
import { wordsFrom4 } from '../../src/wire/address.ts';

function endpoints(count: number, weight?: (n: number) => number): MaglevEndpoint[] {
  return Array.from({ length: count }, (_, n) => {
    return { address: wordsFrom4(0x0af40100 + n), port: 8080, weight: weight?.(n) };
  });
}

function shares(slots: Uint16Array, count: number): number[] {
  const out = new Array<number>(count).fill(0);
  for (const n of slots) out[n]!++;
  return out.map((n) => n / slots.length);
}

t.test('the shares of equals are equal within two percent', async (t) => {
  for (const count of [1, 2, 3, 10, 100]) {
    const of = shares(buildMaglev(endpoints(count)), count);
    t.ok(Math.max(...of) / Math.min(...of) < 1.02, `${count}: ${Math.min(...of)}..${Math.max(...of)}`);
  }
});

t.test('weights are kept; who has none gets nothing', async (t) => {
  const of = shares(buildMaglev(endpoints(4, (n) => [0, 10, 20, 30][n]!)), 4);
  t.equal(of[0], 0);
  for (const n of [1, 2, 3]) t.ok(Math.abs(of[n]! - n / 6) < 0.02, `${n}: ${of[n]}`);
  t.equal(buildMaglev(endpoints(3, () => 0)).length, 0);
  t.equal(buildMaglev([]).length, 0);
});

t.test(
  'when one of ten leaves, few slots of the others change hands; when it comes back, it is as before',
  async (t) => {
    const all = endpoints(10);
    const before = buildMaglev(all);
    const rest = all.filter((_, n) => n !== 4);
    const after = buildMaglev(rest);
    t.equal(after.length, before.length, 'a hash names the same slot');
    let kept = 0;
    let moved = 0;
    for (const [slot, n] of before.entries()) {
      if (n === 4) continue;
      if (rest[after[slot]!] === all[n]) kept++;
      else moved++;
    }
    t.ok(moved / (kept + moved) < 0.04, `${((100 * moved) / (kept + moved)).toFixed(1)} % moved`);
    t.same(buildMaglev(endpoints(10)), before);
  },
);

t.test('a table is bounded, and every endpoint is in it', async (t) => {
  const slots = buildMaglev(endpoints(2000));
  t.equal(slots.length, 65_537);
  t.equal(new Set(slots).size, 2000);
});
