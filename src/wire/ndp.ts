/**
 * Neighbour discovery for IPv6 (RFC 4861 sections 4.3, 4.4 and 4.6.1): how a kernel VXLAN device asks for our VTEP, and
 * we for its. Carried by ICMPv6; positions count from the ICMPv6 header.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------------------------------------------------------+
 *   | type 135, 136 |    code 0     |           checksum            |
 *   |R|S|O|                    reserved                             |   advertisement: router, solicited, override
 *   |                    target address, 16 bytes                   |
 *   | option 1 or 2 | length 1 (8 B)|      MAC, first 2 bytes       |   1: the sender's, 2: the target's
 *   |                       MAC, last 4 bytes                       |
 *   +---------------------------------------------------------------+
 */
import { setU16, setU32, u16, u32 } from './bytes.ts';
import * as icmpv6 from './icmpv6.ts';

/** With one MAC option. */
export const MESSAGE_BYTES = 32;
/** Anything else has crossed a router, and is not believed (section 7.1). */
export const HOP_LIMIT = 255;

export const OPTION = { sourceMac: 1, targetMac: 2 } as const;
/** Bits of an advertisement's second word. */
export const FLAG = { router: 0x80000000, solicited: 0x40000000, override: 0x20000000 } as const;

const TARGET = 8;
const OPTIONS = 24;
/** Options are counted in units of it. */
const UNIT = 8;
const MOST_OPTIONS = 32;

/** A solicitation or an advertisement whose options lie between `o` and `end` and have a length; target unicast. */
export function check(b: Uint8Array, o: number, end: number): boolean {
  if (end - o < OPTIONS || b[o + TARGET] === 0xff || icmpv6.code(b, o) !== 0) return false;
  let at = o + OPTIONS;
  for (let n = 0; at < end; n++) {
    if (n === MOST_OPTIONS || end - at < UNIT || b[at + 1] === 0) return false;
    at += b[at + 1] * UNIT;
  }
  return at === end;
}

/** Where the MAC of an option of this type stands, or -1. The message is checked. */
export function macAt(b: Uint8Array, o: number, end: number, option: number): number {
  for (let at = o + OPTIONS; at < end; at += b[at + 1] * UNIT) if (b[at] === option) return at + 2;
  return -1;
}

/** Word `i` (0 to 3) of the address that is asked for, or told about. */
export function targetWord(b: Uint8Array, o: number, i: number): number {
  return u32(b, o + TARGET + 4 * i);
}

/** The MAC of an option, as `macAt` found it. */
export function macHigh(b: Uint8Array, at: number): number {
  return u16(b, at);
}

export function macLow(b: Uint8Array, at: number): number {
  return u32(b, at + 2);
}

/** "Who has the target? Tell this MAC." Without its checksum. */
export function writeSolicitation(
  b: Uint8Array,
  o: number,
  t0: number,
  t1: number,
  t2: number,
  t3: number,
  high: number,
  low: number,
): void {
  icmpv6.writeHeader(b, o, icmpv6.TYPE.neighbourSolicitation, 0, 0);
  writeTarget(b, o, t0, t1, t2, t3);
  writeMac(b, o, OPTION.sourceMac, high, low);
}

/** "The target is at this MAC." Without its checksum. */
export function writeAdvertisement(
  b: Uint8Array,
  o: number,
  flags: number,
  t0: number,
  t1: number,
  t2: number,
  t3: number,
  high: number,
  low: number,
): void {
  icmpv6.writeHeader(b, o, icmpv6.TYPE.neighbourAdvertisement, 0, flags);
  writeTarget(b, o, t0, t1, t2, t3);
  writeMac(b, o, OPTION.targetMac, high, low);
}

function writeTarget(b: Uint8Array, o: number, t0: number, t1: number, t2: number, t3: number): void {
  setU32(b, o + TARGET, t0);
  setU32(b, o + TARGET + 4, t1);
  setU32(b, o + TARGET + 8, t2);
  setU32(b, o + TARGET + 12, t3);
}

function writeMac(b: Uint8Array, o: number, option: number, high: number, low: number): void {
  b[o + OPTIONS] = option;
  b[o + OPTIONS + 1] = 1;
  setU16(b, o + OPTIONS + 2, high);
  setU32(b, o + OPTIONS + 4, low);
}
