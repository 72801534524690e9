/**
 * The watch cache beside a naive model: whatever is written, and whenever watchers come, go and resume, each hears of
 * each change once, and a list with the watch from its version on has no gap. Its histories are kind by kind.
 */
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { kindPrefixOf, type Resource, storeKey } from '../../../src/apiserver/kinds/resource.ts';
import { ResourceTable } from '../../../src/apiserver/kinds/resource-table.ts';
import { EVERYTHING, labelMatcher } from '../../../src/apiserver/kinds/selectors.ts';
import { ObjectReader } from '../../../src/apiserver/objects/object-reader.ts';
import { ObjectStore } from '../../../src/apiserver/objects/object-store.ts';
import { listBlocks } from '../../../src/apiserver/rest/list-answer.ts';
import { WatchStream } from '../../../src/apiserver/rest/watch-stream.ts';
import { LmdbStore } from '../../../src/apiserver/store/lmdb-store.ts';
import {
  prefixRange,
  type RangeRequest,
  type Store,
  StoreError,
  type WatchRequest,
} from '../../../src/apiserver/store/store.ts';
import { WatchCache } from '../../../src/apiserver/watch/watch-cache.ts';
import { Random } from '../../dataplane/random.ts';

const TABLE = new ResourceTable();
const PODS = TABLE.find('', 'v1', 'pods') as Resource;
const NODES = TABLE.find('', 'v1', 'nodes') as Resource;
const LEASES = TABLE.find('coordination.k8s.io', 'v1', 'leases') as Resource;
const ANYTHING = { version: '', exact: false };
const ALL = { namespace: undefined, limit: 0, continue: undefined, matches: () => true, freshness: ANYTHING };

for (const seed of [1, 2, 3]) {
  t.test(`random writes, and watchers that come, go and resume, seed ${seed}`, (t) => replay(t, seed));
}

async function replay(t: Test, seed: number): Promise<void> {
  const source = new Random(seed);
  const random = () => source.next() / 0x1_0000_0000;
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const { store, cache } = await opened(t);
  const model = new Model();
  const followers: Follower[] = [];
  for (let step = 0; step < 250; step++) {
    const writes = Array.from({ length: 1 + Math.floor(random() * 3) }, () => {
      const resource = pick([PODS, PODS, NODES, LEASES]);
      const name = `n${Math.floor(random() * 6)}`;
      const namespace = resource.namespaced ? pick(['a', 'ab', 'b']) : undefined;
      const object = objectOf(resource, namespace, name, { tier: pick(['x', 'y']) }, `${step}`);
      return { key: storeKey(resource, namespace, name), object: random() < 0.3 ? undefined : object };
    });
    await model.write(store, new Map(writes.map((write) => [write.key, write.object])));
    if (followers.length < 8 && random() < 0.3) {
      const resource = pick([PODS, PODS, NODES, LEASES]);
      const namespace = resource.namespaced ? pick([undefined, 'a', 'b']) : undefined;
      followers.push(new Follower(cache, resource, namespace, pick(['', 'tier=x', 'tier=y'])));
    }
    for (const follower of followers) {
      if (random() < 0.05) follower.pause();
      if (random() < 0.2) follower.resume();
    }
    if (random() < 0.05) followers.splice(Math.floor(random() * followers.length), 1)[0]?.pause();
  }
  for (const [i, follower] of followers.entries()) {
    follower.resume();
    const wanted = model.eventsFor(follower);
    t.same(follower.heard, wanted, `follower ${i} heard of each change once, in order`);
    const there = cache
      .list(follower.resource, follower.namespace)
      .filter(({ object }) => follower.matches(object))
      .map(({ object }) => object);
    t.same([...follower.objects.values()].sort(byKey), there, `follower ${i} has what there is`);
  }
  t.ok(followers.length > 2, 'somebody was there to hear it');
}

/** Every state there ever was, and what follows for a watcher of it. */
class Model {
  readonly #now = new Map<string, ApiObject>();
  readonly #log: { revision: number; key: string; before: ApiObject | undefined; after: ApiObject | undefined }[] = [];

