/**
 * Nodes as the network sees them: underlay addresses, podCIDR, VTEP. A node that cannot be used is left out and
 * named; of two that contradict each other the first by name stays.
 */
import type { Node } from '../kube/objects.ts';
import { formatAddress, isV4, parseAddress, parseMac, type Words, word4 } from '../wire/address.ts';
import { type AddressBlock, blockHolds, blocksOverlap, parseBlock } from './address-block.ts';
import type { ClusterNode } from './model.ts';
import type { ProblemList } from './problem-list.ts';

/** The VTEP's MAC, or `learn` to have it asked for by ARP over the overlay. */
export const VTEP_MAC_ANNOTATION = 'weft.dev/vtep-mac';
/** What flannel's daemon publishes about itself: `{"VNI":1,"VtepMAC":"…"}`. */
export const FLANNEL_DATA_ANNOTATION = 'flannel.alpha.coreos.com/backend-data';

/** Network address, gateway, one pod, broadcast. */
const SMALLEST_BLOCK = 4;

export interface ClusterBlocks {
  cluster: AddressBlock;
  service: AddressBlock;
}

/** By name, in name order. */
export function buildNodes(
  nodes: ReadonlyMap<string, Node>,
  blocks: ClusterBlocks,
  problems: ProblemList,
): Map<string, ClusterNode> {
  const out = new Map<string, ClusterNode>();
  const used: { title: string; block: AddressBlock }[] = [];
  const addressOwner = new Map<number, string>();
  for (const name of [...nodes.keys()].sort()) {
    const node = nodes.get(name) as Node;
    const title = `Node ${name}`;
    const addresses = internalAddresses(node, title, problems);
    const block = podBlock(node, title, blocks, problems);
    const first = addresses[0];
    if (!first || !block) continue;
    const twin = addresses.map((a) => addressOwner.get(word4(a))).find((owner) => owner !== undefined);
    const rival = used.find((u) => blocksOverlap(u.block, block));
    if (twin !== undefined) {
      problems.error(title, `status.addresses: has an InternalIP of ${problems.whereIs(twin)}: left out`);
      continue;
    }
    if (rival) {
      const owner = problems.whereIs(rival.title);
      problems.error(title, `spec.podCIDR: ${block.text} overlaps ${rival.block.text} of ${owner}: left out`);
      continue;
    }
    used.push({ title, block });
    for (const a of addresses) addressOwner.set(word4(a), title);
    const vtep = vtepOf(node, first, title, problems);
    out.set(name, {
      name,
      address: first,
      addresses,
      podCidr: block.prefix,
      gateway4: block.first + 1,
      vtepAddress4: block.first,
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
  const v4 = words.filter(isV4);
  if (v4.length > 0) return v4;
  const lacks = words.length > 0 ? 'has IPv6 InternalIPs only, which are not carried yet' : 'has no InternalIP';
  problems.error(title, `status.addresses: ${lacks}: left out`);
  return [];
}

function podBlock(node: Node, title: string, blocks: ClusterBlocks, problems: ProblemList): AddressBlock | undefined {
  const texts = node.spec?.podCIDR ? [node.spec.podCIDR, ...(node.spec.podCIDRs ?? [])] : (node.spec?.podCIDRs ?? []);
  const block = texts.map(parseBlock).find((b) => b !== undefined);
  const refuse = (reason: string): undefined => {
    problems.error(title, `spec.podCIDR: ${reason}: left out`);
  };
  if (!block) return refuse(texts.length > 0 ? `${texts[0]} is not IPv4, the only family carried yet` : 'is missing');
  if (block.last - block.first + 1 < SMALLEST_BLOCK) return refuse(`${block.text} has no room for a pod`);
  if (block.first < blocks.cluster.first || block.last > blocks.cluster.last) {
    return refuse(`${block.text} is outside the cluster's ${blocks.cluster.text}`);
  }
  if (blocksOverlap(block, blocks.service))
    return refuse(`${block.text} overlaps the services' ${blocks.service.text}`);
  for (const a of node.status?.addresses ?? []) {
    const words = a.type === 'InternalIP' ? parseAddress(a.address) : undefined;
    const holder = [blocks.cluster, blocks.service].find((b) => words && isV4(words) && blockHolds(b, word4(words)));
    if (words && holder)
      return refuse(`${holder.text} of pods or services holds the InternalIP ${formatAddress(words)}`);
  }
  if (block.hadHostBits) problems.warning(title, `spec.podCIDR: has host bits set: read as ${block.text}`);
  return block;
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
