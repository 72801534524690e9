/** The objects of a cluster in memory's reach: a store in a folder, its watch cache, controllers on it; no server. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import {
  type ControllerFactory,
  ControllerSet,
  type ControllerSetOptions,
} from '../../../src/apiserver/controllers/controller-set.ts';
import type { Resource } from '../../../src/apiserver/kinds/resource.ts';
import { ResourceTable } from '../../../src/apiserver/kinds/resource-table.ts';
import { ObjectStore } from '../../../src/apiserver/objects/object-store.ts';
import { LmdbStore } from '../../../src/apiserver/store/lmdb-store.ts';
import { WatchCache } from '../../../src/apiserver/watch/watch-cache.ts';

/** What a test writes of an object: the rest is made up. */
export interface Written {
  apiVersion: string;
  kind: string;
  metadata: Partial<ApiObject['metadata']> & { name: string };
  [field: string]: unknown;
}

const PLURALS: Readonly<Record<string, [group: string, plural: string]>> = {
  Namespace: ['', 'namespaces'],
  Node: ['', 'nodes'],
  Pod: ['', 'pods'],
  Service: ['', 'services'],
  ConfigMap: ['', 'configmaps'],
  Endpoints: ['', 'endpoints'],
  EndpointSlice: ['discovery.k8s.io', 'endpointslices'],
  Event: ['', 'events'],
  Deployment: ['apps', 'deployments'],
  ReplicaSet: ['apps', 'replicasets'],
  StatefulSet: ['apps', 'statefulsets'],
  ControllerRevision: ['apps', 'controllerrevisions'],
  Lease: ['coordination.k8s.io', 'leases'],
};

export class ClusterStore {
  readonly store: LmdbStore;
  readonly table = new ResourceTable();
  readonly objects: ObjectStore;
  readonly cache: WatchCache;
  readonly said: string[] = [];
  readonly #ends: (() => Promise<void>)[] = [];

  private constructor(store: LmdbStore) {
    this.store = store;
    this.objects = new ObjectStore(store, this.table);
    this.cache = new WatchCache(store);
  }

  /** Ends with the test. */
  static async open(t: Test): Promise<ClusterStore> {
    const cluster = new ClusterStore(LmdbStore.open({ path: join(t.testdir(), 'store') }));
    await cluster.cache.start();
    t.teardown(async () => {
      for (const end of cluster.#ends) await end();
      cluster.cache.close();
      await cluster.store.close();
    });
    return cluster;
  }

  /** They lead at once, unless the options say otherwise; end with the test. */
  async run(
    factories: readonly ControllerFactory[],
    options: Partial<ControllerSetOptions> = {},
  ): Promise<ControllerSet> {
    const { objects, cache, table } = this;
    const log = (message: string) => void this.said.push(message);
    const set = new ControllerSet({ objects, cache, table, log, alone: true, ...options }, factories);
    this.#ends.push(() => set.stop());
    await set.start();
    return set;
  }

  kind(kind: string): Resource {
    const [group, plural] = PLURALS[kind] ?? ['', ''];
    return this.table.known(group, 'v1', plural);
  }

  /** Namespaced kinds in `default`. */
  async create(object: Written): Promise<ApiObject> {
    return this.objects.create(this.kind(object.kind), undefined, object as unknown as ApiObject);
  }

  async get(kind: string, name: string, namespace = 'default'): Promise<ApiObject> {
    return this.objects.get(this.#place(kind, name, namespace));
  }

  async list(kind: string): Promise<ApiObject[]> {
    return (await this.objects.list(this.kind(kind))).items;
  }

  async names(kind: string): Promise<string[]> {
    return (await this.list(kind)).map(({ metadata }) => metadata.name).sort();
  }

  async update(kind: string, name: string, change: (object: ApiObject) => void, status = false): Promise<ApiObject> {
    const edit = (current: ApiObject) => {
      change(current);
      return current;
    };
    const place = this.#place(kind, name, 'default');
    return this.objects.update(place, edit, status ? { subresource: 'status' } : {});
  }

  async delete(kind: string, name: string, options: Parameters<ObjectStore['delete']>[1] = {}): Promise<void> {
    await this.objects.delete(this.#place(kind, name, 'default'), options);
  }

  /** Real time, in small steps. Throws with what it found last. */
  async until<T>(what: string, read: () => Promise<T>, done: (value: T) => boolean, seconds = 15): Promise<T> {
    let value = await read();
    for (const end = Date.now() + seconds * 1000; !done(value); value = await read()) {
      if (Date.now() > end) {
        throw new Error(`${what}: not after ${seconds} s: ${JSON.stringify(value)}\n${this.said.join('\n')}`);
      }
      await sleep(3);
    }
    return value;
  }

  #place(kind: string, name: string, namespace: string) {
    const resource = this.kind(kind);
    return { resource, namespace: resource.namespaced ? namespace : undefined, name };
  }
}
