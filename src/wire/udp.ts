/**
 * UDP header (RFC 768).
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------------------------------------------------------+
 *   |          source port          |       destination port        |
 *   |  length, header and payload   |   checksum (0: none, IPv4)    |
 *   +---------------------------------------------------------------+
 */
import { setU16, u16 } from './bytes.ts';

export const HEADER_BYTES = 8;
/** From the header to its checksum field. */
export const CHECKSUM_OFFSET = 6;

const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const LENGTH = 4;

/** A header, and a length that covers it and ends no later than `end`. */
export function check(b: Uint8Array, o: number, end: number): boolean {
  if (end - o < HEADER_BYTES) return false;
  const length = lengthBytes(b, o);
  return length >= HEADER_BYTES && length <= end - o;
}

export function sourcePort(b: Uint8Array, o: number): number {
  return u16(b, o + SOURCE_PORT);
}

export function destinationPort(b: Uint8Array, o: number): number {
  return u16(b, o + DESTINATION_PORT);
}

/** Of header and payload. */
export function lengthBytes(b: Uint8Array, o: number): number {
  return u16(b, o + LENGTH);
}

/** 0: the sender computed none, and none must be made by adjusting it. */
export function checksum(b: Uint8Array, o: number): number {
  return u16(b, o + CHECKSUM_OFFSET);
}

export function setSourcePort(b: Uint8Array, o: number, port: number): void {
  setU16(b, o + SOURCE_PORT, port);
}

export function setDestinationPort(b: Uint8Array, o: number, port: number): void {
  setU16(b, o + DESTINATION_PORT, port);
}

export function setLengthBytes(b: Uint8Array, o: number, bytes: number): void {
  setU16(b, o + LENGTH, bytes);
}

/** Stores as given: 0 means none. */
export function setChecksum(b: Uint8Array, o: number, check16: number): void {
  setU16(b, o + CHECKSUM_OFFSET, check16);
}

/** Stores a computed checksum, which is sent as 0xffff when it comes out as 0. */
export function setComputedChecksum(b: Uint8Array, o: number, check16: number): void {
  setU16(b, o + CHECKSUM_OFFSET, check16 === 0 ? 0xffff : check16);
}

/** With checksum 0. */
export function writeHeader(b: Uint8Array, o: number, fromPort: number, toPort: number, length: number): void {
  setU16(b, o + SOURCE_PORT, fromPort);
  setU16(b, o + DESTINATION_PORT, toPort);
  setU16(b, o + LENGTH, length);
  setU16(b, o + CHECKSUM_OFFSET, 0);
}
