/** ICMP errors as pods' kernels and routers send them. */
import * as icmp from '../../src/wire/icmp.ts';
import { icmpPacket, ipBytes, read } from './packets.ts';

/** What an error says beside its type and code: its second word, and how much of the packet it quotes. */
export interface ErrorOptions {
  rest?: number;
  quoted?: number;
}

/** An error from an address about a packet that arrived there, sent to the packet's source. */
export function icmpErrorAbout(
  packet: Uint8Array,
  from: string,
  type: number,
  code: number,
  { rest = 0, quoted = ipBytes() + 8 }: ErrorOptions = {},
): Uint8Array {
  const quote = packet.subarray(0, quoted);
  const l4 = new Uint8Array(icmp.HEADER_BYTES + quote.length);
  icmp.writeHeader(l4, 0, type, code, rest);
  l4.set(quote, icmp.HEADER_BYTES);
  return icmpPacket({ from, to: read(packet).from }, l4);
}
