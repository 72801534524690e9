/**
 * Blocks of IPv4 addresses: podCIDRs, the cluster's and the services' CIDR. ip-num does the arithmetic once per
 * block; what is compared often is kept as plain numbers, its BigInt takes microseconds a comparison.
 */
import { IPv4CidrRange } from 'ip-num';
import { wordsFrom4 } from '../wire/address.ts';
import { type Prefix, parsePrefix } from '../wire/prefix.ts';

const V4_BITS = 96;

export interface AddressBlock {
  /** Canonical: `10.244.1.0/24`, host bits cleared. */
  text: string;
  prefix: Prefix;
  /** First and last address, host-order uint32. */
  first: number;
  last: number;
  /** Whether the text it came from had bits set beyond the prefix. */
  hadHostBits: boolean;
}

/** Undefined for what is no IPv4 CIDR. */
export function parseBlock(text: string): AddressBlock | undefined {
  const prefix = parsePrefix(text);
  // The mapped form of IPv6 text is no way to write an IPv4 block.
  if (!prefix || text.includes(':')) return undefined;
  const range = IPv4CidrRange.fromCidr(text);
  const first = Number(range.getFirst().getValue());
  const last = Number(range.getLast().getValue());
  return {
    text: `${range.getFirst().toString()}/${prefix.lengthBits - V4_BITS}`,
    prefix: { address: wordsFrom4(first), lengthBits: prefix.lengthBits },
    first,
    last,
    hadHostBits: !text.startsWith(`${range.getFirst().toString()}/`),
  };
}

export function blocksOverlap(a: AddressBlock, b: AddressBlock): boolean {
  return a.first <= b.last && b.first <= a.last;
}

/** Whether the block holds an address, host-order uint32. */
export function blockHolds(block: AddressBlock, address4: number): boolean {
  return address4 >= block.first && address4 <= block.last;
}
