/** What every store must do: one suite, run against each implementation. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import {
  prefixRange,
  type Store,
  type StoredValue,
  StoreError,
  type StoreEvent,
  type Write,
} from '../../../src/apiserver/store/store.ts';

const text = (value: StoredValue | undefined): string | undefined => value && Buffer.from(value.value).toString();

export function put(key: string, value: string, lease?: string): Write {
  return { type: 'put', key, value: Buffer.from(value), ...(lease ? { lease } : {}) };
}

/** Events as `put a=1 v1`. */
function said(events: readonly StoreEvent[]): string[] {
  return events.map(({ type, key, value }) => {
    const now = type === 'put' ? `${key}=${text(value)}` : key;
    return `${type} ${now} v${value.version}`;
  });
}

/** Hears a range from a revision on. */
export class Listener {
  readonly heard: string[] = [];
  readonly revisions: number[] = [];
  ended: StoreError | undefined;
  readonly #watch: { close(): void };

  constructor(store: Store, prefix: string, fromRevision: number) {
    this.#watch = store.watch({
      ...prefixRange(prefix),
      fromRevision,
      onEvents: (events, revision) => {
        this.heard.push(...said(events));
        this.revisions.push(revision);
      },
      onEnd: (error) => {
        this.ended = error;
      },
    });
  }

  async until(done: () => boolean, seconds = 10): Promise<void> {
    for (let i = 0; i < seconds * 100 && !done(); i++) await sleep(10);
  }

  close(): void {
    this.#watch.close();
  }
}

