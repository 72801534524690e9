/** The walk over TCP options, against a reference that reads them into a list first, over options at random. */
import t from 'tap';
import * as tcp from '../../src/wire/tcp.ts';
import { Random } from '../dataplane/random.ts';

const ROUNDS = 50_000;

/** Where the option's value stands by RFC 9293 section 3.2, read without hurry; 0 where there is none. */
function reference(header: readonly number[]): number {
  const found: { kind: number; length: number; at: number }[] = [];
  for (let at = 20; at < header.length; ) {
    const kind = header[at] as number;
    if (kind === 0) break;
    const length = kind === 1 ? 1 : (header[at + 1] ?? 0);
    if (length === 0 || (kind !== 1 && length < 2) || at + length > header.length) break;
    found.push({ kind, length, at });
    at += length;
  }
  const first = found.find((o) => o.kind === 2);
  return first?.length === 4 ? first.at + 2 : 0;
}

t.test('no options can mislead it', async (t) => {
  const r = new Random(9293);
  let met = 0;
  for (let n = 0; n < ROUNDS; n++) {
    const bytes = 20 + 4 * r.below(11);
    const b = new Uint8Array(bytes);
    b[12] = (bytes / 4) << 4;
    // Mostly small numbers, which are kinds and lengths that mean something.
    for (let at = 20; at < bytes; at++) b[at] = r.chance(0.7) ? r.below(6) : r.below(256);
    const at = tcp.segmentSizeAt(b, 0);
    if (at !== reference([...b])) t.fail(`${[...b.subarray(20)]}`);
    if (at !== 0) met++;
    // What lies behind the header is never read.
    const longer = new Uint8Array(bytes + 40).fill(2);
    longer.set(b);
    if (tcp.segmentSizeAt(longer, 0) !== at) t.fail(`reads past its end: ${[...b.subarray(20)]}`);
  }
  t.ok(met > ROUNDS / 100, `${met} of them announced a size`);
});
