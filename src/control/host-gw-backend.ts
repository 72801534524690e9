/** Remote nodes on the same network, reached without a tunnel: the host's kernel has a plain route to each. */
import { ADJACENCY_KIND } from '../tables/adjacency.ts';
import { formatAddress } from '../wire/address.ts';
import { formatPrefix } from '../wire/prefix.ts';
import type { OverlayBackend } from './overlay-backend.ts';

export const hostGwBackend: OverlayBackend = {
  name: 'host-gw',
  remote: (node, options) => ({
    adjacency: { kind: ADJACENCY_KIND.host, port: options.hostPort, mtu: options.podMtu },
    isPeer: false,
    kernelRoute: { destination: formatPrefix(node.podCidr), via: formatAddress(node.address) },
  }),
};
