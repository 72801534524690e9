/** ICMP errors as pods' kernels and routers send them. */
import { formatAddress4 } from '../../src/wire/address.ts';
import * as icmp from '../../src/wire/icmp.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import { ipPacket } from './packets.ts';

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
  { rest = 0, quoted = 28 }: ErrorOptions = {},
): Uint8Array {
  const quote = packet.subarray(0, quoted);
  const l4 = new Uint8Array(icmp.HEADER_BYTES + quote.length);
  icmp.writeHeader(l4, 0, type, code, rest);
  l4.set(quote, icmp.HEADER_BYTES);
  icmp.fillChecksum(l4, 0, l4.length);
  return ipPacket({ from, to: formatAddress4(ipv4.source(packet, 0)) }, 1, l4);
}
