/**
 * The cluster as the network sees it, out of the objects in force: second stage of the state flow. Every address is
 * parsed once, here; every pod and service has its address; every service has its endpoints. Pure, the same for any
 * order of the objects, and the same on every host that reads them.
 */
import type { ObjectSet, Pod } from '../kube/objects.ts';
import { compareProblems, type Problem } from '../kube/problem.ts';
import type { ProxyWish } from '../kube/proxy-mode.ts';
import type { Words } from '../wire/address.ts';
import type { Prefix } from '../wire/prefix.ts';
import { buildNodes } from './cluster-nodes.ts';
import { buildServices } from './cluster-services.ts';
import { type ClusterRanges, type ClusterSettings, clusterRanges } from './cluster-settings.ts';
import { assignPodAddresses } from './pod-addresses.ts';
import { ProblemList } from './problem-list.ts';
import type { AddressFamily } from './service-addresses.ts';

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

/** What a model's nodes and pods were made of, and what was wrong with it: while that is the same, so are they. */
interface Grounds {
  objects: ObjectSet;
  settings: ClusterSettings;
  problems: readonly Problem[];
}

const groundsOf = new WeakMap<ClusterModel, Grounds>();

/**
 * Throws SettingsError; nothing in the objects makes it throw. `before`: an earlier model, out of which nodes and pods
 * are taken where their objects are the very same; endpoints change more often than they do.
 */
export function buildModel(objects: ObjectSet, settings: ClusterSettings, before?: ClusterModel): ClusterModel {
  const ranges = clusterRanges(settings);
  const known = before && groundsOf.get(before);
  const same =
    known && before && isSameGround(known, objects, settings) ? { ...before, problems: known.problems } : undefined;
  const { nodes, pods, problems: placing } = same ?? placed(objects, ranges);
  const problems = new ProblemList(objects.places);
  const services = buildServices(objects, { nodes, pods, ranges }, problems);
  const model = { nodes, pods, services, problems: [...placing, ...problems.sorted()].sort(compareProblems) };
  groundsOf.set(model, { objects, settings, problems: placing });
  return model;
}

function placed(objects: ObjectSet, ranges: ClusterRanges): Pick<ClusterModel, 'nodes' | 'pods' | 'problems'> {
  const problems = new ProblemList(objects.places);
  const nodes = buildNodes(objects.nodes, ranges, problems);
  const pods = buildPods(objects, nodes, problems);
  return { nodes, pods, problems: problems.sorted() };
}

function isSameGround(known: Grounds, objects: ObjectSet, settings: ClusterSettings): boolean {
  const { places = NO_PLACES } = objects;
  const { places: before = NO_PLACES } = known.objects;
  return (
    known.settings === settings &&
    (places === before || (places.size === 0 && before.size === 0)) &&
    hasSameValues(known.objects.nodes, objects.nodes) &&
    hasSameValues(known.objects.pods, objects.pods)
  );
}

const NO_PLACES: ReadonlyMap<string, string> = new Map();

function hasSameValues<T>(a: ReadonlyMap<string, T>, b: ReadonlyMap<string, T>): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (b.get(key) !== value) return false;
  return true;
}

function buildPods(
  objects: ObjectSet,
  nodes: ReadonlyMap<string, ClusterNode>,
  problems: ProblemList,
): Map<string, ClusterPod> {
  // A pod that has finished holds no address: another may have it by now.
  const living = new Map(
    [...objects.pods].filter(([, p]) => p.status?.phase !== 'Succeeded' && p.status?.phase !== 'Failed'),
  );
  const addresses = assignPodAddresses(nodes, living, problems);
  const out = new Map<string, ClusterPod>();
  for (const key of [...addresses.keys()].sort()) {
    const object = living.get(key) as Pod;
    const own = addresses.get(key) as readonly Words[];
    const { metadata, spec } = object;
    out.set(key, {
      namespace: metadata.namespace,
      name: metadata.name,
      nodeName: spec.nodeName as string,
      address: own[0] as Words,
      addresses: own,
      hostNetwork: spec.hostNetwork === true,
      hostname: spec.hostname || metadata.name,
      labels: metadata.labels ?? {},
      ready: isReady(object),
      object,
      ...(spec.subdomain ? { subdomain: spec.subdomain } : {}),
    });
  }
  return out;
}

/** A manifest says nothing of readiness; what a status says counts. */
function isReady(pod: Pod): boolean {
  if (pod.metadata.deletionTimestamp) return false;
  const condition = pod.status?.conditions?.find((c) => c.type === 'Ready');
  return !condition || condition.status === 'True';
}
