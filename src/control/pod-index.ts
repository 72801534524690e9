/** Pods by what services ask for: labels and addresses, so that a thousand services do not each look at every pod. */
import { WEIGHT_ANNOTATION } from '../kube/object-rules.ts';
import { hasLabels } from '../kube/selector.ts';
import type { Words } from '../wire/address.ts';
import type { ClusterPod } from './model.ts';

export class PodIndex {
  readonly #pods: readonly ClusterPod[];
  readonly #byLabel = new Map<string, ClusterPod[]>();
  /** By `namespace/name`, of the few that have one. */
  readonly #weights = new Map<string, number>();
  /** Made when first asked for: few clusters write endpoints by hand. */
  #byAddress: Map<string, ClusterPod> | undefined;

  constructor(pods: Iterable<ClusterPod>) {
    this.#pods = [...pods];
    for (const pod of this.#pods) {
      const weight = weightOf(pod);
      if (weight !== undefined) this.#weights.set(`${pod.namespace}/${pod.name}`, weight);
      for (const [key, value] of Object.entries(pod.labels)) {
        const id = labelId(pod.namespace, key, value);
        const list = this.#byLabel.get(id);
        if (list) list.push(pod);
        else this.#byLabel.set(id, [pod]);
      }
    }
  }

  /** The pods of a namespace that have all labels. A Service without a selector selects nobody. */
  select(namespace: string, selector: Readonly<Record<string, string>>): readonly ClusterPod[] {
    let fewest: readonly ClusterPod[] | undefined;
    for (const [key, value] of Object.entries(selector)) {
      const list = this.#byLabel.get(labelId(namespace, key, value)) ?? [];
      if (!fewest || list.length < fewest.length) fewest = list;
    }
    return fewest?.filter((pod) => hasLabels(selector, pod.labels)) ?? [];
  }

  /** The share of connections that a pod is to have, by `namespace/name`; undefined where it does not say. */
  weightOf(pod: string | undefined): number | undefined {
    return pod === undefined ? undefined : this.#weights.get(pod);
  }

  /** The pod of an address; of several in a host's network any, for they are on one node. */
  at(address: Words): ClusterPod | undefined {
    this.#byAddress ??= new Map(this.#pods.flatMap((pod) => pod.addresses.map((own) => [own.join(), pod] as const)));
    return this.#byAddress.get(address.join());
  }
}

function weightOf({ object }: ClusterPod): number | undefined {
  const written = object.metadata.annotations?.[WEIGHT_ANNOTATION];
  return written === undefined ? undefined : Number(written);
}

function labelId(namespace: string, key: string, value: string): string {
  return `${namespace}\0${key}\0${value}`;
}
