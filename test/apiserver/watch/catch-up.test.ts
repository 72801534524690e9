/** When an answer from memory is new enough: what is waited for, for how long, and what is written to get there. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Store, Transaction } from '../../../src/apiserver/store/store.ts';
import { CatchUp } from '../../../src/apiserver/watch/catch-up.ts';

/** A store of which only the revision is known; `writes` are the keys that were written. */
function storeAt(revision: number) {
  const state = { revision, reads: 0, writes: [] as string[] };
  const store = {
    revision: async () => {
      state.reads++;
      const read = state.revision;
      await sleep(5);
      return read;
    },
    commit: async ({ writes }: Transaction) => {
      state.writes.push(...writes.map(({ key }) => key));
      return { succeeded: true, revision: ++state.revision, found: [] };
    },
  };
  return { state, store: store as unknown as Store };
}

t.test('who asks while the store is read waits for the next read, all together', async (t) => {
  const { state, store } = storeAt(1);
  const catchUp = new CatchUp(store);
  t.teardown(() => catchUp.close());
  catchUp.advance(1);
  const first = catchUp.caughtUp();
  await sleep(1);
  t.equal(state.reads, 1);
  state.revision = 2;
  const later = Promise.all(Array.from({ length: 100 }, () => catchUp.caughtUp()));
  t.equal(await first, true);
  let isDone = false;
  later.then(() => (isDone = true));
  await sleep(30);
  t.equal(isDone, false, 'what was written before they asked is not here yet');
  t.equal(state.reads, 2);
  catchUp.advance(2);
  t.same(new Set(await later), new Set([true]));
  t.equal(state.reads, 2);
  t.same(state.writes, []);
});

t.test('a backlog is waited for while it comes; after a second of nothing the store has to be read', async (t) => {
  const { store } = storeAt(100);
  const catchUp = new CatchUp(store);
  t.teardown(() => catchUp.close());
  catchUp.advance(1);
  const all = catchUp.caughtUp();
  for (let revision = 2; revision < 9; revision++) {
    await sleep(200);
    catchUp.advance(revision);
  }
  const stopped = performance.now();
  t.equal(await all, false);
  t.ok(performance.now() - stopped > 900, 'it gave up only then');
});

t.test('what others wrote to the same etcd, and no watch of ours tells, is bridged by a key of our own', async (t) => {
  const { state, store } = storeAt(7);
  const catchUp = new CatchUp(store);
  t.teardown(() => catchUp.close());
  catchUp.advance(3);
  const asked = catchUp.caughtUp();
  while (state.writes.length === 0) await sleep(10);
  catchUp.advance(state.revision);
  t.equal(await asked, true);
  t.same(state.writes, ['/registry/progress']);
});

t.test('a revision that a client made up is not waited for long, and nothing is written for it', async (t) => {
  const { state, store } = storeAt(1);
  const catchUp = new CatchUp(store);
  t.teardown(() => catchUp.close());
  catchUp.advance(1);
  const began = performance.now();
  const asked = catchUp.reached(1e9);
  const busy = setInterval(() => catchUp.advance(++state.revision), 50);
  t.equal(await asked, false);
  clearInterval(busy);
  t.ok(performance.now() - began < 2500);
  t.same(state.writes, []);
});
