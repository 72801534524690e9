/**
 * Reverse names: between addresses and their names under in-addr.arpa (RFC 1035 section 3.5) and ip6.arpa (RFC 3596
 * section 2.5), and which of those names lie within a prefix.
 */
import { formatAddress4, isV4, type Words, word4, wordsFrom4 } from '../wire/address.ts';
import { type Prefix, prefixContains } from '../wire/prefix.ts';

const V4_SUFFIX = 'in-addr.arpa';
const V6_SUFFIX = 'ip6.arpa';

export function reverseName(address: Words): string {
  if (isV4(address)) return `${formatAddress4(word4(address)).split('.').reverse().join('.')}.${V4_SUFFIX}`;
  const hex = address.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  return `${[...hex].reverse().join('.')}.${V6_SUFFIX}`;
}

/**
 * The zone that a reverse name belongs to when the prefix covers it, else nothing. Zones are cut at whole labels: of
 * 10.96.0.0/12 there are sixteen, 96.10.in-addr.arpa to 111.10.in-addr.arpa.
 */
export function reverseOrigin(key: string, prefix: Prefix): string | undefined {
  const v4 = prefix.lengthBits >= 96 && isV4(prefix.address);
  const suffix = v4 ? V4_SUFFIX : V6_SUFFIX;
  if (key !== suffix && !key.endsWith(`.${suffix}`)) return undefined;
  const depth = v4 ? Math.ceil((prefix.lengthBits - 96) / 8) : Math.ceil(prefix.lengthBits / 4);
  const labels = key === suffix ? [] : key.slice(0, -suffix.length - 1).split('.');
  if (labels.length < depth) return undefined;
  const high = labels.slice(labels.length - depth);
  const address = v4 ? addressOfOctets(high) : addressOfNibbles(high);
  return address && prefixContains(prefix, address) ? [...high, suffix].join('.') : undefined;
}

/** The addresses whose reverse names are the name itself or lie under it: one, or a prefix of whole labels. */
export function reversePrefix(key: string): Prefix | undefined {
  const v4 = key.endsWith(`.${V4_SUFFIX}`);
  const suffix = v4 ? V4_SUFFIX : V6_SUFFIX;
  if (!key.endsWith(`.${suffix}`)) return undefined;
  const labels = key.slice(0, -suffix.length - 1).split('.');
  if (labels.length > (v4 ? 4 : 32)) return undefined;
  const address = v4 ? addressOfOctets(labels) : addressOfNibbles(labels);
  const lengthBits = v4 ? 96 + 8 * labels.length : 4 * labels.length;
  // IPv4 addresses have no names under ip6.arpa.
  if (!address || (!v4 && lengthBits >= 96 && isV4(address))) return undefined;
  return { address, lengthBits };
}

/** Labels from the lowest octet up, the missing low ones taken as 0. */
function addressOfOctets(labels: readonly string[]): Words | undefined {
  let address = 0;
  for (const [i, label] of [...labels].reverse().entries()) {
    if (!/^(0|[1-9]\d{0,2})$/.test(label) || Number(label) > 255) return undefined;
    address |= Number(label) << (24 - 8 * i);
  }
  return wordsFrom4(address >>> 0);
}

function addressOfNibbles(labels: readonly string[]): Words | undefined {
  const words: [number, number, number, number] = [0, 0, 0, 0];
  for (const [i, label] of [...labels].reverse().entries()) {
    const word = i >>> 3;
    if (word > 3 || !/^[0-9a-f]$/.test(label)) return undefined;
    words[word] = ((words[word] ?? 0) | (Number.parseInt(label, 16) << (28 - 4 * (i & 7)))) >>> 0;
  }
  return words;
}
