/**
 * Every pod's address, the same on every host that reads the same objects: the one written down where one is, the
 * node's for pods on the host's network, else one out of the node's podCIDR by hash of the pod's name.
 */
import { ADDRESS_ANNOTATION } from '../kube/object-rules.ts';
import type { Pod } from '../kube/objects.ts';
import { formatAddress4, isV4, parseAddress, type Words, word4, wordsFrom4 } from '../wire/address.ts';
import { formatPrefix } from '../wire/prefix.ts';
import { type AddressRange, allocate } from './address-pool.ts';
import type { ClusterNode } from './model.ts';
import type { ProblemList } from './problem-list.ts';

const V4_BITS = 96;

/** By `namespace/name`. A pod that can have no address is missing and named among the problems. */
export function assignPodAddresses(
  nodes: ReadonlyMap<string, ClusterNode>,
  pods: ReadonlyMap<string, Pod>,
  problems: ProblemList,
): Map<string, Words> {
  const out = new Map<string, Words>();
  const owners = new Map<number, string>();
  const unaddressed = new Map<string, string[]>();
  for (const key of [...pods.keys()].sort()) {
    const pod = pods.get(key) as Pod;
    const title = `Pod ${key}`;
    const node = nodeOf(pod, nodes, title, problems);
    if (!node) continue;
    if (pod.spec.hostNetwork) {
      out.set(key, node.address);
      continue;
    }
    const written = writtenAddress(pod);
    if (written === undefined) {
      const list = unaddressed.get(node.name);
      if (list) list.push(key);
      else unaddressed.set(node.name, [key]);
      continue;
    }
    const fault = faultOf(written, node, owners.get(written), problems);
    if (fault) {
      problems.error(title, `${formatAddress4(written)} ${fault}: left out`);
      continue;
    }
    owners.set(written, title);
    out.set(key, wordsFrom4(written));
  }
  const taken = new Set(owners.keys());
  for (const [nodeName, keys] of unaddressed) {
    const node = nodes.get(nodeName) as ClusterNode;
    const given = allocate(podRange(node), keys, taken);
    for (const key of keys) {
      const address = given.get(key);
      if (address !== undefined) out.set(key, wordsFrom4(address));
      else
        problems.error(
          `Pod ${key}`,
          `spec.nodeName: no address is free in ${cidr(node)} of Node ${nodeName}: left out`,
        );
    }
  }
  return out;
}

function nodeOf(
  pod: Pod,
  nodes: ReadonlyMap<string, ClusterNode>,
  title: string,
  problems: ProblemList,
): ClusterNode | undefined {
  const name = pod.spec.nodeName;
  const node = name ? nodes.get(name) : undefined;
  if (!name) problems.warning(title, 'spec.nodeName: is missing, and nobody schedules pods: left out');
  else if (!node) problems.error(title, `spec.nodeName: Node ${name} is not known or not usable: left out`);
  return node;
}

/** The annotation is somebody's wish, the status an observation: the wish goes first. IPv6 is not carried yet. */
function writtenAddress(pod: Pod): number | undefined {
  const texts = [
    pod.metadata.annotations?.[ADDRESS_ANNOTATION],
    pod.status?.podIP,
    ...(pod.status?.podIPs ?? []).map((p) => p.ip),
  ];
  for (const text of texts) {
    const words = text ? parseAddress(text) : undefined;
    if (words && isV4(words)) return word4(words);
  }
  return undefined;
}

function faultOf(
  address: number,
  node: ClusterNode,
  owner: string | undefined,
  problems: ProblemList,
): string | undefined {
  const { first, count } = podRange(node);
  if (owner !== undefined) return `is already the address of ${problems.whereIs(owner)}`;
  if (address === node.gateway4) return `is the gateway of Node ${node.name}`;
  if (address >= first && address < first + count) return undefined;
  return address >= node.vtepAddress4 && address <= first + count
    ? `is reserved in ${cidr(node)}`
    : `is outside ${cidr(node)} of Node ${node.name}`;
}

/** All but the network address (the VTEP's), the gateway and the broadcast address. */
function podRange(node: ClusterNode): AddressRange {
  const size = 2 ** (32 - (node.podCidr.lengthBits - V4_BITS));
  return { first: node.vtepAddress4 + 2, count: size - 3 };
}

function cidr(node: ClusterNode): string {
  return formatPrefix(node.podCidr);
}
