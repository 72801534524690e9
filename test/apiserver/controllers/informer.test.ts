/** An informer knows what the store holds: from the first list on, through lost watches, told once a change. */
import t from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { Informer } from '../../../src/apiserver/controllers/informer.ts';
import { InformerSet } from '../../../src/apiserver/controllers/informer-set.ts';
import { ObjectIndex } from '../../../src/apiserver/controllers/object-index.ts';
import { OwnWrites } from '../../../src/apiserver/controllers/own-writes.ts';
import { WatchCache } from '../../../src/apiserver/watch/watch-cache.ts';
import { ClusterStore } from './cluster-store.ts';

const map = (name: string, namespace: string, data: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace },
  data,
});

function told(informer: Informer): string[] {
  const heard: string[] = [];
  const x = (object: ApiObject | undefined) => (object ? `${(object.data as { x?: string }).x ?? ''}` : '-');
  informer.onChange((before, after) => {
    const { namespace, name } = (after ?? before)?.metadata ?? {};
    heard.push(`${namespace}/${name} ${x(before)} ${x(after)}`);
  });
  return heard;
}

t.test('lists, then follows', async (t) => {
  const cluster = await ClusterStore.open(t);
  await cluster.create(map('a', 'one', { x: '1' }));
  const informer = new Informer(cluster, cluster.kind('ConfigMap'));
  const heard = told(informer);
  const byX = new ObjectIndex(informer, (o) => Object.values(o.data as Record<string, string>));
  await informer.start();
  t.equal(informer.get('one', 'a')?.metadata.name, 'a');
  await cluster.create(map('b', 'two', { x: '2' }));
  const place = { resource: cluster.kind('ConfigMap'), namespace: 'one', name: 'a' };
  await cluster.objects.update(place, (o) => ({ ...o, data: { x: '2' } }));
  await cluster.until(
    'both are known',
    async () => byX.size('2'),
    (n) => n === 2,
  );
  t.equal(byX.size('1'), 0, 'it stands in one place of the index');
  await cluster.objects.delete(place);
  await cluster.until(
    'it is gone',
    async () => informer.get('one', 'a'),
    (o) => o === undefined,
  );
  t.same(heard, ['one/a - 1', 'two/b - 2', 'one/a 1 2', 'one/a 2 -']);
  t.same(
    [...byX.get('2')].map(({ metadata }) => metadata.name),
    ['b'],
  );
  t.equal([...informer.list()].length, 1);
  t.equal([...informer.list('one')].length, 0);
  informer.close();
});

t.test('after a lost watch it tells what was missed, a namesake as another object', async (t) => {
  const cluster = await ClusterStore.open(t);
  const resource = cluster.kind('ConfigMap');
  await cluster.create(map('stays', 'n', { x: '1' }));
  await cluster.create(map('goes', 'n', { x: '1' }));
  await cluster.create(map('anew', 'n', { x: '1' }));
  // A cache of its own, that is lost in between.
  let cache = new WatchCache(cluster.store);
  await cache.start();
  const lost = cache;
  const parts = {
    get cache() {
      return cache;
    },
  };
  const informer = new Informer(parts, resource);
  await informer.start();
  const heard = told(informer);
  t.same(heard.splice(0), ['n/anew - 1', 'n/goes - 1', 'n/stays - 1'], 'who comes late is told what there is');
  cache = new WatchCache(cluster.store);
  lost.close();
  for (const name of ['goes', 'anew']) await cluster.objects.delete({ resource, namespace: 'n', name });
  await cluster.create(map('anew', 'n', { x: '2' }));
  await cluster.create(map('new', 'n', { x: '3' }));
  await cache.start();
  await cluster.until(
    'it is known',
    async () => informer.get('n', 'new'),
    (o) => o !== undefined,
  );
  t.same(heard.sort(), ['n/anew - 2', 'n/anew 1 -', 'n/goes 1 -', 'n/new - 3']);
  await cluster.objects.delete({ resource, namespace: 'n', name: 'new' });
  await cluster.until(
    'it follows again',
    async () => informer.get('n', 'new'),
    (o) => o === undefined,
  );
  informer.close();
  cache.close();
});

t.test('what was written lies over it until it is heard of, and no longer', async (t) => {
  const cluster = await ClusterStore.open(t);
  const informer = new Informer(cluster, cluster.kind('ConfigMap'));
  const index = new ObjectIndex(informer, (o) => Object.values(o.data as Record<string, string>));
  const own = new OwnWrites(informer, index);
  const names = () => own.list('1').map(({ metadata }) => metadata.name);
  const a = await cluster.create(map('a', 'n', { x: '1' }));
  own.wrote('1', a);
  t.same(names(), ['a'], 'before the informer knows it');
  await informer.start();
  t.same(names(), ['a']);
  const place = { resource: informer.resource, namespace: 'n', name: 'b' };
  const b = await cluster.create(map('b', 'n', { x: '1' }));
  const { object } = await cluster.objects.delete(place);
  await informer.reached(Number(object.metadata.resourceVersion));
  own.wrote('1', b);
  t.same(names(), ['a'], 'it came and went before the answer to our writing');
  informer.close();
});

t.test('a listener that fails keeps nothing from the others', async (t) => {
  const cluster = await ClusterStore.open(t);
  const log: string[] = [];
  const set = new InformerSet({ ...cluster, log: (message) => log.push(message) });
  const informer = set.of(cluster.kind('ConfigMap'));
  t.equal(set.of(cluster.kind('ConfigMap')), informer, 'one a kind');
  informer.onChange(() => {
    throw new Error('broken');
  });
  const heard = told(informer);
  await cluster.create(map('a', 'n'));
  await set.start();
  t.same(heard, ['n/a - ']);
  t.match(log, [/ConfigMap n\/a: Error: broken/]);
  set.close();
});
