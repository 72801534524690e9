/** The contest as Markdown, for reading on a code host. */
import { KERNEL, OWN } from './contenders/every-contender.ts';
import { bestPeer, type Figure } from './figures.ts';
import type { Machine } from './machine.ts';
import { asked, cost, details, megabytes, noteOf, number, ratio, ratioWithEnds, tally } from './report-words.ts';
import type { Contest } from './rounds.ts';

export interface Plot {
  readonly name: string;
  readonly title: string;
}

export function markdownOf(
  contest: Contest,
  figures: readonly Figure[],
  machine: Machine,
  plots: readonly Plot[],
): string {
  const parts = [
    '# Weft beside what people would use instead',
    'Written by `make bench`; every figure comes from the run described here, none is typed by hand. ' +
      'The same with plots on one page: [overlay.html](overlay.html); every sample: [overlay.json](overlay.json).',
    ...plots.map((plot) => `![${plot.title}](${plot.name}.svg)`),
    '## Ratios and goals',
    ratios(contest, figures),
    `${tally(figures)}. ${noteOf(contest)}`,
    '## Every figure',
    standings(contest, figures),
    '## What it costs',
    costs(contest, figures),
    '## Who took part',
    participants(contest),
    '## Where',
    machineList(machine, contest),
  ];
  return `${parts.join('\n\n')}\n`;
}

function ratios(contest: Contest, figures: readonly Figure[]): string {
  const kernel = contest.participants.find((p) => p.name === KERNEL);
  const rows = figures.flatMap((figure) => {
    const mine = figure.standings[OWN];
    if (!mine) return [];
    const beside = kernel && figure.standings[kernel.name]?.ratio;
    const best = bestPeer(figure, contest.participants, 'plain');
    const bestRatio = best && figure.standings[best.name]?.ratio;
    const goals = figure.goals.map((g) => `${g.met ? '✓' : '✗'} ${asked(g)} of ${g.against}: ${ratio(g.ratio)}`);
    return [
      [
        figure.title,
        `${number(mine.median)} ${figure.unit}`,
        beside ? `**${ratioWithEnds(beside)}**` : '-',
        best && bestRatio ? `${ratio(bestRatio.median)} (${best.title})` : '-',
        goals.join('<br>'),
      ],
    ];
  });
  return markdownTable(['', 'Weft', `/ ${kernel?.title ?? ''}`, '/ best peer without encryption', 'goals'], rows);
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

function machineList(machine: Machine, contest: Contest): string {
  const facts = Object.entries({ ...machine, date: contest.begun.slice(0, 10) });
  return `Two hosts as network namespaces on one veth pair with an MTU of 1500, pods behind each, cubic everywhere.

${facts.map(([key, value]) => `- ${key}: ${value}`).join('\n')}`;
}

function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
