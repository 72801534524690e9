/** Addresses and MACs: text to numbers and back, strictly; IPv6 beside Node's own parser and formatter. */
import { isIP, SocketAddress } from 'node:net';
import fc from 'fast-check';
import t from 'tap';
import {
  formatAddress,
  formatAddress4,
  formatMac,
  isV4,
  parseAddress,
  parseAddress4,
  parseMac,
  type Words,
  word4,
  wordsFrom4,
} from '../../src/wire/address.ts';

const SEED = { seed: 5952, numRuns: 3000 };
const word = fc.oneof(
  fc.integer({ min: 0, max: 0xffffffff }),
  fc.constantFrom(0, 1, 0xffff, 0x10000, 0xffff0000, 0x00010001),
);
const words = fc.tuple(word, word, word, word);

t.test('IPv4', async (t) => {
  t.equal(parseAddress4('10.244.0.1'), 0x0af40001);
  t.equal(parseAddress4('255.255.255.255'), 0xffffffff);
  t.equal(parseAddress4('0.0.0.0'), 0);
  const bad = ['', '1', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '1.2.3.04', ' 1.2.3.4', '1.2.3.4 ', '1.2.3.4\n'];
  for (const text of [...bad, '1.2.3.-4', '0x1.2.3.4', '1..2.3', '1.2.3.4/24', '１.2.3.4', '1e1.2.3.4']) {
    t.equal(parseAddress4(text), undefined, JSON.stringify(text));
    t.equal(parseAddress(text), undefined, JSON.stringify(text));
  }
  const property = fc.property(fc.integer({ min: 0, max: 0xffffffff }), (a) => {
    return parseAddress4(formatAddress4(a)) === a && formatAddress4(a | 0) === formatAddress4(a);
  });
  fc.assert(property, SEED);
});

t.test('mapped form', async (t) => {
  const v4 = parseAddress('10.0.0.1');
  t.same(v4, [0, 0, 0xffff, 0x0a000001]);
  t.same(parseAddress('::ffff:10.0.0.1'), v4);
  t.same(parseAddress('::ffff:a00:1'), v4);
  t.same(wordsFrom4(-1), [0, 0, 0xffff, 0xffffffff]);
  t.equal(word4([0, 0, 0xffff, -1]), 0xffffffff);
  t.ok(isV4(wordsFrom4(1)));
  t.notOk(isV4([0, 0, 0, 1]));
  t.equal(formatAddress(wordsFrom4(0x0a000001)), '10.0.0.1');
});

t.test('IPv6 text by RFC 5952', async (t) => {
  const canonical: Record<string, string> = {
    '2001:0db8::0001': '2001:db8::1',
    '2001:db8:0:0:0:0:2:1': '2001:db8::2:1',
    '2001:db8:0:1:1:1:1:1': '2001:db8:0:1:1:1:1:1',
    '2001:0:0:1:0:0:0:1': '2001:0:0:1::1',
    '2001:db8:0:0:1:0:0:1': '2001:db8::1:0:0:1',
    '2001:DB8::AAAA': '2001:db8::aaaa',
    '0:0:0:0:0:0:0:0': '::',
    '::1': '::1',
    '1::': '1::',
    '1:2:3:4:5:6:7::': '1:2:3:4:5:6:7:0',
    '::2:3:4:5:6:7:8': '0:2:3:4:5:6:7:8',
    '64:ff9b::192.0.2.33': '64:ff9b::c000:221',
  };
  for (const [text, want] of Object.entries(canonical)) {
    const parsed = parseAddress(text);
    t.equal(parsed && formatAddress(parsed), want, text);
  }
  const bad = [
    ':',
    ':::',
    '1',
    '1:2',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '::12345',
    '::g',
    'fe80::1%eth0',
  ];
  const alsoBad = ['1:2:3:4:5:6:7:8::', '::1:2:3:4:5:6:7:8', ':1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8:', '::1 ', '[::1]'];
  for (const text of [...bad, ...alsoBad, '1.2.3.4::', '::1.2.3.4:5', '::1.2.3', '1:2:3:4:5:6:7:1.2.3.4', '::-1']) {
    t.equal(parseAddress(text), undefined, text);
    t.equal(isIP(text.replace(/%.*/, '%')), 0, `Node refuses ${text} as well`);
  }
});

t.test('round trip, and the same as Node', async (t) => {
  const property = fc.property(words, (w: Words) => {
    const text = formatAddress(w);
    const back = parseAddress(text);
    if (!back || back.some((v, i) => v !== w[i])) return false;
    // Node writes ::a.b.c.d, the deprecated compatible form; RFC 5952 leaves that open.
    if (isV4(w) || (w[0] === 0 && w[1] === 0 && w[2] === 0)) return isIP(text) !== 0;
    return new SocketAddress({ address: text, family: 'ipv6' }).address === text;
  });
  fc.assert(property, SEED);
  t.pass('every address survives');
});

t.test('any text: words exactly when Node takes it as an address', async (t) => {
  const piece = fc.constantFrom(':', '::', '.', '0', '1', 'ff', '255', '256', 'FFFF', '10.0.0.1', 'g', '%', '/', ' ');
  const property = fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
    const text = pieces.join('');
    return text.includes('%') || (parseAddress(text) !== undefined) === (isIP(text) !== 0);
  });
  fc.assert(property, { ...SEED, numRuns: 20000 });
  t.pass('same as the reference');
});

t.test('MACs', async (t) => {
  t.same(parseMac('0a:58:C0:00:02:01'), Uint8Array.of(0x0a, 0x58, 0xc0, 0, 2, 1));
  t.equal(formatMac(Uint8Array.of(9, 0x0a, 0x58, 0xc0, 0, 2, 1), 1), '0a:58:c0:00:02:01');
  for (const text of ['', '0a:58:c0:00:02', '0a:58:c0:00:02:01:02', 'a:58:c0:00:02:01', '0a-58-c0-00-02-01']) {
    t.equal(parseMac(text), undefined, text);
  }
});
