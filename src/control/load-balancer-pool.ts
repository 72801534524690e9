/**
 * The addresses out of which LoadBalancer services get theirs, as an agent is told them: CIDRs and ranges, of both
 * families. An address is named by its offset in all ranges of its family, one after the other.
 */
import { isV4, parseAddress, type Words } from '../wire/address.ts';
import { parsePrefix } from '../wire/prefix.ts';

export interface AddressSpan {
  first: Words;
  /** How many follow each other from there. */
  count: number;
}

export interface LoadBalancerPool {
  v4: readonly AddressSpan[];
  v6: readonly AddressSpan[];
}

const ADDRESS_BITS = 128;
/** Networks of this size and larger have an address of their own and one for broadcast. */
const SMALLEST_NETWORK = 4;

/** `192.0.2.0/24,198.51.100.10-198.51.100.20,fd00:1::/120`; '' is none; a text that is none of these is the error. */
export function parsePool(text: string): LoadBalancerPool | string {
  const v4: AddressSpan[] = [];
  const v6: AddressSpan[] = [];
  for (const part of text.split(',').map((each) => each.trim())) {
    if (part === '') continue;
    const span = part.includes('/') ? spanOfPrefix(part) : spanOfRange(part);
    if (!span) return part;
    (isV4(span.first) ? v4 : v6).push(span);
  }
  return { v4, v6 };
}

export function poolSize(spans: readonly AddressSpan[]): number {
  return spans.reduce((sum, span) => sum + span.count, 0);
}

/** The address at an offset below the size. */
export function poolAddress(spans: readonly AddressSpan[], offset: number): Words {
  let rest = offset;
  for (const { first, count } of spans) {
    if (rest < count) return [first[0], first[1], first[2], (first[3] + rest) >>> 0];
    rest -= count;
  }
  throw new RangeError(`offset ${offset} is outside the pool`);
}

/** All offsets of an address: ranges may overlap. */
export function poolOffsets(spans: readonly AddressSpan[], address: Words): number[] {
  const out: number[] = [];
  let base = 0;
  for (const { first, count } of spans) {
    const at = (address[3] >>> 0) - (first[3] >>> 0);
    const sameNetwork = address[0] === first[0] && address[1] === first[1] && address[2] === first[2];
    if (sameNetwork && at >= 0 && at < count) out.push(base + at);
    base += count;
  }
  return out;
}

function spanOfPrefix(text: string): AddressSpan | undefined {
  const prefix = parsePrefix(text);
  if (!prefix) return undefined;
  const [a, b, c, d] = prefix.address;
  const count = 2 ** Math.min(32, ADDRESS_BITS - prefix.lengthBits);
  if (!isV4(prefix.address) || count < SMALLEST_NETWORK) return { first: prefix.address, count };
  return { first: [a, b, c, (d + 1) >>> 0], count: count - 2 };
}

function spanOfRange(text: string): AddressSpan | undefined {
  const [low = '', high = low, ...more] = text.split('-').map((each) => parseAddress(each.trim()) ?? '');
  if (typeof low === 'string' || typeof high === 'string' || more.length > 0) return undefined;
  if (low[0] !== high[0] || low[1] !== high[1] || low[2] !== high[2]) return undefined;
  const count = (high[3] >>> 0) - (low[3] >>> 0) + 1;
  return count > 0 ? { first: low, count } : undefined;
}
