/**
 * What DNS has to know of a cluster, taken from the model that control builds: third stage of the state flow, beside
 * the tables. Pure. The server indexes one ClusterRecords once, by identity: make a new one per model, not per query.
 */
import type { PodDNSConfig } from 'kubernetes-types/core/v1.js';
import type { ClusterModel, ClusterPod } from '../control/model.ts';
import type { Words } from '../wire/address.ts';
import type { Prefix } from '../wire/prefix.ts';

export interface ClusterRecords {
  /** Namespaces that hold anything. */
  readonly namespaces: readonly string[];
  readonly services: readonly ServiceEntry[];
  readonly pods: readonly PodEntry[];
  /** Address ranges whose reverse names are answered here and nowhere else: those of pods and services. */
  readonly reverse: readonly Prefix[];
}

export interface ServiceEntry {
  readonly namespace: string;
  readonly name: string;
  /** Empty for headless and ExternalName services. */
  readonly clusterIps: readonly Words[];
  readonly headless: boolean;
  readonly externalName?: string;
  readonly ports: readonly PortEntry[];
  /** Those that may be sent to: ready ones, unless the service publishes all. */
  readonly endpoints: readonly EndpointEntry[];
}

export interface PortEntry {
  /** '' where the port has no name. */
  readonly name: string;
  readonly protocol: 'TCP' | 'UDP';
  readonly port: number;
}

export interface EndpointEntry {
  readonly address: Words;
  readonly hostname?: string;
  readonly ports: readonly PortEntry[];
}

export interface PodEntry {
  readonly namespace: string;
  readonly name: string;
  readonly address: Words;
  /** Of the other family, where it has one. */
  readonly otherAddress?: Words;
  /** Its address is the host's, so that the address tells nothing of the pod. */
  readonly hostNetwork?: boolean;
  readonly dnsPolicy?: string;
  readonly dnsConfig?: PodDNSConfig;
}

export function clusterRecords(model: ClusterModel, reverse: readonly Prefix[]): ClusterRecords {
  const services = [...model.services.values()];
  const pods = [...model.pods.values()];
  const namespaces = new Set([...services, ...pods].map((object) => object.namespace));
  return {
    namespaces: [...namespaces].sort(),
    services: services.map((service) => ({
      namespace: service.namespace,
      name: service.name,
      clusterIps: service.clusterIps,
      headless: service.headless,
      ...(service.type === 'ExternalName' && service.externalName ? { externalName: service.externalName } : {}),
      ports: service.ports,
      endpoints: service.endpoints,
    })),
    pods: pods.map(podEntry),
    reverse,
  };
}

/** One of each family that the pod has. */
export function podAddresses({ address, otherAddress }: PodEntry): Words[] {
  return otherAddress ? [address, otherAddress] : [address];
}

function podEntry(pod: ClusterPod): PodEntry {
  const { dnsPolicy, dnsConfig } = pod.object.spec;
  return {
    namespace: pod.namespace,
    name: pod.name,
    address: pod.address,
    ...(pod.addresses[1] ? { otherAddress: pod.addresses[1] } : {}),
    ...(pod.hostNetwork ? { hostNetwork: true } : {}),
    ...(dnsPolicy ? { dnsPolicy } : {}),
    ...(dnsConfig ? { dnsConfig } : {}),
  };
}
