/** The contest on one page that needs nothing beside itself: plots drawn in, tables of every figure. */
import type { Figure } from './figures.ts';
import type { Machine } from './machine.ts';
import type { Programme } from './programme.ts';
import type { Plot } from './report-markdown.ts';
import { ratioHeader, ratioRows, verdictWords } from './report-ratios.ts';
import { cost, details, megabytes, noteOf, number, tally } from './report-words.ts';
import type { Contest } from './rounds.ts';

const STYLE = `
body { font: 15px/1.5 "DejaVu Sans", system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1b1f24 }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.5rem }
table { border-collapse: collapse; font-size: 13px } .wide { overflow-x: auto }
th, td { border-bottom: 1px solid #d8dee4; padding: .3rem .6rem; text-align: left; vertical-align: top }
td.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
td small { color: #59636e; display: block } .met { color: #1a7f37 } .missed { color: #cf222e }
svg { max-width: 100%; height: auto } .note { color: #59636e }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(34rem, 1fr)); gap: 1.5rem }`;

export function htmlOf(
  programme: Programme,
  contest: Contest,
  figures: readonly Figure[],
  machine: Machine,
  plots: readonly (Plot & { svg: string })[],
): string {
  const { title, command, topology } = programme;
  const facts = Object.entries({ ...machine, date: contest.begun.slice(0, 10) });
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(title)}</title>
<style>${STYLE}</style></head>
<body>
<h1>${escaped(title)}</h1>
<p>Written by <code>${command}</code>; every figure comes from the run described here, none is typed by hand.</p>
<div class="plots">
${plots.map((plot) => `<figure role="img" aria-label="${escaped(plot.title)}">${plot.svg}</figure>`).join('\n')}
</div>
<h2>Ratios and goals</h2>
<div class="wide">${ratios(programme, contest, figures)}</div>
<p>${escaped(tally(figures))}.</p>
<p class="note">${escaped(noteOf(contest))}</p>
<h2>Every figure</h2>
<div class="wide">${standings(contest, figures)}</div>
<h2>Who took part</h2>
<ul>
${contest.participants.map((p) => `<li><b>${escaped(p.title)}</b> (${escaped(p.version)}): ${escaped(p.description)}</li>`).join('\n')}
${contest.missing.map((m) => `<li>${escaped(m.title)}: not here, ${escaped(m.why)}</li>`).join('\n')}
${contest.failures.map((f) => `<li class="missed">failed: ${escaped(f.what)}: ${escaped(f.why)}</li>`).join('\n')}
</ul>
<h2>Where</h2>
<p>${escaped(topology)}</p>
<ul>${facts.map(([key, value]) => `<li>${key}: ${escaped(value)}</li>`).join('')}</ul>
</body>
</html>
`;
}

function ratios(programme: Programme, contest: Contest, figures: readonly Figure[]): string {
  const rows = ratioRows(contest, figures).map(({ figure, own, kernel, best }) => {
    const goals = figure.goals.map(
      (goal) => `<div class="${goal.met ? 'met' : 'missed'}">${escaped(verdictWords(goal))}</div>`,
    );
    return row([
      `<td>${escaped(figure.title)}</td>`,
      numeric(`${number(own.median)} ${figure.unit}`),
      numeric(kernel),
      numeric(best ? `${best.ratio}<small>${escaped(best.title)}</small>` : '-'),
      `<td>${goals.join('')}</td>`,
    ]);
  });
  return tableOf(ratioHeader(programme, contest), rows);
}

function standings(contest: Contest, figures: readonly Figure[]): string {
  const rows = figures.map((figure) =>
    row([
      `<td>${escaped(figure.title)}<small>${figure.unit}, ${figure.better} is better</small></td>`,
      ...contest.participants.map(({ name }) => {
        const standing = figure.standings[name];
        if (!standing) return numeric('-');
        const ends = contest.rounds > 1 ? [`${number(standing.least)}-${number(standing.greatest)}`] : [];
        const more = [...ends, cost(standing.cost), details(standing)]
          .filter(Boolean)
          .map((text) => `<small>${text}</small>`);
        return numeric(`${number(standing.median)}${more.join('')}`);
      }),
    ]),
  );
  const memory = [
    '<td>memory of its processes</td>',
    ...contest.participants.map((p) => numeric(megabytes(p.memoryBytes))),
  ];
  return tableOf(['', ...contest.participants.map((p) => p.title)], [...rows, row(memory)]);
}

function tableOf(header: readonly string[], rows: readonly string[]): string {
  const cells = header.map((text) => `<th>${escaped(text)}</th>`).join('');
  return `<table><thead><tr>${cells}</tr></thead><tbody>\n${rows.join('\n')}\n</tbody></table>`;
}

function row(cells: readonly string[]): string {
  return `<tr>${cells.join('')}</tr>`;
}

function numeric(text: string): string {
  return `<td class="n">${text}</td>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
