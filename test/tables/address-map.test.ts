/** The exact-match map beside Map. */
import fc from 'fast-check';
import t from 'tap';
import { type AddressMapEntry, buildAddressMap, find, NO_VALUE } from '../../src/tables/address-map.ts';

const word = fc.oneof(fc.integer({ min: 0, max: 0xffffffff }), fc.constantFrom(0, 1, 0xffff, 0x80000000, 0xffffffff));
const key = fc.tuple(word, word, word, word, fc.constantFrom(0, 0x60050, 0x110035, 0xffffffff));

t.test('seeded random entries', async (t) => {
  const entries = fc.array(fc.tuple(key, fc.nat(2 ** 31 - 2)), { maxLength: 200 });
  const property = fc.property(entries, fc.array(key, { maxLength: 50 }), (list, others) => {
    const reference = new Map<string, number>();
    const given = list.map(([[a, b, c, d, extra], value]): AddressMapEntry => {
      reference.set(String([a, b, c, d, extra]), value);
      return { address: [a, b, c, d], extra, value };
    });
    const map = buildAddressMap(given);
    if (map.mask + 1 < given.length * 2) return false;
    for (const k of [...list.map(([k]) => k), ...others]) {
      const want = reference.get(String(k)) ?? NO_VALUE;
      const signed = k.map((w) => w | 0) as [number, number, number, number, number];
      if (find(map, ...k) !== want || find(map, ...signed) !== want) return false;
    }
    return true;
  });
  fc.assert(property, { seed: 7348, numRuns: 1000 });
  t.pass('same as Map');
});

t.test('every bit of the key counts', async (t) => {
  const at = [0x0a000001, 2, 0xffff, 0x0af40105, 0x60050] as const;
  const map = buildAddressMap([{ address: [at[0], at[1], at[2], at[3]], extra: at[4], value: 0 }]);
  t.equal(find(map, ...at), 0, 'value 0 is not empty');
  for (let w = 0; w < 5; w++) {
    for (let bit = 0; bit < 32; bit++) {
      const other: [number, number, number, number, number] = [...at];
      other[w] = (other[w] ?? 0) ^ (1 << bit);
      if (find(map, ...other) !== NO_VALUE) t.fail(`word ${w} bit ${bit}`);
    }
  }
  t.equal(find(buildAddressMap([]), ...at), NO_VALUE, 'empty');
});

t.test("a cluster's addresses, one after another, are found in few steps", async (t) => {
  const entries = Array.from({ length: 20000 }, (_, i): AddressMapEntry => {
    return { address: [0, 0, 0xffff, 0x0a600000 + (i >> 2)], extra: (6 << 16) | (80 + (i & 3)), value: i };
  });
  const map = buildAddressMap(entries);
  const wrong = entries.filter((e) => find(map, ...e.address, e.extra) !== e.value);
  t.equal(wrong.length, 0);
  let longest = 0;
  let run = 0;
  for (let slot = 0; slot <= map.mask; slot++) {
    run = map.slots[slot * 8 + 5] === 0 ? 0 : run + 1;
    longest = Math.max(longest, run);
  }
  t.ok(longest < 64, `longest run of full slots: ${longest}`);
});
