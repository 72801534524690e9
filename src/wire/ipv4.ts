/**
 * IPv4 header (RFC 791 section 3.1; flags and fragments by RFC 6864).
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------------------------------------------------------+
 *   |Version|  IHL  |      TOS      |         total length          |
 *   |        identification         |0|D|M|    fragment offset      |
 *   |      TTL      |   protocol    |        header checksum        |
 *   |                         source address                        |
 *   |                      destination address                      |
 *   |                 options, (IHL - 5) * 4 bytes                  |
 *   +---------------------------------------------------------------+
 *
 * Addresses are host-order uint32; lengths and the fragment's offset are bytes.
 */
import { i32, setU16, setU32, u16, u32 } from './bytes.ts';
import { adjust16, finish, fold, sum } from './checksum.ts';

/** Without options. */
export const HEADER_BYTES = 20;
export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
export const DEFAULT_TTL = 64;

const TOS = 1;
const TOTAL_BYTES = 2;
const IDENTIFICATION = 4;
const FRAGMENT = 6;
const TTL = 8;
const PROTOCOL_AT = 9;
const CHECKSUM = 10;
const SOURCE = 12;
const DESTINATION = 16;

const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;
const OFFSET_MASK = 0x1fff;
const VERSION_AND_IHL = 0x45;

/** Version 4, and header and total length that fit each other and lie between `o` and `end`. */
export function check(b: Uint8Array, o: number, end: number): boolean {
  if (end - o < HEADER_BYTES || b[o] >>> 4 !== 4) return false;
  const header = headerBytes(b, o);
  const total = totalBytes(b, o);
  return header >= HEADER_BYTES && total >= header && total <= end - o;
}

/** With options. */
export function headerBytes(b: Uint8Array, o: number): number {
  return (b[o] & 15) * 4;
}

export function hasOptions(b: Uint8Array, o: number): boolean {
  return (b[o] & 15) > 5;
}

export function tos(b: Uint8Array, o: number): number {
  return b[o + TOS];
}

/** Of header and payload. */
export function totalBytes(b: Uint8Array, o: number): number {
  return u16(b, o + TOTAL_BYTES);
}

export function identification(b: Uint8Array, o: number): number {
  return u16(b, o + IDENTIFICATION);
}

export function dontFragment(b: Uint8Array, o: number): boolean {
  return (u16(b, o + FRAGMENT) & DONT_FRAGMENT) !== 0;
}

export function moreFragments(b: Uint8Array, o: number): boolean {
  return (u16(b, o + FRAGMENT) & MORE_FRAGMENTS) !== 0;
}

/** Where this fragment's payload stands in the whole, in bytes; the field counts blocks of 8. */
export function fragmentOffsetBytes(b: Uint8Array, o: number): number {
  return (u16(b, o + FRAGMENT) & OFFSET_MASK) * 8;
}

/** Any fragment, the first one included. */
export function isFragment(b: Uint8Array, o: number): boolean {
  return (u16(b, o + FRAGMENT) & (MORE_FRAGMENTS | OFFSET_MASK)) !== 0;
}

export function ttl(b: Uint8Array, o: number): number {
  return b[o + TTL];
}

export function protocol(b: Uint8Array, o: number): number {
  return b[o + PROTOCOL_AT];
}

export function headerChecksum(b: Uint8Array, o: number): number {
  return u16(b, o + CHECKSUM);
}

export function source(b: Uint8Array, o: number): number {
  return u32(b, o + SOURCE);
}

export function destination(b: Uint8Array, o: number): number {
  return u32(b, o + DESTINATION);
}

/** The source as a signed number, for arrays of such. */
export function sourceInt(b: Uint8Array, o: number): number {
  return i32(b, o + SOURCE);
}

/** The destination as a signed number, for arrays of such. */
export function destinationInt(b: Uint8Array, o: number): number {
  return i32(b, o + DESTINATION);
}

