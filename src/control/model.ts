/**
 * The cluster as the network sees it, out of the objects in force: second stage of the state flow. Every address is
 * parsed once, here; every pod and service has its address; every service has its endpoints. Pure, the same for any
 * order of the objects, and the same on every host that reads them.
 */
import type { Pod } from '../kube/objects.ts';
import type { ObjectSet } from '../kube/objects.ts';
import type { Problem } from '../kube/problem.ts';
import type { Words } from '../wire/address.ts';
import type { Prefix } from '../wire/prefix.ts';

/** What all hosts of a cluster agree on. */
export interface ClusterSettings {
  /** `10.244.0.0/16`. */
  clusterCidr: string;
  /** `10.96.0.0/16`. */
  serviceCidr: string;
  /** `10.96.0.10`. */
  clusterDns: string;
  /** `cluster.local`. */
  clusterDomain: string;
}

export interface ClusterNode {
  name: string;
  /** The first InternalIP: the underlay address, the outer address of the overlay. */
  address: Words;
  /** All InternalIPs. */
  addresses: readonly Words[];
  podCidr: Prefix;
  /** First address of podCidr, host-order uint32: the pods' gateway. */
  gateway4: number;
  /** Network address of podCidr, host-order uint32: the VTEP's, as flannel has it. */
  vtepAddress4: number;
  /** The VTEP's MAC, 6 bytes; absent where it is to be learned (`weft.dev/vtep-mac: learn`). */
  mac?: Uint8Array;
}

export interface ClusterPod {
  namespace: string;
  name: string;
  nodeName: string;
  address: Words;
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
  /** Virtual addresses, allocated ones too; empty for headless and ExternalName services. */
  clusterIps: readonly Words[];
  /** clusterIP None. */
  headless: boolean;
  externalName?: string;
  ports: readonly ClusterServicePort[];
  /** Who stands behind the service, one entry per address, in address order; ready ones only unless it publishes all. */
  endpoints: readonly ClusterEndpoint[];
}

export interface ClusterServicePort {
  /** '' where the port has no name. */
  name: string;
  protocol: 'TCP' | 'UDP';
  port: number;
  /** Targets of this port, in (address, port) order. */
  targets: readonly PortTarget[];
}

export interface PortTarget {
  address: Words;
  port: number;
}

export interface ClusterEndpoint {
  address: Words;
  /** The name under which DNS knows this endpoint of a headless service, where it has one. */
  hostname?: string;
  nodeName?: string;
  /** `namespace/name` of the pod, where the endpoint is one. */
  pod?: string;
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

export function buildModel(_objects: ObjectSet, _settings: ClusterSettings): ClusterModel {
  throw new Error('model is being written');
}
