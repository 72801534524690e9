/** Medians, ends and ratios of rounds, with rounds that are missing. */
import t from 'tap';
import { median, ratios, spread } from '../../bench/statistics.ts';

t.test('the middle and the ends', async (t) => {
  t.strictSame(spread([3, 1, 2]), { median: 2, least: 1, greatest: 3 });
  t.strictSame(spread([4, 1, 3, 2]), { median: 2.5, least: 1, greatest: 4 });
  t.strictSame(spread([10, 9, 100]), { median: 10, least: 9, greatest: 100 }, 'numbers, not words');
  t.strictSame(spread([undefined, 5, undefined]), { median: 5, least: 5, greatest: 5 });
  t.equal(spread([undefined]), undefined);
  t.equal(median([]), undefined);
});

t.test('each round has a ratio of its own', async (t) => {
  t.strictSame(ratios([2, 9, undefined, 1], [1, 3, 5, undefined]), [2, 3, undefined, undefined]);
  t.strictSame(ratios([1], [0]), [undefined], 'nothing is no yardstick');
  // A machine that is half as fast in the second round changes no ratio.
  t.equal(median(ratios([10, 5, 10], [20, 10, 20])), 0.5);
});
