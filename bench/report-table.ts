/** The contest in a terminal: ratios first, with the goals, then every contender's own figures. */
import pc from 'picocolors';
import { table } from '../src/observe/table.ts';
import { KERNEL, OWN } from './contenders/every-contender.ts';
import { bestPeer, type Figure } from './figures.ts';
import type { FloorVerdict } from './floors.ts';
import { asked, cost, details, noteOf, number, ratio, ratioWithEnds, tally } from './report-words.ts';
import type { Contest } from './rounds.ts';

export function tableOf(contest: Contest, figures: readonly Figure[]): string {
  const parts = [ratioTable(contest, figures)];
  parts.push(figures.map((figure) => standingsTable(contest, figure)).join('\n\n'));
  for (const { title, why } of contest.missing) parts.push(pc.dim(`not here: ${title} (${why})`));
  for (const { what, why } of contest.failures) parts.push(`${pc.yellow('failed:')} ${what}: ${why}`);
  parts.push(noteOf(contest));
  if (figures.some((f) => f.goals.length > 0)) parts.push(pc.bold(tally(figures)));
  return parts.join('\n\n');
}

export function floorTable(floors: readonly FloorVerdict[]): string {
  const rows = floors.map(({ title, floor, ratio: best, fell }) => {
    const verdict =
      best === undefined
        ? pc.yellow('not judged: every round was disturbed')
        : fell
          ? pc.red('fell')
          : pc.green('held');
    return [title, asked(floor), best === undefined ? '-' : ratio(best), verdict];
  });
  return table(['floor, beside kernel VXLAN', 'asked', 'best calm round', ''].map(pc.bold), rows);
}

function ratioTable(contest: Contest, figures: readonly Figure[]): string {
  const { participants } = contest;
  const kernel = participants.find((p) => p.name === KERNEL);
  const header = ['', 'Weft', kernel ? `/ ${kernel.title}` : '', '/ best plain peer', 'goals'].map(pc.bold);
  const rows = figures.flatMap((figure) => {
    const mine = figure.standings[OWN];
    if (!mine) return [];
    const beside = kernel && figure.standings[kernel.name]?.ratio;
    const best = bestPeer(figure, participants, 'plain');
    const bestRatio = best && figure.standings[best.name]?.ratio;
    const goals = figure.goals.map((g) => {
      const words = `${asked(g)} of ${g.against}: ${ratio(g.ratio)}`;
      return g.met ? pc.green(`✓ ${words}`) : pc.red(`✗ ${words}`);
    });
    return [
      [
        figure.title,
        `${number(mine.median)} ${figure.unit}`,
        beside ? ratioWithEnds(beside) : '-',
        best && bestRatio ? `${ratio(bestRatio.median)} ${best.title}` : '-',
        goals.join(', '),
      ],
    ];
  });
  return table(header, rows);
}

function standingsTable(contest: Contest, figure: Figure): string {
  const rows = contest.participants.flatMap(({ name, title }) => {
    const standing = figure.standings[name];
    if (!standing) return [];
    const { median, least, greatest } = standing;
    const ends = `${number(least)}-${number(greatest)}`;
    return [[`  ${title}`, number(median), ends, cost(standing.cost), details(standing)]];
  });
  return table([pc.bold(`${figure.title}, ${figure.unit}`), 'median', 'rounds', 'processor', ''], rows);
}
