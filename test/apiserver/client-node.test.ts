/**
 * The informer of @kubernetes/client-node, a client that we did not write, against our server: it lists in one go,
 * watches, outlives a restart in which its place in the history is lost, and has missed nothing.
 */
import { join } from 'node:path';
import {
  ADD,
  CHANGE,
  CoreV1Api,
  DELETE,
  ERROR,
  type Informer,
  KubeConfig,
  makeInformer,
  UPDATE,
  type V1ConfigMap,
} from '@kubernetes/client-node';
import t, { type Test } from 'tap';
import { ADMINISTRATORS, Authenticator } from '../../src/apiserver/access/access.ts';
import { Authority } from '../../src/apiserver/access/authority.ts';
import { kubeconfig } from '../../src/apiserver/access/kubeconfig.ts';
import { ApiService } from '../../src/apiserver/api-service.ts';
import { ResourceTable } from '../../src/apiserver/kinds/resource-table.ts';
import { LmdbStore } from '../../src/apiserver/store/lmdb-store.ts';
import { configMap } from './test-server.ts';

const OBJECTS = 2000;
const NAMESPACE = 'default';

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`did not come: ${what}`);
}

class Cluster {
  readonly #store: LmdbStore;
  readonly #authority: Authority;
  #service: ApiService | undefined;

  private constructor(store: LmdbStore, authority: Authority) {
    this.#store = store;
    this.#authority = authority;
  }

  static async start(t: Test): Promise<Cluster> {
    const folder = t.testdir();
    const cluster = new Cluster(
      LmdbStore.open({ path: join(folder, 'store') }),
      await Authority.open(join(folder, 'pki')),
    );
    await cluster.serve(0);
    t.teardown(async () => {
      await cluster.stop();
      await cluster.#store.close();
    });
    return cluster;
  }

  async serve(port: number): Promise<void> {
    const { key, certificate } = await this.#authority.server(['127.0.0.1']);
    const authenticator = new Authenticator([]);
    this.#service = await ApiService.start({
      store: this.#store,
      host: '127.0.0.1',
      port,
      tls: { key, certificate, clientCa: this.#authority.certificate },
      authenticate: (request, socket) => authenticator.userOf(request, socket),
      version: 'test',
      controllers: false,
      log: () => {},
    });
  }

  async stop(): Promise<void> {
    await this.#service?.close();
    this.#service = undefined;
  }

  get service(): ApiService {
    if (!this.#service) throw new Error('the server is away');
    return this.#service;
  }

  readonly #maps = new ResourceTable().known('', 'v1', 'configmaps');

  async client(): Promise<KubeConfig> {
    const credentials = await this.#authority.client('admin', [ADMINISTRATORS]);
    const server = `https://127.0.0.1:${this.service.port}`;
    const config = new KubeConfig();
    config.loadFromString(kubeconfig({ server, user: 'admin', authority: this.#authority.certificate, credentials }));
    return config;
  }

  async make(names: readonly string[]): Promise<void> {
    const { objects } = this.service;
    await Promise.all(names.map((name) => objects.create(this.#maps, NAMESPACE, configMap(name) as never)));
  }

  async change(name: string, value: string): Promise<void> {
    const place = { resource: this.#maps, namespace: NAMESPACE, name };
    await this.service.objects.update(place, (current) => ({ ...current, data: { value } }));
  }

  async remove(name: string): Promise<void> {
    await this.service.objects.delete({ resource: this.#maps, namespace: NAMESPACE, name });
  }
}

const named = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}-${i}`);

t.test('an informer that is not ours misses nothing', { timeout: 60_000 }, async (t) => {
  const cluster = await Cluster.start(t);
  await cluster.make(named('old', OBJECTS));
  const config = await cluster.client();
  const api = config.makeApiClient(CoreV1Api);
  const informer: Informer<V1ConfigMap> & { list(): readonly V1ConfigMap[] } = makeInformer(
    config,
    `/api/v1/namespaces/${NAMESPACE}/configmaps`,
    () => api.listNamespacedConfigMap({ namespace: NAMESPACE }),
  );
  let ended = false;
  t.teardown(() => {
    ended = true;
    return informer.stop();
  });
  const known = new Map<string, string>();
  const nameOf = ({ metadata }: V1ConfigMap) => metadata?.name ?? '';
  informer.on(CHANGE, (map) => known.set(nameOf(map), map.data?.value ?? ''));
  informer.on(DELETE, (map) => known.delete(nameOf(map)));
  let added = 0;
  let updated = 0;
  informer.on(ADD, () => added++);
  informer.on(UPDATE, () => updated++);
  let lost = 0;
  informer.on(ERROR, () => {
    lost++;
    setTimeout(() => {
      if (!ended) informer.start().catch(() => {});
    }, 100);
  });
  await informer.start();
  t.equal(known.size, OBJECTS);
  await Promise.all([
    cluster.make(named('new', 50)),
    ...named('old', 50).map((name) => cluster.change(name, 'one')),
    ...named('old', 100)
      .slice(50)
      .map((name) => cluster.remove(name)),
  ]);
  await until('the changes', () => known.size === OBJECTS && known.get('old-49') === 'one');
  t.equal(added, OBJECTS + 50, 'each was added once');
  t.equal(updated, 50);

  const { port } = cluster.service;
  await cluster.stop();
  await until('the loss', () => lost > 0);
  await cluster.serve(port);
  await cluster.change('old-0', 'two');
  await cluster.remove('old-1');
  await cluster.make(['last']);
  await until('what came meanwhile', () => known.get('old-0') === 'two' && !known.has('old-1') && known.has('last'));
  const truth = await api.listNamespacedConfigMap({ namespace: NAMESPACE });
  t.same(
    informer
      .list()
      .map((map) => `${nameOf(map)} ${map.metadata?.resourceVersion}`)
      .sort(),
    truth.items.map((map) => `${nameOf(map)} ${map.metadata?.resourceVersion}`).sort(),
  );
  await cluster.change('last', 'three');
  await until('a change after it', () => known.get('last') === 'three');
});
