/**
 * Where LoadBalancer services of a lab get their addresses, unless somebody says otherwise: near the end of the
 * underlay's own networks, where the machine that the lab runs on reaches them and hosts seldom are.
 */
import { formatAddress, formatAddress4, parseAddress, parseAddress4 } from '../wire/address.ts';
import type { Underlay } from './topology.ts';

/** In front of the end of the IPv4 network, and how many. */
const FROM_END = 16;
const COUNT = 10;
const SMALLEST_BITS = 26;
/** In the last 16 bits of IPv6, as hosts have theirs: .240 is ::240. */
const FIRST_6 = 0x240;
const SMALLEST_BITS_6 = 112;

/** As `--load-balancer-pool` takes it; '' where the underlay has no room. */
export function loadBalancerPool({ family, cidr, prefixBits, cidr6 }: Underlay): string {
  const spans: string[] = [];
  if (family !== 'ipv6' && prefixBits <= SMALLEST_BITS) {
    const first = (parseAddress4(cidr.split('/')[0] ?? '') ?? 0) + 2 ** (32 - prefixBits) - FROM_END;
    spans.push(`${formatAddress4(first)}-${formatAddress4(first + COUNT - 1)}`);
  }
  const [network = '', bits] = cidr6?.split('/') ?? [];
  const base = parseAddress(network);
  if (family !== 'ipv4' && base && Number(bits) <= SMALLEST_BITS_6) {
    const at = (offset: number) => formatAddress([base[0], base[1], base[2], (base[3] | (FIRST_6 + offset)) >>> 0]);
    spans.push(`${at(0)}-${at(COUNT - 1)}`);
  }
  return spans.join(',');
}
