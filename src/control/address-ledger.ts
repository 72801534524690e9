/**
 * Which pod of one node has which addresses, where the node itself gives them out. A pod keeps what it has for as long
 * as it lives; a new one gets the address that its annotation wishes or its status names, else the place that the hash
 * of its name gives, as in pod-addresses.ts, or the next that is free. The addresses of a pod that went stay unused
 * for a while, unless somebody wishes for them: others may still send to it.
 */
import { ADDRESS_ANNOTATION } from '../kube/object-rules.ts';
import type { Pod } from '../kube/objects.ts';
import type { Problem } from '../kube/problem.ts';
import { formatAddress, isV4, parseAddress, type Words, word4 } from '../wire/address.ts';
import { formatPrefix, type Prefix } from '../wire/prefix.ts';
import { type AddressBlock, addressAt, offsetIn, parseBlock } from './address-block.ts';
import { nameHash } from './name-hash.ts';

/** Offsets in a podCIDR: the VTEP's, the gateway's, then the pods'. */
const FIRST_POD = 2;
/** How much of an IPv4 address its neighbour in IPv6 ends with. */
const SHARED_BITS = 0xffff;
const COOLING_MS = 60_000;

/** One pod's addresses, as they are written down. */
export interface LedgerEntry {
  uid: string;
  /** `namespace/name`. */
  key: string;
  addresses: readonly string[];
  /** When it went, in milliseconds since 1970; 0: it is there. */
  goneAtMs: number;
}

export interface LedgerRanges {
  podCidr: Prefix;
  podCidr6?: Prefix;
}

export class AddressLedger {
  readonly #entries = new Map<string, LedgerEntry>();
  #changed = false;

  constructor(earlier: readonly LedgerEntry[] = []) {
    for (const entry of earlier) this.#entries.set(entry.uid, entry);
  }

  /** What must be written down: undefined where nothing changed since it was asked last. */
  takeChanges(): readonly LedgerEntry[] | undefined {
    if (!this.#changed) return undefined;
    this.#changed = false;
    return [...this.#entries.values()];
  }

  /**
   * Addresses of the node's pods, by `namespace/name`; pods for whom there is none are missing, and said. `held`: uids
   * of pods whose network is still there though they are no longer in the API.
   */
  assign(
    pods: readonly Pod[],
    ranges: LedgerRanges,
    held: ReadonlySet<string>,
    nowMs: number,
  ): { addresses: Map<string, readonly Words[]>; problems: Problem[] } {
    const present = new Map(pods.map((pod) => [uidOf(pod), pod]));
    const blocks = new Blocks(ranges);
    this.#age(present, held, blocks, nowMs);
    for (const { addresses, goneAtMs } of this.#entries.values()) {
      for (const text of addresses) blocks.take(text, goneAtMs > 0);
    }
    const addresses = new Map<string, readonly Words[]>();
    const problems: Problem[] = [];
    // What is written goes before what is free.
    const fresh = [...present.values()].filter((pod) => !this.#entries.has(uidOf(pod)));
    for (const pod of [...fresh.filter(isWritten), ...fresh.filter((pod) => !isWritten(pod))]) {
      const given = this.#give(pod, blocks);
      if (typeof given !== 'string') this.#note(pod, given);
      else {
        const title = `Pod ${keyOf(pod)}`;
        problems.push({ place: title, message: `${title}: ${given}: it waits`, severity: 'error' });
      }
    }
    for (const pod of present.values()) {
      const own = this.#entries.get(uidOf(pod))?.addresses.map(parseAddress);
      if (own) addresses.set(keyOf(pod), own as Words[]);
    }
    return { addresses, problems };
  }

  #note(pod: Pod, addresses: readonly Words[]): void {
    const uid = uidOf(pod);
    this.#entries.set(uid, { uid, key: keyOf(pod), addresses: addresses.map(formatAddress), goneAtMs: 0 });
    this.#changed = true;
  }

  /** Those that went begin to cool, those that have cooled are forgotten, and so is what lies in no range any more. */
  #age(present: ReadonlyMap<string, Pod>, held: ReadonlySet<string>, blocks: Blocks, nowMs: number): void {
    for (const [uid, entry] of this.#entries) {
      const isThere = present.has(uid) || held.has(uid);
      const cooled = entry.goneAtMs > 0 && (nowMs - entry.goneAtMs > COOLING_MS || nowMs < entry.goneAtMs);
      if (!blocks.holds(entry.addresses) || (!isThere && cooled)) this.#entries.delete(uid);
      else if (isThere === entry.goneAtMs > 0) this.#entries.set(uid, { ...entry, goneAtMs: isThere ? 0 : nowMs });
      else continue;
      this.#changed = true;
    }
  }

  /** The addresses, or why there are none. */
  #give(pod: Pod, blocks: Blocks): readonly Words[] | string {
    const { annotation, status } = writtenOf(pod);
    const fault = annotation.map((wish) => blocks.faultOf(wish, true)).find((text) => text !== undefined);
    if (fault !== undefined) return fault;
    // An observation may be of another time, a wish is meant.
    const written = [...annotation, ...status.filter((address) => blocks.faultOf(address) === undefined)];
    const four = written.find(isV4) ?? this.#free(blocks, pod);
    if (!four) return `spec.nodeName: no address is free in ${blocks.four.text} of Node ${pod.spec.nodeName}`;
    blocks.take(formatAddress(four), false);
    const six = written.find((address) => !isV4(address)) ?? blocks.beside(four);
    if (!six) return [four];
    blocks.take(formatAddress(six), false);
    return [four, six];
  }

