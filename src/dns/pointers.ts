/**
 * From addresses to names: what the reverse zones hold. One address, one meaning: a service's own name before those of
 * endpoints, and among these the headless services' before names that merely happen to exist for pods behind a virtual
 * address; a pod behind no service has its own. Within one of these, an address has as many names as objects have it.
 */
import { addressKey, isV4, type Words } from '../wire/address.ts';
import { prefixContains } from '../wire/prefix.ts';
import type { EndpointEntry, PodEntry, ServiceEntry } from './cluster-records.ts';
import { TYPE } from './codes.ts';
import { isWritableName } from './name.ts';
import type { DnsRecord } from './record.ts';
import { reverseName, reversePrefix } from './reverse.ts';

/** An address with what has a name by it: a service, an endpoint of one, or a pod. */
export interface Pointed {
  address: Words;
  service?: ServiceEntry;
  endpoint?: EndpointEntry;
  pod?: PodEntry;
}

/** In the order of precedence. */
type Meanings = { readonly pass: number; readonly pointed: Pointed }[];

const ADDRESS_BITS = 128;
const V4_BITS = 96;

export class Pointers {
  readonly #byAddress = new Map<number | string, Meanings>();
  readonly #ttlSeconds: number;

  readonly #targetOf: (pointed: Pointed) => string;

  /** Passes in the order of precedence; names are made of what has them when they are asked for. */
  constructor(passes: readonly (readonly Pointed[])[], targetOf: (pointed: Pointed) => string, ttlSeconds: number) {
    this.#targetOf = targetOf;
    this.#ttlSeconds = ttlSeconds;
    let pass = 0;
    for (const each of passes) {
      pass++;
      for (const pointed of each) {
        const key = addressKey(pointed.address);
        const known = this.#byAddress.get(key);
        if (known) known.push({ pass, pointed });
        else this.#byAddress.set(key, [{ pass, pointed }]);
      }
    }
  }

  /** Records of a reverse name; empty for what only lies above such names, undefined for what does not exist. */
  get(key: string): readonly DnsRecord[] | undefined {
    const prefix = reversePrefix(key);
    if (!prefix) return undefined;
    if (prefix.lengthBits === ADDRESS_BITS) {
      const records = this.#recordsOf(this.#byAddress.get(addressKey(prefix.address)) ?? [], key);
      return records.length > 0 ? records : undefined;
    }
    const v4 = prefix.lengthBits >= V4_BITS && isV4(prefix.address);
    for (const meanings of this.#byAddress.values()) {
      const address = meanings[0]?.pointed.address;
      if (!address || isV4(address) !== v4 || !prefixContains(prefix, address)) continue;
      if (this.#recordsOf(meanings, key).length > 0) return [];
    }
    return undefined;
  }

  /** Every name that has a record. */
  *entries(): Generator<readonly [string, readonly DnsRecord[]]> {
    for (const meanings of this.#byAddress.values()) {
      const owner = reverseName(meanings[0]?.pointed.address ?? [0, 0, 0, 0]);
      yield [owner, this.#recordsOf(meanings, owner)];
    }
  }

  /** Of the first pass that has a name which can be written. */
  #recordsOf(meanings: Meanings, owner: string): DnsRecord[] {
    const targets = new Set<string>();
    let found = 0;
    for (const { pass, pointed } of meanings) {
      if (found !== 0 && pass !== found) break;
      const target = this.#targetOf(pointed);
      if (!isWritableName(target)) continue;
      found = pass;
      targets.add(target);
    }
    return [...targets].map((target) => ({ type: TYPE.ptr, owner, ttlSeconds: this.#ttlSeconds, target }));
  }
}
