/**
 * Blocks of addresses of either family: podCIDRs, the clusters' and the services' ranges. An address within a block is
 * named by its offset, a plain number below 2 ** 32: of a wider IPv6 block only the first 2 ** 32 addresses are given
 * out.
 */
import { isV4, type Words } from '../wire/address.ts';
import { formatPrefix, type Prefix, parsePrefix, prefixContains } from '../wire/prefix.ts';

const ADDRESS_BITS = 128;

export interface AddressBlock {
  /** Canonical: `10.244.1.0/24`, `fd00:10:244:1::/64`, host bits cleared. */
  text: string;
  prefix: Prefix;
  isV4: boolean;
  /** How many addresses can be named by an offset, at most 2 ** 32. */
  size: number;
  /** Whether the text it came from had bits set beyond the prefix. */
  hadHostBits: boolean;
}

/** Undefined for what is no CIDR. */
export function parseBlock(text: string): AddressBlock | undefined {
  const prefix = parsePrefix(text);
  // The mapped form of IPv6 text is no way to write an IPv4 block, nor one that holds IPv4.
  const v4 = !text.includes(':');
  if (!prefix || isV4(prefix.address) !== v4) return undefined;
  const whole = parsePrefix(`${text.slice(0, text.indexOf('/'))}/${v4 ? 32 : ADDRESS_BITS}`) as Prefix;
  return {
    text: formatPrefix(prefix),
    prefix,
    isV4: v4,
    size: 2 ** Math.min(32, ADDRESS_BITS - prefix.lengthBits),
    hadHostBits: whole.address.some((word, i) => word !== prefix.address[i]),
  };
}

export function blocksOverlap(a: AddressBlock, b: AddressBlock): boolean {
  return blockHolds(a, b.prefix.address) || blockHolds(b, a.prefix.address);
}

export function blockHolds(block: AddressBlock, address: Words): boolean {
  // IPv4's mapped form lies in the widest IPv6 blocks.
  return block.isV4 === isV4(address) && prefixContains(block.prefix, address);
}

/** The address at an offset below the block's size. */
export function addressAt(block: AddressBlock, offset: number): Words {
  const [a, b, c, d] = block.prefix.address;
  return [a, b, c, (d + offset) >>> 0];
}

/** The block of a longer prefix at a place within a block; `lengthBits` counts as the block's own prefix does. */
export function blockAt(block: AddressBlock, lengthBits: number, index: number): AddressBlock {
  const address: [number, number, number, number] = [...block.prefix.address];
  for (let bit = 0; bit < 32; bit++) {
    if (((index >>> bit) & 1) === 0) continue;
    const at = lengthBits - 1 - bit;
    address[at >> 5] = ((address[at >> 5] as number) | (1 << (31 - (at & 31)))) >>> 0;
  }
  const text = formatPrefix({ address, lengthBits });
  return {
    text,
    prefix: { address, lengthBits },
    isV4: block.isV4,
    size: 2 ** Math.min(32, ADDRESS_BITS - lengthBits),
    hadHostBits: false,
  };
}

/** The offset of an address, or -1 where it is not among those that can be named. */
export function offsetIn(block: AddressBlock, address: Words): number {
  const [a, b, c, d] = block.prefix.address;
  if (address[0] !== a || address[1] !== b || address[2] !== c) return -1;
  const offset = (address[3] >>> 0) - (d >>> 0);
  return offset < block.size ? offset : -1;
}

/** Of a list with at most one block of each family. */
export function blockOfFamily(blocks: readonly AddressBlock[], v4: boolean): AddressBlock | undefined {
  return blocks.find((block) => block.isV4 === v4);
}
