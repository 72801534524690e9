/** Sums and their incremental updates beside a reference that adds one 16-bit word at a time and carries around. */
import fc from 'fast-check';
import t from 'tap';
import { setU16, setU32, u16, u32 } from '../../src/wire/bytes.ts';
import {
  adjust16,
  adjust32,
  finish,
  fold,
  partialAdjust16,
  partialAdjust32,
  pseudoSum4,
  pseudoSum6,
  sum,
} from '../../src/wire/checksum.ts';

const SEED = { seed: 7348, numRuns: 2000 };

/** RFC 1071 section 1, word by word: ones-complement addition with the carry brought around at once. */
function naive(bytes: Uint8Array): number {
  let s = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    s += (bytes[i] as number) * 256 + (bytes[i + 1] ?? 0);
    if (s > 0xffff) s -= 0xffff;
  }
  return s;
}

const word16 = fc.integer({ min: 0, max: 0xffff });
const word32 = fc.integer({ min: 0, max: 0xffffffff });

t.test("RFC 1071's example", async (t) => {
  const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  t.equal(sum(bytes, 0, 8), 0x2ddf0);
  t.equal(fold(0x2ddf0), 0xddf2);
  t.equal(finish(0x2ddf0), 0x220d);
});

t.test('any bytes, offset and initial sum', async (t) => {
  const input = fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 9 }), word32);
  const property = fc.property(input, ([body, before, initial]) => {
    const whole = Uint8Array.of(...before, ...body, 0xff, 0xff);
    const start = new Uint8Array(4);
    setU32(start, 0, initial);
    const got = fold(sum(whole, before.length, body.length, initial));
    return got === naive(Uint8Array.of(...start, ...body));
  });
  fc.assert(property, SEED);
  t.pass('same as the reference');
});

t.test('the largest packet, and sums beyond 32 bits', async (t) => {
  const bytes = new Uint8Array(65535).fill(0xff);
  t.equal(fold(sum(bytes, 0, 65535)), naive(bytes));
  t.equal(fold(2 ** 52 - 1), (2 ** 52 - 1) % 65535 || 65535);
  t.equal(fold(0xffffffff), 0xffff);
  t.equal(fold(0), 0);
});

t.test('incremental update of a true checksum equals computing it anew', async (t) => {
  const input = fc.tuple(fc.uint8Array({ minLength: 12, maxLength: 64 }), fc.nat(), word32, fc.boolean());
  const property = fc.property(input, ([bytes, place, changed, wide]) => {
    // Word 0 is no zero: over nothing but zeros the two zeros of ones-complement would be told apart.
    bytes[0] = 0x45;
    const o = 2 + 2 * (place % Math.floor((bytes.length - 6) / 2));
    const check = finish(sum(bytes, 0, bytes.length));
    if (wide) {
      const old = u32(bytes, o);
      setU32(bytes, o, changed);
      return adjust32(check, old, changed) === finish(sum(bytes, 0, bytes.length));
    }
    const old = u16(bytes, o);
    setU16(bytes, o, changed & 0xffff);
    return adjust16(check, old, changed & 0xffff) === finish(sum(bytes, 0, bytes.length));
  });
  fc.assert(property, SEED);
  t.equal(adjust16(0xdd2f, 0x5555, 0x3285), 0x0000, "RFC 1624's example, which equation 2 gets wrong");
  t.equal(adjust32(0x1234, -1, 5), adjust32(0x1234, 0xffffffff, 5), 'signed words as unsigned ones');
});

t.test('incremental update of a pseudo-header sum', async (t) => {
  const protocol = fc.constantFrom(6, 17);
  const property = fc.property(word32, word32, word32, protocol, word16, (source, old, now, proto, length) => {
    const field = fold(pseudoSum4(source, old, proto, length));
    const want = fold(pseudoSum4(source, now, proto, length));
    const shorter = fold(pseudoSum4(source, old, proto, length >> 1));
    return (
      partialAdjust32(field, old, now) === want &&
      partialAdjust32(field, old | 0, now | 0) === want &&
      partialAdjust16(field, length, length >> 1) === shorter
    );
  });
  fc.assert(property, SEED);
  t.equal(partialAdjust16(0xfffe, 1, 3), 1, 'the carry comes around');
});

t.test('a partial field, changed and then finished, is the true checksum', async (t) => {
  const payload = fc.uint8Array({ minLength: 8, maxLength: 80 });
  const property = fc.property(payload, word32, word32, word32, (segment, source, old, now) => {
    setU16(segment, 6, fold(pseudoSum4(source, old, 17, segment.length)));
    setU16(segment, 6, partialAdjust32(u16(segment, 6), old, now));
    const finished = finish(sum(segment, 0, segment.length));
    setU16(segment, 6, 0);
    return finished === finish(sum(segment, 0, segment.length, pseudoSum4(source, now, 17, segment.length)));
  });
  fc.assert(property, SEED);
  t.pass('same as summing anew');
});

t.test('pseudo-headers as bytes', async (t) => {
  const property = fc.property(fc.uint8Array({ minLength: 40, maxLength: 40 }), word16, (header, length) => {
    const pseudo4 = Uint8Array.of(...header.subarray(12, 20), 0, 17, length >> 8, length);
    const pseudo6 = Uint8Array.of(...header.subarray(8, 40), 0, 0, length >> 8, length, 0, 0, 0, 17);
    const four = fold(pseudoSum4(u32(header, 12), u32(header, 16), 17, length));
    return four === naive(pseudo4) && fold(pseudoSum6(header, 0, 17, length)) === naive(pseudo6);
  });
  fc.assert(property, SEED);
  t.pass('same as the reference');
});
