/**
 * IPv6 header (RFC 8200 section 3), extension headers not included.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------------------------------------------------------+
 *   |Version| traffic class |              flow label               |
 *   |        payload length         |  next header  |   hop limit   |
 *   |                   source address, 16 bytes                    |
 *   |                 destination address, 16 bytes                 |
 *   +---------------------------------------------------------------+
 *
 * Addresses are read and written a word (0 to 3, big-endian uint32) at a time.
 */
import { i32, setU16, setU32, u16, u32 } from './bytes.ts';

export const HEADER_BYTES = 40;

const PAYLOAD_BYTES = 4;
const NEXT_HEADER = 6;
const HOP_LIMIT = 7;
const SOURCE = 8;
const DESTINATION = 24;
const VERSION = 0x60000000;

/** Version 6, and a header and payload that lie between `o` and `end`. */
export function check(b: Uint8Array, o: number, end: number): boolean {
  return end - o >= HEADER_BYTES && b[o] >>> 4 === 6 && payloadBytes(b, o) <= end - o - HEADER_BYTES;
}

export function trafficClass(b: Uint8Array, o: number): number {
  return (u16(b, o) >>> 4) & 0xff;
}

/** What follows the header, extension headers included. */
export function payloadBytes(b: Uint8Array, o: number): number {
  return u16(b, o + PAYLOAD_BYTES);
}

export function nextHeader(b: Uint8Array, o: number): number {
  return b[o + NEXT_HEADER];
}

export function hopLimit(b: Uint8Array, o: number): number {
  return b[o + HOP_LIMIT];
}

export function sourceWord(b: Uint8Array, o: number, i: number): number {
  return u32(b, o + SOURCE + 4 * i);
}

export function destinationWord(b: Uint8Array, o: number, i: number): number {
  return u32(b, o + DESTINATION + 4 * i);
}

/** A word of the source as a signed number, for arrays of such. */
export function sourceInt(b: Uint8Array, o: number, i: number): number {
  return i32(b, o + SOURCE + 4 * i);
}

/** A word of the destination as a signed number, for arrays of such. */
export function destinationInt(b: Uint8Array, o: number, i: number): number {
  return i32(b, o + DESTINATION + 4 * i);
}

export function setPayloadBytes(b: Uint8Array, o: number, bytes: number): void {
  setU16(b, o + PAYLOAD_BYTES, bytes);
}

export function setHopLimit(b: Uint8Array, o: number, hops: number): void {
  b[o + HOP_LIMIT] = hops;
}

export function setSourceWord(b: Uint8Array, o: number, i: number, word: number): void {
  setU32(b, o + SOURCE + 4 * i, word);
}

export function setDestinationWord(b: Uint8Array, o: number, i: number, word: number): void {
  setU32(b, o + DESTINATION + 4 * i, word);
}

/** The whole source, as words. */
export function setSource(b: Uint8Array, o: number, w0: number, w1: number, w2: number, w3: number): void {
  setU32(b, o + SOURCE, w0);
  setU32(b, o + SOURCE + 4, w1);
  setU32(b, o + SOURCE + 8, w2);
  setU32(b, o + SOURCE + 12, w3);
}

/** The whole destination, as words. */
export function setDestination(b: Uint8Array, o: number, w0: number, w1: number, w2: number, w3: number): void {
  setU32(b, o + DESTINATION, w0);
  setU32(b, o + DESTINATION + 4, w1);
  setU32(b, o + DESTINATION + 8, w2);
  setU32(b, o + DESTINATION + 12, w3);
}

/** Traffic class and flow label 0, without addresses: those are set word by word. */
export function writePlainHeader(b: Uint8Array, o: number, payload: number, next: number, hops: number): void {
  setU32(b, o, VERSION);
  setU16(b, o + PAYLOAD_BYTES, payload);
  b[o + NEXT_HEADER] = next;
  b[o + HOP_LIMIT] = hops;
}

/** The same with its addresses, 4 words each: tests and slow paths. */
export function writeHeader(
  b: Uint8Array,
  o: number,
  payload: number,
  next: number,
  hops: number,
  from: readonly [number, number, number, number],
  to: readonly [number, number, number, number],
): void {
  writePlainHeader(b, o, payload, next, hops);
  for (let i = 0; i < 4; i++) {
    setSourceWord(b, o, i, from[i]);
    setDestinationWord(b, o, i, to[i]);
  }
}
