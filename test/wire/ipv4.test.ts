/** The header's checksum with and without options, against the sum of all its words. */
import fc from 'fast-check';
import t from 'tap';
import { finish, sum } from '../../src/wire/checksum.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';

const AT = 3;
const header = fc
  .tuple(fc.integer({ min: 5, max: 15 }), fc.uint8Array({ minLength: 80, maxLength: 80 }), fc.constantFrom(0, 1, 2))
  .map(([words, bytes, fill]) => {
    if (fill > 0) bytes.fill(fill === 1 ? 0 : 0xff);
    bytes[AT] = 0x40 | words;
    return bytes;
  });

t.test('a header is valid with its checksum, and with no other', async (t) => {
  fc.assert(
    fc.property(header, fc.nat(), fc.nat(7), (b, byte, bit) => {
      const length = ipv4.headerBytes(b, AT);
      const valid = finish(sum(b, AT, length)) === 0;
      if (ipv4.checksumValid(b, AT) !== valid) return false;
      ipv4.fillChecksum(b, AT);
      if (!ipv4.checksumValid(b, AT)) return false;
      // Any bit but those of the header's length.
      const at = AT + 1 + (byte % (length - 1));
      b[at] = (b[at] as number) ^ (1 << bit);
      return !ipv4.checksumValid(b, AT);
    }),
    { numRuns: 2000, seed: 11 },
  );
  t.pass();
});

t.test('every value of the field but one is refused', async (t) => {
  const b = new Uint8Array(20);
  for (const address of [0, 0x0a010203, 0xffffffff]) {
    ipv4.writePlainHeader(b, 0, 0xffff, 255, address, address, 255);
    let accepted = 0;
    for (let field = 0; field <= 0xffff; field++) {
      ipv4.setHeaderChecksum(b, 0, field);
      if (ipv4.checksumValid(b, 0)) accepted++;
      if (ipv4.checksumValid(b, 0) !== (finish(sum(b, 0, 20)) === 0)) t.fail(`field ${field}`);
    }
    t.ok(accepted === 1 || accepted === 2, 'two only where 0 and 0xffff are the same');
  }
});
