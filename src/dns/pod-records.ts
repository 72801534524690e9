/**
 * Names of pods, which are their addresses: `10-244-1-5.default.pod.Z`. A part of the zone; looked up by the address that
 * a name spells, so that no name is written out before it is asked for.
 */
import { addressKey, isV4, parseAddress, type Words } from '../wire/address.ts';
import { type PodEntry, podAddresses } from './cluster-records.ts';
import { TYPE } from './codes.ts';
import { canonicalName } from './name.ts';
import type { DnsRecord } from './record.ts';
import { dashed } from './service-records.ts';

/** As CoreDNS has it: none; any address under a namespace that exists, unchecked; those of pods that exist. */
export const POD_NAMES = ['disabled', 'insecure', 'verified'] as const;
export type PodNames = (typeof POD_NAMES)[number];

export class PodRecords {
  readonly mode: PodNames;
  readonly #pods: readonly PodEntry[];
  /** `.pod.Z`. */
  readonly #suffix: string;
  readonly #ttlSeconds: number;
  #byAddress: Map<number | string, PodEntry[]> | undefined;

  constructor(pods: readonly PodEntry[], mode: PodNames, suffix: string, ttlSeconds: number) {
    this.#pods = pods;
    this.mode = mode;
    this.#suffix = suffix;
    this.#ttlSeconds = ttlSeconds;
  }

  nameOf(pod: PodEntry, address: Words): string {
    return `${dashed(address)}.${canonicalName(pod.namespace)}${this.#suffix}`;
  }

  /** Precondition: the key ends with the suffix. `isNamespace`: whether the name above the pod's exists. */
  get(key: string, isNamespace: (name: string) => boolean): readonly DnsRecord[] | undefined {
    const dot = key.indexOf('.');
    const address = this.mode === 'disabled' ? undefined : spelled(key.slice(0, dot));
    if (!address || !isNamespace(key.slice(dot + 1))) return undefined;
    if (this.mode === 'verified') {
      const namespace = key.slice(dot + 1, -this.#suffix.length);
      const pods = this.#at(address);
      if (!pods.some((pod) => canonicalName(pod.namespace) === namespace)) return undefined;
    }
    return [this.#record(key, address)];
  }

  /** Of pods that exist. */
  *entries(): Generator<readonly [string, readonly DnsRecord[]]> {
    if (this.mode === 'disabled') return;
    const seen = new Set<string>();
    for (const pod of this.#pods) {
      for (const address of podAddresses(pod)) {
        const name = this.nameOf(pod, address);
        if (seen.has(name)) continue;
        seen.add(name);
        yield [name, [this.#record(name, address)]];
      }
    }
  }

  #at(address: Words): readonly PodEntry[] {
    if (!this.#byAddress) {
      this.#byAddress = new Map();
      for (const pod of this.#pods) {
        for (const own of podAddresses(pod)) {
          const key = addressKey(own);
          const others = this.#byAddress.get(key);
          if (others) others.push(pod);
          else this.#byAddress.set(key, [pod]);
        }
      }
    }
    return this.#byAddress.get(addressKey(address)) ?? [];
  }

  #record(owner: string, address: Words): DnsRecord {
    return { type: isV4(address) ? TYPE.a : TYPE.aaaa, owner, ttlSeconds: this.#ttlSeconds, address };
  }
}

/** The address of `10-244-1-5` or `fd00-244--5`; nothing for what is no address, or one in other letters. */
function spelled(label: string): Words | undefined {
  const text = /^\d+-\d+-\d+-\d+$/.test(label) ? label.replaceAll('-', '.') : label.replaceAll('-', ':');
  const address = parseAddress(text);
  return address && dashed(address) === label ? address : undefined;
}
