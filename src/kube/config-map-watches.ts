/**
 * The ConfigMaps that the pods of one node name, each followed by itself, as kubelet does it: a cluster's others are
 * none of a node's business, and may be many and large.
 */
import { type ApiClient, pathSegment } from './api-client.ts';
import type { ConfigMap, Pod } from './objects.ts';
import { Reflector } from './reflector.ts';
import { WatchedKind } from './watched-kind.ts';

/** More than the pods of a node name. */
const MOST = 1000;

interface Watch {
  reflector: Reflector;
  known: WatchedKind<ConfigMap>;
}

export class ConfigMapWatches {
  readonly #client: ApiClient;
  readonly #changed: () => void;
  readonly #watches = new Map<string, Watch>();

  constructor(client: ApiClient, changed: () => void) {
    this.#client = client;
    this.#changed = changed;
  }

  /** Follows those, and no others any more. Whether that is another set than before. */
  follow(keys: ReadonlySet<string>): boolean {
    let isOther = false;
    for (const [key, { reflector }] of this.#watches) {
      if (keys.has(key)) continue;
      this.#watches.delete(key);
      isOther = true;
      void reflector.close();
    }
    for (const key of keys) {
      if (this.#watches.has(key) || this.#watches.size >= MOST) continue;
      const [namespace = '', name = ''] = key.split('/');
      const known = new WatchedKind<ConfigMap>('ConfigMap', '', this.#changed);
      const path = `/api/v1/namespaces/${pathSegment(namespace)}/configmaps`;
      const query = { fieldSelector: `metadata.name=${name}` };
      const reflector = new Reflector({ client: this.#client, path, query, sink: known });
      this.#watches.set(key, { reflector, known });
      reflector.start();
      isOther = true;
    }
    return isOther;
  }

  /** Whether it is known what it holds, be it that there is none. */
  isKnown(key: string): boolean {
    return this.#watches.get(key)?.known.isComplete === true;
  }

  get kinds(): WatchedKind<ConfigMap>[] {
    return [...this.#watches.values()].map(({ known }) => known);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#watches.values()].map(({ reflector }) => reflector.close()));
  }
}

/** Keys of the ConfigMaps that a pod needs to start. */
export function configMapsOf({ metadata, spec }: Pod): string[] {
  const names = new Set<string>();
  for (const { env = [], envFrom = [] } of [...(spec.initContainers ?? []), ...spec.containers]) {
    for (const { valueFrom } of env) if (valueFrom?.configMapKeyRef?.name) names.add(valueFrom.configMapKeyRef.name);
    for (const { configMapRef } of envFrom) if (configMapRef?.name) names.add(configMapRef.name);
  }
  for (const { configMap, projected } of spec.volumes ?? []) {
    if (configMap?.name) names.add(configMap.name);
    for (const source of projected?.sources ?? []) if (source.configMap?.name) names.add(source.configMap.name);
  }
  return [...names].map((name) => `${metadata.namespace}/${name}`);
}
