/**
 * IPv6 extension headers (RFC 8200 section 4): what stands between the IPv6 header and the one that is of interest.
 * Parse walks them once; the quotes in ICMPv6 errors are walked the same way.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------------------------------------------------------+
 *   |  next header  | length, 8 bytes less 1 |  options ...          |   hop-by-hop, destination options
 *   |  next header  | length        | routing type  | segments left |   routing
 *   |  next header  |   reserved    |      fragment offset    |res|M|   fragment, followed by
 *   |                        identification                         |   32 bits
 *   +---------------------------------------------------------------+
 *
 * Authentication, encryption, mobility and what else there is are taken for what the packet carries: nothing here looks
 * behind them.
 */
import { setU32, u16, u32 } from './bytes.ts';
import * as ipv6 from './ipv6.ts';

export const NEXT = { hopByHop: 0, routing: 43, fragment: 44, destinationOptions: 60 } as const;
export const FRAGMENT_BYTES = 8;

/** What `walk` returns instead of a place. */
export const WALK = { malformed: -1, routed: -2 } as const;

/** More headers than any sender has reason to put there. */
const MOST_HEADERS = 8;
const IDENTIFICATION = 4;
const SEGMENTS_LEFT = 3;
const ROUTING_TYPE = 2;

/**
 * From the IPv6 header at `o` to the first header that is no extension, or to a fragment header: (bytes from `o`) << 8 |
 * its number. WALK.malformed where the headers end behind `end`, are too many, or hop-by-hop options do not come first;
 * WALK.routed for a source route that is not at its end, or of the kind that may not be used (RFC 5095).
 */
export function walk(b: Uint8Array, o: number, end: number): number {
  return walkFrom(b, o, end, ipv6.HEADER_BYTES, ipv6.nextHeader(b, o));
}

/** The same from the header with number `next` that stands `bytes` behind `o`: behind a fragment header. */
export function walkFrom(b: Uint8Array, o: number, end: number, bytes: number, next: number): number {
  let at = bytes;
  let number = next;
  for (let headers = 0; headers < MOST_HEADERS; headers++) {
    if (number === NEXT.hopByHop) {
      if (at !== ipv6.HEADER_BYTES) return WALK.malformed;
    } else if (number !== NEXT.routing && number !== NEXT.destinationOptions) {
      return (at << 8) | number;
    }
    const header = o + at;
    if (end - header < 8) return WALK.malformed;
    const length = (b[header + 1] + 1) * 8;
    if (end - header < length) return WALK.malformed;
    if (number === NEXT.routing && (b[header + ROUTING_TYPE] === 0 || b[header + SEGMENTS_LEFT] !== 0)) {
      return WALK.routed;
    }
    number = b[header];
    at += length;
  }
  return WALK.malformed;
}

/** Whether a fragment header lies between `o` and `end`. */
export function checkFragment(_b: Uint8Array, o: number, end: number): boolean {
  return end - o >= FRAGMENT_BYTES;
}

/** Of a fragment header, as the accessors below. */
export function fragmentNextHeader(b: Uint8Array, o: number): number {
  return b[o];
}

/** Where the fragment's payload stands in the whole, in bytes. */
export function fragmentOffsetBytes(b: Uint8Array, o: number): number {
  return u16(b, o + 2) & 0xfff8;
}

export function moreFragments(b: Uint8Array, o: number): boolean {
  return (b[o + 3] & 1) !== 0;
}

export function setIdentification(b: Uint8Array, o: number, id: number): void {
  setU32(b, o + IDENTIFICATION, id);
}

export function identification(b: Uint8Array, o: number): number {
  return u32(b, o + IDENTIFICATION);
}
