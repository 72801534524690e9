/** Remote nodes behind VXLAN tunnels (RFC 7348): each is an adjacency with its VTEP, and a peer that may send to us. */
import { ADJACENCY_KIND } from '../tables/adjacency.ts';
import { wordsFrom4 } from '../wire/address.ts';
import type { OverlayBackend } from './overlay-backend.ts';

export const vxlanBackend: OverlayBackend = {
  name: 'vxlan',
  remote: (node, options) => ({
    adjacency: {
      kind: ADJACENCY_KIND.peer,
      port: options.overlayPort,
      mtu: options.podMtu,
      peer: node.address,
      udpPort: options.udpPort,
      vni: options.vni,
      // The VTEP's own address, as flannel has it: a kernel at the other end answers ARP for it.
      nextHop: wordsFrom4(node.vtepAddress4),
      ...(node.mac ? { mac: node.mac } : {}),
    },
    isPeer: true,
  }),
};