/** `open` gives a store; what one test writes others may see: each has keys of its own. */
export function storeSuite(t: Test, open: (t: Test) => Promise<Store>): void {
  let made = 0;
  const own = () => `/suite/${process.pid}-${made++}/`;

  t.test('a transaction does all or nothing, by what its conditions found', async (t) => {
    const store = await open(t);
    const p = own();
    const first = await store.commit({ conditions: [{ key: `${p}a`, modRevision: 0 }], writes: [put(`${p}a`, '1')] });
    t.ok(first.succeeded);
    const second = await store.commit({
      conditions: [{ key: `${p}a`, modRevision: 0 }],
      writes: [put(`${p}a`, '2'), put(`${p}b`, '2')],
    });
    t.notOk(second.succeeded, 'the key is there by now');
    t.same(second.found.map(text), ['1']);
    t.equal(second.found[0]?.modRevision, first.revision);
    t.same((await store.range(prefixRange(p))).values.map(text), ['1'], 'nothing of it was written');
    const third = await store.commit({
      conditions: [
        { key: `${p}a`, modRevision: first.revision },
        { key: `${p}b`, modRevision: 0 },
      ],
      writes: [put(`${p}a`, '3'), put(`${p}b`, '3')],
    });
    t.equal(third.revision, first.revision + 1, 'one revision a commit, however much it writes');
    const { values, revision, more } = await store.range(prefixRange(p));
    t.match(values, [
      { key: `${p}a`, createRevision: first.revision, modRevision: third.revision, version: 2, lease: '' },
      { key: `${p}b`, createRevision: third.revision, modRevision: third.revision, version: 1 },
    ]);
    t.ok(revision >= third.revision && !more);
    const fourth = await store.commit({ conditions: [], writes: [{ type: 'delete', key: `${p}a` }] });
    const again = await store.commit({ conditions: [], writes: [put(`${p}a`, '5')] });
    t.match((await store.range(prefixRange(`${p}a`))).values, [{ createRevision: again.revision, version: 1 }]);
    const nothing = await store.commit({ conditions: [], writes: [{ type: 'delete', key: `${p}missing` }] });
    t.same([nothing.succeeded, nothing.revision], [true, again.revision], 'what changes nothing has no revision');
    t.equal(await store.revision(), fourth.revision + 1);
  });

  t.test('a range is read in pages, and as of an earlier revision', async (t) => {
    const store = await open(t);
    const p = own();
    const keys = Array.from({ length: 25 }, (_, i) => `${p}${String(i).padStart(2, '0')}`);
    await store.commit({ conditions: [], writes: keys.map((key) => put(key, key.slice(-2))) });
    const { revision } = await store.range(prefixRange(p));
    await store.commit({
      conditions: [],
      writes: [{ type: 'delete', key: `${p}03` }, put(`${p}04`, 'new'), put(`${p}035`, 'between'), put(`${p}99`, 'z')],
    });
    await store.commit({ conditions: [], writes: [put(`${p}03`, 'back'), { type: 'delete', key: `${p}24` }] });
    const seen: (string | undefined)[] = [];
    let from = p;
    for (let pages = 0; ; pages++) {
      const page = await store.range({ from, to: prefixRange(p).to, limit: 10, revision });
      seen.push(...page.values.map(text));
      t.equal(page.revision, revision);
      if (!page.more) {
        t.equal(pages, 2);
        break;
      }
      from = `${page.values.at(-1)?.key}\x01`;
    }
    t.same(
      seen,
      keys.map((key) => key.slice(-2)),
    );
    t.equal((await store.range(prefixRange(p))).values.length, 26);
    t.equal((await store.range({ ...prefixRange(p), limit: 26 })).more, false, 'exactly as many as there are');
    await t.rejects(store.range({ ...prefixRange(p), revision: revision + 1000 }), { code: 'future-revision' });
  });

  t.test('a watch hears every commit once, in order, from the past into the present', async (t) => {
    const store = await open(t);
    const p = own();
    const { revision } = await store.commit({ conditions: [], writes: [put(`${p}a`, '1'), put(`${p}b`, '1')] });
    await store.commit({ conditions: [], writes: [put(`${p}a`, '2')] });
    const listener = new Listener(store, p, revision);
    t.teardown(() => listener.close());
    await store.commit({ conditions: [], writes: [{ type: 'delete', key: `${p}b` }, put('/suite/other', 'x')] });
    await listener.until(() => listener.heard.length >= 4);
    await store.commit({ conditions: [], writes: [put(`${p}b`, '3')] });
    await listener.until(() => listener.heard.length >= 5);
    t.same(
      listener.heard.map((line) => line.replaceAll(p, '')),
      ['put a=1 v1', 'put b=1 v1', 'put a=2 v2', 'delete b v0', 'put b=3 v1'],
    );
    t.same(listener.revisions, [revision, revision + 1, revision + 2, revision + 3]);
    const late = new Listener(store, p, revision + 2);
    t.teardown(() => late.close());
    await late.until(() => late.heard.length >= 2);
    t.same(late.revisions, [revision + 2, revision + 3]);
  });

  t.test('many writers beside many watchers: none misses one, none hears one twice', async (t) => {
    const store = await open(t);
    const p = own();
    const begin = (await store.revision()) + 1;
    const listeners = Array.from({ length: 5 }, () => new Listener(store, p, begin));
    for (const listener of listeners) t.teardown(() => listener.close());
    const writer = async (w: number) => {
      for (let i = 0; i < 60; i++) {
        await store.commit({ conditions: [], writes: [put(`${p}${w}`, `${i}`), put(`${p}${w}-${i}`, '')] });
        if (w === 0 && i === 30) listeners.push(new Listener(store, p, begin));
      }
    };
    await Promise.all([0, 1, 2, 3].map(writer));
    for (const listener of listeners) {
      await listener.until(() => listener.revisions.length >= 240);
      t.equal(listener.revisions.length, 240);
      t.equal(new Set(listener.revisions).size, 240);
      t.same(
        listener.revisions,
        [...listener.revisions].sort((a, b) => a - b),
      );
      t.equal(listener.heard.length, 480);
    }
    listeners.at(-1)?.close();
  });

  t.test('one counter for many: of concurrent increments none is lost', async (t) => {
    const store = await open(t);
    const key = `${own()}counter`;
    await store.commit({ conditions: [], writes: [put(key, '0')] });
    let conflicts = 0;
    const increment = async () => {
      for (;;) {
        const value = (await store.range(prefixRange(key))).values[0] as StoredValue;
        const conditions = [{ key, modRevision: value.modRevision }];
        const done = await store.commit({ conditions, writes: [put(key, `${Number(text(value)) + 1}`)] });
        if (done.succeeded) return;
        conflicts++;
      }
    };
    await Promise.all(Array.from({ length: 40 }, increment));
    t.equal(text((await store.range(prefixRange(key))).values[0]), '40');
    t.ok(conflicts > 0, 'they did meet');
  });

  t.test('what was compacted is gone, what stands is not', async (t) => {
    const store = await open(t);
    const p = own();
    const { revision } = await store.commit({ conditions: [], writes: [put(`${p}a`, '1'), put(`${p}gone`, '1')] });
    await store.commit({ conditions: [], writes: [put(`${p}a`, '2'), { type: 'delete', key: `${p}gone` }] });
    const kept = await store.commit({ conditions: [], writes: [put(`${p}b`, '1')] });
    await store.commit({ conditions: [], writes: [put(`${p}a`, '3')] });
    await store.compact(kept.revision);
    await store.compact(kept.revision);
    await t.rejects(store.range({ ...prefixRange(p), revision }), { code: 'compacted' });
    const then = await store.range({ ...prefixRange(p), revision: kept.revision });
    t.same(then.values.map(text), ['2', '1'], 'the compacted revision itself can be read');
    t.same((await store.range(prefixRange(p))).values.map(text), ['3', '1']);
    const early = new Listener(store, p, revision);
    await early.until(() => early.ended !== undefined);
    t.equal(early.ended?.code, 'compacted');
    t.same(early.heard, []);
    const late = new Listener(store, p, kept.revision + 1);
    t.teardown(() => late.close());
    await late.until(() => late.heard.length > 0);
    t.match(late.heard, [/a=3/]);
    await t.rejects(store.compact(kept.revision + 1000), { code: 'future-revision' });
  });

  t.test('keys of a lease that is not renewed go, in one commit that watches hear', async (t) => {
    const store = await open(t);
    const p = own();
    const ends = await store.grantLease(1);
    const stays = await store.grantLease(2);
    const begin = (await store.revision()) + 1;
    await store.commit({ conditions: [], writes: [put(`${p}a`, '1', ends), put(`${p}b`, '1', ends)] });
    await store.commit({ conditions: [], writes: [put(`${p}c`, '1', stays), put(`${p}d`, '1', ends)] });
    await store.commit({ conditions: [], writes: [put(`${p}d`, '2')] });
    t.equal((await store.range(prefixRange(`${p}a`))).values[0]?.lease, ends);
    const listener = new Listener(store, p, begin);
    t.teardown(() => listener.close());
    for (let i = 0; i < 6; i++) {
      await sleep(600);
      await store.renewLease(stays);
    }
    await listener.until(() => listener.heard.length >= 7);
    t.same(
      listener.heard.slice(5).map((line) => line.replaceAll(p, '')),
      ['delete a v0', 'delete b v0'],
    );
    t.same(
      (await store.range(prefixRange(p))).values.map(({ key }) => key.replace(p, '')),
      ['c', 'd'],
      'renewed, or without a lease by now',
    );
    await store.revokeLease(stays);
    t.same(
      (await store.range(prefixRange(p))).values.map(({ key }) => key.replace(p, '')),
      ['d'],
    );
    await t.rejects(store.renewLease(stays), { code: 'no-lease' });
    await t.rejects(store.revokeLease(ends), { code: 'no-lease' });
    await t.rejects(store.commit({ conditions: [], writes: [put(`${p}x`, '1', stays)] }), { code: 'no-lease' });
  });

  t.test('what makes no sense is refused and changes nothing', async (t) => {
    const store = await open(t);
    const p = own();
    const before = await store.revision();
    const refused = { code: 'bad-request' };
    await t.rejects(store.commit({ conditions: [], writes: [put('', 'x')] }), refused);
    await t.rejects(store.commit({ conditions: [], writes: [put('k'.repeat(1025), 'x')] }), refused);
    await t.rejects(store.commit({ conditions: [{ key: 'a\0b', modRevision: 0 }], writes: [] }), refused);
    await t.rejects(store.commit({ conditions: [], writes: [put(`${p}a`, '1'), put(`${p}a`, '2')] }), refused);
    await t.rejects(store.commit({ conditions: [], writes: [put(`${p}a`, 'x'.repeat(1_400_001))] }), refused);
    await t.rejects(store.grantLease(0), refused);
    t.equal(await store.revision(), before);
    const large = 'x'.repeat(1_300_000);
    await store.commit({ conditions: [], writes: [put(`${p}${'k'.repeat(900)}`, large)] });
    t.equal(text((await store.range(prefixRange(p))).values[0])?.length, large.length);
  });

  t.test('a closed store says so', async (t) => {
    const store = await open(t);
    const listener = new Listener(store, '/suite/', 1);
    await store.close();
    await store.close();
    await listener.until(() => listener.ended !== undefined);
    t.equal(listener.ended?.code, 'closed');
    await t.rejects(store.range(prefixRange('/')), { code: 'closed' });
    await t.rejects(store.commit({ conditions: [], writes: [put('/a', '')] }), { code: 'closed' });
    t.throws(() => new Listener(store, '/', 1), StoreError);
  });
}
