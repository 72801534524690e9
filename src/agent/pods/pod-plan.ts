/**
 * What running a pod takes, worked out from its Kubernetes object: which containers in which order, in which network
 * namespace, with which files. Pure; the pod's life (pod.ts) carries it out. A pod is made anew when the fingerprint of
 * its plan changes; what a container refers to (services, ConfigMaps, labels) is no part of that, but read when it
 * starts, and another image under the same uid starts that container anew.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Container } from 'kubernetes-types/core/v1.js';
import type { ClusterPod, ClusterService } from '../../control/model.ts';
import { hostNetworkEtcHosts, podEtcHosts } from '../../dns/etc-hosts.ts';
import { podResolvConf, serversFor } from '../../dns/resolv-conf.ts';
import type { ConfigMap, ObjectSet, Pod } from '../../kube/objects.ts';
import { unsupportedFields } from '../../kube/unsupported-fields.ts';
import { formatAddress } from '../../wire/address.ts';
import type { LaunchContext } from './container-launch.ts';
import { containerCommand, type ImageMap } from './image-map.ts';

export type RestartPolicy = 'Always' | 'OnFailure' | 'Never';

export interface ContainerPlan {
  name: string;
  /** `init` ends before the next begins; `sidecar` is started in their row and goes on. */
  role: 'init' | 'sidecar' | 'main';
  /** What the container itself does when it ends. */
  restartPolicy: RestartPolicy;
  image: string;
  /** Before variables are expanded; absent where the image is unknown and the object names no command. */
  command: readonly string[] | undefined;
  spec: Container;
}

export interface PodPlan {
  key: string;
  namespace: string;
  name: string;
  /** '' from manifests. */
  uid: string;
  address: string;
  /** One of each family that it has, `address` first. */
  addresses: readonly string[];
  hostNetwork: boolean;
  hostname: string;
  /** Name under /run/netns; '' for a pod in the host's network. */
  netns: string;
  /** Folder of its files, under the agent's own. */
  directory: string;
  restartPolicy: RestartPolicy;
  graceSeconds: number;
  /** It was deleted: its containers are ended, its network stays until the plan goes. */
  ending: boolean;
  /** Init containers and sidecars first, in their order. */
  containers: readonly ContainerPlan[];
  resolvConf: string;
  etcHosts: string;
  mtu: number;
  fingerprint: string;
  /** What of the object is not carried out, as sentences. */
  unsupported: readonly string[];
  /** What its resolv.conf leaves out. */
  resolvConfProblems: readonly string[];
  object: Pod;
  /** The node's addresses. */
  hostAddresses: readonly string[];
  /** For containers that start from now on. */
  launch: LaunchContext;
}

export interface PodPlanContext {
  stateDir: string;
  /** The node's, one of each family that it has. */
  nodeAddresses: readonly string[];
  /** The cluster's DNS, one of each family that it has. */
  clusterDns: readonly string[];
  clusterDomain: string;
  hostResolvConf: string;
  hostEtcHosts: string;
  mtu: number;
  /** By `namespace/name`. */
  configMaps: ReadonlyMap<string, ConfigMap>;
  services: ReadonlyMap<string, ClusterService>;
  images: ImageMap;
  /** What the node has for pods. */
  allocatable: { processors: number; memoryBytes: number };
}

/** A pod's PATH after the folder with the weft command. */
const POD_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Longest name that a file system takes, with room for what tools append. */
const NAME_BYTES = 200;

const DEFAULT_GRACE_SECONDS = 30;

/** `weft-default-web-0`. The suffix tells a/b-c from a-b/c. */
export function netnsName(namespace: string, name: string): string {
  const plain = `weft-${namespace}-${name}`;
  return namespace.includes('-') || plain.length > NAME_BYTES ? shortened(plain, `${namespace}/${name}`) : plain;
}

/** Folder of a pod's files: `<stateDir>/pods/default_web-0`. */
export function podDirectory(stateDir: string, namespace: string, name: string): string {
  const plain = `${namespace}_${name}`;
  return join(stateDir, 'pods', plain.length > NAME_BYTES ? shortened(plain, plain) : plain);
}

