/**
 * ICMPv6 (RFC 4443 section 2.1). Its checksum covers the IPv6 pseudo-header, unlike ICMP's.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------------------------------------------------------+
 *   |     type      |     code      |           checksum            |
 *   | rest: echo: identifier        |       sequence number         |
 *   |       packet too big: MTU, 32 bits                            |
 *   +---------------------------------------------------------------+
 */
import { setU16, setU32, u16, u32 } from './bytes.ts';
import { finish, fold, pseudoSum6, sum } from './checksum.ts';

export const HEADER_BYTES = 8;
/** From the header to its checksum field. */
export const CHECKSUM_OFFSET = 2;

export const TYPE = {
  destinationUnreachable: 1,
  packetTooBig: 2,
  timeExceeded: 3,
  parameterProblem: 4,
  echoRequest: 128,
  echoReply: 129,
  /** Multicast listener discovery (RFC 2710, RFC 3810). */
  listenerQuery: 130,
  listenerDone: 132,
  /** Neighbour discovery (RFC 4861): these five are consecutive. */
  routerSolicitation: 133,
  neighbourSolicitation: 135,
  neighbourAdvertisement: 136,
  redirect: 137,
  listenerReport2: 143,
} as const;

/** Codes of destinationUnreachable (RFC 4443 section 3.1). */
export const UNREACHABLE = { noRoute: 0, prohibited: 1, address: 3, port: 4 } as const;

/** As a next header. */
const PROTOCOL = 58;
const CODE = 1;
const REST = 4;

/** Whether a whole header lies between `o` and `end`; what an error quotes has its own check. */
export function check(_b: Uint8Array, o: number, end: number): boolean {
  return end - o >= HEADER_BYTES;
}

export function type(b: Uint8Array, o: number): number {
  return b[o];
}

export function code(b: Uint8Array, o: number): number {
  return b[o + CODE];
}

export function checksum(b: Uint8Array, o: number): number {
  return u16(b, o + CHECKSUM_OFFSET);
}

/** Of an echo. */
export function identifier(b: Uint8Array, o: number): number {
  return u16(b, o + REST);
}

/** Of an echo. */
export function sequence(b: Uint8Array, o: number): number {
  return u16(b, o + REST + 2);
}

/** Of packetTooBig. */
export function mtu(b: Uint8Array, o: number): number {
  return u32(b, o + REST);
}

/** Errors have the high bit of their type clear (section 2.1). */
export function isError(t: number): boolean {
  return t < 128;
}

/** Neighbour discovery and multicast listeners: between neighbours only, never forwarded. */
export function isLinkScope(t: number): boolean {
  return (t >= TYPE.listenerQuery && t <= TYPE.redirect) || t === TYPE.listenerReport2;
}

/** Where an error quotes the packet that it is about. */
export function quotedOffset(_b: Uint8Array, o: number): number {
  return o + HEADER_BYTES;
}

/** Whether the checksum over the message of `lengthBytes` at `o` in the packet at `l3` is right. */
export function checksumValid(b: Uint8Array, l3: number, o: number, lengthBytes: number): boolean {
  return fold(sum(b, o, lengthBytes, pseudoSum6(b, l3, PROTOCOL, lengthBytes))) === 0xffff;
}

/** Computes it anew. */
export function fillChecksum(b: Uint8Array, l3: number, o: number, lengthBytes: number): void {
  setU16(b, o + CHECKSUM_OFFSET, 0);
  setU16(b, o + CHECKSUM_OFFSET, finish(sum(b, o, lengthBytes, pseudoSum6(b, l3, PROTOCOL, lengthBytes))));
}

export function setType(b: Uint8Array, o: number, t: number): void {
  b[o] = t;
}

export function setChecksum(b: Uint8Array, o: number, check16: number): void {
  setU16(b, o + CHECKSUM_OFFSET, check16);
}

/** With checksum 0; `rest` is the 32 bits after it. */
export function writeHeader(b: Uint8Array, o: number, t: number, c: number, rest: number): void {
  b[o] = t;
  b[o + CODE] = c;
  setU16(b, o + CHECKSUM_OFFSET, 0);
  setU32(b, o + REST, rest);
}