  async write(store: Store, writes: ReadonlyMap<string, ApiObject | undefined>): Promise<void> {
    const done = await store.commit({
      conditions: [],
      writes: [...writes].map(([key, object]) =>
        object ? { type: 'put', key, value: bytesOf(object) } : { type: 'delete', key },
      ),
    });
    for (const [key, object] of [...writes].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const before = this.#now.get(key);
      if (!before && !object) continue;
      const after = object && versioned(object, done.revision);
      if (after) this.#now.set(key, after);
      else this.#now.delete(key);
      this.#log.push({ revision: done.revision, key, before, after });
    }
  }

  eventsFor({ resource, namespace, matches, since }: Follower): string[] {
    const prefix = storeKey(resource, namespace, '');
    const events: string[] = [];
    for (const { revision, key, before, after } of this.#log) {
      if (revision <= since || kindPrefixOf(key) !== kindPrefixOf(storeKey(resource, 'x', 'y'))) continue;
      if (namespace !== undefined && !key.startsWith(prefix)) continue;
      const was = before && matches(before);
      if (after && matches(after)) events.push(`${was ? 'MODIFIED' : 'ADDED'} ${key} ${revision} ${after.data}`);
      else if (was) events.push(`DELETED ${key} ${revision} ${before.data}`);
    }
    return events;
  }
}

/** Lists, then watches; when it was away it goes on from the last that it heard of. */
class Follower {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly matches: (object: ApiObject) => boolean;
  readonly objects = new Map<string, ApiObject>();
  readonly heard: string[] = [];
  readonly since: number;
  readonly #cache: WatchCache;
  #last: number;
  #watch: { close(): void } | undefined;

  constructor(cache: WatchCache, resource: Resource, namespace: string | undefined, selector: string) {
    this.#cache = cache;
    this.resource = resource;
    this.namespace = namespace;
    this.matches = labelMatcher(selector);
    for (const { key, object } of cache.list(resource, namespace)) {
      if (this.matches(object)) this.objects.set(key, object);
    }
    this.since = cache.revision;
    this.#last = this.since;
  }

  pause(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }

  resume(): void {
    this.#watch ??= this.#cache.subscribe({
      resource: this.resource,
      namespace: this.namespace,
      matches: this.matches,
      after: this.#last,
      onEvent: ({ type, object }) => {
        const { namespace, name, resourceVersion } = object.metadata;
        const key = storeKey(this.resource, namespace, name);
        this.#last = Number(resourceVersion);
        this.heard.push(`${type} ${key} ${resourceVersion} ${object.data}`);
        if (type === 'DELETED') this.objects.delete(key);
        else this.objects.set(key, object);
      },
      onEnd: (error) => this.heard.push(`END ${error.message}`),
    });
  }
}

t.test('a flood of Leases pushes nothing of other kinds out', async (t) => {
  const { store, cache } = await opened(t);
  const put = (resource: Resource, i: number) => {
    const value = bytesOf(objectOf(resource, 'a', 'one', {}, `${i}`));
    return store.commit({
      conditions: [],
      writes: [{ type: 'put', key: storeKey(resource, 'a', 'one'), value }],
    });
  };
  const first = (await put(PODS, 0)).revision;
  await put(PODS, 1);
  const names = Array.from({ length: 100 }, (_, i) => `node-${i}`);
  for (let round = 0; round < 105; round++) {
    const writes = names.map((name) => ({
      type: 'put' as const,
      key: storeKey(LEASES, 'a', name),
      value: bytesOf(objectOf(LEASES, 'a', name, {}, `${round}`)),
    }));
    void store.commit({ conditions: [], writes });
  }
  await put(PODS, 2);
  const heard: string[] = [];
  const wanted = { namespace: undefined, matches: () => true, onEnd: () => {} };
  const onEvent = ({ type, object }: { type: string; object: ApiObject }) => heard.push(`${type} ${object.data}`);
  cache.subscribe({ ...wanted, resource: PODS, after: first, onEvent });
  t.same(heard, ['MODIFIED 1', 'MODIFIED 2'], 'a watch of pods goes on from before the flood');
  const newest = cache.revision;
  cache.subscribe({ ...wanted, resource: LEASES, after: newest - 1 - 90, onEvent });
  t.equal(heard.length, 9002, 'one of Leases from within what is kept');
  const tooOld = () => cache.subscribe({ ...wanted, resource: LEASES, after: first + 1, onEvent });
  t.throws(tooOld, { name: 'ApiError', reason: 'Expired' });
  t.match(cache.figures().kinds.get('/registry/coordination.k8s.io/leases/'), { objects: 100, watchers: 1 });
  t.ok((cache.figures().kinds.get('/registry/coordination.k8s.io/leases/')?.changes ?? 0) <= 10_000, 'bounded');
});

