/**
 * Every pod's addresses, the same on every host that reads the same objects: those written down where some are, the
 * node's for pods on the host's network, else one out of the node's podCIDR by hash of the pod's name, and beside it,
 * where the node has an IPv6 podCIDR, the one there that ends like it.
 */
import { ADDRESS_ANNOTATION } from '../kube/object-rules.ts';
import type { Pod } from '../kube/objects.ts';
import { formatAddress, isV4, parseAddress, type Words, word4 } from '../wire/address.ts';
import { formatPrefix } from '../wire/prefix.ts';
import { type AddressBlock, addressAt, offsetIn, parseBlock } from './address-block.ts';
import { allocate } from './address-pool.ts';
import { oneOfEachFamily } from './cluster-nodes.ts';
import type { ClusterNode } from './model.ts';
import type { ProblemList } from './problem-list.ts';

/** Offsets in a podCIDR: the VTEP's, the gateway's, then the pods'. */
const GATEWAY = 1;
const FIRST_POD = 2;
/** How much of an IPv4 address its neighbour in IPv6 ends with. */
const SHARED_BITS = 0xffff;

/** By `namespace/name`, IPv4 first. A pod that can have no address is missing and named among the problems. */
export function assignPodAddresses(
  nodes: ReadonlyMap<string, ClusterNode>,
  pods: ReadonlyMap<string, Pod>,
  problems: ProblemList,
): Map<string, readonly Words[]> {
  const out = new Map<string, readonly Words[]>();
  const ranges = new Map<string, NodeRanges>();
  for (const node of nodes.values()) ranges.set(node.name, new NodeRanges(node));
  for (const key of [...pods.keys()].sort()) {
    const pod = pods.get(key) as Pod;
    const title = `Pod ${key}`;
    const node = nodeOf(pod, nodes, title, problems);
    if (!node) continue;
    if (pod.spec.hostNetwork) {
      out.set(key, oneOfEachFamily(node.addresses));
      continue;
    }
    const own = ranges.get(node.name) as NodeRanges;
    const fault = own.take(key, writtenAddress(pod, true), writtenAddress(pod, false), problems);
    if (fault !== undefined) problems.error(title, `${fault}: left out`);
  }
  for (const range of ranges.values()) {
    for (const [key, addresses] of range.give()) {
      if (addresses) out.set(key, addresses);
      else problems.error(`Pod ${key}`, `spec.nodeName: no address is free in ${range.four.where}: left out`);
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

/** The annotation is somebody's wish, the status an observation: the wish goes first. */
function writtenAddress(pod: Pod, v4: boolean): Words | undefined {
  const texts = [
    ...(pod.metadata.annotations?.[ADDRESS_ANNOTATION]?.split(',') ?? []),
    pod.status?.podIP,
    ...(pod.status?.podIPs ?? []).map((p) => p.ip),
  ];
  for (const text of texts) {
    const words = text ? parseAddress(text.trim()) : undefined;
    if (words && isV4(words) === v4) return words;
  }
  return undefined;
}

/** The addresses of one family on one node, and who has which of them. */
class NodeRange {
  /** `10.244.1.0/24 of Node hosta`. */
  readonly where: string;
  readonly block: AddressBlock;
  readonly #cidr: string;
  readonly #node: string;
  /** Owners by offset. */
  readonly #owners = new Map<number, string>();

  constructor(block: AddressBlock, node: ClusterNode) {
    this.block = block;
    this.#cidr = block.text;
    this.#node = `Node ${node.name}`;
    this.where = `${this.#cidr} of ${this.#node}`;
  }

  /** IPv4 keeps the last address of a range for broadcasts. */
  get podCount(): number {
    return this.block.size - FIRST_POD - (this.block.isV4 ? 1 : 0);
  }

  isFree(offset: number): boolean {
    return offset >= FIRST_POD && offset < FIRST_POD + this.podCount && !this.#owners.has(offset);
  }

  get taken(): ReadonlySet<number> {
    return new Set(this.#owners.keys());
  }

  set(offset: number, title: string): Words {
    this.#owners.set(offset, title);
    return addressAt(this.block, offset);
  }

  faultOf(address: Words, problems: ProblemList): string | undefined {
    const offset = offsetIn(this.block, address);
    const owner = this.#owners.get(offset);
    if (owner !== undefined) return `is already the address of ${problems.whereIs(owner)}`;
    if (offset < 0) return `is outside ${this.where}`;
    if (offset === GATEWAY) return `is the gateway of ${this.#node}`;
    return this.isFree(offset) ? undefined : `is reserved in ${this.#cidr}`;
  }
}

interface Wish {
  four: Words | undefined;
  six: Words | undefined;
}

class NodeRanges {
  readonly four: NodeRange;
  readonly six: NodeRange | undefined;
  readonly #wishes = new Map<string, Wish>();

  constructor(node: ClusterNode) {
    this.four = new NodeRange(parseBlock(formatPrefix(node.podCidr)) as AddressBlock, node);
    this.six = node.podCidr6 && new NodeRange(parseBlock(formatPrefix(node.podCidr6)) as AddressBlock, node);
  }

  /** Notes what is written of a pod; returns what is wrong with it. */
  take(key: string, four: Words | undefined, six: Words | undefined, problems: ProblemList): string | undefined {
    const title = `Pod ${key}`;
    const fault4 = four && this.four.faultOf(four, problems);
    if (four && fault4) return `${formatAddress(four)} ${fault4}`;
    const fault6 = six && this.six?.faultOf(six, problems);
    if (six && fault6) return `${formatAddress(six)} ${fault6}`;
    if (six && !this.six) {
      const why = `is IPv6, and ${this.four.where.replace(/^.* of /, '')} has no IPv6 podCIDR: passed over`;
      problems.warning(title, `${formatAddress(six)} ${why}`);
    }
    if (four) this.four.set(offsetIn(this.four.block, four), title);
    if (six && this.six) this.six.set(offsetIn(this.six.block, six), title);
    this.#wishes.set(key, { four, six: this.six ? six : undefined });
    return undefined;
  }

  /** Everybody's addresses; undefined for those for whom none is left. */
  *give(): Iterable<[string, readonly Words[] | undefined]> {
    const unaddressed = [...this.#wishes].filter(([, wish]) => !wish.four).map(([key]) => key);
    const given = allocate({ first: FIRST_POD, count: this.four.podCount }, unaddressed, this.four.taken);
    for (const [key, wish] of this.#wishes) {
      const offset = given.get(key);
      const four = wish.four ?? (offset === undefined ? undefined : addressAt(this.four.block, offset));
      const six = wish.six ?? (four && this.#beside(four, `Pod ${key}`));
      yield [key, four && (six ? [four, six] : [four])];
    }
  }

  /** The IPv6 address that ends like the IPv4 one, or the next that is free. */
  #beside(four: Words, title: string): Words | undefined {
    const range = this.six;
    if (!range) return undefined;
    const first = (word4(four) & SHARED_BITS) % range.block.size;
    for (let i = 0; i < Math.min(range.block.size, SHARED_BITS); i++) {
      const offset = (first + i) % range.block.size;
      if (range.isFree(offset)) return range.set(offset, title);
    }
    return undefined;
  }
}
