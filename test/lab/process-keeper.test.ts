import { join } from 'node:path';
import t from 'tap';
import { ProcessKeeper, restartWaitMs } from '../../src/lab/process-keeper.ts';

t.test('the first restart is at once, later ones wait ever longer, up to five seconds', (t) => {
  t.same([1, 2, 3, 4, 8, 50].map(restartWaitMs), [50, 100, 200, 400, 5000, 5000]);
  t.end();
});

t.test('a process is kept alive where its log cannot be written', async (t) => {
  const log = join(t.testdir(), 'nowhere', 'x.log');
  const starts = await new Promise((done) => {
    const keeper = new ProcessKeeper({
      ...{ name: 'it', command: ['true'], env: process.env, log },
      onChange: () => {
        if (keeper.starts === 2) void keeper.stop(100).then(() => done(keeper.starts));
      },
    });
    keeper.start();
  });
  t.equal(starts, 2);
});