t.test('large objects shorten the history: it is bounded in bytes too', async (t) => {
  const { store, cache } = await opened(t);
  const data = 'x'.repeat(1_000_000);
  const write = { type: 'put' as const, key: storeKey(PODS, 'a', 'one') };
  for (let i = 0; i < 40; i++) {
    const value = bytesOf(objectOf(PODS, 'a', 'one', {}, data));
    await store.commit({ conditions: [], writes: [{ ...write, value }] });
  }
  const { changes = 0, changedBytes = 0 } = cache.figures().kinds.get('/registry/pods/') ?? {};
  t.ok(changes > 20 && changes < 40, `${changes} changes of 40 kept`);
  t.ok(changedBytes < 33 * 1024 * 1024, `${changedBytes} bytes`);
});

t.test('an answer is never older than what was acknowledged before, though the watch lags', async (t) => {
  const { store, cache, objects, hold, release } = await lagging(t);
  const reader = new ObjectReader({ objects, cache });
  const place = { resource: PODS, namespace: 'a', name: 'one' };
  const put = (data: string) =>
    store.commit({
      conditions: [],
      writes: [{ type: 'put', key: storeKey(PODS, 'a', 'one'), value: bytesOf(objectOf(PODS, 'a', 'one', {}, data)) }],
    });
  await put('old');
  hold();
  const { revision } = await put('new');
  t.match(await reader.get(place, '0'), { object: { data: 'old' } }, 'anything will do: what is in memory');
  const [one, all] = await Promise.all([reader.get(place, ''), reader.list(PODS, ALL)]);
  t.match(one.object, { data: 'new', metadata: { resourceVersion: `${revision}` } }, 'from the store, in the end');
  t.match(all.items[0]?.object, { data: 'new' });
  t.ok(Number(all.resourceVersion) >= revision);
  await t.rejects(reader.get(place, `${revision}`), { name: 'ApiError', message: /Too large resource version/ });
  const waiting = reader.list(PODS, { ...ALL, freshness: { version: `${revision}`, exact: false } });
  release();
  t.match((await waiting).items[0]?.object, { data: 'new' }, 'from memory as soon as it is there');
  t.equal(await reader.get(place, ''), cache.get(PODS, 'a', 'one'));
});

t.test('heartbeats that memory has not heard of yet: the next one reads nothing', async (t) => {
  const { store, cache, hold, release } = await lagging(t);
  let reads = 0;
  const counted: Store = Object.create(store, {
    range: {
      value: (request: RangeRequest) => {
        reads++;
        return store.range(request);
      },
    },
    commit: { value: store.commit.bind(store) },
  });
  const objects = new ObjectStore(counted, TABLE, cache);
  const lease = (spec: object, metadata: object = {}) =>
    ({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'node-1', ...metadata },
      spec,
    }) as unknown as ApiObject;
  const place = { resource: LEASES, namespace: 'a', name: 'node-1' };
  let { metadata } = await objects.create(LEASES, 'a', lease({ leaseTransitions: 0 }));
  hold();
  reads = 0;
  for (const leaseTransitions of [1, 2, 3]) {
    const next = await objects.update(place, () => lease({ leaseTransitions }, metadata));
    metadata = next.metadata;
  }
  t.equal(reads, 0);
  t.match(cache.get(LEASES, 'a', 'node-1')?.object.spec, { leaseTransitions: 0 }, 'nobody is shown it before its turn');
  // Another server was faster.
  const [other] = (await store.range(prefixRange(storeKey(LEASES, 'a', 'node-1')))).values;
  const value = Buffer.from(
    Buffer.from(other?.value ?? [])
      .toString()
      .replace('"leaseTransitions":3', '"leaseTransitions":9'),
  );
  await store.commit({ conditions: [], writes: [{ type: 'put', key: storeKey(LEASES, 'a', 'node-1'), value }] });
  await t.rejects(
    objects.update(place, () => lease({ leaseTransitions: 4 }, metadata)),
    { name: 'ApiError', reason: 'Conflict' },
  );
  release();
  t.match(cache.recall(storeKey(LEASES, 'a', 'node-1')), { spec: { leaseTransitions: 9 } }, 'what is heard counts');
});

