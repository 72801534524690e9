/**
 * The cluster as the network sees it: every address parsed, every pod and service with its address, every service with
 * its endpoints. model-builder.ts makes it out of the objects in force.
 */
import type { Pod } from '../kube/objects.ts';
import type { Problem } from '../kube/problem.ts';
import type { ProxyWish } from '../kube/proxy-mode.ts';
import type { Words } from '../wire/address.ts';
import type { Prefix } from '../wire/prefix.ts';
import type { AddressFamily } from './address-family.ts';

export interface ClusterNode {
  name: string;
  /** The first InternalIP, of either family: the underlay address, the outer address of the overlay. */
  address: Words;
  /** All InternalIPs. */
  addresses: readonly Words[];
  /** The IPv4 one. */
  podCidr: Prefix;
  /** First address of podCidr, host-order uint32: the pods' gateway. */
  gateway4: number;
  /** Network address of podCidr, host-order uint32: the VTEP's, as flannel has it. */
  vtepAddress4: number;
  /** The IPv6 one, where the node has one; with it come the other two, first address and network address of it. */
  podCidr6?: Prefix;
  gateway6?: Words;
  vtepAddress6?: Words;
  /** The VTEP's MAC, 6 bytes; absent where it is to be learned (`weft.dev/vtep-mac: learn`). */
  mac?: Uint8Array;
  /** The VNI it says it uses, where it says so. */
  vni?: number;
  /** False where its status says something else than that it is. */
  ready: boolean;
}

export interface ClusterPod {
  namespace: string;
  name: string;
  nodeName: string;
  /** Its IPv4 address; for a pod in the host's network the node's first, of either family. */
  address: Words;
  /** One of each family that it has; the first is `address`. */
  addresses: readonly Words[];
  hostNetwork: boolean;
  /** spec.hostname, or the pod's name. */
  hostname: string;
  subdomain?: string;
  labels: Readonly<Record<string, string>>;
  /** False when its status says that it is finished or not ready. */
  ready: boolean;
  object: Pod;
}

export interface ClusterService {
  namespace: string;
  name: string;
  type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  families: readonly AddressFamily[];
  /** Virtual addresses, allocated ones too, one of each family; empty for headless and ExternalName services. */
  clusterIps: readonly Words[];
  /** clusterIP None. */
  headless: boolean;
  externalName?: string;
  /** Addresses outside the cluster that somebody leads to its hosts. */
  externalIps: readonly Words[];
  /** Addresses of its own on the hosts' network, allocated ones too. */
  loadBalancerIps: readonly Words[];
  /** Who may come to those from outside; empty: everybody. */
  loadBalancerSources: readonly Prefix[];
  /** Pods and hosts are led to endpoints of their own host alone (internalTrafficPolicy Local). */
  internalLocal: boolean;
  /** So are sources outside the cluster, whose address is kept (externalTrafficPolicy Local). */
  externalLocal: boolean;
  /** Where a load balancer asks a host whether it has endpoints. */
  healthCheckNodePort?: number;
  /** What its annotations say of how it is served; the rest is the agent's to say. */
  proxy: Partial<ProxyWish>;
  /** sessionAffinity ClientIP: for so long a client keeps its endpoint, from its last connection on. */
  affinitySeconds?: number;
  ports: readonly ClusterServicePort[];
  /**
   * Who stands behind the service, one entry per address and hostname, in that order; the
   * ready ones only, unless the service publishes all.
   */
  endpoints: readonly ClusterEndpoint[];
}

export interface ClusterServicePort {
  /** '' where the port has no name. */
  name: string;
  protocol: 'TCP' | 'UDP';
  port: number;
  /** On every host's own addresses. */
  nodePort?: number;
  /** Who takes its new connections, in (address, port) order: those that are ready, else those that still serve. */
  targets: readonly PortTarget[];
  /** Those that still serve while they are ending, where others are ready. */
  standby: readonly PortTarget[];
}

export interface PortTarget {
  address: Words;
  port: number;
  /** The node that it runs on, where that is known. */
  nodeName?: string;
  /** Its share in weighted schedulers; absent: 1. */
  weight?: number;
}

export interface ClusterEndpoint {
  address: Words;
  /** The name under which DNS knows this endpoint of a headless service, where it has one. */
  hostname?: string;
  nodeName?: string;
  /** `namespace/name` of the pod, where the endpoint is one. */
  pod?: string;
  /** Its share in weighted schedulers; absent: 1. */
  weight?: number;
  ports: readonly EndpointPort[];
}

export interface EndpointPort {
  /** Name of the service's port, '' where it has none. */
  name: string;
  protocol: 'TCP' | 'UDP';
  port: number;
}

/** Nodes by name; pods and services by `namespace/name`; all maps in key order. */
export interface ClusterModel {
  nodes: ReadonlyMap<string, ClusterNode>;
  pods: ReadonlyMap<string, ClusterPod>;
  services: ReadonlyMap<string, ClusterService>;
  problems: readonly Problem[];
}
