/**
 * Where a pod may run because of other pods: topologySpreadConstraints and pod affinity, counted over the domains of
 * a topology (nodes that have a label's value in common; `kubernetes.io/hostname`: each by itself).
 */
import type { PodAffinityTerm, TopologySpreadConstraint } from 'kubernetes-types/core/v1.js';
import type { LabelSelector } from 'kubernetes-types/meta/v1.js';
import { selects } from '../../kube/selector.ts';
import type { ApiObject } from '../api-object.ts';
import { matchesNode, specOf } from './node-fit.ts';
import type { ClusterLoad } from './node-load.ts';

const HOSTNAME = 'kubernetes.io/hostname';

/** Reads a pod's wishes once; answers for each node. */
export class PodSpread {
  readonly #hard: ((node: ApiObject) => string | undefined)[] = [];
  readonly #soft: ((node: ApiObject) => number)[] = [];
  readonly #nodes: ReadonlyMap<string, ApiObject>;
  readonly #load: ClusterLoad;
  readonly #pod: ApiObject;

  constructor(pod: ApiObject, nodes: ReadonlyMap<string, ApiObject>, load: ClusterLoad) {
    this.#pod = pod;
    this.#nodes = nodes;
    this.#load = load;
    const { topologySpreadConstraints = [], affinity } = specOf(pod);
    for (const constraint of topologySpreadConstraints) this.#spread(constraint);
    for (const term of affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) this.#near(term);
    for (const term of affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) this.#far(term);
    this.#keptAway();
    for (const { weight, podAffinityTerm: term } of affinity?.podAffinity
      ?.preferredDuringSchedulingIgnoredDuringExecution ?? [])
      this.#prefer(term, weight);
    for (const { weight, podAffinityTerm: term } of affinity?.podAntiAffinity
      ?.preferredDuringSchedulingIgnoredDuringExecution ?? [])
      this.#prefer(term, -weight);
  }

  /** Why the pod may not run there; undefined: it may. */
  refusal(node: ApiObject): string | undefined {
    for (const refuses of this.#hard) {
      const reason = refuses(node);
      if (reason !== undefined) return reason;
    }
    return undefined;
  }

  /** How much the pod would rather be elsewhere. */
  reluctance(node: ApiObject): number {
    return this.#soft.reduce((sum, count) => sum + count(node), 0);
  }

  #spread({ topologyKey, labelSelector, maxSkew, whenUnsatisfiable }: TopologySpreadConstraint): void {
    const { metadata } = this.#pod;
    const counts = this.#count(topologyKey, [metadata.namespace ?? ''], labelSelector);
    if (whenUnsatisfiable === 'ScheduleAnyway') {
      this.#soft.push((node) => counts.get(domainOf(node, topologyKey) ?? '') ?? 0);
      return;
    }
    const spec = specOf(this.#pod);
    let least = Number.POSITIVE_INFINITY;
    for (const node of this.#nodes.values()) {
      const domain = domainOf(node, topologyKey);
      if (domain !== undefined && matchesNode(spec, node)) least = Math.min(least, counts.get(domain) ?? 0);
    }
    const itself = selects(labelSelector, metadata.labels ?? {}) ? 1 : 0;
    this.#hard.push((node) => {
      const domain = domainOf(node, topologyKey);
      if (domain === undefined) return "node(s) didn't match pod topology spread constraints (missing required label)";
      const skew = (counts.get(domain) ?? 0) + itself - least;
      return skew > maxSkew ? "node(s) didn't match pod topology spread constraints" : undefined;
    });
  }

  #near(term: PodAffinityTerm): void {
    const counts = this.#count(term.topologyKey, namespacesOf(term, this.#pod), term.labelSelector);
    // The first of a group that wants to be together has nobody to be near to.
    const first = counts.size === 0 && selects(term.labelSelector, this.#pod.metadata.labels ?? {});
    this.#hard.push((node) => {
      const domain = domainOf(node, term.topologyKey);
      const fits = domain !== undefined && (first || counts.has(domain));
      return fits ? undefined : "node(s) didn't match pod affinity rules";
    });
  }

  #far(term: PodAffinityTerm): void {
    const counts = this.#count(term.topologyKey, namespacesOf(term, this.#pod), term.labelSelector);
    this.#hard.push((node) =>
      counts.has(domainOf(node, term.topologyKey) ?? '') ? "node(s) didn't match pod anti-affinity rules" : undefined,
    );
  }

  /** Pods that run already may have asked for this one to stay away. */
  #keptAway(): void {
    const taken = new Map<string, Set<string>>();
    for (const { pod, node } of this.#load.exclusive()) {
      for (const term of specOf(pod).affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) {
        const { labels = {}, namespace = '' } = this.#pod.metadata;
        if (!namespacesOf(term, pod).includes(namespace) || !selects(term.labelSelector, labels)) continue;
        const domain = domainOf(this.#nodes.get(node), term.topologyKey);
        if (domain === undefined) continue;
        const domains = taken.get(term.topologyKey) ?? new Set();
        taken.set(term.topologyKey, domains.add(domain));
      }
    }
    for (const [key, domains] of taken) {
      this.#hard.push((node) =>
        domains.has(domainOf(node, key) ?? '') ? "node(s) didn't satisfy existing pods anti-affinity rules" : undefined,
      );
    }
  }

  #prefer(term: PodAffinityTerm, weight: number): void {
    const counts = this.#count(term.topologyKey, namespacesOf(term, this.#pod), term.labelSelector);
    this.#soft.push((node) => -weight * (counts.get(domainOf(node, term.topologyKey) ?? '') ?? 0));
  }

  /** Pods by domain; those that are ending do not count. */
  #count(
    topologyKey: string,
    namespaces: readonly string[],
    selector: LabelSelector | undefined,
  ): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { pod, node } of this.#load.placed()) {
      const { namespace = '', labels = {}, deletionTimestamp } = pod.metadata;
      if (deletionTimestamp !== undefined || !namespaces.includes(namespace) || !selects(selector, labels)) continue;
      const domain = domainOf(this.#nodes.get(node), topologyKey);
      if (domain !== undefined) counts.set(domain, (counts.get(domain) ?? 0) + 1);
    }
    return counts;
  }
}

function namespacesOf({ namespaces }: PodAffinityTerm, pod: ApiObject): readonly string[] {
  return namespaces && namespaces.length > 0 ? namespaces : [pod.metadata.namespace ?? ''];
}

/** A node that nobody labelled is a host by its name. */
function domainOf(node: ApiObject | undefined, key: string): string | undefined {
  return node?.metadata.labels?.[key] ?? (key === HOSTNAME ? node?.metadata.name : undefined);
}
