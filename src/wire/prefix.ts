/**
 * Prefixes (RFC 4632, RFC 4291 section 2.3) in the 128-bit form that routes use: an IPv4 /24 has 120 bits. Bits of
 * the address beyond the length are always 0 here. `::/0` therefore covers IPv4 too, `0.0.0.0/0` IPv4 alone.
 */
import { formatAddress, formatAddress4, isV4, parseAddress, type Words } from './address.ts';

export interface Prefix {
  /** Bits beyond lengthBits are 0. */
  address: Words;
  /** Bits in the 128-bit form: an IPv4 /24 is 120. */
  lengthBits: number;
}

const V4_BITS = 96;

/** "address/bits" to a prefix, host bits cleared; undefined for anything else, a bare address included. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  const address = parseAddress(text.slice(0, Math.max(slash, 0)));
  const digits = text.slice(slash + 1);
  if (slash < 0 || !address || !/^(0|[1-9]\d{0,2})$/.test(digits)) return undefined;
  const is4 = !text.includes(':');
  const bits = Number(digits);
  if (bits > (is4 ? 32 : 128)) return undefined;
  const lengthBits = is4 ? bits + V4_BITS : bits;
  return { address: maskAddress(address, lengthBits), lengthBits };
}

/** The canonical text; IPv4 form where the prefix lies within the mapped addresses. */
export function formatPrefix(prefix: Prefix): string {
  if (prefix.lengthBits >= V4_BITS && isV4(prefix.address)) {
    return `${formatAddress4(prefix.address[3])}/${prefix.lengthBits - V4_BITS}`;
  }
  return `${formatAddress(prefix.address)}/${prefix.lengthBits}`;
}

/** Whether the prefix covers the address. */
export function prefixContains(prefix: Prefix, words: Words): boolean {
  for (let i = 0; i < 4; i++) {
    const mask = wordMask(prefix.lengthBits, i);
    if ((((prefix.address[i] as number) ^ (words[i] as number)) & mask) !== 0) return false;
  }
  return true;
}

/** The address with every bit beyond the length cleared. */
export function maskAddress(words: Words, lengthBits: number): Words {
  const word = (i: number) => ((words[i] as number) & wordMask(lengthBits, i)) >>> 0;
  return [word(0), word(1), word(2), word(3)];
}

/** Mask of the bits of word `i` that a prefix of this length fixes; a shift by 32 would be one by 0. */
function wordMask(lengthBits: number, i: number): number {
  const bits = Math.min(32, Math.max(0, lengthBits - 32 * i));
  return bits === 0 ? 0 : -1 << (32 - bits);
}
