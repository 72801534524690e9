/**
 * Which pods stand behind which services: services by what they select, pods by their labels, so that neither a change
 * of a pod looks at every service nor one of a service at every pod. Tells whose endpoints a change concerns.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Pod, Service } from '../../kube/objects.ts';
import { hasLabels } from '../../kube/selector.ts';
import type { ApiObject } from '../api-object.ts';
import type { ControllerParts } from './controller-set.ts';
import type { Informer } from './informer.ts';
import { ObjectIndex } from './object-index.ts';
import { keyOf } from './object-key.ts';

const ZONE_LABEL = 'topology.kubernetes.io/zone';

export class ServicePods {
  readonly services: Informer;
  readonly #nodes: Informer;
  /** By each label. */
  readonly #pods: ObjectIndex;
  /** By their nodes. */
  readonly #podsOn: ObjectIndex;
  /** By one label of their selectors. */
  readonly #services: ObjectIndex;

  /** `onChange`: the endpoints of this service (`namespace/name`) may be others now. */
  constructor({ informers, table }: ControllerParts, onChange: (service: string) => void) {
    this.services = informers.of(table.known('', 'v1', 'services'));
    this.#nodes = informers.of(table.known('', 'v1', 'nodes'));
    const pods = informers.of(table.known('', 'v1', 'pods'));
    this.#pods = new ObjectIndex(pods, ({ metadata }) =>
      Object.entries(metadata.labels ?? {}).map(([key, value]) => labelId(metadata.namespace, key, value)),
    );
    this.#podsOn = new ObjectIndex(pods, ({ spec }) => (spec?.nodeName ? [spec.nodeName as string] : []));
    this.#services = new ObjectIndex(this.services, (service) => {
      const [label] = Object.entries(selectorOf(service) ?? {});
      return label ? [labelId(service.metadata.namespace, ...label)] : [];
    });
    this.services.onChange((before, after) => {
      if (before && after && before.metadata.uid === after.metadata.uid && sameService(before, after)) return;
      onChange(keyOf((after ?? before) as ApiObject));
    });
    pods.onChange((before, after) => {
      if (before && after && samePod(before, after)) return;
      for (const service of this.#servicesOf(before, after)) onChange(service);
    });
    this.#nodes.onChange((before, after) => {
      if (before?.metadata.labels?.[ZONE_LABEL] === after?.metadata.labels?.[ZONE_LABEL]) return;
      const { name } = ((after ?? before) as ApiObject).metadata;
      for (const service of this.#servicesOf(...this.#podsOn.get(name))) onChange(service);
    });
  }

  /** In order of name; those that a service without a selector has are nobody's business here. */
  of(service: Service): Pod[] {
    const { namespace } = service.metadata;
    const { selector = {} } = service.spec;
    let fewest: string | undefined;
    for (const [key, value] of Object.entries(selector)) {
      const id = labelId(namespace, key, value);
      if (fewest === undefined || this.#pods.size(id) < this.#pods.size(fewest)) fewest = id;
    }
    if (fewest === undefined) return [];
    const found: Pod[] = [];
    for (const pod of this.#pods.get(fewest)) {
      if (hasLabels(selector, pod.metadata.labels ?? {})) found.push(pod as unknown as Pod);
    }
    return found.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  }

  zoneOf(node: string | undefined): string | undefined {
    return node === undefined ? undefined : this.#nodes.get(undefined, node)?.metadata.labels?.[ZONE_LABEL];
  }

  /** Services behind which any of these pods stands. */
  #servicesOf(...pods: (ApiObject | undefined)[]): Set<string> {
    const out = new Set<string>();
    for (const { namespace, labels = {} } of pods.flatMap((pod) => pod?.metadata ?? [])) {
      for (const [key, value] of Object.entries(labels)) {
        for (const service of this.#services.get(labelId(namespace, key, value))) {
          if (hasLabels(selectorOf(service) ?? {}, labels)) out.add(keyOf(service));
        }
      }
    }
    return out;
  }
}

function labelId(namespace: string | undefined, key: string, value: string): string {
  return `${namespace}\0${key}\0${value}`;
}

/** Whether pods stand behind it by their labels; where not, people write its endpoints. An empty selector is none. */
export function hasSelector({ spec }: Service): boolean {
  return Object.keys(spec.selector ?? {}).length > 0;
}

function selectorOf(service: ApiObject): Record<string, string> | undefined {
  return (service as unknown as Service).spec?.selector ?? undefined;
}

/** Nothing changed but its status. */
function sameService(a: ApiObject, b: ApiObject): boolean {
  return a.metadata.generation === b.metadata.generation && isDeepStrictEqual(a.metadata.labels, b.metadata.labels);
}

/** Nothing that its endpoints show: pods' statuses change often. */
function samePod(a: ApiObject, b: ApiObject): boolean {
  return JSON.stringify(shownOf(a)) === JSON.stringify(shownOf(b));
}

function shownOf(object: ApiObject): unknown[] {
  const { metadata, spec, status } = object as unknown as Pod;
  const { uid, labels, deletionTimestamp } = metadata;
  return [
    [uid, deletionTimestamp !== undefined, labels],
    [spec.nodeName, spec.hostname, spec.subdomain],
    [status?.phase, status?.podIP, status?.podIPs, status?.conditions?.find(({ type }) => type === 'Ready')?.status],
  ];
}