t.test(
  'of several changes with one revision a watch that goes on may have heard a part: all are told again',
  async (t) => {
    const { store, cache } = await opened(t);
    const put = (resource: Resource, ...names: string[]) => {
      const writes = names.map((name) => {
        const value = bytesOf(objectOf(resource, 'a', name, {}, ''));
        return { type: 'put' as const, key: storeKey(resource, 'a', name), value };
      });
      return store.commit({ conditions: [], writes });
    };
    const several = (await put(LEASES, 'x', 'y', 'z')).revision;
    const one = (await put(LEASES, 'x')).revision;
    const heard = (after: number, goesOn: boolean) => {
      const names: string[] = [];
      const onEvent = ({ object: { metadata } }: { object: ApiObject }) =>
        names.push(`${metadata.name} ${metadata.resourceVersion}`);
      const wanted = { resource: LEASES, namespace: undefined, matches: () => true, onEnd: () => {}, onEvent };
      cache.subscribe({ ...wanted, after, goesOn }).close();
      return names.join();
    };
    const all = [`x ${several}`, `y ${several}`, `z ${several}`, `x ${one}`].join();
    t.equal(heard(several, true), all);
    t.equal(heard(several, false), `x ${one}`, 'who has a list of that revision has all of it');
    t.equal(heard(one, true), '', 'of a single one there are no parts');
    const names = Array.from({ length: 200 }, (_, i) => `n${i}`);
    for (let round = 0; round < 60; round++) await put(LEASES, ...names);
    let oldest = cache.revision;
    const isKnown = (after: number) => {
      try {
        return heard(after, false) !== undefined;
      } catch {
        return false;
      }
    };
    while (isKnown(oldest - 1)) oldest--;
    t.throws(() => heard(oldest, true), { name: 'ApiError', reason: 'Expired' }, 'what it may have missed has gone');
    t.ok(heard(oldest + 1, true).split(',').length >= 9000);
  },
);

t.test(
  'what was heard in part from another server is told by one that lags, and by one that has just begun',
  async (t) => {
    const { store, cache, hold, release } = await lagging(t);
    const put = (...names: string[]) => {
      const writes = names.map((name) => {
        const value = bytesOf(objectOf(LEASES, 'a', name, {}, ''));
        return { type: 'put' as const, key: storeKey(LEASES, 'a', name), value };
      });
      return store.commit({ conditions: [], writes });
    };
    const follow = (at: WatchCache, after: number) => {
      const names: string[] = [];
      const onEvent = ({ object }: { object: ApiObject }) => names.push(object.metadata.name);
      const wanted = { resource: LEASES, namespace: undefined, matches: () => true, onEnd: () => {} };
      at.subscribe({ ...wanted, after, goesOn: true, onEvent });
      return names;
    };
    await put('w');
    hold();
    const one = (await put('w')).revision;
    const several = (await put('x', 'y')).revision;
    const [afterOne, afterSeveral] = [follow(cache, one), follow(cache, several)];
    release();
    await put('z');
    t.same(afterOne, ['x', 'y', 'z'], 'of a single change there is no part');
    t.same(afterSeveral, ['x', 'y', 'z']);
    const last = (await put('x', 'y', 'z')).revision;
    const begun = await cacheOf(t, store, store);
    t.same(follow(begun, last), ['x', 'y', 'z']);
    t.throws(() => follow(begun, last - 1), { name: 'ApiError', reason: 'Expired' });
  },
);

