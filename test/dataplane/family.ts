/**
 * The family that a suite runs in. Suites write IPv4 addresses; a file that begins with `run.family = 6` and then
 * imports a suite runs it in IPv6: each address stands for its counterpart, and what arrives is read back the same way.
 *
 *   10.244.N.x   fd00:10:244:N::x for the VTEP (0) and the gateway (1), fd00:10:244:N::Nx, both bytes, for pods
 *   10.96.x.y    fd00:10:96::xy
 *   172.31.0.x   fd00:172:31::x, where the underlay is IPv6 too
 */
import { formatAddress, parseAddress, parseAddress4, type Words } from '../../src/wire/address.ts';

export const run: { family: 4 | 6; underlay: 4 | 6 } = { family: 4, underlay: 4 };

const SPECIAL: Readonly<Record<string, string>> = { '224.0.0.1': 'ff0e::1', '127.0.0.1': '::1', '0.0.0.0': '::' };
const written = new Map<string, string>();

/** The IPv6 counterpart of an IPv4 address, whatever the suite's family; remembered for `asWritten`. */
export function counterpart(text: string): string {
  const [a, b, c, d] = text.split('.').map(Number) as [number, number, number, number];
  const low = (c << 8) | d;
  let words: Words = [0x20010db8, 0, 0, (((a << 24) | (b << 16)) >>> 0) + low];
  if (a === 10 && b === 244)
    words = [0xfd000010, (0x0244 << 16) | (Number.parseInt(String(c), 16) & 0xffff), 0, d < 2 ? d : low];
  else if (a === 10 && b === 96) words = [0xfd000010, 0x00960000, 0, low];
  else if (a === 172 && b === 31) words = [0xfd000172, 0x00310000, 0, d];
  const actual = SPECIAL[text] ?? formatAddress(words);
  written.set(actual, text);
  return actual;
}

/** The address that a text stands for, as 4 words. */
export function wordsOf(text: string): Words {
  const isIpv4 = parseAddress4(text) !== undefined;
  const six = text.startsWith('172.31.') ? run.underlay === 6 : run.family === 6;
  const actual = isIpv4 && six ? counterpart(text) : text;
  const words = parseAddress(actual);
  if (words === undefined) throw new Error(`not an address: ${text}`);
  return words;
}

/** An IPv6 address as the suite would write it. */
export function asWritten(words: Words): string {
  const text = formatAddress(words);
  return written.get(text) ?? text;
}
