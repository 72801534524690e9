/** Reverse names: there and back for any address, and the cut of zones. */
import fc from 'fast-check';
import t from 'tap';
import { reverseName, reverseOrigin } from '../../src/dns/reverse.ts';
import { type Words, wordsFrom4 } from '../../src/wire/address.ts';
import { maskAddress, prefixContains } from '../../src/wire/prefix.ts';
import { ip, prefix } from './sample-cluster.ts';

t.test('names', async (t) => {
  t.equal(reverseName(ip('10.244.1.5')), '5.1.244.10.in-addr.arpa');
  t.equal(reverseName(ip('2001:db8::1')), `1.${'0.'.repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa`);
});

t.test('zones are cut at whole labels', async (t) => {
  t.equal(reverseOrigin('5.1.244.10.in-addr.arpa', prefix('10.244.0.0/16')), '244.10.in-addr.arpa');
  t.equal(reverseOrigin('5.1.100.10.in-addr.arpa', prefix('10.96.0.0/12')), '100.10.in-addr.arpa');
  t.equal(reverseOrigin('5.1.112.10.in-addr.arpa', prefix('10.96.0.0/12')), undefined);
  t.equal(reverseOrigin('10.in-addr.arpa', prefix('10.96.0.0/12')), undefined);
  t.equal(reverseOrigin('5.1.244.10.in-addr.arpa', prefix('10.244.1.4/30')), '5.1.244.10.in-addr.arpa');
  t.equal(reverseOrigin('x.5.1.244.10.in-addr.arpa', prefix('10.244.1.0/24')), '1.244.10.in-addr.arpa');
  for (const bad of ['05', '256', 'x', '', '-1', '1e1']) {
    t.equal(reverseOrigin(`${bad}.10.in-addr.arpa`, prefix('10.0.0.0/16')), undefined, bad);
  }
  t.equal(reverseOrigin('xin-addr.arpa', prefix('0.0.0.0/0')), undefined);
  t.equal(reverseOrigin(reverseName(ip('fd00:10::1')), prefix('fd00:10::/30')), '0.1.0.0.0.0.d.f.ip6.arpa');
});

t.test('an address’s name has an origin exactly when the prefix covers it', async (t) => {
  const word = fc.integer({ min: 0, max: 0xffffffff });
  const four = fc.tuple(fc.constantFrom(...[0, 8, 12, 16, 20, 24, 30, 32]), word, word, fc.boolean());
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(four, ([bits, a, b, same]) => {
        const covering = { address: maskAddress(wordsFrom4(a), 96 + bits), lengthBits: 96 + bits };
        const address = same ? wordsFrom4(a) : wordsFrom4(b);
        return (reverseOrigin(reverseName(address), covering) !== undefined) === prefixContains(covering, address);
      }),
      { seed: 5, numRuns: 1000 },
    ),
  );
  const six = fc.tuple(word, word, word, word);
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 128 }), six, six, fc.boolean(), (bits, a, b, same) => {
        const first: Words = [a[0] | 1, a[1], a[2], a[3]];
        const covering = { address: maskAddress([first[0] >>> 0, a[1], a[2], a[3]], bits), lengthBits: bits };
        const address: Words = same ? [first[0] >>> 0, a[1], a[2], a[3]] : [(b[0] | 1) >>> 0, b[1], b[2], b[3]];
        return (reverseOrigin(reverseName(address), covering) !== undefined) === prefixContains(covering, address);
      }),
      { seed: 6, numRuns: 1000 },
    ),
  );
});
