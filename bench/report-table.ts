/** The contest in a terminal: ratios first, with the goals, then every contender's own figures. */
import pc from 'picocolors';
import { table } from '../src/observe/table.ts';
import type { Figure } from './figures.ts';
import type { FloorVerdict } from './floors.ts';
import type { Programme } from './programme.ts';
import { ratioHeader, ratioRows, verdictWords } from './report-ratios.ts';
import { asked, cost, details, noteOf, number, ratio, tally } from './report-words.ts';
import type { Contest } from './rounds.ts';

export function tableOf(programme: Programme, contest: Contest, figures: readonly Figure[]): string {
  const parts = [ratioTable(programme, contest, figures)];
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

function ratioTable(programme: Programme, contest: Contest, figures: readonly Figure[]): string {
  const rows = ratioRows(contest, figures).map(({ figure, own, kernel, best }) => {
    const goals = figure.goals.map((goal) => (goal.met ? pc.green : pc.red)(verdictWords(goal)));
    const beside = best ? `${best.ratio} ${best.title}` : '-';
    return [figure.title, `${number(own.median)} ${figure.unit}`, kernel, beside, goals.join(', ')];
  });
  return table(ratioHeader(programme, contest).map(pc.bold), rows);
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
