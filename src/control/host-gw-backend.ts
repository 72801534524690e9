/**
 * Remote nodes on the same network, reached without a tunnel: the host's kernel has a plain route to each, one for each
 * family that the pods there have. A route leads over a neighbour of its own family, so that a family which the two
 * nodes do not share on the underlay is not carried.
 */
import { ADJACENCY_KIND } from '../tables/adjacency.ts';
import { formatAddress, isV4 } from '../wire/address.ts';
import { formatPrefix, type Prefix } from '../wire/prefix.ts';
import { type KernelRoute, type OverlayBackend, podCidrs } from './overlay-backend.ts';

export const hostGwBackend: OverlayBackend = {
  name: 'host-gw',
  remote: (node, options) => {
    const prefixes: Prefix[] = [];
    const kernelRoutes: KernelRoute[] = [];
    for (const prefix of podCidrs(node)) {
      const v4 = isV4(prefix.address);
      const own = options.self.addresses.some((address) => isV4(address) === v4);
      const via = node.addresses.find((address) => isV4(address) === v4);
      if (!own || !via) continue;
      prefixes.push(prefix);
      kernelRoutes.push({ destination: formatPrefix(prefix), via: formatAddress(via) });
    }
    if (prefixes.length === 0) return undefined;
    return {
      adjacency: { kind: ADJACENCY_KIND.host, port: options.hostPort, mtu: options.podMtu },
      isPeer: false,
      prefixes,
      kernelRoutes,
    };
  },
};
