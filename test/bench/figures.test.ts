/** From samples to figures: ratios round by round, costs, goals against one, the best and one's own. */
import t from 'tap';
import { bestPeer, figuresOf } from '../../bench/figures.ts';
import { contest, participant, ROW } from './contests.ts';

t.test('ratios are those of the same round', async (t) => {
  const [figure] = figuresOf(contest({ weft: [10, 40, 30], 'kernel-vxlan': [20, 20, 20] }), []);
  t.strictSame(figure?.standings['kernel-vxlan']?.ratio, { median: 1.5, least: 0.5, greatest: 2 });
  t.equal(figure?.standings.weft?.median, 30);
  t.equal(figure?.standings.weft?.ratio, undefined, 'nobody is compared with himself');
});

t.test('who was not measured has no standing, and no goal against him is judged', async (t) => {
  const goals = [{ row: 'speed', against: { contender: 'kernel-vxlan' }, least: 1 }];
  const [figure] = figuresOf(contest({ weft: [10], 'kernel-vxlan': [undefined] }), goals);
  t.strictSame(Object.keys(figure?.standings ?? {}), ['weft']);
  t.strictSame(figure?.goals, []);
});

t.test('a row that nobody has is left out', async (t) => {
  t.strictSame(figuresOf(contest({ weft: [undefined], peer: [undefined] }), []), []);
});

t.test('goals', async (t) => {
  const participants = [participant('weft'), participant('a'), participant('b'), participant('c', { encrypted: true })];
  const goals = [
    { row: 'speed', against: { best: 'plain' as const }, least: 5 },
    { row: 'speed', against: { best: 'any' as const }, least: 3 },
  ];
  const held = contest({ weft: [10, 10], a: [1, 1], b: [2, 2], c: [4, 4] }, { participants });
  const [figure] = figuresOf(held, goals);
  t.strictSame(figure?.goals, [
    { ratio: 5, against: 'B', least: 5, met: true },
    { ratio: 2.5, against: 'C', least: 3, met: false },
  ]);
  const slow = { ...ROW, better: 'lower' as const };
  const [latency] = figuresOf(contest({ weft: [10], a: [20], b: [8] }, { participants, row: slow }), [
    { row: 'speed', against: { best: 'plain' }, most: 1 },
  ]);
  t.strictSame(latency?.goals, [{ ratio: 1.25, against: 'B', most: 1, met: false }], 'the best is the quickest');
});

t.test('a goal against a row of our own, in another stage', async (t) => {
  const both = contest({ weft: [10, 20] });
  both.stages.push({ name: 'slow', title: 'slowly', subjects: [{ name: 'subject', rows: [ROW] }] });
  for (const sample of both.samples.slice()) both.samples.push({ ...sample, stage: 'slow', values: { speed: 5 } });
  const [, variant] = figuresOf(both, [{ row: 'speed/slow', against: { row: 'speed' }, least: 0.5 }]);
  t.match(variant, { name: 'speed/slow', title: 'speed, slowly', stage: 'slow' });
  t.strictSame(variant?.goals, [{ ratio: 0.375, against: 'speed', least: 0.5, met: false }]);
});

t.test('processor time for what was carried', async (t) => {
  const held = contest(
    { weft: [1, 1], peer: [1, 1] },
    {
      sample: ({ contender, round, load }) => ({
        load: { ...load, busySeconds: round },
        ...(contender === 'weft' ? { bytes: 2e9, packets: 4e6 } : {}),
      }),
    },
  );
  const [figure] = figuresOf(held, []);
  t.strictSame(figure?.standings.weft?.cost, { secondsPerGigabyte: 0.75, secondsPerMillionPackets: 0.375 });
  t.strictSame(figure?.standings.peer?.cost, {});
});

t.test('without Weft there are figures and no ratios', async (t) => {
  const [figure] = figuresOf(contest({ a: [1], b: [2] }), []);
  t.equal(figure?.standings.b?.median, 2);
  t.equal(figure?.standings.b?.ratio, undefined);
  t.equal(figure && bestPeer(figure, [participant('a'), participant('b')], 'plain')?.name, 'b');
});
