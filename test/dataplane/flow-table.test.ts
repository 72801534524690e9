/** The flow table against a Map, its bounds, its clock. */
import fc from 'fast-check';
import t from 'tap';
import { FLOW, FLOW_WORDS, NO_FLOW, STATE } from '../../src/dataplane/flow-record.ts';
import { FlowTable } from '../../src/dataplane/flow-table.ts';

type Key = [number, number, number];

function keyOf(k: Key): [number, number, number, number, number, number, number, number, number, number] {
  return [0, 0, 0xffff, k[0], 0, 0, 0xffff, k[1], k[2], 6];
}

function add(table: FlowTable, k: Key): number {
  const key = keyOf(k);
  const forward = table.create(table.hash(...key), ...key);
  if (forward === NO_FLOW) return NO_FLOW;
  const [s0, s1, s2, s3, d0, d1, d2, d3, ports, protocol] = key;
  const mirrored = [d0, d1, d2, d3, s0, s1, s2, s3, (ports << 16) | (ports >>> 16), protocol] as const;
  table.setReplyKey(forward, table.hash(...mirrored), ...mirrored);
  return forward;
}

function has(table: FlowTable, k: Key): number {
  const key = keyOf(k);
  return table.find(table.hash(...key), ...key);
}

t.test('holds what a Map would hold, through growth and removal', async (t) => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 40 })), {
    maxLength: 400,
  });
  fc.assert(
    fc.property(steps, (list) => {
      const table = new FlowTable(8192, 5);
      const map = new Map<string, Key>();
      for (const [insert, a, b] of list) {
        // Destinations apart from sources: no key is the mirror image of another.
        const k: Key = [a, 1000 + b, (a << 16) | (b + 1)];
        const record = has(table, k);
        if ((record !== NO_FLOW) !== map.has(String(k))) return false;
        if (insert && record === NO_FLOW) {
          add(table, k);
          map.set(String(k), k);
        } else if (!insert && record !== NO_FLOW) {
          table.remove(record);
          map.delete(String(k));
        }
      }
      return table.size === map.size && [...map.values()].every((k) => has(table, k) !== NO_FLOW);
    }),
    { numRuns: 200, seed: 20 },
  );
  const table = new FlowTable(200_000, 5);
  for (let n = 1; n <= 150_000; n++) add(table, [n, 77, 5]);
  t.equal(table.size, 150_000);
  let missing = 0;
  for (let n = 1; n <= 150_000; n++) if (has(table, [n, 77, 5]) === NO_FLOW) missing++;
  t.equal(missing, 0);
});

t.test('a record and its twin mirror each other', async (t) => {
  const table = new FlowTable(4096, 1);
  const forward = add(table, [10, 20, (7 << 16) | 8]);
  t.equal(forward & 1, 0);
  t.equal(has(table, [20, 10, (8 << 16) | 7]), forward + 1);
});

t.test('full of connections in use it refuses; idle ones give way', async (t) => {
  const table = new FlowTable(4096, 1);
  for (let n = 1; n <= 4096; n++) add(table, [n, 7, 7]);
  t.equal(add(table, [5000, 7, 7]), NO_FLOW);
  table.advance(1000);
  t.not(add(table, [5000, 7, 7]), NO_FLOW);
  t.equal(table.evicted, 1);
  t.equal(table.size, 4096);
});

t.test('connections are forgotten by their state, and the table shrinks to what it was', async (t) => {
  const table = new FlowTable(100_000, 1);
  const small = table.capacity;
  for (let n = 1; n <= 50_000; n++) {
    const forward = add(table, [n, 7, 7]);
    table.words[forward * FLOW_WORDS + FLOW.state] = STATE.finForward | STATE.finReply;
  }
  const living = add(table, [60_000, 7, 7]);
  table.words[living * FLOW_WORDS + FLOW.state] = STATE.answered;
  t.ok(table.capacity >= 50_000);
  for (let ms = 0; ms <= 30_000; ms += 100) table.advance(ms);
  t.equal(table.size, 1);
  t.equal(table.expired, 50_000);
  t.equal(table.capacity, small);
  t.not(has(table, [60_000, 7, 7]), NO_FLOW, 'an established one stays, wherever it was moved to');
});

t.test('a million connections fit in 200 MB', async (t) => {
  const table = new FlowTable(1_000_000, 1);
  for (let n = 1; n <= 1_000_000; n++) add(table, [n, 7, 7]);
  t.equal(table.size, 1_000_000);
  t.ok(table.bytes < 200e6, `${table.bytes} bytes`);
});

t.test('keys of one hash are told apart, and expected only where they may be', async (t) => {
  const table = new FlowTable(4096, 1);
  const hash = 0x5eed1234;
  const records = [1, 2, 3].map((n) => table.create(hash, ...keyOf([n, 7, 7])));
  t.strictSame(
    [1, 2, 3].map((n) => table.find(hash, ...keyOf([n, 7, 7]))),
    records,
  );
  t.equal(table.find(hash, ...keyOf([4, 7, 7])), NO_FLOW);
  // The same bucket, another hash.
  t.equal(table.find(hash ^ 0x40000000, ...keyOf([1, 7, 7])), NO_FLOW);
  const found = new Int32Array(4).fill(-7);
  table.expect(Int32Array.of(1, hash, hash ^ 0x40000000, 1), 1, 3, found);
  t.strictSame([...found], [-7, records[0], NO_FLOW, -7], 'the first of them; the caller compares keys');
  t.ok(table.matches(records[1] as number, ...keyOf([2, 7, 7])));
  t.notOk(table.matches(records[1] as number, ...keyOf([3, 7, 7])));
  table.remove(records[1] as number);
  t.notOk(table.matches(records[1] as number, ...keyOf([2, 7, 7])), 'a removed one has no key');
  t.equal(table.find(hash, ...keyOf([3, 7, 7])), records[2]);
});

t.test('every vector of known flows is expected right, or nearly', async (t) => {
  const table = new FlowTable(50_000, 9);
  const keys = Array.from({ length: 50_000 }, (_, n): Key => [n + 1, 77, 5]);
  for (const k of keys) add(table, k);
  const hashes = Int32Array.from(keys, (k) => table.hash(...keyOf(k)));
  const found = new Int32Array(keys.length);
  // Ranges of any length: eight are read at a time.
  for (let from = 0, n = 1; from < keys.length; from += n, n = (n % 21) + 1) {
    table.expect(hashes, from, Math.min(from + n, keys.length), found);
  }
  const wrong = keys.filter((k, i) => found[i] !== has(table, k)).length;
  t.ok(wrong < 50, `${wrong} of ${keys.length}`);
});

t.test('a table takes all its memory from where it is told to', async (t) => {
  let words = 0;
  const table = new FlowTable(20_000, 1, (count) => {
    words += count;
    return new Int32Array(count);
  });
  const smallest = words;
  t.equal(table.bytes, words * 4);
  for (let n = 1; n <= 20_000; n++) add(table, [n, 7, 7]);
  t.equal(table.size, 20_000);
  t.ok(words > 2 * smallest && table.bytes < words * 4, 'the smaller ones are gone');
});
