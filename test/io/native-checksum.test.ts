/** The addon's checksum, each variant that this processor has, against a naive one over random spans. */
import t from 'tap';
import { loadNativeAddon } from '../../src/io/native-addon.ts';
import { naiveSum, randomBytes } from './native-packets.ts';

const addon = loadNativeAddon();

for (const variant of ['scalar', 'sse2', 'avx2']) {
  t.test(variant, async (t) => {
    const bytes = randomBytes(70_000, 4711);
    try {
      addon.checksum(bytes, 0, 2, 0, variant);
    } catch (e) {
      t.match(e, { message: /no such variant/ });
      t.comment(`${variant}: not on this processor`);
      return;
    }
    for (let length = 0; length <= 300; length++) {
      const offset = (length * 7) % 61;
      const expected = naiveSum(bytes.subarray(offset, offset + length), length);
      if (addon.checksum(bytes, offset, length, length, variant) !== expected)
        t.fail(`offset ${offset} length ${length}`);
    }
    for (const length of [1448, 1449, 9000, 65_535, 65_536]) {
      t.equal(addon.checksum(bytes, 3, length, 0xffff, variant), naiveSum(bytes.subarray(3, 3 + length), 0xffff));
    }
    const ones = new Uint8Array(65_536).fill(0xff);
    t.equal(addon.checksum(ones, 0, ones.length, 0, variant), 0xffff, 'every carry there can be');
  });
}

t.test('a span outside of the bytes is refused', async (t) => {
  const bytes = new Uint8Array(10);
  for (const [offset, length] of [
    [0, 11],
    [-1, 2],
    [8, 3],
    [Number.NaN, 1],
    [2 ** 40, 1],
  ] as const) {
    t.throws(() => addon.checksum(bytes, offset, length, 0), { name: 'RangeError' }, `${offset} ${length}`);
  }
  t.throws(() => addon.checksum('bytes' as unknown as Uint8Array, 0, 0, 0), { name: 'TypeError' });
});
