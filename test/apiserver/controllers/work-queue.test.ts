/** The work queue: one key at a time and never lost, whatever is added when; failures are tried again, ever later. */
import t from 'tap';
import { ApiError } from '../../../src/apiserver/api-error.ts';
import { PacedQueue } from '../../../src/apiserver/controllers/paced-queue.ts';
import { WorkQueue } from '../../../src/apiserver/controllers/work-queue.ts';
import { FakeClock } from './fake-clock.ts';

/** For a key to end and the next to begin. */
async function moment(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

t.test('a key is worked on once, and once more where it came meanwhile', async (t) => {
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const queue = new WorkQueue({
    name: 'test',
    clock: new FakeClock(),
    parallel: 2,
    work: (key) => {
      begun.push(key);
      return new Promise((resolve) => ends.push(resolve));
    },
  });
  for (const key of ['a', 'a', 'b', 'c']) queue.add(key);
  await moment();
  t.same(begun, [], 'not before it starts');
  queue.start();
  await moment();
  t.same(begun, ['a', 'b'], 'two at a time');
  queue.add('a');
  queue.add('a');
  ends[1]?.();
  await moment();
  t.same(begun, ['a', 'b', 'c'], 'a is still being worked on');
  ends[0]?.();
  await moment();
  t.same(begun, ['a', 'b', 'c', 'a']);
  ends[2]?.();
  ends[3]?.();
  await moment();
  t.ok(queue.idle);
  t.equal(begun.length, 4);
});

t.test('work that waits for nothing lets others have their turn', async (t) => {
  let done = 0;
  const queue = new WorkQueue({ name: 'test', clock: new FakeClock(), work: async () => void done++ });
  for (let i = 0; i < 1000; i++) queue.add(`${i}`);
  queue.start();
  await moment();
  t.ok(done < 100, `${done} in one turn`);
  while (!queue.idle) await moment();
  t.equal(done, 1000);
});

t.test('a burst is answered together, and in time when somebody sets the clock back', async (t) => {
  const clock = new FakeClock();
  let looks = 0;
  const queue = new PacedQueue({ name: 'test', clock, paceMs: 20, work: async () => void looks++ });
  queue.start();
  queue.add('a');
  await moment();
  t.equal(looks, 1, 'the first at once');
  for (let i = 0; i < 5; i++) queue.add('a');
  clock.advance(19);
  await moment();
  t.equal(looks, 1);
  clock.advance(1);
  await moment();
  t.equal(looks, 2);
  clock.setBy(-3_600_000);
  queue.add('a');
  clock.advance(20);
  await moment();
  t.equal(looks, 3);
});

t.test('failures come again, later each time, until it works', async (t) => {
  const clock = new FakeClock();
  const log: string[] = [];
  const tries: number[] = [];
  const queue = new WorkQueue({
    name: 'ReplicaSet',
    clock,
    log: (message) => log.push(message),
    work: async () => {
      tries.push(clock.nowMs());
      if (tries.length < 6) throw new ApiError('Conflict', 'somebody was quicker');
    },
  });
  queue.start();
  queue.add('default/web');
  for (let i = 0; i < 200; i++) {
    await moment();
    clock.advance(5);
  }
  t.same(
    tries.slice(1).map((at, i) => at - (tries[i] ?? 0)),
    [10, 20, 40, 80, 160],
  );
  t.same(log, ['ReplicaSet default/web: somebody was quicker'], 'said when it lasts');
});

t.test('what should not happen is said at once, and ever more seldom', async (t) => {
  const clock = new FakeClock();
  const log: string[] = [];
  let tries = 0;
  const work = async () => {
    tries++;
    throw new Error('the store is away');
  };
  const queue = new WorkQueue({ name: 'Pod', clock, log: (message) => log.push(message), work });
  queue.start();
  queue.add('default/a');
  while (tries < 9) {
    await moment();
    clock.advance(1000);
  }
  t.equal(log.length, 4, 'after 1, 2, 4 and 8');
  t.match(log[0], /^Pod default\/a: Error: the store is away/);
});

t.test('later, at the earliest time that was asked for; nothing after stop', async (t) => {
  const clock = new FakeClock();
  const done: string[] = [];
  let end: () => void = () => {};
  const queue = new WorkQueue({
    name: 'test',
    clock,
    work: async (key) => {
      done.push(key);
      if (key === 'long') await new Promise<void>((resolve) => (end = resolve));
    },
  });
  queue.start();
  queue.addAfter('a', 100);
  queue.addAfter('a', 50);
  queue.addAfter('a', 200);
  clock.advance(49);
  await moment();
  t.same(done, []);
  clock.advance(1);
  await moment();
  t.same(done, ['a']);
  clock.advance(500);
  await moment();
  t.same(done, ['a'], 'once');
  queue.addAfter('b', 10);
  queue.add('long');
  await moment();
  queue.add('at once');
  let stopped = false;
  const stop = queue.stop().then(() => (stopped = true));
  clock.advance(100);
  queue.add('c');
  await moment();
  t.notOk(stopped, 'what was begun is waited for');
  end();
  await stop;
  t.same(done, ['a', 'long']);
});
