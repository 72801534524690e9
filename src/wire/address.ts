/**
 * Addresses as text and as numbers: IPv6 text by RFC 4291 section 2.2 and RFC 5952, IPv4 as dotted quads, MACs with
 * colons. Not on the packet path: the path carries an address as four words, or an IPv4 one as a uint32.
 *
 *   IPv6   | word 0 | word 1 | word 2 | word 3 |      each a big-endian uint32
 *   IPv4   |   0    |   0    | 0xffff | a.b.c.d |     mapped, RFC 4291 section 2.5.5.2
 */

/** An address as 4 big-endian uint32 words, IPv4 in its mapped form. */
export type Words = readonly [number, number, number, number];

const MAPPED_WORD = 0xffff;
const GROUPS = 8;
const MAC_BYTES = 6;

/** IPv4 or IPv6 text to words; undefined for anything else: no zone, no leading zeros in a quad, no blanks. */
export function parseAddress(text: string): Words | undefined {
  if (!text.includes(':')) {
    const address = parseAddress4(text);
    return address === undefined ? undefined : wordsFrom4(address);
  }
  return parseAddress6(text);
}

/** Dotted quad to a host-order uint32, or undefined. */
export function parseAddress4(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (!match) return undefined;
  let address = 0;
  for (let i = 1; i <= 4; i++) {
    const digits = match[i] as string;
    // "010" is 8 to some readers and 10 to others: refused.
    if (digits.length > 1 && digits.startsWith('0')) return undefined;
    const byte = Number(digits);
    if (byte > 255) return undefined;
    address = (address << 8) | byte;
  }
  return address >>> 0;
}

function parseAddress6(text: string): Words | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] as string, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] as string, true) : [];
  if (!head || !tail) return undefined;
  const missing = GROUPS - head.length - tail.length;
  // "::" stands for one group of zeros at least.
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const g = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const word = (i: number) => (((g[2 * i] as number) << 16) | (g[2 * i + 1] as number)) >>> 0;
  return [word(0), word(1), word(2), word(3)];
}

/** The 16-bit groups of one side of "::"; a dotted quad may end the address only. */
function parseGroups(text: string, endsAddress: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (endsAddress && i === parts.length - 1 && part.includes('.')) {
      const quad = parseAddress4(part);
      if (quad === undefined) return undefined;
      groups.push(quad >>> 16, quad & 0xffff);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

/** The canonical text: a dotted quad for a mapped address, else RFC 5952 section 4. */
export function formatAddress(words: Words): string {
  if (isV4(words)) return formatAddress4(words[3]);
  const groups: number[] = [];
  for (const w of words) groups.push((w >>> 16) & 0xffff, w & 0xffff);
  let start = -1;
  // A single group of zeros is not shortened (section 4.2.2); among runs of equal length the first is (4.2.3).
  let longest = 1;
  for (let i = 0; i < GROUPS; i++) {
    let run = 0;
    while (i + run < GROUPS && groups[i + run] === 0) run++;
    if (run > longest) {
      start = i;
      longest = run;
    }
    i += run;
  }
  const hex = groups.map((g) => g.toString(16));
  if (start < 0) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + longest).join(':')}`;
}

/** A host-order 32-bit address, signed or unsigned, as a dotted quad. */
export function formatAddress4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

/** The mapped form of a host-order IPv4 address. */
export function wordsFrom4(address: number): Words {
  return [0, 0, MAPPED_WORD, address >>> 0];
}

/** Whether the address is an IPv4 one in its mapped form. */
export function isV4(words: Words): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === MAPPED_WORD;
}

/** The IPv4 address of a mapped form as a host-order uint32. */
export function word4(words: Words): number {
  return words[3] >>> 0;
}

/** What a Map of addresses is keyed by: a number for IPv4, which is found faster than a text. */
export function addressKey(words: Words): number | string {
  return isV4(words) ? word4(words) : words.join();
}

/** Six pairs of hex digits between colons to 6 bytes, or undefined. */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text)) return undefined;
  return Uint8Array.from(text.split(':'), (pair) => Number.parseInt(pair, 16));
}

/** The 6 bytes at `offset` as lower-case hex pairs between colons. */
export function formatMac(bytes: Uint8Array, offset = 0): string {
  const pairs: string[] = [];
  for (let i = 0; i < MAC_BYTES; i++) pairs.push((bytes[offset + i] as number).toString(16).padStart(2, '0'));
  return pairs.join(':');
}
