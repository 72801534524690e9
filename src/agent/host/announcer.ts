/**
 * Tells the hosts' network where an address is now, when this host begins to answer for it: an ARP announcement
 * (RFC 5227 section 3), an unsolicited neighbour advertisement (RFC 4861 section 7.2.6). Without them neighbours would
 * go on sending to the host that had the address before, for as long as they remember it.
 */
import { networkInterfaces } from 'node:os';
import type { NativeAddon } from '../../io/native-addon.ts';
import { isV4, parseMac, type Words, word4 } from '../../wire/address.ts';
import * as arp from '../../wire/arp.ts';
import { u16, u32 } from '../../wire/bytes.ts';
import * as ethernet from '../../wire/ethernet.ts';
import * as icmpv6 from '../../wire/icmpv6.ts';
import { PROTOCOL } from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as ndp from '../../wire/ndp.ts';

/** RFC 5227: ANNOUNCE_NUM 2, ANNOUNCE_INTERVAL 2 seconds; one more, for the first comes while a link may be rising. */
const TIMES = 3;
const INTERVAL_MS = 2000;
/** The shortest payload that Ethernet has. */
const FRAME_BYTES = 60;
/** All nodes of the link, ff02::1, and its MAC (RFC 2464 section 7). */
const ALL_NODES: Words = [0xff020000, 0, 0, 1];
const ALL_NODES_HIGH = 0x3333;
const ALL_NODES_LOW = 1;

/** The frame that says so of one address. `mac`: 6 bytes, this host's. */
export function announcement(address: Words, mac: Uint8Array): Uint8Array {
  const [high, low] = [u16(mac, 0), u32(mac, 2)];
  if (isV4(address)) {
    const frame = new Uint8Array(FRAME_BYTES);
    ethernet.writeHeader(frame, 0, ethernet.BROADCAST_HIGH, ethernet.BROADCAST_LOW, high, low, ethernet.ETHERTYPE.arp);
    arp.writeRequest(frame, ethernet.HEADER_BYTES, high, low, word4(address), word4(address));
    return frame;
  }
  const l3 = ethernet.HEADER_BYTES;
  const l4 = l3 + ipv6.HEADER_BYTES;
  const frame = new Uint8Array(l4 + ndp.MESSAGE_BYTES);
  ethernet.writeHeader(frame, 0, ALL_NODES_HIGH, ALL_NODES_LOW, high, low, ethernet.ETHERTYPE.ipv6);
  ipv6.writeHeader(frame, l3, ndp.MESSAGE_BYTES, PROTOCOL.icmpv6, ndp.HOP_LIMIT, address, ALL_NODES);
  ndp.writeAdvertisement(frame, l4, ndp.FLAG.override, address[0], address[1], address[2], address[3], high, low);
  icmpv6.fillChecksum(frame, l3, l4, ndp.MESSAGE_BYTES);
  return frame;
}

export class Announcer {
  readonly #native: Pick<NativeAddon, 'sendFrame'>;
  readonly #macOf: (device: string) => Uint8Array | undefined;

  constructor(native: Pick<NativeAddon, 'sendFrame'>, macOf = deviceMac) {
    this.#native = native;
    this.#macOf = macOf;
  }

  /** At once and twice again, those that `isOurs` then still. A device without a MAC has no neighbours to tell. */
  announce(
    device: string,
    addresses: readonly Words[],
    isOurs: (address: Words) => boolean = () => true,
    times = TIMES,
  ): void {
    const mac = this.#macOf(device);
    if (!mac || addresses.length === 0) return;
    for (const address of addresses) {
      try {
        this.#native.sendFrame(device, announcement(address, mac));
      } catch {
        // The device has gone or is down: who asks for the address is answered all the same.
        return;
      }
    }
    if (times === 1) return;
    setTimeout(() => this.announce(device, addresses.filter(isOurs), isOurs, times - 1), INTERVAL_MS).unref();
  }
}

/** Asked of the kernel, not of /sys, which may be another network namespace's. */
function deviceMac(device: string): Uint8Array | undefined {
  const mac = parseMac(networkInterfaces()[device]?.[0]?.mac ?? '');
  return mac?.some((byte) => byte !== 0) ? mac : undefined;
}
