/** Prefixes: text, masks and containment, beside a reference over bit strings. */
import fc from 'fast-check';
import t from 'tap';
import { parseAddress, type Words } from '../../src/wire/address.ts';
import { formatPrefix, maskAddress, parsePrefix, prefixContains } from '../../src/wire/prefix.ts';

const SEED = { seed: 4632, numRuns: 3000 };
const word = fc.integer({ min: 0, max: 0xffffffff });
const words = fc.tuple(word, word, word, word);

function bits(w: Words): string {
  return w.map((x) => (x >>> 0).toString(2).padStart(32, '0')).join('');
}

t.test('text', async (t) => {
  t.same(parsePrefix('10.244.0.0/16'), { address: [0, 0, 0xffff, 0x0af40000], lengthBits: 112 });
  t.same(parsePrefix('10.244.1.7/24'), parsePrefix('10.244.1.0/24'), 'host bits are cleared');
  t.same(parsePrefix('0.0.0.0/0'), { address: [0, 0, 0xffff, 0], lengthBits: 96 });
  t.same(parsePrefix('::/0'), { address: [0, 0, 0, 0], lengthBits: 0 });
  t.same(parsePrefix('fd00::1/128'), { address: [0xfd000000, 0, 0, 1], lengthBits: 128 });
  for (const text of ['10.0.0.0/8', '0.0.0.0/0', '10.1.2.3/32', '::/0', 'fd00::/8', '2001:db8::1/128', '::/96']) {
    const prefix = parsePrefix(text);
    t.equal(prefix && formatPrefix(prefix), text);
  }
  const bad = ['', '/', '10.0.0.0', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/08', '10.0.0.0/-1', '/8', '::/129', '::'];
  for (const text of [...bad, '10.0.0.0/8/8', '10.0.0.0 /8', '10.0.0.0/8 ', '10.0.0/8', '::/1e1', '::/0x8']) {
    t.equal(parsePrefix(text), undefined, JSON.stringify(text));
  }
});

t.test('mask and containment for every length', async (t) => {
  const flip = fc.integer({ min: 0, max: 128 });
  const property = fc.property(words, fc.integer({ min: 0, max: 128 }), flip, (w, lengthBits, bit) => {
    const masked = maskAddress(w, lengthBits);
    if (bits(masked) !== bits(w).slice(0, lengthBits).padEnd(128, '0')) return false;
    // An address that differs in one bit lies within exactly when that bit is beyond the length.
    const other = [...w] as [number, number, number, number];
    if (bit < 128) other[bit >> 5] = ((other[bit >> 5] as number) ^ (1 << (31 - (bit & 31)))) >>> 0;
    const prefix = { address: masked, lengthBits };
    return prefixContains(prefix, w) && prefixContains(prefix, other) === bit >= lengthBits;
  });
  fc.assert(property, SEED);
  t.pass('same as the reference');
});

t.test('signed words, as they come from tables', async (t) => {
  const prefix = parsePrefix('192.168.0.0/16');
  const address = parseAddress('192.168.3.4');
  if (!prefix || !address) throw new Error('do not parse');
  t.ok(prefixContains(prefix, [0, 0, 0xffff, address[3] | 0]));
  t.notOk(prefixContains(prefix, [0, 0, 0xffff, 0xc0a90000 | 0]));
});
