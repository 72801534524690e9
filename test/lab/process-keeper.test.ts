import t from 'tap';
import { restartWaitMs } from '../../src/lab/process-keeper.ts';

t.test('the first restart is at once, later ones wait ever longer, up to five seconds', (t) => {
  t.same([1, 2, 3, 4, 8, 50].map(restartWaitMs), [50, 100, 200, 400, 5000, 5000]);
  t.end();
});
