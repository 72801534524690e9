/**
 * Nodes as the network sees them: underlay addresses, podCIDR, VTEP. A node that cannot be used is left out and
 * named; of two that contradict each other the first by name stays.
 */
import type { Node } from '../kube/objects.ts';
import { formatAddress, isV4, parseAddress, parseMac, type Words, word4 } from '../wire/address.ts';
import { type AddressBlock, addressAt, blockHolds, blockOfFamily, blocksOverlap, parseBlock } from './address-block.ts';
import type { ClusterRanges } from './cluster-settings.ts';
import type { ClusterNode } from './model.ts';
import type { ProblemList } from './problem-list.ts';

/** The VTEP's MAC, or `learn` to have it asked for by ARP over the overlay. */
export const VTEP_MAC_ANNOTATION = 'weft.dev/vtep-mac';
/** What flannel's daemon publishes about itself: `{"VNI":1,"VtepMAC":"…"}`. */
export const FLANNEL_DATA_ANNOTATION = 'flannel.alpha.coreos.com/backend-data';

/** Network address, gateway, one pod, broadcast (IPv6 has none, and takes no fewer). */
const SMALLEST_BLOCK = 4;
const NO_IPV6 = 'its pods get no IPv6 address';

/** By name, in name order. */
export function buildNodes(
  nodes: ReadonlyMap<string, Node>,
  ranges: ClusterRanges,
  problems: ProblemList,
): Map<string, ClusterNode> {
  const out = new Map<string, ClusterNode>();
  const used: { title: string; block: AddressBlock }[] = [];
  const addressOwner = new Map<string, string>();
  for (const name of [...nodes.keys()].sort()) {
    const node = nodes.get(name) as Node;
    const title = `Node ${name}`;
    const addresses = internalAddresses(node, title, problems);
    const block = podBlock(node, title, ranges, problems);
    const first = addresses[0];
    if (!first || !block) continue;
    const twin = addresses.map((a) => addressOwner.get(formatAddress(a))).find((owner) => owner !== undefined);
    const rivalOf = (own: AddressBlock) => used.find((u) => blocksOverlap(u.block, own));
    const rival = rivalOf(block);
    if (twin !== undefined) {
      problems.error(title, `status.addresses: has an InternalIP of ${problems.whereIs(twin)}: left out`);
      continue;
    }
    if (rival) {
      const owner = problems.whereIs(rival.title);
      problems.error(title, `spec.podCIDR: ${block.text} overlaps ${rival.block.text} of ${owner}: left out`);
      continue;
    }
    let block6 = podBlock6(node, title, ranges, problems);
    const rival6 = block6 && rivalOf(block6);
    if (block6 && rival6) {
      const owner = problems.whereIs(rival6.title);
      problems.error(title, `spec.podCIDRs: ${block6.text} overlaps ${rival6.block.text} of ${owner}: ${NO_IPV6}`);
      block6 = undefined;
    }
    used.push({ title, block }, ...(block6 ? [{ title, block: block6 }] : []));
    for (const a of addresses) addressOwner.set(formatAddress(a), title);
    const vtep = vtepOf(node, addresses.find(isV4) ?? first, title, problems);
    const network4 = word4(block.prefix.address);
    out.set(name, {
      name,
      address: first,
      addresses,
      podCidr: block.prefix,
      gateway4: network4 + 1,
      vtepAddress4: network4,
      ready: (node.status?.conditions?.find((c) => c.type === 'Ready')?.status ?? 'True') === 'True',
      ...(block6
        ? { podCidr6: block6.prefix, gateway6: addressAt(block6, 1), vtepAddress6: addressAt(block6, 0) }
        : {}),
      ...vtep,
    });
  }
  return out;
}

function internalAddresses(node: Node, title: string, problems: ProblemList): Words[] {
  const words = (node.status?.addresses ?? [])
    .filter((a) => a.type === 'InternalIP')
    .map((a) => parseAddress(a.address))
    .filter((a) => a !== undefined);
  if (words.length === 0) problems.error(title, 'status.addresses: has no InternalIP: left out');
  return words;
}

/** What is written of one family: the first podCIDR of it. */
function writtenBlock(node: Node, v4: boolean): AddressBlock | undefined {
  return blockOfFamily(
    podCidrTexts(node).flatMap((text) => parseBlock(text) ?? []),
    v4,
  );
}

function podCidrTexts(node: Node): string[] {
  return node.spec?.podCIDR ? [node.spec.podCIDR, ...(node.spec.podCIDRs ?? [])] : (node.spec?.podCIDRs ?? []);
}

