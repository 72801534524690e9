/**
 * ARP for IPv4 over Ethernet (RFC 826): how a kernel VXLAN device with learned neighbours asks for our VTEP.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------------------------------------------------------+
 *   |      hardware type (1)        |   protocol type (0x0800)      |
 *   | hw length (6) |proto len. (4) |  operation: 1 request 2 reply |
 *   |                  sender MAC, first 4 bytes                    |
 *   |       sender MAC, last 2      |   sender address, first 2     |
 *   |   sender address, last 2      |     target MAC, first 2       |
 *   |                  target MAC, last 4 bytes                     |
 *   |                       target address                          |
 *   +---------------------------------------------------------------+
 */
import { setU16, setU32, u16, u32 } from './bytes.ts';

export const PACKET_BYTES = 28;
export const OPERATION = { request: 1, reply: 2 } as const;

const HARDWARE_ETHERNET = 1;
const PROTOCOL_IPV4 = 0x0800;
/** Hardware length 6, protocol length 4. */
const LENGTHS = 0x0604;

const HARDWARE_TYPE = 0;
const PROTOCOL_TYPE = 2;
const ADDRESS_LENGTHS = 4;
const OPERATION_AT = 6;
const SENDER_MAC = 8;
const SENDER_ADDRESS = 14;
const TARGET_MAC = 18;
const TARGET_ADDRESS = 24;

/** Whether an ARP packet for IPv4 over Ethernet lies between `o` and `end`, whatever its operation. */
export function check(b: Uint8Array, o: number, end: number): boolean {
  return (
    end - o >= PACKET_BYTES &&
    u16(b, o + HARDWARE_TYPE) === HARDWARE_ETHERNET &&
    u16(b, o + PROTOCOL_TYPE) === PROTOCOL_IPV4 &&
    u16(b, o + ADDRESS_LENGTHS) === LENGTHS
  );
}

export function operation(b: Uint8Array, o: number): number {
  return u16(b, o + OPERATION_AT);
}

export function senderHigh(b: Uint8Array, o: number): number {
  return u16(b, o + SENDER_MAC);
}

export function senderLow(b: Uint8Array, o: number): number {
  return u32(b, o + SENDER_MAC + 2);
}

/** Host-order uint32. */
export function senderAddress(b: Uint8Array, o: number): number {
  return u32(b, o + SENDER_ADDRESS);
}

export function targetHigh(b: Uint8Array, o: number): number {
  return u16(b, o + TARGET_MAC);
}

export function targetLow(b: Uint8Array, o: number): number {
  return u32(b, o + TARGET_MAC + 2);
}

/** Host-order uint32. */
export function targetAddress(b: Uint8Array, o: number): number {
  return u32(b, o + TARGET_ADDRESS);
}

/** "Who has targetAddress? Tell senderAddress." */
export function writeRequest(
  b: Uint8Array,
  o: number,
  fromHigh: number,
  fromLow: number,
  fromAddress: number,
  askedAddress: number,
): void {
  writePacket(b, o, OPERATION.request, fromHigh, fromLow, fromAddress, 0, 0, askedAddress);
}

/** "fromAddress is at this MAC", told to the one who asked. */
export function writeReply(
  b: Uint8Array,
  o: number,
  fromHigh: number,
  fromLow: number,
  fromAddress: number,
  toHigh: number,
  toLow: number,
  toAddress: number,
): void {
  writePacket(b, o, OPERATION.reply, fromHigh, fromLow, fromAddress, toHigh, toLow, toAddress);
}

function writePacket(
  b: Uint8Array,
  o: number,
  op: number,
  fromHigh: number,
  fromLow: number,
  fromAddress: number,
  toHigh: number,
  toLow: number,
  toAddress: number,
): void {
  setU16(b, o + HARDWARE_TYPE, HARDWARE_ETHERNET);
  setU16(b, o + PROTOCOL_TYPE, PROTOCOL_IPV4);
  setU16(b, o + ADDRESS_LENGTHS, LENGTHS);
  setU16(b, o + OPERATION_AT, op);
  setU16(b, o + SENDER_MAC, fromHigh);
  setU32(b, o + SENDER_MAC + 2, fromLow);
  setU32(b, o + SENDER_ADDRESS, fromAddress);
  setU16(b, o + TARGET_MAC, toHigh);
  setU32(b, o + TARGET_MAC + 2, toLow);
  setU32(b, o + TARGET_ADDRESS, toAddress);
}