t.test('what is known ahead is the newest, and no longer than it is newer', async (t) => {
  const { store, cache, hold, release } = await lagging(t);
  const key = storeKey(LEASES, 'a', 'one');
  const put = (name: string) => {
    const value = bytesOf(objectOf(LEASES, 'a', name, {}, ''));
    return store.commit({ conditions: [], writes: [{ type: 'put', key: storeKey(LEASES, 'a', name), value }] });
  };
  const { revision } = await put('one');
  const known = () => Number(cache.recall(key)?.metadata.resourceVersion);
  const foresee = (at: number) => cache.foresee(key, versioned(objectOf(LEASES, 'a', 'one', {}, ''), at));
  foresee(revision);
  foresee(revision + 2);
  foresee(revision + 1);
  t.equal(known(), revision + 2);
  hold();
  await put('other');
  const { revision: heard } = await put('one');
  t.equal(heard, revision + 2);
  release();
  t.equal(cache.recall(key), cache.get(LEASES, 'a', 'one')?.object);
});

for (const rounds of [1, 12]) {
  const from = rounds > 8 ? 'the store' : 'memory';
  t.test(`pages are of one revision, those that follow from ${from}; an exact one is of that of long ago`, (t) =>
    readPages(t, rounds),
  );
}

/** `rounds`: other states that somebody reads in pages too, between the first page and the others. */
async function readPages(t: Test, rounds: number): Promise<void> {
  const { store, cache } = await opened(t);
  const objects = new ObjectStore(store, TABLE);
  let fromStore = 0;
  const list: ObjectStore['list'] = (...asked) => {
    fromStore++;
    return ObjectStore.prototype.list.apply(objects, asked);
  };
  const reader = new ObjectReader({ objects: Object.assign(Object.create(objects), { list }), cache });
  const put = (name: string, data: string) => {
    const value = bytesOf(objectOf(PODS, 'a', name, {}, data));
    return store.commit({ conditions: [], writes: [{ type: 'put', key: storeKey(PODS, 'a', name), value }] });
  };
  let then = 0;
  for (const name of ['a', 'b', 'c', 'd', 'e']) then = (await put(name, 'old')).revision;
  const first = await reader.list(PODS, { ...ALL, namespace: 'a', limit: 2 });
  for (let round = 0; round < rounds; round++) {
    for (const name of ['b', 'c', 'f']) await put(name, 'new');
    await reader.list(PODS, { ...ALL, limit: 1 });
  }
  const told = [...first.items];
  for (let next = first.continue; next !== ''; ) {
    const page = await reader.list(PODS, { ...ALL, namespace: 'a', limit: 2, continue: next });
    t.equal(page.resourceVersion, first.resourceVersion);
    told.push(...page.items);
    next = page.continue;
  }
  t.same(
    told.map(({ object }) => `${object.metadata.name} ${object.data}`),
    ['a old', 'b old', 'c old', 'd old', 'e old'],
  );
  const exact = await reader.list(PODS, { ...ALL, freshness: { version: `${then}`, exact: true } });
  t.same(
    exact.items.map(({ object }) => object),
    told.map(({ object }) => object),
  );
  t.equal((await reader.list(PODS, { ...ALL, limit: 6 })).continue, '', 'a page that is all needs no other');
  t.equal(fromStore, rounds > 8 ? 3 : 0);
}

t.test('while everything is read anew lists are put off, instead of all being read from the store', async (t) => {
  const base = LmdbStore.open({ path: join(t.testdir(), 'store') });
  let lose: WatchRequest['onEnd'] = () => {};
  let isAway = false;
  const store: Store = Object.create(base, {
    watch: {
      value: (request: WatchRequest) => {
        lose = (error) => request.onEnd(error);
        return base.watch(request);
      },
    },
    range: {
      value: (...asked: Parameters<Store['range']>) =>
        isAway ? Promise.reject(new StoreError('unavailable', 'away')) : base.range(...asked),
    },
    revision: { value: base.revision.bind(base) },
  });
  const cache = await cacheOf(t, store, base);
  const reader = new ObjectReader({ objects: new ObjectStore(base, TABLE), cache });
  const value = bytesOf(objectOf(PODS, 'a', 'one', {}, 'kept'));
  await base.commit({ conditions: [], writes: [{ type: 'put', key: storeKey(PODS, 'a', 'one'), value }] });
  isAway = true;
  lose(new StoreError('compacted', 'too far behind'));
  await t.rejects(reader.list(PODS, ALL), { reason: 'TooManyRequests', message: /initializing/ });
  t.match(await reader.get({ resource: PODS, namespace: 'a', name: 'one' }, ''), { object: { data: 'kept' } });
  isAway = false;
  t.match((await reader.list(PODS, ALL)).items, [{ object: { data: 'kept' } }], 'it waits for it when it is near');
});

