/** Headers that only IPv6 has, read from and rebuilt as the bytes that Linux sent. */
import t from 'tap';
import { parseAddress, type Words } from '../../src/wire/address.ts';
import { fold, pseudoSum6 } from '../../src/wire/checksum.ts';
import * as ethernet from '../../src/wire/ethernet.ts';
import * as icmpv6 from '../../src/wire/icmpv6.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as extension from '../../src/wire/ipv6-extension.ts';
import * as ndp from '../../src/wire/ndp.ts';
import * as udp from '../../src/wire/udp.ts';
import * as c from './captures-ipv6.ts';

const HOST_1 = parseAddress('fd00:10:244:1::') as Words;
const HOST_2 = parseAddress('fd00:10:244:2::') as Words;
const MAC_HIGH = 0x0a58;
const [MAC_LOW_1, MAC_LOW_2] = [0xc0000201, 0xc0000202] as const;

/** A copy with the bytes of [from, to) overwritten by junk, for a builder to restore. */
function junked(b: Uint8Array, from: number, to: number): Uint8Array {
  const copy = b.slice();
  copy.fill(0xa5, from, to);
  return copy;
}

function words(get: (b: Uint8Array, o: number, i: number) => number, b: Uint8Array, o: number): number[] {
  return [0, 1, 2, 3].map((i) => get(b, o, i));
}

t.test('outer headers of every frame', async (t) => {
  for (const [name, b] of Object.entries(c.captures)) {
    t.equal(ethernet.etherType(b, 0), ethernet.ETHERTYPE.ipv6, name);
    t.ok(ipv6.check(b, c.OUTER_IP, b.length) && udp.check(b, c.OUTER_UDP, b.length), name);
    t.equal(extension.walk(b, c.OUTER_IP, b.length), (40 << 8) | 17);
    t.equal(udp.checksum(b, c.OUTER_UDP), fold(pseudoSum6(b, c.OUTER_IP, 17, b.length - c.OUTER_UDP)), name);
  }
});

t.test('a neighbour solicitation', async (t) => {
  const b = c.solicitation;
  t.equal(ipv6.hopLimit(b, c.INNER_L3), ndp.HOP_LIMIT);
  t.equal(icmpv6.type(b, c.INNER_L4), icmpv6.TYPE.neighbourSolicitation);
  t.ok(ndp.check(b, c.INNER_L4, b.length));
  t.ok(icmpv6.checksumValid(b, c.INNER_L3, c.INNER_L4, b.length - c.INNER_L4));
  t.same(words(ndp.targetWord, b, c.INNER_L4), HOST_2);
  const mac = ndp.macAt(b, c.INNER_L4, b.length, ndp.OPTION.sourceMac);
  t.same([ndp.macHigh(b, mac), ndp.macLow(b, mac)], [MAC_HIGH, MAC_LOW_1]);
  t.equal(ndp.macAt(b, c.INNER_L4, b.length, ndp.OPTION.targetMac), -1);
  const rebuilt = junked(b, c.INNER_L3, b.length);
  ipv6.writeHeader(rebuilt, c.INNER_L3, 32, 58, 255, HOST_1, parseAddress('ff02::1:ff00:0') as Words);
  ndp.writeSolicitation(rebuilt, c.INNER_L4, HOST_2[0], HOST_2[1], HOST_2[2], HOST_2[3], MAC_HIGH, MAC_LOW_1);
  icmpv6.fillChecksum(rebuilt, c.INNER_L3, c.INNER_L4, 32);
  t.same(rebuilt, b);
  t.ok(icmpv6.isLinkScope(icmpv6.type(b, c.INNER_L4)));
});

t.test('a neighbour advertisement', async (t) => {
  const b = c.advertisement;
  t.ok(ndp.check(b, c.INNER_L4, b.length));
  const mac = ndp.macAt(b, c.INNER_L4, b.length, ndp.OPTION.targetMac);
  t.same([ndp.macHigh(b, mac), ndp.macLow(b, mac)], [MAC_HIGH, MAC_LOW_2]);
  const rebuilt = junked(b, c.INNER_L3, b.length);
  ipv6.writePlainHeader(rebuilt, c.INNER_L3, 32, 58, 255);
  ipv6.setSource(rebuilt, c.INNER_L3, HOST_2[0], HOST_2[1], HOST_2[2], HOST_2[3]);
  ipv6.setDestination(rebuilt, c.INNER_L3, HOST_1[0], HOST_1[1], HOST_1[2], HOST_1[3]);
  const flags = ndp.FLAG.router | ndp.FLAG.solicited | ndp.FLAG.override;
  ndp.writeAdvertisement(rebuilt, c.INNER_L4, flags, HOST_2[0], HOST_2[1], HOST_2[2], HOST_2[3], MAC_HIGH, MAC_LOW_2);
  icmpv6.fillChecksum(rebuilt, c.INNER_L3, c.INNER_L4, 32);
  t.same(rebuilt, b);
});

t.test('an error and what it quotes', async (t) => {
  const b = c.timeExceeded;
  const quote = icmpv6.quotedOffset(b, c.INNER_L4);
  t.same([icmpv6.type(b, c.INNER_L4), icmpv6.code(b, c.INNER_L4)], [icmpv6.TYPE.timeExceeded, 0]);
  t.ok(icmpv6.isError(icmpv6.type(b, c.INNER_L4)));
  t.same(words(ipv6.sourceWord, b, quote), HOST_1);
  t.equal(extension.walk(b, quote, b.length), (40 << 8) | 17);
  t.ok(udp.check(b, quote + 40, b.length));
  const rebuilt = junked(b, c.INNER_L4, quote);
  icmpv6.writeHeader(rebuilt, c.INNER_L4, icmpv6.TYPE.timeExceeded, 0, 0);
  icmpv6.fillChecksum(rebuilt, c.INNER_L3, c.INNER_L4, b.length - c.INNER_L4);
  t.same(rebuilt, b);
});

t.test('a fragment', async (t) => {
  const b = c.lastFragment;
  const found = extension.walk(b, c.INNER_L3, b.length);
  t.equal(found & 0xff, extension.NEXT.fragment);
  const o = c.INNER_L3 + (found >> 8);
  t.ok(extension.checkFragment(b, o, b.length));
  t.equal(extension.fragmentNextHeader(b, o), 58);
  t.equal(extension.fragmentOffsetBytes(b, o), 2752);
  t.notOk(extension.moreFragments(b, o));
  t.equal(b.length - o - extension.FRAGMENT_BYTES, 256);
});
