/**
 * Ethernet II header (IEEE 802.3 clause 3): in Weft only inside VXLAN, and outside it with tunnel GSO.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------------------------------------------------------+
 *   |                  destination MAC, first 4 bytes               |
 *   |    destination, last 2        |      source, first 2          |
 *   |                     source MAC, last 4 bytes                  |
 *   |           EtherType           |  payload ...
 *   +-------------------------------+
 *
 * A MAC is two numbers: `high` its first 2 bytes, `low` its last 4 as a uint32.
 */
import { setU16, setU32, u16, u32 } from './bytes.ts';

export const HEADER_BYTES = 14;
export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;
/** The broadcast address as high and low. */
export const BROADCAST_HIGH = 0xffff;
export const BROADCAST_LOW = 0xffffffff;

const DESTINATION = 0;
const SOURCE = 6;
const ETHER_TYPE = 12;

/** Whether a whole header lies between `o` and `end`. */
export function check(_b: Uint8Array, o: number, end: number): boolean {
  return end - o >= HEADER_BYTES;
}

export function destinationHigh(b: Uint8Array, o: number): number {
  return u16(b, o + DESTINATION);
}

export function destinationLow(b: Uint8Array, o: number): number {
  return u32(b, o + DESTINATION + 2);
}

export function sourceHigh(b: Uint8Array, o: number): number {
  return u16(b, o + SOURCE);
}

export function sourceLow(b: Uint8Array, o: number): number {
  return u32(b, o + SOURCE + 2);
}

export function etherType(b: Uint8Array, o: number): number {
  return u16(b, o + ETHER_TYPE);
}

/** Broadcast or multicast: the group bit of the destination is set. */
export function isGroup(b: Uint8Array, o: number): boolean {
  return (b[o] & 1) !== 0;
}

export function setDestination(b: Uint8Array, o: number, high: number, low: number): void {
  setU16(b, o + DESTINATION, high);
  setU32(b, o + DESTINATION + 2, low);
}

export function setSource(b: Uint8Array, o: number, high: number, low: number): void {
  setU16(b, o + SOURCE, high);
  setU32(b, o + SOURCE + 2, low);
}

export function setEtherType(b: Uint8Array, o: number, type: number): void {
  setU16(b, o + ETHER_TYPE, type);
}

export function writeHeader(
  b: Uint8Array,
  o: number,
  dstHigh: number,
  dstLow: number,
  srcHigh: number,
  srcLow: number,
  type: number,
): void {
  setDestination(b, o, dstHigh, dstLow);
  setSource(b, o, srcHigh, srcLow);
  setEtherType(b, o, type);
}
