/**
 * DNS message header and question (RFC 1035 section 4.1), as far as the packet path reads and writes them: one question,
 * its name without compression. The whole of messages is read in src/dns.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------------------------------------------------------+
 *   |              id               |Q| opcode|A|T|R|R|Z|A|C| rcode |
 *   |           questions           |            answers            |
 *   |          authorities          |          additionals          |
 *   |  name: length and label, ..., 0;  type, 16 bits;  class, 16   |
 *   +---------------------------------------------------------------+
 */
import { setU16, u16 } from './bytes.ts';

export const HEADER_BYTES = 12;
/** Type and class behind a question's name. */
export const TYPE_AND_CLASS_BYTES = 4;
export const CLASS_IN = 1;
/** UDP and TCP. */
export const PORT = 53;

export const FLAG = {
  response: 0x8000,
  opcode: 0x7800,
  authoritative: 0x0400,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
  checkingDisabled: 0x0010,
} as const;

/** An OPT record without options (RFC 6891 section 6.1.2): root, type 41, size, extended rcode, version, flags, 0. */
export const OPT_BYTES = 11;
/** The DO bit of its flags. */
export const DNSSEC_OK = 0x8000;

const FLAGS = 2;
const QUESTIONS = 4;
const ANSWERS = 6;
const AUTHORITIES = 8;
const ADDITIONALS = 10;
const LABEL_BYTES = 63;
const NAME_BYTES = 255;
const TYPE_OPT = 41;

/** Every octet in lower case (RFC 4343): ASCII letters alone change. Lengths of labels lie below the letters. */
export const LOWER = Uint8Array.from({ length: 256 }, (_, octet) =>
  octet >= 0x41 && octet <= 0x5a ? octet + 32 : octet,
);

/** A header lies between `o` and `end`. */
export function check(o: number, end: number): boolean {
  return end - o >= HEADER_BYTES;
}

/** A query (no response, opcode 0) of one question, with nothing else but perhaps one additional record. */
export function isPlainQuery(b: Uint8Array, o: number): boolean {
  return (
    (u16(b, o + FLAGS) & (FLAG.response | FLAG.opcode)) === 0 &&
    u16(b, o + QUESTIONS) === 1 &&
    u16(b, o + ANSWERS) === 0 &&
    u16(b, o + AUTHORITIES) === 0 &&
    u16(b, o + ADDITIONALS) <= 1
  );
}

export function flags(b: Uint8Array, o: number): number {
  return u16(b, o + FLAGS);
}

export function additionals(b: Uint8Array, o: number): number {
  return u16(b, o + ADDITIONALS);
}

/** Offset behind the name at `o`, or -1: cut short at `end`, longer than 255 octets, or compressed. */
export function nameEnd(b: Uint8Array, o: number, end: number): number {
  let at = o;
  while (at < end) {
    const length = b[at];
    if (length > LABEL_BYTES || at + 1 + length - o > NAME_BYTES) return -1;
    at += 1 + length;
    if (length === 0) return at;
  }
  return -1;
}

/** Exactly an OPT record of EDNS version 0 without options stands between `o` and `end`. */
export function isPlainOpt(b: Uint8Array, o: number, end: number): boolean {
  return end - o === OPT_BYTES && b[o] === 0 && u16(b, o + 1) === TYPE_OPT && b[o + 6] === 0 && u16(b, o + 9) === 0;
}

/** What the asker takes in one datagram. Precondition: isPlainOpt. */
export function optUdpBytes(b: Uint8Array, o: number): number {
  return u16(b, o + 3);
}

export function optFlags(b: Uint8Array, o: number): number {
  return u16(b, o + 7);
}

export function writeOpt(b: Uint8Array, o: number, udpBytes: number, optionFlags: number): void {
  b[o] = 0;
  setU16(b, o + 1, TYPE_OPT);
  setU16(b, o + 3, udpBytes);
  setU16(b, o + 5, 0);
  setU16(b, o + 7, optionFlags);
  setU16(b, o + 9, 0);
}

/** All but the id, which is left as it is; one question. */
export function writeHeader(
  b: Uint8Array,
  o: number,
  flagBits: number,
  answers: number,
  authorities: number,
  additional: number,
): void {
  setU16(b, o + FLAGS, flagBits);
  setU16(b, o + QUESTIONS, 1);
  setU16(b, o + ANSWERS, answers);
  setU16(b, o + AUTHORITIES, authorities);
  setU16(b, o + ADDITIONALS, additional);
}
