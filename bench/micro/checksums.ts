/** The Internet checksum of a packet: written first, in the dataplane, in the addon by each kind of vector. */
import { do_not_optimize } from 'mitata';
import { loadNativeAddon } from '../../src/io/native-addon.ts';
import { adjust32, finish, sum } from '../../src/wire/checksum.ts';
import { count, figure, table } from './markdown.ts';
import * as naive from './naive.ts';
import { callNanoseconds } from './timing.ts';

const SIZES = [20, 64, 1460, 65_000];

export async function checksums(): Promise<string> {
  const addon = loadNativeAddon();
  const variants = ['scalar', 'sse2', 'avx2'].filter((v) => works(() => addon.checksum(new Uint8Array(2), 0, 2, 0, v)));
  const rows: string[][] = [];
  for (const size of SIZES) {
    const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 131) & 0xff);
    const versions: (() => number)[] = [
      () => naive.checksum(bytes),
      () => finish(sum(bytes, 0, size)),
      ...variants.map((v) => () => ~addon.checksum(bytes, 0, size, 0, v) & 0xffff),
    ];
    if (new Set(versions.map((version) => version())).size !== 1) throw new Error(`${size} bytes: versions disagree`);
    const cells: string[] = [];
    for (const version of versions) cells.push(figure(await callNanoseconds(() => do_not_optimize(version()))));
    rows.push([count(size), ...cells]);
  }
  let address = 1;
  const adjusted = await callNanoseconds(() => do_not_optimize(adjust32(0x1234, address++, 0x0af4020a)));
  return `## Checksum

Nanoseconds. The dataplane sums headers only; an address that changes is adjusted for (RFC 1624) in ${figure(adjusted)} ns,
however long the packet is. The addon's figures include the call from JavaScript, which its own code does not pay.

${table(['bytes', 'written first', 'dataplane', ...variants.map((v) => `addon, ${v}`)], rows)}`;
}

function works(call: () => unknown): boolean {
  try {
    call();
    return true;
  } catch {
    return false;
  }
}