function podBlock(node: Node, title: string, ranges: ClusterRanges, problems: ProblemList): AddressBlock | undefined {
  const texts = podCidrTexts(node);
  const block = writtenBlock(node, true);
  const lacks = texts.length > 0 ? `${texts.join(',')} is not IPv4, which every node has, IPv6 or not` : 'is missing';
  const fault = block ? faultOf(block, node, ranges) : lacks;
  if (fault !== undefined) problems.error(title, `spec.podCIDR: ${fault}: left out`);
  else if (block?.hadHostBits) problems.warning(title, `spec.podCIDR: has host bits set: read as ${block.text}`);
  return fault === undefined ? block : undefined;
}

function podBlock6(node: Node, title: string, ranges: ClusterRanges, problems: ProblemList): AddressBlock | undefined {
  const block = writtenBlock(node, false);
  if (!block) return undefined;
  const fault = faultOf(block, node, ranges);
  if (fault !== undefined) problems.error(title, `spec.podCIDRs: ${fault}: ${NO_IPV6}`);
  else if (block.hadHostBits) problems.warning(title, `spec.podCIDRs: has host bits set: read as ${block.text}`);
  return fault === undefined ? block : undefined;
}

function faultOf(block: AddressBlock, node: Node, ranges: ClusterRanges): string | undefined {
  const cluster = blockOfFamily(ranges.cluster, block.isV4);
  const service = blockOfFamily(ranges.service, block.isV4);
  if (!cluster || !service) return `${block.text} is IPv6, and the cluster has no IPv6 range`;
  if (block.size < SMALLEST_BLOCK) return `${block.text} has no room for a pod`;
  if (block.prefix.lengthBits < cluster.prefix.lengthBits || !blockHolds(cluster, block.prefix.address)) {
    return `${block.text} is outside the cluster's ${cluster.text}`;
  }
  if (blocksOverlap(block, service)) return `${block.text} overlaps the services' ${service.text}`;
  for (const a of node.status?.addresses ?? []) {
    const words = a.type === 'InternalIP' ? parseAddress(a.address) : undefined;
    const holder = [cluster, service].find((b) => words && blockHolds(b, words));
    if (words && holder) return `${holder.text} of pods or services holds the InternalIP ${formatAddress(words)}`;
  }
  return undefined;
}

function vtepOf(node: Node, address: Words, title: string, problems: ProblemList): { mac?: Uint8Array; vni?: number } {
  const wish = node.metadata.annotations?.[VTEP_MAC_ANNOTATION];
  const flannel = flannelData(node, title, problems);
  const vni = flannel.vni === undefined ? {} : { vni: flannel.vni };
  if (wish === 'learn') return vni;
  if (wish !== undefined) {
    const mac = unicastMac(wish);
    if (mac) return { mac, ...vni };
    const field = `metadata.annotations[${VTEP_MAC_ANNOTATION}]`;
    problems.error(title, `${field}: must be a unicast MAC address or "learn", not "${wish}": the default is used`);
  }
  return { mac: flannel.mac ?? defaultMac(word4(address)), ...vni };
}

function flannelData(node: Node, title: string, problems: ProblemList): { mac?: Uint8Array; vni?: number } {
  const text = node.metadata.annotations?.[FLANNEL_DATA_ANNOTATION];
  if (text === undefined) return {};
  try {
    const data = JSON.parse(text) as { VNI?: unknown; VtepMAC?: unknown } | null;
    // host-gw and udp publish null.
    if (data === null || data.VtepMAC === undefined) return {};
    const mac = typeof data.VtepMAC === 'string' ? unicastMac(data.VtepMAC) : undefined;
    if (mac) return typeof data.VNI === 'number' ? { mac, vni: data.VNI } : { mac };
  } catch {
    // Said below.
  }
  const field = `metadata.annotations[${FLANNEL_DATA_ANNOTATION}]`;
  problems.error(title, `${field}: must be JSON with a unicast VtepMAC, not ${text.slice(0, 80)}: the default is used`);
  return {};
}

function unicastMac(text: string): Uint8Array | undefined {
  const mac = parseMac(text);
  return mac && ((mac[0] ?? 1) & 1) === 0 && mac.some((b) => b !== 0) ? mac : undefined;
}

/** Locally administered, told by the node's address: nobody has to publish it. */
export function defaultMac(address4: number): Uint8Array {
  return Uint8Array.of(0x0a, 0x58, address4 >>> 24, address4 >>> 16, address4 >>> 8, address4);
}

/** The first address, and the first of the other family where there is one. */
export function oneOfEachFamily(addresses: readonly Words[]): Words[] {
  const first = addresses[0];
  if (!first) return [];
  const other = addresses.find((address) => isV4(address) !== isV4(first));
  return other ? [first, other] : [first];
}
