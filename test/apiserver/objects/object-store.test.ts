/** Updates decided by memory: no read of the store where it is as new, the same answers where it is not. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type ApiObject, timestamp } from '../../../src/apiserver/api-object.ts';
import { customResources } from '../../../src/apiserver/custom/custom-resource.ts';
import type { Resource } from '../../../src/apiserver/kinds/resource.ts';
import { ResourceTable } from '../../../src/apiserver/kinds/resource-table.ts';
import { ObjectStore } from '../../../src/apiserver/objects/object-store.ts';
import { LmdbStore } from '../../../src/apiserver/store/lmdb-store.ts';
import type { RangeRequest, Store } from '../../../src/apiserver/store/store.ts';

/** A ConfigMap `c`, an ObjectStore whose memory is what `remember` says, and a count of its reads. */
async function opened(t: Test) {
  const store = LmdbStore.open({ path: join(t.testdir(), 'store') });
  t.teardown(() => store.close());
  const table = new ResourceTable();
  const state = { reads: 0, memory: undefined as ApiObject | undefined };
  const counted: Store = Object.create(store, {
    range: {
      value: (request: RangeRequest) => {
        state.reads++;
        return store.range(request);
      },
    },
    commit: { value: store.commit.bind(store) },
  });
  const objects = new ObjectStore(counted, table, { recall: () => state.memory, foresee: () => {} });
  const resource = table.known('', 'v1', 'configmaps');
  const metadata = { name: 'c', uid: '', resourceVersion: '', creationTimestamp: timestamp() };
  const made = await objects.create(resource, 'default', {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata,
    data: { n: '0' },
  });
  const place = { resource, namespace: 'default', name: 'c' };
  const set = (n: string, resourceVersion = '') =>
    objects.update(place, (o) => ({ ...o, metadata: { ...o.metadata, resourceVersion }, data: { n } }));
  return { state, objects, place, made, set };
}

t.test('where memory is as new as the store, an update reads nothing', async (t) => {
  const { state, made, set } = await opened(t);
  state.memory = made;
  state.reads = 0;
  const next = await set('1', made.metadata.resourceVersion);
  t.equal(state.reads, 0);
  t.match(next.data, { n: '1' });
});

t.test('where memory is old, the store decides', async (t) => {
  const { state, objects, place, made, set } = await opened(t);
  const newer = await set('1');
  state.memory = made;
  await t.rejects(
    set('2', made.metadata.resourceVersion),
    { name: 'ApiError', reason: 'Conflict' },
    'the client is as old',
  );
  t.match((await set('2', newer.metadata.resourceVersion)).data, { n: '2' }, 'the client is newer than memory');
  // To what memory has already, but the store has not.
  t.match((await set('0')).data, { n: '0' });
  t.match((await objects.get(place)).data, { n: '0' });
  const count = (o: ApiObject) => ({ ...o, data: { n: `${Number((o.data as { n: string }).n) + 5}` } });
  await set('7');
  t.match((await objects.update(place, count)).data, { n: '12' }, 'what the store has is changed');
  await objects.delete(place);
  await t.rejects(set('3'), { name: 'ApiError', reason: 'NotFound' });
});

t.test('what needs a namespace is not made where that has gone meanwhile', async (t) => {
  const { objects, place } = await opened(t);
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'late' } } as unknown as ApiObject;
  const late = objects.create(place.resource, 'gone', body, { needsNamespace: true });
  await t.rejects(late, { name: 'ApiError', message: 'namespaces "gone" not found' });
});

/** A custom kind whose spec and status have these fields. */
function boats(...fields: string[]): Resource {
  const map = { type: 'object', properties: Object.fromEntries(fields.map((field) => [field, { type: 'integer' }])) };
  const schema = { openAPIV3Schema: { type: 'object', properties: { spec: map, status: map } } };
  const spec = {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'boats', kind: 'Boat' },
    versions: [{ name: 'v1', served: true, storage: true, schema, subresources: { status: {} } }],
  };
  const [resource] = customResources({ spec, metadata: {} } as unknown as ApiObject);
  return resource as Resource;
}

t.test('what an update prunes of a custom object is not what memory shows to others', async (t) => {
  const { state, objects } = await opened(t);
  const place = { resource: boats('sails', 'oars'), namespace: 'default', name: 'a' };
  const body = { apiVersion: 'example.com/v1', kind: 'Boat', metadata: { name: 'a' }, spec: { sails: 2, oars: 4 } };
  await objects.create(place.resource, 'default', body as unknown as ApiObject);
  const known = await objects.update(place, (o) => ({ ...o, status: { oars: 1 } }), { subresource: 'status' });
  const shown = structuredClone(known);
  const less = { ...place, resource: boats('sails') };
  const labelled = (o: ApiObject) => ({ ...o, metadata: { ...o.metadata, labels: { x: 'y' } } });
  const refused = (o: ApiObject) => ({ ...o, status: { sails: 'many' } });
  state.memory = known;
  await t.rejects(objects.update(less, refused, { subresource: 'status' }), { name: 'ApiError', reason: 'Invalid' });
  t.same(known, shown);
  await objects.update(less, labelled);
  t.same(known, shown);
});
