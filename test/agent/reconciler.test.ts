/** One at a time, coalesced, tried again. */
import t from 'tap';
import { Reconciler } from '../../src/agent/reconciler.ts';

const turn = () => new Promise((done) => setImmediate(done));

t.test('many requests while it works are one more run', async (t) => {
  let runs = 0;
  let inside = 0;
  let release: () => void = () => {};
  const reconciler = new Reconciler(async () => {
    runs++;
    t.equal(++inside, 1, 'never two at once');
    await new Promise<void>((done) => {
      release = done;
    });
    inside--;
    return true;
  });
  const first = reconciler.request();
  for (let i = 0; i < 50; i++) void reconciler.request();
  await turn();
  release();
  await turn();
  release();
  await first;
  t.equal(runs, 2);
  await reconciler.stop();
});

t.test('what did not get done is tried again by itself', async (t) => {
  let runs = 0;
  const done = new Promise<void>((resolve) => {
    const reconciler = new Reconciler(async () => {
      if (++runs < 2) return false;
      void reconciler.stop();
      resolve();
      return true;
    });
    void reconciler.request();
  });
  await done;
  t.equal(runs, 2);
});

t.test('after stop() nothing begins', async (t) => {
  let runs = 0;
  const reconciler = new Reconciler(async () => {
    runs++;
    return false;
  });
  await reconciler.request();
  await reconciler.stop();
  await reconciler.request();
  await new Promise((done) => setTimeout(done, 400));
  t.equal(runs, 1);
});

t.test('what is asked for in the very moment in which it ends is done too', async (t) => {
  for (let ticks = 0; ticks < 12; ticks++) {
    let runs = 0;
    const reconciler = new Reconciler(async () => {
      runs++;
      return true;
    });
    void reconciler.request();
    for (let i = 0; i < ticks; i++) await Promise.resolve();
    const before = runs;
    await reconciler.request();
    t.ok(runs > before, `${ticks} ticks after the first`);
    await reconciler.stop();
  }
});