t.test('what others wrote into the store, and is no object, is passed over', async (t) => {
  const { store, cache } = await opened(t);
  const texts = ['k8s\0protobuf', 'null', '{}', '{"kind":"Pod","metadata":{"name":"x"}}', '{"apiVersion":"v1"}'];
  const good = bytesOf(objectOf(PODS, 'a', 'one', {}, 'good'));
  const writes = [...texts.map((text) => Buffer.from(text)), good].map((value, i) => {
    return { type: 'put' as const, key: storeKey(PODS, 'a', `${i}`), value };
  });
  await store.commit({ conditions: [], writes });
  const objects = new ObjectStore(store, TABLE);
  t.match(cache.list(PODS), [{ object: { data: 'good' } }]);
  t.same((await objects.list(PODS)).items.length, 1);
});

t.test('a list is JSON in blocks, each object written once', async (t) => {
  const { store, cache } = await opened(t);
  const writes = Array.from({ length: 1000 }, (_, i) => ({
    type: 'put' as const,
    key: storeKey(PODS, 'a', `p${i}`),
    value: bytesOf(objectOf(PODS, 'a', `p${i}`, {}, 'ü'.repeat(200))),
  }));
  await store.commit({ conditions: [], writes });
  const items = cache.list(PODS);
  const blocks = [...listBlocks({ kind: 'PodList', metadata: { resourceVersion: '1' } }, items)];
  t.ok(blocks.length > 5, `${blocks.length} blocks`);
  const wanted = items.map(({ object: { apiVersion: _, kind: __, ...rest } }) => rest);
  t.same(JSON.parse(Buffer.concat(blocks).toString()), {
    kind: 'PodList',
    metadata: { resourceVersion: '1' },
    items: wanted,
  });
  t.same(JSON.parse(Buffer.concat([...listBlocks({ kind: 'PodList' }, [])]).toString()), {
    kind: 'PodList',
    items: [],
  });
  t.equal(items[0]?.json, items[0]?.json);
});

t.test('a page that many ask for is compressed once; what is a selection, small or stale is not', async (t) => {
  const { store, cache } = await opened(t);
  const reader = new ObjectReader({ objects: new ObjectStore(store, TABLE), cache });
  const writes = Array.from({ length: 300 }, (_, i) => ({
    type: 'put' as const,
    key: storeKey(PODS, 'a', `p${i}`),
    value: bytesOf(objectOf(PODS, 'a', `p${i}`, {}, 'x'.repeat(500))),
  }));
  await store.commit({ conditions: [], writes });
  const all = { ...ALL, matches: EVERYTHING };
  const zipped = async (limit: number, next?: string) => {
    const page = await reader.list(PODS, { ...all, limit, continue: next });
    const blocks = () => listBlocks({ metadata: { resourceVersion: page.resourceVersion } }, page.items);
    return { page, bytes: await page.snapshot?.compressed(page, 'v1', blocks) };
  };
  const one = await zipped(200);
  t.equal((await zipped(200)).bytes, one.bytes, 'the very same bytes');
  t.not((await zipped(100)).bytes, one.bytes);
  const read = JSON.parse(gunzipSync(one.bytes ?? Buffer.of()).toString());
  t.equal(read.items.length, 200);
  t.equal(read.items[199].metadata.name, one.page.items[199]?.object.metadata.name);
  const rest = await zipped(200, one.page.continue);
  t.equal(JSON.parse(gunzipSync(rest.bytes ?? Buffer.of()).toString()).items.length, 100, 'so are later pages');
  t.equal((await zipped(10)).bytes, undefined, 'not worth it');
  t.equal((await reader.list(PODS, { ...ALL, limit: 200 })).snapshot, undefined, 'of a selection');
  await store.commit({ conditions: [], writes: writes.slice(0, 1) });
  t.not((await zipped(200)).bytes, one.bytes, 'of another state');
});

