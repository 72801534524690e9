/** Allocation without a store: unique, inside, order-free, and as still as hashing can be. */
import fc from 'fast-check';
import t from 'tap';
import { addressAt, blockHolds, blocksOverlap, offsetIn, parseBlock } from '../../src/control/address-block.ts';
import { allocate } from '../../src/control/address-pool.ts';
import { formatAddress, parseAddress, type Words } from '../../src/wire/address.ts';

const range = { first: 0x0af40102, count: 253 };
const name = fc.stringMatching(/^[a-z]{1,3}\/[a-z]{1,4}$/);
const names = fc.uniqueArray(name, { maxLength: 300 });
const taken = fc.uniqueArray(fc.integer({ min: range.first - 3, max: range.first + 255 }), { maxLength: 80 });

t.test('every name an address of its own, inside, not taken, until the range is full', async () => {
  fc.assert(
    fc.property(names, taken, (list, used) => {
      const given = allocate(range, list, new Set(used));
      const values = [...given.values()];
      const room = range.count - used.filter((a) => a >= range.first && a < range.first + range.count).length;
      return (
        given.size === Math.min(list.length, room) &&
        new Set(values).size === values.length &&
        values.every((a) => a >= range.first && a < range.first + range.count && !used.includes(a))
      );
    }),
    { seed: 3, numRuns: 300 },
  );
});

t.test('any order of names gives the same', async () => {
  fc.assert(
    fc.property(names, fc.nat(), (list, turn) => {
      const other = [...list.slice(turn % (list.length + 1)), ...list.slice(0, turn % (list.length + 1))].reverse();
      const a = allocate(range, list, new Set());
      const b = allocate(range, other, new Set());
      return list.every((n) => a.get(n) === b.get(n));
    }),
    { seed: 4 },
  );
});

t.test('a new name moves few others', async (t) => {
  const list = Array.from({ length: 100 }, (_, i) => `default/pod-${i}`);
  const before = allocate(range, list, new Set());
  let moved = 0;
  for (let i = 0; i < 100; i++) {
    const after = allocate(range, [...list, `default/new-${i}`], new Set());
    for (const n of list) if (after.get(n) !== before.get(n)) moved++;
  }
  // 100 additions beside 100 pods: 10,000 chances.
  t.ok(moved < 100, `moved ${moved}`);
});

t.test('a range without room', async (t) => {
  t.equal(allocate({ first: 1, count: 0 }, ['a'], new Set()).size, 0);
  t.same([...allocate({ first: 5, count: 1 }, ['b', 'a'], new Set())], [['a', 5]]);
  t.equal(allocate({ first: 5, count: 1 }, ['a'], new Set([5])).size, 0);
});

t.test('blocks', async (t) => {
  t.match(parseBlock('10.244.1.7/24'), { text: '10.244.1.0/24', isV4: true, size: 256, hadHostBits: true });
  t.equal(parseBlock('10.244.1.0/24')?.hadHostBits, false);
  t.same(parseBlock('10.244.1.0/24')?.prefix, { address: [0, 0, 0xffff, 0x0af40100], lengthBits: 120 });
  t.match(parseBlock('fd00:10:244:1::7/64'), {
    text: 'fd00:10:244:1::/64',
    isV4: false,
    size: 2 ** 32,
    hadHostBits: true,
  });
  t.match(parseBlock('FD00:0::/112'), { text: 'fd00::/112', size: 65536, hadHostBits: false });
  for (const bad of [
    '',
    '10.244.1.0',
    '10.244.1.0/33',
    '10.244.1/24',
    'fd00::',
    'fd00::/129',
    '::ffff:10.0.0.0/104',
    '10.0.0.0/ 8',
    '010.0.0.0/8',
  ]) {
    t.equal(parseBlock(bad), undefined, bad);
  }
});

t.test('addresses of a block by their offset', async (t) => {
  const block = (text: string) => parseBlock(text) as NonNullable<ReturnType<typeof parseBlock>>;
  const words = (text: string) => parseAddress(text) as Words;
  for (const [text, offset, address] of [
    ['10.244.1.0/24', 7, '10.244.1.7'],
    ['0.0.0.0/0', 0xfffffffe, '255.255.255.254'],
    ['fd00:10:244:1::/64', 0x109, 'fd00:10:244:1::109'],
    ['fd00::1:0/112', 0xffff, 'fd00::1:ffff'],
    ['fd00::/8', 0xffffffff, 'fd00::ffff:ffff'],
  ] as const) {
    t.equal(formatAddress(addressAt(block(text), offset)), address);
    t.equal(offsetIn(block(text), words(address)), offset);
    t.ok(blockHolds(block(text), words(address)));
  }
  for (const [text, address] of [
    ['10.244.1.0/24', '10.244.0.255'],
    ['10.244.1.0/24', '10.244.2.0'],
    ['10.244.1.0/24', 'fd00::af4:100'],
    ['fd00::1:0/112', 'fd00::2:0'],
    ['fd00::/64', 'fd00:0:0:1::'],
    ['fd00::/64', 'fd00::1:0:0'],
  ] as const) {
    t.equal(offsetIn(block(text), words(address)), -1, `${address} in ${text}`);
  }
  t.ok(blocksOverlap(block('fd00:10:244::/56'), block('fd00:10:244:7::/64')));
  t.notOk(blocksOverlap(block('fd00:10:244::/56'), block('fd00:10:244:100::/64')));
  t.notOk(blocksOverlap(block('::/0'), block('10.0.0.0/8')), 'families never overlap');
});
