/**
 * VXLAN header (RFC 7348 section 5): between the outer UDP header and the inner Ethernet frame.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------------------------------------------------------+
 *   |R|R|R|R|I|R|R|R|                   reserved                    |
 *   |               VXLAN network identifier        |   reserved    |
 *   +---------------------------------------------------------------+
 */
import { setU32, u32 } from './bytes.ts';

export const HEADER_BYTES = 8;
export const PORT = 4789;

const FLAGS = 0;
const VNI = 4;
const FLAG_I = 0x08;

/** Whether a whole header lies between `o` and `end`. */
export function check(_b: Uint8Array, o: number, end: number): boolean {
  return end - o >= HEADER_BYTES;
}

/** Whether the VNI is valid; reserved bits are ignored on receipt, as the RFC demands. */
export function flagsValid(b: Uint8Array, o: number): boolean {
  return (b[o + FLAGS] & FLAG_I) !== 0;
}

/** 24 bits. */
export function vni(b: Uint8Array, o: number): number {
  return u32(b, o + VNI) >>> 8;
}

export function writeHeader(b: Uint8Array, o: number, id: number): void {
  setU32(b, o + FLAGS, FLAG_I << 24);
  setU32(b, o + VNI, id << 8);
}
