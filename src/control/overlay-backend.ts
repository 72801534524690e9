/**
 * How packets reach the pods of another host: the contract that each backend fulfils. Control asks it once per
 * remote node; what it answers goes into the tables (adjacency, route, known peer) or into the host's kernel.
 */
import type { Adjacency } from '../tables/adjacency.ts';
import type { ClusterNode } from './model.ts';

/** A route for the host's own kernel: `ip route replace DESTINATION via VIA`. */
export interface KernelRoute {
  /** `10.244.2.0/24`. */
  destination: string;
  /** `172.31.0.12`. */
  via: string;
}

export interface RemoteNode {
  /** Where packets for the node's pods go. */
  adjacency: Adjacency;
  /** Whether the node's addresses are accepted as VTEPs. */
  isPeer: boolean;
  kernelRoute?: KernelRoute;
}

export interface OverlayOptions {
  podMtu: number;
  vni: number;
  udpPort: number;
  hostPort: number;
  overlayPort: number;
}

export interface OverlayBackend {
  readonly name: 'vxlan' | 'host-gw';
  /** What a node other than this host needs. */
  remote(node: ClusterNode, options: OverlayOptions): RemoteNode;
}