/** Whether the header's checksum is right. */
export function checksumValid(b: Uint8Array, o: number): boolean {
  if (hasOptions(b, o)) return fold(sum(b, o, headerBytes(b, o))) === 0xffff;
  // Nearly every packet, without a loop for half of its cost. Of ten words the carry is below 10: once is enough.
  const s =
    u16(b, o) +
    u16(b, o + TOTAL_BYTES) +
    u16(b, o + IDENTIFICATION) +
    u16(b, o + FRAGMENT) +
    u16(b, o + TTL) +
    u16(b, o + CHECKSUM) +
    u16(b, o + SOURCE) +
    u16(b, o + SOURCE + 2) +
    u16(b, o + DESTINATION) +
    u16(b, o + DESTINATION + 2);
  return (s & 0xffff) + (s >>> 16) === 0xffff;
}

// Setters store and leave the header's checksum to the caller, unless they say otherwise.

export function setTotalBytes(b: Uint8Array, o: number, bytes: number): void {
  setU16(b, o + TOTAL_BYTES, bytes);
}

export function setIdentification(b: Uint8Array, o: number, id: number): void {
  setU16(b, o + IDENTIFICATION, id);
}

/** The offset is a multiple of 8. */
export function setFragmentField(b: Uint8Array, o: number, dont: boolean, more: boolean, offsetBytes: number): void {
  setU16(b, o + FRAGMENT, (dont ? DONT_FRAGMENT : 0) | (more ? MORE_FRAGMENTS : 0) | (offsetBytes >>> 3));
}

export function setTtl(b: Uint8Array, o: number, hops: number): void {
  b[o + TTL] = hops;
}

export function setHeaderChecksum(b: Uint8Array, o: number, check16: number): void {
  setU16(b, o + CHECKSUM, check16);
}

export function setSource(b: Uint8Array, o: number, address: number): void {
  setU32(b, o + SOURCE, address);
}

export function setDestination(b: Uint8Array, o: number, address: number): void {
  setU32(b, o + DESTINATION, address);
}

/** Takes one hop off, checksum included. The TTL is at least 1. */
export function decrementTtl(b: Uint8Array, o: number): void {
  const word = u16(b, o + TTL);
  setU16(b, o + CHECKSUM, adjust16(u16(b, o + CHECKSUM), word, word - 0x100));
  b[o + TTL]--;
}

/** Stores another identification, checksum included. */
export function adjustIdentification(b: Uint8Array, o: number, id: number): void {
  setU16(b, o + CHECKSUM, adjust16(u16(b, o + CHECKSUM), identification(b, o), id));
  setIdentification(b, o, id);
}

/** Computes the header's checksum anew. */
export function fillChecksum(b: Uint8Array, o: number): void {
  setU16(b, o + CHECKSUM, 0);
  setU16(b, o + CHECKSUM, finish(sum(b, o, headerBytes(b, o))));
}

export interface HeaderFields {
  totalBytes: number;
  protocol: number;
  /** Host-order. */
  source: number;
  /** Host-order. */
  destination: number;
  /** 64 by default. */
  ttl?: number;
  tos?: number;
  identification?: number;
  dontFragment?: boolean;
}

/** A header without options and with its checksum, from named fields: tests and slow paths. */
export function writeHeader(b: Uint8Array, o: number, h: HeaderFields): void {
  writePlainHeader(b, o, h.totalBytes, h.protocol, h.source, h.destination, h.ttl ?? DEFAULT_TTL);
  b[o + TOS] = h.tos ?? 0;
  setIdentification(b, o, h.identification ?? 0);
  setFragmentField(b, o, h.dontFragment ?? false, false, 0);
  fillChecksum(b, o);
}

/** The same for the packet path: no options, TOS, identification and flags 0, checksum filled. */
export function writePlainHeader(
  b: Uint8Array,
  o: number,
  total: number,
  proto: number,
  from: number,
  to: number,
  hops: number,
): void {
  b[o] = VERSION_AND_IHL;
  b[o + TOS] = 0;
  setU16(b, o + TOTAL_BYTES, total);
  setU32(b, o + IDENTIFICATION, 0);
  b[o + TTL] = hops;
  b[o + PROTOCOL_AT] = proto;
  setU32(b, o + SOURCE, from);
  setU32(b, o + DESTINATION, to);
  fillChecksum(b, o);
}
