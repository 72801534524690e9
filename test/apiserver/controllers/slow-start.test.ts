/** Many of the same: few at first, never too many at a time, and no more after a failure. */
import t from 'tap';
import { slowStart } from '../../../src/apiserver/controllers/slow-start.ts';

t.test('more and more at a time, up to a limit', async (t) => {
  const batches: number[] = [];
  let now = 0;
  const one = async () => {
    if (now++ === 0) queueMicrotask(() => batches.push(now));
    await new Promise((resolve) => setImmediate(resolve));
    now = 0;
  };
  t.equal(await slowStart(150, one), undefined);
  t.same(batches, [1, 2, 4, 8, 16, 32, 32, 32, 23]);
});

t.test('it stops where it fails', async (t) => {
  const batches: number[] = [];
  let now = 0;
  const failure = await slowStart(100, async () => {
    now++;
    await Promise.resolve();
    if (now > 0) batches.push(now);
    now = 0;
    if (batches.length > 3) throw new Error('no more');
  });
  t.same(batches, [1, 2, 4, 8]);
  t.match(failure, { message: 'no more' });
  let made = 0;
  t.equal(await slowStart(10, async () => void made++), undefined);
  t.equal(made, 10);
});
