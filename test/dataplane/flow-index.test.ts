/** The flow table's buckets, so few that keys meet all the time, against a list of what was put in. */
import fc from 'fast-check';
import t from 'tap';
import { FlowIndex } from '../../src/dataplane/flow-index.ts';
import { FLOW, FLOW_WORDS, NO_FLOW } from '../../src/dataplane/flow-record.ts';

const CAPACITY = 4;
const RECORDS = CAPACITY * 2;

t.test('what was put in is found by its hash, what was taken out is not', async (t) => {
  // Few low bits, so that runs wrap around and overlap; few high ones, so that hashes are equal or differ there alone.
  const hash = fc
    .tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: -2, max: 1 }))
    .map(([l, h]) => l | (h << 30));
  const steps = fc.array(fc.tuple(fc.nat(RECORDS - 1), hash), { maxLength: 80 });
  fc.assert(
    fc.property(steps, (list) => {
      const index = new FlowIndex(CAPACITY, (words) => new Int32Array(words));
      const words = new Int32Array(RECORDS * FLOW_WORDS);
      const held = new Map<number, number>();
      for (const [record, h] of list) {
        if (held.delete(record)) index.remove(record, words);
        else {
          words[record * FLOW_WORDS + FLOW.hash] = h;
          index.insert(record, h);
          held.set(record, h);
        }
        if (!agrees(index, words, held)) return false;
      }
      return true;
    }),
    { numRuns: 500, seed: 4 },
  );
  t.pass();
});

/** Every record is reached from its hash's bucket without a gap, nothing else is there, and what is expected may be. */
function agrees(index: FlowIndex, words: Int32Array, held: ReadonlyMap<number, number>): boolean {
  const { buckets, mask } = index;
  for (const [record, h] of held) {
    let slot = h & mask;
    while (buckets[slot] !== ((h & ~mask) | (record + 1))) {
      if (buckets[slot] === 0) return false;
      slot = (slot + 1) & mask;
    }
  }
  const hashes = Int32Array.from({ length: 64 }, (_, n) => (n & 15) | (((n >> 4) - 2) << 30));
  const found = new Int32Array(hashes.length);
  index.expect(hashes, 0, hashes.length, words, found);
  return (
    buckets.filter((entry) => entry !== 0).length === held.size &&
    hashes.every((h, i) => {
      const record = found[i] as number;
      // A neighbour's record of another hash may be taken for it where the high bits are the same.
      if (record === NO_FLOW) return ![...held.values()].includes(h);
      return held.has(record) && ((held.get(record) as number) & ~mask) === (h & ~mask);
    })
  );
}
