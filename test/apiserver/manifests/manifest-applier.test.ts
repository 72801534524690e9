/** Manifests in a folder, applied through the object store: made, changed without touching what is others', deleted. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ApiError } from '../../../src/apiserver/api-error.ts';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { customResources } from '../../../src/apiserver/custom/custom-resource.ts';
import { ResourceTable } from '../../../src/apiserver/kinds/resource-table.ts';
import { readApplierState } from '../../../src/apiserver/manifests/applier-state.ts';
import { ManifestApplier } from '../../../src/apiserver/manifests/manifest-applier.ts';
import { resourceOfKind } from '../../../src/apiserver/manifests/manifest-kinds.ts';
import { ObjectStore } from '../../../src/apiserver/objects/object-store.ts';
import { LmdbStore } from '../../../src/apiserver/store/lmdb-store.ts';
import { formatProblem } from '../../../src/kube/problem.ts';

const service = (fields: string) => `apiVersion: v1
kind: Service
metadata: {name: web, labels: {tier: front}}
spec: {selector: {app: web}, ${fields}}
`;
const NODE = `apiVersion: v1
kind: Node
metadata: {name: hosta}
spec: {podCIDR: 10.244.1.0/24}
status: {addresses: [{type: InternalIP, address: 172.31.0.11}, {type: InternalIP, address: 'fd00::b'}]}
`;
const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata: {name: dep, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: dep}}
  template:
    metadata: {labels: {app: dep}}
    spec: {containers: [{name: c, image: nginx}]}
`;

class Bench {
  readonly folder: string;
  readonly stateFile: string;
  readonly table = new ResourceTable();
  readonly objects: ObjectStore;
  readonly log: string[] = [];
  applier: ManifestApplier | undefined;

  constructor(t: Test) {
    const data = t.testdir();
    this.folder = join(data, 'manifests');
    this.stateFile = join(data, 'manifests.json');
    mkdirSync(this.folder);
    const store = LmdbStore.open({ path: join(data, 'store') });
    this.objects = new ObjectStore(store, this.table);
    t.teardown(async () => {
      await this.applier?.close();
      await store.close();
    });
  }

  async restart(): Promise<void> {
    await this.applier?.close();
    const { objects, table, folder, stateFile } = this;
    this.applier = new ManifestApplier({
      objects,
      table,
      stateFile,
      paths: [folder],
      log: (line) => this.log.push(line),
    });
    await this.applier.start();
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }

  place(apiVersion: string, kind: string, name: string, namespace?: string) {
    const resource = resourceOfKind(this.table, apiVersion, kind);
    if (!resource) throw new Error(`no ${kind}`);
    return { resource, namespace: resource.namespaced ? (namespace ?? 'default') : undefined, name };
  }

  async get(apiVersion: string, kind: string, name: string, namespace?: string): Promise<ApiObject | undefined> {
    try {
      return await this.objects.get(this.place(apiVersion, kind, name, namespace));
    } catch (error) {
      if (error instanceof ApiError && error.reason === 'NotFound') return undefined;
      throw error;
    }
  }

  problems(): string[] {
    return (this.applier?.problems() ?? []).map(formatProblem).map((line) => line.replaceAll(`${this.folder}/`, ''));
  }
}

async function until(t: Test, what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  t.fail(`waited too long until ${what}`);
}

t.test('objects of every kind are made, their namespaces too', async (t) => {
  const bench = new Bench(t);
  bench.write('all.yaml', [service('ports: [{port: 80}]'), NODE, DEPLOYMENT].join('---\n'));
  await bench.restart();
  t.same(bench.problems(), []);
  t.match(await bench.get('v1', 'Service', 'web'), { spec: { ports: [{ port: 80, protocol: 'TCP' }] } });
  t.match(await bench.get('apps/v1', 'Deployment', 'dep', 'shop'), { spec: { replicas: 2 } });
  t.ok(await bench.get('v1', 'Namespace', 'shop'));
  const node = await bench.get('v1', 'Node', 'hosta');
  t.match(
    node?.status,
    { addresses: [{ address: '172.31.0.11' }, { address: 'fd00::b' }] },
    'with the addresses that its manifest says',
  );
});

t.test('a file that changes changes what it said, and nothing else', async (t) => {
  const bench = new Bench(t);
  bench.write(
    'web.yaml',
    service('ports: [{port: 80, name: http}, {port: 81, name: more}], type: NodePort, sessionAffinity: ClientIP'),
  );
  await bench.restart();
  const place = bench.place('v1', 'Service', 'web');
  await bench.objects.update(place, (o) => {
    const { ports: given } = o.spec as { ports: object[] };
    const ports = given.map((p, i) => ({ ...p, nodePort: 30000 + i }));
    return {
      ...o,
      metadata: { ...o.metadata, labels: { ...o.metadata.labels, mine: 'yes' } },
      spec: { ...o.spec, clusterIP: '10.96.0.7', ports },
    };
  });
  bench.write('web.yaml', service('ports: [{port: 80, name: http, targetPort: 8080}], type: NodePort'));
  await until(t, 'the change is applied', async () => {
    const spec = (await bench.get('v1', 'Service', 'web'))?.spec as { ports: unknown[] };
    return spec.ports.length === 1;
  });
  const web = await bench.get('v1', 'Service', 'web');
  t.match(web, {
    metadata: { labels: { tier: 'front', mine: 'yes' } },
    spec: {
      clusterIP: '10.96.0.7',
      sessionAffinity: 'None',
      ports: [{ port: 80, targetPort: 8080, nodePort: 30000 }],
    },
  });
});

t.test('a file that changes an object of a custom kind', async (t) => {
  const bench = new Bench(t);
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const definition = {
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'boats', kind: 'Boat' },
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
    metadata: {},
  };
  for (const resource of customResources(definition as unknown as ApiObject)) bench.table.add(resource);
  const boat = (sails: number) => `apiVersion: example.com/v1
kind: Boat
metadata: {name: anna}
spec: {sails: ${sails}}
`;
  bench.write('boat.yaml', boat(1));
  await bench.restart();
  bench.write('boat.yaml', boat(2));
  const sails = async () => (await bench.get('example.com/v1', 'Boat', 'anna'))?.spec?.sails;
  await until(t, 'the change is applied', async () => (await sails()) === 2);
  t.same(bench.problems(), []);
});

t.test('what has not changed in the files may be changed and deleted by others, also across restarts', async (t) => {
  const bench = new Bench(t);
  bench.write('dep.yaml', DEPLOYMENT);
  bench.write('web.yaml', service('ports: [{port: 80}]'));
  await bench.restart();
  const place = bench.place('apps/v1', 'Deployment', 'dep', 'shop');
  await bench.objects.update(place, (o) => ({ ...o, spec: { ...o.spec, replicas: 5 } }));
  await bench.objects.delete(bench.place('v1', 'Service', 'web'));
  await bench.restart();
  t.match(await bench.get('apps/v1', 'Deployment', 'dep', 'shop'), { spec: { replicas: 5 } });
  t.equal(await bench.get('v1', 'Service', 'web'), undefined);
  bench.write('web.yaml', service('ports: [{port: 81}]'));
  await until(t, 'it is made again', async () => (await bench.get('v1', 'Service', 'web')) !== undefined);
});

t.test('what leaves the files is deleted, while the server runs or between two lives', async (t) => {
  const bench = new Bench(t);
  bench.write('all.yaml', [service('ports: [{port: 80}]'), NODE, DEPLOYMENT].join('---\n'));
  await bench.restart();
  bench.write('all.yaml', [NODE, DEPLOYMENT].join('---\n'));
  await until(t, 'the service is gone', async () => (await bench.get('v1', 'Service', 'web')) === undefined);
  await bench.applier?.close();
  bench.write('all.yaml', NODE);
  await bench.restart();
  t.equal(await bench.get('apps/v1', 'Deployment', 'dep', 'shop'), undefined);
  t.ok(await bench.get('v1', 'Node', 'hosta'));
  rmSync(join(bench.folder, 'all.yaml'));
  await until(t, 'the node is gone', async () => (await bench.get('v1', 'Node', 'hosta')) === undefined);
});

t.test('a server that starts and cannot read a file takes nothing away that may stand in it', async (t) => {
  const bench = new Bench(t);
  bench.write('web.yaml', service('ports: [{port: 80}]'));
  bench.write('dep.yaml', DEPLOYMENT);
  await bench.restart();
  await bench.applier?.close();
  bench.write('web.yaml', 'a: [');
  await bench.restart();
  t.match(bench.problems(), [/^web\.yaml:/]);
  t.ok(await bench.get('v1', 'Service', 'web'));
  rmSync(join(bench.folder, 'dep.yaml'));
  const gone = async () => (await bench.get('apps/v1', 'Deployment', 'dep', 'shop')) === undefined;
  await until(t, 'what this one has read goes with its file', gone);
  bench.write('web.yaml', '# nobody needs it any more');
  await until(t, 'all can be read', async () => (await bench.get('v1', 'Service', 'web')) === undefined);
});

t.test('a manifest in another version of its kind is of the same object', async (t) => {
  const bench = new Bench(t);
  const zoo = (version: string) => `apiVersion: example.org/${version}\nkind: Zoo\nmetadata: {name: z}\n`;
  const likeMap = resourceOfKind(bench.table, 'v1', 'ConfigMap') as NonNullable<ReturnType<typeof resourceOfKind>>;
  const custom = { storageVersion: 'v1', check: () => [], unknownFields: () => [] };
  for (const version of ['v1', 'v2']) {
    const names = { group: 'example.org', version, kind: 'Zoo', plural: 'zoos', singular: 'zoo', namespaced: false };
    bench.table.add({ ...likeMap, ...names, custom });
  }
  bench.write('zoo.yaml', zoo('v1'));
  await bench.restart();
  const uid = (await bench.get('example.org/v1', 'Zoo', 'z'))?.metadata.uid;
  t.ok(uid);
  await bench.applier?.close();
  bench.write('zoo.yaml', zoo('v2'));
  await bench.restart();
  t.equal((await bench.get('example.org/v2', 'Zoo', 'z'))?.metadata.uid, uid);
});

t.test('what is wrong is said with its line, the last good version stays', async (t) => {
  const bench = new Bench(t);
  bench.write('web.yaml', service('ports: [{port: 80}]'));
  await bench.restart();
  bench.write('web.yaml', `# moved\n${service('ports: [{port: 99999}]')}`);
  bench.write('zoo.yaml', 'apiVersion: example.org/v1\nkind: Zoo\nmetadata: {name: z}\n');
  bench.write('job.yaml', 'apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\n');
  await until(t, 'all is said', async () => bench.problems().length === 3);
  t.same(bench.problems(), [
    'job.yaml:1: Job (batch/v1) is a kind that is not read: ignored',
    'web.yaml:5: Service default/web: spec.ports[0].port: must be between 1 and 65535, not 99999',
    'zoo.yaml:1: Zoo default/z: no kind Zoo (example.org/v1) is defined',
  ]);
  t.match(await bench.get('v1', 'Service', 'web'), { spec: { ports: [{ port: 80 }] } });
  t.same(readApplierState(bench.stateFile)?.problems.map(formatProblem), bench.applier?.problems().map(formatProblem));
  const zoo = {
    ...(resourceOfKind(bench.table, 'v1', 'ConfigMap') as NonNullable<ReturnType<typeof resourceOfKind>>),
    ...{ group: 'example.org', kind: 'Zoo', plural: 'zoos', singular: 'zoo', namespaced: false },
  };
  bench.table.add(zoo);
  await until(t, 'its kind is known', async () => (await bench.get('example.org/v1', 'Zoo', 'z')) !== undefined);
  bench.write('web.yaml', service('ports: [{port: 82}]'));
  await until(t, 'the others are solved', async () => bench.problems().length === 1);
  t.match(bench.log.join('\n'), /solved: .*must be between 1 and 65535/);
});

t.test('many objects, and one that is being deleted', async (t) => {
  const bench = new Bench(t);
  const map = (i: number) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m${i}, finalizers: [x.example/y]}\n`;
  const maps = Array.from({ length: 300 }, (_, i) => map(i));
  bench.write('maps.yaml', maps.join('---\n'));
  await bench.restart();
  const place = bench.place('v1', 'ConfigMap', 'm7');
  t.equal((await bench.objects.list(place.resource)).items.length, 300);
  await bench.objects.delete(place);
  bench.write('maps.yaml', [...maps.slice(0, 7), map(7).replace('y]}', 'y]}\ndata: {a: b}')].join('---\n'));
  await until(t, 'it is waited for', async () => /is being deleted/.test(bench.problems().join()));
  await bench.objects.update(place, (o) => ({ ...o, metadata: { ...o.metadata, finalizers: [] } }));
  await until(t, 'it comes again', async () => (await bench.get('v1', 'ConfigMap', 'm7'))?.data !== undefined);
  t.same(bench.problems(), []);
  t.ok(readFileSync(bench.stateFile, 'utf8').length < 3000, 'what is written down goes with the objects');
});
