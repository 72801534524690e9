/**
 * Gives services of type LoadBalancer addresses of the pool, and writes them into their status: what a cloud's load
 * balancer does elsewhere. A status that names an address already is somebody else's work and stays.
 */

import type { AddressBlock } from '../../control/address-block.ts';
import { freePlace } from '../../control/address-pool.ts';
import {
  type AddressSpan,
  type LoadBalancerPool,
  poolAddress,
  poolOffsets,
  poolSize,
} from '../../control/load-balancer-pool.ts';
import type { Node, Service } from '../../kube/objects.ts';
import { isHostAddress } from '../../kube/rule-checks.ts';
import { formatAddress, isV4, parseAddress, type Words } from '../../wire/address.ts';
import { prefixContains } from '../../wire/prefix.ts';
import { ApiError } from '../api-error.ts';
import type { ApiObject } from '../api-object.ts';
import type { Controller, ControllerParts } from './controller-set.ts';
import type { Informer } from './informer.ts';
import { keyOf, splitKey } from './object-key.ts';
import { WorkQueue } from './work-queue.ts';

export interface LoadBalancerSettings {
  pool: LoadBalancerPool;
  /** Ranges of pods and services: nothing of them is an address outside. */
  inner: readonly AddressBlock[];
}

const COMPONENT = 'service-controller';

export class LoadBalancers implements Controller {
  readonly name = 'LoadBalancers';
  readonly #parts: ControllerParts;
  readonly #settings: LoadBalancerSettings;
  readonly #services: Informer;
  readonly #nodes: Informer;
  readonly #queue: WorkQueue;

  constructor(parts: ControllerParts, settings: LoadBalancerSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#services = parts.informers.of(parts.table.known('', 'v1', 'services'));
    this.#nodes = parts.informers.of(parts.table.known('', 'v1', 'nodes'));
    const { clock, log } = parts;
    // One at a time: they are all out of one pool.
    this.#queue = new WorkQueue({ name: this.name, clock, log, parallel: 1, work: (key) => this.#look(key) });
    this.#services.onChange((before, after) => {
      if (after && waits(after)) this.#queue.add(keyOf(after));
      // What it gives up another may wait for.
      const freed = before && ingressOf(before).length > 0 && (!after || ingressOf(after).length === 0);
      if (freed) for (const service of this.#services.list()) if (waits(service)) this.#queue.add(keyOf(service));
    });
  }

  start(): void {
    this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  async #look(key: string): Promise<void> {
    const { namespace, name } = splitKey(key);
    const object = this.#services.get(namespace, name);
    if (!object || !waits(object) || object.metadata.deletionTimestamp) return;
    const { spec } = object as unknown as Service;
    const found = spec.loadBalancerIP
      ? this.#wished(spec.loadBalancerIP)
      : this.#free(key, spec.ipFamilies ?? ['IPv4']);
    if (typeof found === 'string') {
      this.#parts.events.record(object, COMPONENT, 'Warning', 'SyncLoadBalancerFailed', found);
      return;
    }
    const ips = found.map(formatAddress);
    const ingress = ips.map((ip) => ({ ip }));
    const write = (current: ApiObject): ApiObject => {
      if (!waits(current)) return current;
      return { ...current, status: { ...current.status, loadBalancer: { ingress } } };
    };
    try {
      const place = { resource: this.#services.resource, namespace, name };
      const written = await this.#parts.objects.update(place, write, { subresource: 'status' });
      // The next one is given another.
      await this.#services.reached(Number(written.metadata.resourceVersion));
    } catch (error) {
      if (error instanceof ApiError && error.reason === 'NotFound') return;
      if (!(error instanceof ApiError) || error.reason !== 'Invalid') throw error;
      this.#parts.events.record(object, COMPONENT, 'Warning', 'SyncLoadBalancerFailed', error.message);
      throw error;
    }
    this.#parts.events.record(object, COMPONENT, 'Normal', 'EnsuredLoadBalancer', `Has address ${ips.join(', ')}`);
  }

  /** The address that the service asks for, or why it cannot have it. */
  #wished(text: string): Words[] | string {
    const address = parseAddress(text);
    const inner = address && this.#settings.inner.find(({ prefix }) => prefixContains(prefix, address));
    if (!address || !isHostAddress(address)) return `spec.loadBalancerIP: ${text} can be no host's address`;
    if (inner) return `spec.loadBalancerIP: ${text} is inside ${inner.text} of pods or services`;
    return this.#taken().has(formatAddress(address)) ? `spec.loadBalancerIP: ${text} has an owner` : [address];
  }

  #free(key: string, families: readonly string[]): Words[] | string {
    const { pool } = this.#settings;
    if (poolSize(pool.v4) + poolSize(pool.v6) === 0) return 'there is no pool of addresses (--load-balancer-pool)';
    const taken = this.#taken();
    const out: Words[] = [];
    for (const family of families) {
      const spans: readonly AddressSpan[] = family === 'IPv4' ? pool.v4 : pool.v6;
      const offsets = new Set(
        [...taken].flatMap((text) => {
          const address = parseAddress(text);
          return address && isV4(address) === (family === 'IPv4') ? poolOffsets(spans, address) : [];
        }),
      );
      const at = freePlace({ first: 0, count: poolSize(spans), kept: 0 }, key, (offset) => offsets.has(offset));
      if (at !== undefined) out.push(poolAddress(spans, at));
    }
    return out.length > 0 ? out : 'no address of its families is free in --load-balancer-pool';
  }

  /** Addresses outside that services and nodes have. */
  #taken(): Set<string> {
    const texts: string[] = [];
    for (const service of this.#services.list()) {
      texts.push(...ingressOf(service), ...((service as unknown as Service).spec.externalIPs ?? []));
    }
    for (const node of this.#nodes.list()) {
      texts.push(...((node as unknown as Node).status?.addresses ?? []).map(({ address }) => address));
    }
    return new Set(
      texts.flatMap((text) => {
        const address = parseAddress(text);
        return address ? [formatAddress(address)] : [];
      }),
    );
  }
}

/** It is to have an address from here, and has none. */
function waits(object: ApiObject): boolean {
  const { spec, status } = object as unknown as Service;
  return spec.type === 'LoadBalancer' && !spec.loadBalancerClass && (status?.loadBalancer?.ingress ?? []).length === 0;
}

function ingressOf(object: ApiObject): string[] {
  const ingress = (object as unknown as Service).status?.loadBalancer?.ingress ?? [];
  return ingress.flatMap(({ ip }) => (ip ? [ip] : []));
}
