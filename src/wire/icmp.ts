/**
 * ICMP for IPv4 (RFC 792; unreachable codes RFC 1122 section 3.2.2.1, next-hop MTU RFC 1191 section 4).
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------------------------------------------------------+
 *   |     type      |     code      |           checksum            |
 *   | rest: echo: identifier        |       sequence number         |
 *   |       fragmentation needed: 0 |       next-hop MTU            |
 *   |  echo: data   error: the IP header and at least 8 bytes more  |
 *   +---------------------------------------------------------------+
 */
import { setU16, setU32, u16 } from './bytes.ts';
import { finish, fold, sum } from './checksum.ts';

export const HEADER_BYTES = 8;
/** From the header to its checksum field. */
export const CHECKSUM_OFFSET = 2;

export const TYPE = {
  echoReply: 0,
  destinationUnreachable: 3,
  sourceQuench: 4,
  redirect: 5,
  echoRequest: 8,
  timeExceeded: 11,
  parameterProblem: 12,
} as const;

/** Codes of destinationUnreachable. */
export const UNREACHABLE = {
  network: 0,
  host: 1,
  protocol: 2,
  port: 3,
  fragmentationNeeded: 4,
  sourceRouteFailed: 5,
  networkProhibited: 9,
  hostProhibited: 10,
  /** RFC 1812 section 5.2.7.1. */
  communicationProhibited: 13,
} as const;

/** Codes of timeExceeded. */
export const EXCEEDED = { ttl: 0, reassembly: 1 } as const;

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

/** Of fragmentationNeeded; 0 from routers older than RFC 1191. */
export function nextHopMtu(b: Uint8Array, o: number): number {
  return u16(b, o + REST + 2);
}

/** Where an error quotes the packet that it is about. */
export function quotedOffset(_b: Uint8Array, o: number): number {
  return o + HEADER_BYTES;
}

/** Whether a type quotes a packet: never answered by another error (RFC 1122 section 3.2.2). */
export function isError(t: number): boolean {
  return (
    t === TYPE.destinationUnreachable ||
    t === TYPE.sourceQuench ||
    t === TYPE.redirect ||
    t === TYPE.timeExceeded ||
    t === TYPE.parameterProblem
  );
}

/** Whether the checksum over the message of `lengthBytes` is right. */
export function checksumValid(b: Uint8Array, o: number, lengthBytes: number): boolean {
  return fold(sum(b, o, lengthBytes)) === 0xffff;
}

export function setType(b: Uint8Array, o: number, t: number): void {
  b[o] = t;
}

export function setChecksum(b: Uint8Array, o: number, check16: number): void {
  setU16(b, o + CHECKSUM_OFFSET, check16);
}

export function setIdentifier(b: Uint8Array, o: number, id: number): void {
  setU16(b, o + REST, id);
}

/** Computes the checksum over the message of `lengthBytes` anew. */
export function fillChecksum(b: Uint8Array, o: number, lengthBytes: number): void {
  setU16(b, o + CHECKSUM_OFFSET, 0);
  setU16(b, o + CHECKSUM_OFFSET, finish(sum(b, o, lengthBytes)));
}

/** With checksum 0; `rest` is the 32 bits after it. */
export function writeHeader(b: Uint8Array, o: number, t: number, c: number, rest: number): void {
  b[o] = t;
  b[o + CODE] = c;
  setU16(b, o + CHECKSUM_OFFSET, 0);
  setU32(b, o + REST, rest);
}
