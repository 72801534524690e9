/** The contest as Markdown, for reading on a code host. */
import type { Figure } from './figures.ts';
import type { Machine } from './machine.ts';
import type { Programme } from './programme.ts';
import { ratioHeader, ratioRows, verdictWords } from './report-ratios.ts';
import { cost, details, megabytes, noteOf, number, tally } from './report-words.ts';
import type { Contest } from './rounds.ts';

export interface Plot {
  readonly name: string;
  readonly title: string;
}

export function markdownOf(
  programme: Programme,
  contest: Contest,
  figures: readonly Figure[],
  machine: Machine,
  plots: readonly Plot[],
): string {
  const { name } = programme;
  const parts = [
    `# ${programme.title}`,
    `Written by \`${programme.command}\`; every figure comes from the run described here, none is typed by hand. ` +
      `The same with plots on one page: [${name}.html](${name}.html); every sample: [${name}.json](${name}.json).`,
    ...plots.map((plot) => `![${plot.title}](${plot.name}.svg)`),
    '## Ratios and goals',
    ratios(programme, contest, figures),
    `${tally(figures)}. ${noteOf(contest)}`,
    '## Every figure',
    standings(contest, figures),
    '## What it costs',
    costs(contest, figures),
    '## Who took part',
    participants(contest),
    '## Where',
    machineList(programme, machine, contest),
  ];
  return `${parts.join('\n\n')}\n`;
}

function ratios(programme: Programme, contest: Contest, figures: readonly Figure[]): string {
  const rows = ratioRows(contest, figures).map(({ figure, own, kernel, best }) => [
    figure.title,
    `${number(own.median)} ${figure.unit}`,
    kernel === '-' ? kernel : `**${kernel}**`,
    best ? `${best.ratio} (${best.title})` : '-',
    figure.goals.map(verdictWords).join('<br>'),
  ]);
  return markdownTable(ratioHeader(programme, contest), rows);
}

function standings(contest: Contest, figures: readonly Figure[]): string {
  const header = ['', ...contest.participants.map((p) => p.title)];
  const rows = figures.map((figure) => [
    `${figure.title}, ${figure.unit}`,
    ...contest.participants.map(({ name }) => {
      const standing = figure.standings[name];
      if (!standing) return '-';
      const more = details(standing);
      return `${number(standing.median)}${more && `<br><sub>${more}</sub>`}`;
    }),
  ]);
  return markdownTable(header, rows);
}

function costs(contest: Contest, figures: readonly Figure[]): string {
  const header = ['', ...contest.participants.map((p) => p.title)];
  const rows = figures
    .filter((figure) => Object.values(figure.standings).some((s) => cost(s.cost)))
    .map((figure) => [
      figure.title,
      ...contest.participants.map(({ name }) => cost(figure.standings[name]?.cost ?? {}) || '-'),
    ]);
  const memory = ['memory of its processes', ...contest.participants.map((p) => megabytes(p.memoryBytes))];
  return markdownTable(header, [...rows, memory]);
}

function participants(contest: Contest): string {
  const here = contest.participants.map((p) => `- **${p.title}** (${p.version}): ${p.description}`);
  const missing = contest.missing.map(({ title, why }) => `- ${title}: not here, ${why}`);
  const failures = contest.failures.map(({ what, why }) => `- failed: ${what}: ${why.split('\n')[0]}`);
  return [...here, ...missing, ...failures].join('\n');
}

function machineList({ topology }: Programme, machine: Machine, contest: Contest): string {
  const facts = Object.entries({ ...machine, date: contest.begun.slice(0, 10) });
  return `${topology}

${facts.map(([key, value]) => `- ${key}: ${value}`).join('\n')}`;
}

function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
