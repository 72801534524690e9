/**
 * Gives nodes the ranges of their pods, one of each family, out of the cluster's (k8s.io/kubernetes
 * pkg/controller/nodeipam, RangeAllocator). What is written in a node already stays; what was given up last is given
 * again last, for others may still send to who had it.
 */
import { type AddressBlock, blockAt, blocksOverlap, parseBlock } from '../../control/address-block.ts';
import { SettingsError } from '../../control/cluster-settings.ts';
import type { Node } from '../../kube/objects.ts';
import { ApiError } from '../api-error.ts';
import type { ApiObject } from '../api-object.ts';
import type { Controller, ControllerParts } from './controller-set.ts';
import type { Informer } from './informer.ts';
import { WorkQueue } from './work-queue.ts';

export interface NodeRangeSettings {
  /** At most one of each family, IPv4 first. */
  cluster: readonly AddressBlock[];
  /** Lengths of what a node gets: 24 and 64. */
  mask4: number;
  mask6: number;
}

/** Throws SettingsError. `mask4`, `mask6`: as in 24 and 64. */
export function nodeRangeSettings(cluster: readonly AddressBlock[], mask4: number, mask6: number): NodeRangeSettings {
  for (const { text, isV4, prefix } of cluster) {
    const shortest = prefix.lengthBits - (isV4 ? MAPPED_BITS : 0);
    const [option, mask, longest] = isV4
      ? ['--node-cidr-mask-size', mask4, 30]
      : ['--node-cidr-mask-size-ipv6', mask6, 126];
    if (mask < shortest || mask > longest) {
      throw new SettingsError(`${option}: must be between ${shortest} and ${longest} for nodes' parts of ${text}`);
    }
  }
  return { cluster, mask4, mask6 };
}

const COMPONENT = 'node-ranges';
/** IPv4 prefixes count as their mapped form does. */
const MAPPED_BITS = 96;
const MOST_BLOCKS = 2 ** 16;

export class NodeRanges implements Controller {
  readonly name = 'NodeRanges';
  readonly #parts: ControllerParts;
  readonly #pools: readonly Pool[];
  readonly #nodes: Informer;
  readonly #queue: WorkQueue;

  constructor(parts: ControllerParts, settings: NodeRangeSettings) {
    this.#parts = parts;
    this.#pools = settings.cluster.map(
      (block) => new Pool(block, block.isV4 ? settings.mask4 + MAPPED_BITS : settings.mask6),
    );
    this.#nodes = parts.informers.of(parts.table.known('', 'v1', 'nodes'));
    const { clock, log } = parts;
    // One at a time: they are all out of one range.
    this.#queue = new WorkQueue({ name: this.name, clock, log, parallel: 1, work: (name) => this.#look(name) });
    this.#nodes.onChange((_, after) => {
      // What one gives up another may wait for.
      for (const node of after ? [after] : this.#nodes.list()) {
        if (rangesOf(node).length === 0) this.#queue.add(node.metadata.name);
      }
    });
  }

  start(): void {
    this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  async #look(name: string): Promise<void> {
    const { objects, events } = this.#parts;
    const node = this.#nodes.get(undefined, name);
    if (!node || node.metadata.deletionTimestamp || rangesOf(node).length > 0) return;
    const used = [...this.#nodes.list()].flatMap(rangesOf);
    const blocks = this.#pools.map((pool) => pool.next(used));
    const full = this.#pools.find((_, i) => !blocks[i]);
    if (full) {
      const message = `no range of pods is left in ${full.text}: other nodes have all of it`;
      events.record(node, COMPONENT, 'Warning', 'CIDRNotAvailable', message);
      return;
    }
    const podCIDRs = (blocks as AddressBlock[]).map(({ text }) => text);
    const write = (current: ApiObject): ApiObject => {
      if (rangesOf(current).length > 0) return current;
      return { ...current, spec: { ...current.spec, podCIDR: podCIDRs[0], podCIDRs } };
    };
    try {
      const written = await objects.update({ resource: this.#nodes.resource, namespace: undefined, name }, write);
      // The next one is given another.
      await this.#nodes.reached(Number(written.metadata.resourceVersion));
    } catch (error) {
      if (error instanceof ApiError && error.reason === 'NotFound') return;
      // Somebody wrote it into another node in this moment: the next one is tried.
      throw error;
    }
  }
}

class Pool {
  readonly #block: AddressBlock;
  readonly #lengthBits: number;
  readonly #count: number;
  #next = 0;

  constructor(block: AddressBlock, lengthBits: number) {
    this.#block = block;
    this.#lengthBits = lengthBits;
    this.#count = Math.min(MOST_BLOCKS, 2 ** (lengthBits - block.prefix.lengthBits));
  }

  get text(): string {
    return this.#block.text;
  }

  /** The next one behind the last that is free. */
  next(used: readonly AddressBlock[]): AddressBlock | undefined {
    const same = used.filter(({ isV4 }) => isV4 === this.#block.isV4);
    const texts = new Set(same.map(({ text }) => text));
    const others = same.filter(({ prefix }) => prefix.lengthBits !== this.#lengthBits);
    for (let i = 0; i < this.#count; i++) {
      const index = (this.#next + i) % this.#count;
      const block = blockAt(this.#block, this.#lengthBits, index);
      if (texts.has(block.text) || others.some((other) => blocksOverlap(other, block))) continue;
      this.#next = (index + 1) % this.#count;
      return block;
    }
    return undefined;
  }
}

/** All that stands in a node. */
function rangesOf(object: ApiObject): AddressBlock[] {
  const { spec } = object as unknown as Node;
  const texts = new Set([...(spec?.podCIDR ? [spec.podCIDR] : []), ...(spec?.podCIDRs ?? [])]);
  return [...texts].flatMap((text) => parseBlock(text) ?? []);
}