function shortened(plain: string, unique: string): string {
  return `${plain.slice(0, NAME_BYTES - 9)}-${digest(unique).slice(0, 8)}`;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

export function planPod(pod: ClusterPod, context: PodPlanContext): PodPlan {
  const { namespace, name } = pod;
  const { metadata, spec } = pod.object;
  const addresses = pod.addresses.map(formatAddress);
  const restartPolicy = (spec.restartPolicy ?? 'Always') as RestartPolicy;
  const containers = [
    ...(spec.initContainers ?? []).map(planInitContainer),
    ...spec.containers.map((container) => planContainer(container, 'main', restartPolicy)),
  ];
  function planInitContainer(container: Container): ContainerPlan {
    if (container.restartPolicy === 'Always') return planContainer(container, 'sidecar', 'Always');
    return planContainer(container, 'init', restartPolicy === 'Never' ? 'Never' : 'OnFailure');
  }
  function planContainer(container: Container, role: ContainerPlan['role'], policy: RestartPolicy): ContainerPlan {
    return {
      name: container.name,
      role,
      restartPolicy: policy,
      image: container.image ?? '',
      command: containerCommand(container, context.images),
      spec: container,
    };
  }
  const resolv = podResolvConf({
    ...(spec.dnsPolicy ? { dnsPolicy: spec.dnsPolicy } : {}),
    ...(spec.dnsConfig ? { dnsConfig: spec.dnsConfig } : {}),
    namespace,
    domain: context.clusterDomain,
    clusterDns: serversFor(addresses, context.clusterDns),
    hostResolvConf: context.hostResolvConf,
    hostNetwork: pod.hostNetwork,
  });
  const plan = {
    key: `${namespace}/${name}`,
    namespace,
    name,
    uid: metadata.uid ?? '',
    address: formatAddress(pod.address),
    addresses,
    hostNetwork: pod.hostNetwork,
    hostname: pod.hostname,
    netns: pod.hostNetwork ? '' : netnsName(namespace, name),
    directory: podDirectory(context.stateDir, namespace, name),
    restartPolicy,
    graceSeconds: spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS,
    containers,
    mtu: context.mtu,
  };
  const etcHosts = pod.hostNetwork
    ? hostNetworkEtcHosts(context.hostEtcHosts, spec.hostAliases ?? [])
    : podEtcHosts({
        addresses,
        hostname: pod.hostname,
        ...(pod.subdomain
          ? { fqdn: `${pod.hostname}.${pod.subdomain}.${namespace}.svc.${context.clusterDomain}` }
          : {}),
        hostAliases: spec.hostAliases ?? [],
      });
  return {
    ...plan,
    graceSeconds: metadata.deletionGracePeriodSeconds ?? plan.graceSeconds,
    ending: metadata.deletionTimestamp !== undefined,
    resolvConf: resolv.text,
    etcHosts,
    fingerprint: digest(JSON.stringify({ ...plan, containers: metadata.uid ? containers.map(lasting) : containers })),
    unsupported: unsupportedFields(spec),
    resolvConfProblems: resolv.problems,
    object: pod.object,
    hostAddresses: context.nodeAddresses,
    launch: launchContext(pod, addresses, context),
  };
}

/** What of a container cannot change under one uid. Its image can, and what an API's next version fills in. */
function lasting({ name, role, restartPolicy }: ContainerPlan): Partial<ContainerPlan> {
  return { name, role, restartPolicy };
}

/** What a container is started as: one that runs as something else is started anew. */
export function definitionOf({ image, command }: Pick<ContainerPlan, 'image' | 'command'>): string {
  return digest(JSON.stringify([image, command]));
}

/** Keys and uids of a node's pods that ended by themselves: they have no address any more, but logs. */
export function finishedPods(objects: ObjectSet, node: string): Map<string, string> {
  const out = new Map<string, string>();
  for (const [key, { metadata, spec, status }] of objects.pods) {
    if (spec.nodeName !== node) continue;
    if (status?.phase === 'Succeeded' || status?.phase === 'Failed') out.set(key, metadata.uid ?? '');
  }
  return out;
}

function launchContext(pod: ClusterPod, addresses: readonly string[], context: PodPlanContext): LaunchContext {
  const { metadata, spec } = pod.object;
  return {
    namespace: pod.namespace,
    hostname: pod.hostname,
    path: `${join(context.stateDir, 'bin')}:${POD_PATH}`,
    fields: {
      'metadata.name': pod.name,
      'metadata.namespace': pod.namespace,
      'metadata.uid': metadata.uid ?? '',
      'spec.nodeName': pod.nodeName,
      'spec.serviceAccountName': spec.serviceAccountName ?? 'default',
      'status.podIP': addresses[0] ?? '',
      'status.podIPs': addresses.join(),
      'status.hostIP': context.nodeAddresses[0] ?? '',
      'status.hostIPs': context.nodeAddresses.join(),
    },
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
    containers: [...(spec.initContainers ?? []), ...spec.containers],
    allocatable: context.allocatable,
    configMaps: context.configMaps,
    services: context.services,
    serviceLinks: spec.enableServiceLinks !== false,
  };
}
