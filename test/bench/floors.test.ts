/** A floor holds unless every calm round is below it. */
import t from 'tap';
import { figuresOf } from '../../bench/figures.ts';
import { judgeFloors } from '../../bench/floors.ts';
import { contest } from './contests.ts';

const least = { row: 'speed', against: { contender: 'kernel-vxlan' }, least: 0.5 };
const most = { row: 'speed', against: { contender: 'kernel-vxlan' }, most: 3 };

function judged(weft: number[], floor: typeof least | typeof most, disturbedRounds: readonly number[] = []) {
  const others = (round: number) => (disturbedRounds.includes(round) ? 0.5 : 0.05);
  const held = contest(
    { weft, 'kernel-vxlan': weft.map(() => 10) },
    { sample: ({ round, load }) => ({ load: { ...load, otherCores: others(round) } }) },
  );
  const [verdict] = judgeFloors(held, figuresOf(held, []), [floor]);
  return { ratio: verdict?.ratio, fell: verdict?.fell };
}

t.test('one calm round above it is enough', async (t) => {
  t.strictSame(judged([1, 6, 1], least), { ratio: 0.6, fell: false });
  t.strictSame(judged([50, 20], most), { ratio: 2, fell: false });
});

t.test('every calm round below it is a fall', async (t) => {
  t.strictSame(judged([4, 3], least), { ratio: 0.4, fell: true });
  t.strictSame(judged([40, 50], most), { ratio: 4, fell: true });
});

t.test('disturbed rounds are no evidence, either way', async (t) => {
  t.strictSame(judged([1, 9], least, [1]), { ratio: 0.9, fell: false });
  t.strictSame(judged([9, 1], least, [1]), { ratio: 0.1, fell: true });
  t.strictSame(judged([1, 1], least, [1, 2]), { ratio: undefined, fell: false });
});

t.test('who is missing is not judged', async (t) => {
  const alone = contest({ weft: [1] });
  t.strictSame(judgeFloors(alone, figuresOf(alone, []), [{ ...least, row: 'other' }]), []);
  t.match(judgeFloors(alone, figuresOf(alone, []), [least]), [{ ratio: undefined, fell: false }]);
});
