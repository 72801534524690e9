/** Weft's ratios, row by row, as every form of the report has them: to the kernel's way and to the best peer. */
import { KERNEL, OWN } from './contenders/every-contender.ts';
import { bestPeer, type Figure, type Standing, type Verdict } from './figures.ts';
import type { Programme } from './programme.ts';
import { asked, ratio, ratioWithEnds } from './report-words.ts';
import type { Contest } from './rounds.ts';

export interface RatioRow {
  readonly figure: Figure;
  readonly own: Standing;
  /** Of Weft to the kernel's way, '-' where it was not measured. */
  readonly kernel: string;
  readonly best: { readonly ratio: string; readonly title: string } | undefined;
}

/** Rows that Weft was measured in. */
export function ratioRows(contest: Contest, figures: readonly Figure[]): RatioRow[] {
  return figures.flatMap((figure) => {
    const own = figure.standings[OWN];
    if (!own) return [];
    const kernel = figure.standings[KERNEL]?.ratio;
    const peer = bestPeer(figure, contest.participants, 'plain');
    const best = peer && figure.standings[peer.name]?.ratio;
    return [
      {
        figure,
        own,
        kernel: kernel ? ratioWithEnds(kernel) : '-',
        best: peer && best && { ratio: ratio(best.median), title: peer.title },
      },
    ];
  });
}

export function ratioHeader(programme: Programme, contest: Contest): string[] {
  const kernel = contest.participants.find((p) => p.name === KERNEL);
  return ['', 'Weft', kernel ? `/ ${kernel.title}` : '', `/ ${programme.best}`, 'goals'];
}

/** A goal and what came of it. */
export function verdictWords(verdict: Verdict): string {
  return `${verdict.met ? '✓' : '✗'} ${asked(verdict)} of ${verdict.against}: ${ratio(verdict.ratio)}`;
}