  /** By hash of its name; where all are taken or cooling, the one that has cooled longest. */
  #free(blocks: Blocks, pod: Pod): Words | undefined {
    const free = blocks.free4(nameHash(keyOf(pod)));
    if (free) return free;
    const gone = [...this.#entries.values()].filter(({ goneAtMs }) => goneAtMs > 0);
    const oldest = gone.sort((a, b) => a.goneAtMs - b.goneAtMs)[0];
    if (!oldest) return undefined;
    this.#entries.delete(oldest.uid);
    for (const text of oldest.addresses) blocks.release(text);
    return this.#free(blocks, pod);
  }
}

/** The ranges of a node, and what of them is taken. */
class Blocks {
  readonly four: AddressBlock;
  readonly #six: AddressBlock | undefined;
  /** Whether the pod that had it has gone, by address. */
  readonly #taken = new Map<string, boolean>();

  constructor({ podCidr, podCidr6 }: LedgerRanges) {
    this.four = parseBlock(formatPrefix(podCidr)) as AddressBlock;
    this.#six = podCidr6 && parseBlock(formatPrefix(podCidr6));
  }

  take(text: string, isCooling: boolean): void {
    if (this.#taken.get(text) !== false) this.#taken.set(text, isCooling);
  }

  release(text: string): void {
    this.#taken.delete(text);
  }

  holds(addresses: readonly string[]): boolean {
    return addresses.every((text) => {
      const address = parseAddress(text);
      return address !== undefined && this.#offset(address) >= FIRST_POD;
    });
  }

  /** `isMeant`: by somebody who may have an address again as soon as it is free. */
  faultOf(address: Words, isMeant = false): string | undefined {
    const text = formatAddress(address);
    const isCooling = this.#taken.get(text);
    if (isCooling === false) return `${text} is the address of another pod`;
    if (isCooling && !isMeant) return `${text} was another pod's a moment ago`;
    const block = this.#blockOf(address);
    if (!block) return `${text} is IPv6, and the node has no IPv6 podCIDR`;
    const offset = offsetIn(block, address);
    if (offset < 0) return `${text} is outside ${block.text} of the node`;
    const isLast = block.isV4 && offset === block.size - 1;
    return offset < FIRST_POD || isLast ? `${text} is reserved in ${block.text}` : undefined;
  }

  /** IPv4 keeps the last address of a range for broadcasts. */
  free4(hash: number): Words | undefined {
    const count = this.four.size - FIRST_POD - 1;
    return this.#next(this.four, FIRST_POD, count, hash % count);
  }

  /** The IPv6 address that ends like the IPv4 one, or the next that is free. */
  beside(four: Words): Words | undefined {
    const block = this.#six;
    return block && this.#next(block, 0, block.size, (word4(four) & SHARED_BITS) % block.size);
  }

  #next(block: AddressBlock, first: number, count: number, from: number): Words | undefined {
    for (let i = 0; i < Math.min(count, SHARED_BITS); i++) {
      const address = addressAt(block, first + ((from + i) % count));
      if (this.faultOf(address) === undefined) return address;
    }
    return undefined;
  }

  #blockOf(address: Words): AddressBlock | undefined {
    return isV4(address) ? this.four : this.#six;
  }

  #offset(address: Words): number {
    const block = this.#blockOf(address);
    return block ? offsetIn(block, address) : -1;
  }
}

function writtenOf({ metadata, status }: Pod): { annotation: Words[]; status: Words[] } {
  return {
    annotation: parseAll(metadata.annotations?.[ADDRESS_ANNOTATION]?.split(',') ?? []),
    status: parseAll([status?.podIP, ...(status?.podIPs ?? []).map(({ ip }) => ip)]),
  };
}

function parseAll(texts: readonly (string | undefined)[]): Words[] {
  return texts.map((text) => (text ? parseAddress(text.trim()) : undefined)).filter((address) => address !== undefined);
}

function isWritten(pod: Pod): boolean {
  const { annotation, status } = writtenOf(pod);
  return annotation.length + status.length > 0;
}

function keyOf({ metadata }: Pod): string {
  return `${metadata.namespace}/${metadata.name}`;
}

/** A pod without a uid, as manifests have them, is known by its name. */
function uidOf(pod: Pod): string {
  return pod.metadata.uid ?? keyOf(pod);
}
