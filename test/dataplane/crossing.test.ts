/** A full ring between two workers: what was read waits for the other worker, but not for ever. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { Crossing, shareMemory } from '../../src/dataplane/crossing.ts';
import { ARENA_BYTES, PacketVector } from '../../src/io/vector.ts';

const WRITTEN = 0;
const RETURNED = 16;
const LENGTH = 60_000;

/** A crossing of two whose ring to the other is full, shown and not taken. */
function full() {
  const memory = shareMemory(2);
  const crossing = new Crossing(0, memory, () => {});
  const vector = new PacketVector(new Uint8Array(memory.arenas[0]!));
  vector.begin(0);
  vector.place(ARENA_BYTES / 2, LENGTH);
  let given = 0;
  while (crossing.give(vector, 0, 0, 1)) given++;
  return { memory, crossing, given, give: () => crossing.give(vector, 0, 0, 1) };
}

t.test('it waits a few milliseconds in a vector, all in all, then drops', async (t) => {
  const { given, give, crossing } = full();
  t.ok(given > 30, 'as much as there was room for');
  const took = (what: () => boolean) => {
    const start = performance.now();
    t.equal(what(), false);
    return performance.now() - start;
  };
  t.ok(Math.min(took(give), took(give), took(give)) < 3, 'the patience of this vector is used up');
  crossing.publish();
  t.ok(took(give) >= 4, 'the next vector has its own');
});

// Plain JavaScript, which a worker takes however this test was started: gives everything back, as a consumer does.
const CONSUMER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const control = new Int32Array(workerData);
  parentPort.postMessage('ready');
  while (Atomics.load(control, ${RETURNED}) === Atomics.load(control, ${WRITTEN}) || Atomics.load(control, 1) === 0);
  Atomics.store(control, ${RETURNED}, Atomics.load(control, ${WRITTEN}));
  Atomics.notify(control, ${RETURNED});`;

t.test('room that the other worker makes meanwhile is used', async (t) => {
  const { memory, crossing, give, given } = full();
  const control = memory.rings[0]![1]!;
  const consumer = new Worker(CONSUMER, { eval: true, workerData: control });
  await once(consumer, 'message');
  crossing.publish();
  Atomics.store(new Int32Array(control), 1, 1);
  t.equal(give(), true);
  t.equal(crossing.given, given + 1);
  await once(consumer, 'exit');
});

t.test('what fills the ring is shown before the wait, to a worker that may sleep', async (t) => {
  const memory = shareMemory(2);
  const sleeping = new Crossing(1, memory, () => {});
  t.equal(sleeping.waits(100), 100);
  const woken: number[] = [];
  const crossing = new Crossing(0, memory, (worker) => woken.push(worker));
  const vector = new PacketVector(new Uint8Array(memory.arenas[0]!));
  vector.begin(0);
  vector.place(ARENA_BYTES / 2, LENGTH);
  while (crossing.give(vector, 0, 0, 1));
  t.same(woken, [1]);
  t.equal(sleeping.waits(100), 0, 'there is something to take');
});
