/**
 * TCP header (RFC 9293 section 3.1).
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------------------------------------------------------+
 *   |          source port          |       destination port        |
 *   |                        sequence number                        |
 *   |                     acknowledgment number                     |
 *   | offset| rsrvd |C E U A P R S F|            window             |
 *   |           checksum            |        urgent pointer         |
 *   |              options, (data offset - 5) * 4 bytes             |
 *   +---------------------------------------------------------------+
 */
import { setU16, setU32, u16, u32 } from './bytes.ts';

/** Without options. */
export const HEADER_BYTES = 20;
/** From the header to its checksum field. */
export const CHECKSUM_OFFSET = 16;

/** Bits of `flags`. */
export const FLAG = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 } as const;

/** Kinds of options; all but the first two have a length byte, which counts both. */
export const OPTION = { end: 0, noOperation: 1, segmentSize: 2, md5: 19, authentication: 29 } as const;

const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const SEQUENCE = 4;
const ACKNOWLEDGMENT = 8;
const DATA_OFFSET = 12;
const FLAGS = 13;
const WINDOW = 14;
const URGENT = 18;

/** A header that covers its 20 bytes and ends no later than `end`. */
export function check(b: Uint8Array, o: number, end: number): boolean {
  if (end - o < HEADER_BYTES) return false;
  const header = dataOffsetBytes(b, o);
  return header >= HEADER_BYTES && header <= end - o;
}

export function sourcePort(b: Uint8Array, o: number): number {
  return u16(b, o + SOURCE_PORT);
}

export function destinationPort(b: Uint8Array, o: number): number {
  return u16(b, o + DESTINATION_PORT);
}

export function seq(b: Uint8Array, o: number): number {
  return u32(b, o + SEQUENCE);
}

export function ack(b: Uint8Array, o: number): number {
  return u32(b, o + ACKNOWLEDGMENT);
}

/** From the header to its payload. */
export function dataOffsetBytes(b: Uint8Array, o: number): number {
  return (b[o + DATA_OFFSET] >>> 4) * 4;
}

export function flags(b: Uint8Array, o: number): number {
  return b[o + FLAGS];
}

/** Unscaled. */
export function window(b: Uint8Array, o: number): number {
  return u16(b, o + WINDOW);
}

export function checksum(b: Uint8Array, o: number): number {
  return u16(b, o + CHECKSUM_OFFSET);
}

/**
 * Where the value of the maximum segment size option stands (RFC 9293 section 3.2), or 0: none, or options that
 * contradict their length before it. The header has passed `check`.
 */
export function segmentSizeAt(b: Uint8Array, o: number): number {
  const at = optionAt(b, o, OPTION.segmentSize);
  return at !== 0 && b[at + 1] === 4 ? at + 2 : 0;
}

/** Whether it has a signature: MD5 (RFC 2385) or an authentication option (RFC 5925). The header has passed `check`. */
export function isSigned(b: Uint8Array, o: number): boolean {
  if (b[o + DATA_OFFSET] >>> 4 === HEADER_BYTES / 4) return false;
  return optionAt(b, o, OPTION.md5) !== 0 || optionAt(b, o, OPTION.authentication) !== 0;
}

/** Where the first option of a kind begins, or 0. */
function optionAt(b: Uint8Array, o: number, wanted: number): number {
  const end = o + dataOffsetBytes(b, o);
  let at = o + HEADER_BYTES;
  while (at < end) {
    const kind = b[at];
    if (kind === OPTION.end) return 0;
    if (kind === OPTION.noOperation) {
      at++;
      continue;
    }
    if (at + 1 >= end) return 0;
    const length = b[at + 1];
    if (length < 2 || at + length > end) return 0;
    if (kind === wanted) return at;
    at += length;
  }
  return 0;
}

export function setSourcePort(b: Uint8Array, o: number, port: number): void {
  setU16(b, o + SOURCE_PORT, port);
}

export function setDestinationPort(b: Uint8Array, o: number, port: number): void {
  setU16(b, o + DESTINATION_PORT, port);
}

export function setSeq(b: Uint8Array, o: number, sequence: number): void {
  setU32(b, o + SEQUENCE, sequence);
}

export function setAck(b: Uint8Array, o: number, acknowledgment: number): void {
  setU32(b, o + ACKNOWLEDGMENT, acknowledgment);
}

export function setFlags(b: Uint8Array, o: number, bits: number): void {
  b[o + FLAGS] = bits;
}

export function setWindow(b: Uint8Array, o: number, bytes: number): void {
  setU16(b, o + WINDOW, bytes);
}

export function setChecksum(b: Uint8Array, o: number, check16: number): void {
  setU16(b, o + CHECKSUM_OFFSET, check16);
}

/** Without options, with checksum and urgent pointer 0. */
export function writeHeader(
  b: Uint8Array,
  o: number,
  fromPort: number,
  toPort: number,
  sequence: number,
  acknowledgment: number,
  bits: number,
  windowBytes: number,
): void {
  setU16(b, o + SOURCE_PORT, fromPort);
  setU16(b, o + DESTINATION_PORT, toPort);
  setU32(b, o + SEQUENCE, sequence);
  setU32(b, o + ACKNOWLEDGMENT, acknowledgment);
  b[o + DATA_OFFSET] = (HEADER_BYTES / 4) << 4;
  b[o + FLAGS] = bits;
  setU16(b, o + WINDOW, windowBytes);
  setU16(b, o + CHECKSUM_OFFSET, 0);
  setU16(b, o + URGENT, 0);
}