t.test(
  'watchers share their lines; one who reads nothing holds what others read, and is let go in the end',
  async (t) => {
    const { store, cache } = await opened(t);
    const put = (data: string) => {
      const value = bytesOf(objectOf(PODS, 'a', 'one', {}, data));
      return store.commit({ conditions: [], writes: [{ type: 'put', key: storeKey(PODS, 'a', 'one'), value }] });
    };
    await put('first');
    const watch = (takes: boolean) => {
      const wanted = { resource: PODS, namespace: undefined, matches: () => true, after: cache.revision };
      const usual = { table: undefined, bookmarks: false, marksInitial: false, seconds: 60 };
      const stream = new WatchStream({ ...usual, cache, wanted, initial: cache.list(PODS) });
      const blocks: Buffer[] = [];
      let ended = 0;
      stream.start({ write: (block) => blocks.push(block) > 0 && takes, end: () => void ended++ });
      t.teardown(() => stream.close());
      return { stream, blocks, ended: () => ended };
    };
    const quick = watch(true);
    const other = watch(true);
    const stuck = watch(false);
    const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    await turn();
    await put('second');
    await turn();
    t.match(
      quick.blocks.map((b) => JSON.parse(b.toString())),
      [
        { type: 'ADDED', object: { data: 'first' } },
        { type: 'MODIFIED', object: { data: 'second' } },
      ],
    );
    t.equal(quick.blocks[1], other.blocks[1], 'the very same bytes');
    const [line, json] = [quick.blocks[1] as Buffer, cache.list(PODS)[0]?.json as Buffer];
    t.equal(json.buffer, line.buffer, 'and what lists say is a part of them');
    t.equal(json.byteOffset, line.byteOffset + '{"type":"MODIFIED","object":'.length);
    t.equal(stuck.blocks.length, 1, 'it was given one block');
    stuck.stream.drained();
    await turn();
    t.same(stuck.blocks[1], quick.blocks[1], 'and when it took more, the next');
    const large = 'x'.repeat(1_300_000);
    for (let i = 0; i < 14; i++) await put(large);
    await turn();
    t.equal(stuck.ended(), 1);
    t.equal(stuck.blocks.length, 2);
    t.equal(quick.ended(), 0);
    t.equal(cache.subscribers, 2);
  },
);

/** A cache whose store's events are held back on demand. */
async function lagging(t: Test) {
  let held: (() => void)[] | undefined;
  const store = LmdbStore.open({ path: join(t.testdir(), 'store') });
  const slow: Store = Object.create(store, {
    watch: {
      value: (request: WatchRequest) =>
        store.watch({
          ...request,
          onEvents: (...events) => {
            if (held) held.push(() => request.onEvents(...events));
            else request.onEvents(...events);
          },
        }),
    },
    range: { value: store.range.bind(store) },
    revision: { value: store.revision.bind(store) },
  });
  const cache = await cacheOf(t, slow, store);
  return {
    store,
    cache,
    objects: new ObjectStore(store, TABLE),
    hold: () => {
      held = [];
    },
    release: () => {
      const events = held ?? [];
      held = undefined;
      for (const tell of events) tell();
    },
  };
}

async function opened(t: Test) {
  const store = LmdbStore.open({ path: join(t.testdir(), 'store') });
  return { store, cache: await cacheOf(t, store, store) };
}

async function cacheOf(t: Test, store: Store, base: LmdbStore): Promise<WatchCache> {
  const cache = new WatchCache(store);
  await cache.start();
  t.teardown(async () => {
    cache.close();
    await base.close();
  });
  return cache;
}

function objectOf(
  { group, version, kind }: Resource,
  namespace: string | undefined,
  name: string,
  labels: Record<string, string>,
  data: string,
): ApiObject {
  return {
    apiVersion: group ? `${group}/${version}` : version,
    kind,
    metadata: { name, ...(namespace ? { namespace } : {}), labels, uid: 'u' } as ApiObject['metadata'],
    data,
  };
}

function versioned(object: ApiObject, revision: number): ApiObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: `${revision}` } };
}

function bytesOf(object: ApiObject): Buffer {
  return Buffer.from(JSON.stringify(object));
}

function byKey({ metadata: a }: ApiObject, { metadata: b }: ApiObject): number {
  const [left, right] = [`${a.namespace ?? ''}/${a.name}`, `${b.namespace ?? ''}/${b.name}`];
  return left < right ? -1 : left > right ? 1 : 0;
}
