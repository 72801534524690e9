/** The reports: both forms say the same of every row, in the words of the programme that was run. */
import t from 'tap';
import { figuresOf } from '../../bench/figures.ts';
import type { Goal } from '../../bench/goals.ts';
import { OVERLAY, SERVICES } from '../../bench/programme.ts';
import { htmlOf } from '../../bench/report-html.ts';
import { markdownOf } from '../../bench/report-markdown.ts';
import { contest, participant } from './contests.ts';

const machine = { processors: '2 x some', memory: '1 GiB', kernel: 'Linux', node: 'v20', commit: 'c0ffee' };
const participants = [
  participant('weft'),
  participant('kernel-vxlan', { kind: 'kernel' }),
  participant('haproxy', { title: 'H & P' }),
];
const held = contest({ weft: [10, 12], 'kernel-vxlan': [20, 20], haproxy: [5, 6] }, { participants });
const goals: Goal[] = [{ row: 'speed', against: { contender: 'haproxy' }, least: 3 }];
const figures = figuresOf(held, goals);

for (const programme of [OVERLAY, SERVICES]) {
  t.test(programme.name, async (t) => {
    const markdown = markdownOf(programme, held, figures, machine, []);
    const html = htmlOf(programme, held, figures, machine, []);
    t.ok(markdown.startsWith(`# ${programme.title}\n`));
    t.match(markdown, `[${programme.name}.json]`);
    t.match(markdown, `/ ${programme.best} |`);
    t.match(markdown, '| speed | 11 Gbit/s | **0.55 (0.50-0.60)** | 2.00 (H & P) | ✗ at least 3.00 of H & P: 2.00 |');
    t.match(html, `<code>${programme.command}</code>`);
    t.match(html, '0.55 (0.50-0.60)');
    t.match(html, '<div class="missed">✗ at least 3.00 of H &amp; P: 2.00</div>');
  });
}

t.test('every goal and every picture names a row that the programme measures', async (t) => {
  for (const { name, goals, pictures, stagesOf } of [OVERLAY, SERVICES]) {
    const rows = stagesOf({ seconds: 1, quick: false }).flatMap((stage) =>
      stage.events.flatMap(({ subject }) =>
        subject.rows.map((row) => (stage.name ? `${row.name}/${stage.name}` : row.name)),
      ),
    );
    for (const goal of goals) t.ok(rows.includes(goal.row), `${name}: ${goal.row}`);
    for (const picture of pictures) for (const row of picture.rows) t.ok(rows.includes(row), `${name}: ${row}`);
  }
});
