/** Remote nodes behind VXLAN tunnels (RFC 7348): each is an adjacency with its VTEP, and a peer that may send to us. */
import { ADJACENCY_KIND } from '../tables/adjacency.ts';
import { isV4, type Words, wordsFrom4 } from '../wire/address.ts';
import { type OverlayBackend, podCidrs, sharedAddress } from './overlay-backend.ts';

/** Outer IPv4 20, or IPv6 40, UDP 8, VXLAN 8, inner Ethernet 14. */
const OVERLAY_BYTES_4 = 50;
const OVERLAY_BYTES_6 = 70;
/** IPv6 needs as much (RFC 8200, 5): below, the outer packets are cut. */
const LEAST_MTU = 1280;

/** What the tunnel puts around a packet, in bytes, by the family of the outer address. */
export function overlayBytes(outer: Words): number {
  return isV4(outer) ? OVERLAY_BYTES_4 : OVERLAY_BYTES_6;
}

export const vxlanBackend: OverlayBackend = {
  name: 'vxlan',
  remote: (node, options) => {
    const outer = sharedAddress(options.self, node);
    if (!outer) return undefined;
    return {
      adjacency: {
        kind: ADJACENCY_KIND.peer,
        port: isV4(outer) ? options.overlayPort : options.overlayPort6,
        // A tunnel in the other family than this host's own takes more off, or less, which its pods make no use of.
        mtu: Math.min(
          options.podMtu - Math.max(0, overlayBytes(outer) - overlayBytes(options.self.address)),
          Math.max(LEAST_MTU, (options.pathMtus?.get(node.name) ?? Infinity) - overlayBytes(outer)),
        ),
        peer: outer,
        udpPort: options.udpPort,
        vni: options.vni,
        // The VTEP's own address, as flannel has it: a kernel at the other end answers ARP for it.
        nextHop: wordsFrom4(node.vtepAddress4),
        ...(node.vtepAddress6 ? { nextHop6: node.vtepAddress6 } : {}),
        ...(node.mac ? { mac: node.mac } : {}),
      },
      isPeer: true,
      prefixes: podCidrs(node),
      kernelRoutes: [],
    };
  },
};
