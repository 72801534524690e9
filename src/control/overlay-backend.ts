/**
 * How packets reach the pods of another host: the contract that each backend fulfils. Control asks it once per
 * remote node; what it answers goes into the tables (adjacency, route, known peer) or into the host's kernel.
 */
import type { Adjacency } from '../tables/adjacency.ts';
import { isV4, type Words } from '../wire/address.ts';
import type { Prefix } from '../wire/prefix.ts';
import type { ClusterNode } from './model.ts';

/** A route for the host's own kernel: `ip route replace DESTINATION via VIA`. */
export interface KernelRoute {
  /** `10.244.2.0/24`, `fd00:10:244:2::/64`. */
  destination: string;
  /** `172.31.0.12`: of the same family. */
  via: string;
}

export interface RemoteNode {
  /** Where packets for the node's pods go. */
  adjacency: Adjacency;
  /** Whether the node's addresses are accepted as VTEPs. */
  isPeer: boolean;
  /** The podCIDRs that the adjacency leads to. */
  prefixes: readonly Prefix[];
  /** One for each family at most. */
  kernelRoutes: readonly KernelRoute[];
}

export interface OverlayOptions {
  /** This host. */
  self: ClusterNode;
  podMtu: number;
  /** Of the underlay, by node, where it is smaller than pods' packets need. */
  pathMtus?: ReadonlyMap<string, number>;
  vni: number;
  udpPort: number;
  hostPort: number;
  /** The port of the tunnel over IPv4, and of the one over IPv6. */
  overlayPort: number;
  overlayPort6: number;
}

export interface OverlayBackend {
  readonly name: 'vxlan' | 'host-gw';
  /** What a node other than this host needs; undefined where the two share no family on the underlay. */
  remote(node: ClusterNode, options: OverlayOptions): RemoteNode | undefined;
}

/**
 * Where this host reaches another on the underlay: at its first address of the family that this host names first, else
 * at one of the other family that both have.
 */
export function sharedAddress(self: ClusterNode, node: ClusterNode): Words | undefined {
  const first = isV4(self.address);
  const both = self.addresses.some((address) => isV4(address) !== first);
  return (
    node.addresses.find((address) => isV4(address) === first) ??
    (both ? node.addresses.find((address) => isV4(address) !== first) : undefined)
  );
}

/** One of each family that the node has, IPv4 first. */
export function podCidrs(node: ClusterNode): Prefix[] {
  return node.podCidr6 ? [node.podCidr, node.podCidr6] : [node.podCidr];
}
