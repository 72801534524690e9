/**
 * What a contest's samples say, row by row: medians and spread of each contender, ratios of Weft to each of them
 * (every round's own, so that drift falls out), what it cost, and which goals are met. Pure.
 */

import { OWN } from './contenders/every-contender.ts';
import type { Row } from './contest.ts';
import type { Goal } from './goals.ts';
import { renamed } from './paths.ts';
import type { Contest, Participant, Sample } from './rounds.ts';
import { median, type Rounds, ratios, type Spread, spread } from './statistics.ts';

export interface Cost {
  /** Seconds of processor time, of the whole machine, traffic generators included. */
  readonly secondsPerGigabyte?: number;
  readonly secondsPerMillionPackets?: number;
}

export interface Standing extends Spread {
  readonly rounds: Rounds;
  /** Of Weft to this contender. */
  readonly ratio?: Spread;
  readonly detail: Readonly<Record<string, number>>;
  readonly cost: Cost;
}

export interface Verdict {
  /** Against whom or what, in words. */
  readonly against: string;
  readonly ratio: number;
  readonly least?: number;
  readonly most?: number;
  readonly met: boolean;
}

export interface Figure extends Row {
  /** Where it was measured: '' is the plain underlay. */
  readonly stage: string;
  /** By contender; who did not take part is absent. */
  readonly standings: Readonly<Record<string, Standing>>;
  readonly goals: readonly Verdict[];
}

export function figuresOf(contest: Contest, goals: readonly Goal[]): Figure[] {
  const figures: Figure[] = [];
  for (const stage of contest.stages) {
    for (const subject of stage.subjects) {
      const samples = contest.samples.filter((s) => s.stage === stage.name && s.subject === subject.name);
      const rows = stage.name ? renamed(subject.rows, stage.name, stage.title) : subject.rows;
      for (const [i, row] of rows.entries()) {
        const key = subject.rows[i]?.name ?? '';
        const standings = standingsOf(contest, samples, key, i === 0);
        if (Object.keys(standings).length > 0) figures.push({ ...row, stage: stage.name, standings, goals: [] });
      }
    }
  }
  return figures.map((figure) => ({ ...figure, goals: verdictsOf(figure, figures, contest.participants, goals) }));
}

/** Weft's own ratio to whom the goal names; undefined where one of both was not measured. */
export function ratioOf(
  goal: Goal,
  figures: readonly Figure[],
  participants: readonly Participant[],
): { ratio: number; against: string } | undefined {
  const { against } = goal;
  const figure = figures.find((f) => f.name === goal.row);
  const mine = figure?.standings[OWN];
  if (!figure || !mine) return undefined;
  if ('row' in against) {
    const base = figures.find((f) => f.name === against.row);
    const beside = base?.standings[OWN];
    const ratio = beside && median(ratios(mine.rounds, beside.rounds));
    return ratio === undefined ? undefined : { ratio, against: base?.title ?? '' };
  }
  const other =
    'contender' in against
      ? participants.find((p) => p.name === against.contender)
      : bestPeer(figure, participants, against.best);
  const ratio = other && figure.standings[other.name]?.ratio;
  return ratio && { ratio: ratio.median, against: other.title };
}

/** The peer that is hardest to beat in this row. */
export function bestPeer(
  figure: Figure,
  participants: readonly Participant[],
  which: 'plain' | 'any',
): Participant | undefined {
  const peers = participants.filter((p) => p.kind === 'peer' && (which === 'any' || !p.encrypted));
  const measured = peers.filter((p) => figure.standings[p.name]);
  const of = (p: Participant) => figure.standings[p.name]?.median ?? Number.NaN;
  const sign = figure.better === 'higher' ? -1 : 1;
  return measured.sort((a, b) => sign * (of(a) - of(b)))[0];
}

function standingsOf(
  contest: Contest,
  samples: readonly Sample[],
  row: string,
  isFirst: boolean,
): Record<string, Standing> {
  const rounds = (contender: string): Rounds =>
    Array.from(
      { length: contest.rounds },
      (_, i) => samples.find((s) => s.contender === contender && s.round === i + 1)?.values[row],
    );
  const standings: Record<string, Standing> = {};
  for (const { name } of contest.participants) {
    const values = rounds(name);
    const all = spread(values);
    if (!all) continue;
    const ratio = name === OWN ? undefined : spread(ratios(rounds(OWN), values));
    const its = samples.filter((s) => s.contender === name);
    standings[name] = {
      ...all,
      rounds: values,
      ...(ratio && { ratio }),
      // Of the run as a whole, and so shown once.
      detail: isFirst ? detailOf(its) : {},
      cost: isFirst ? costOf(its) : {},
    };
  }
  return standings;
}

function detailOf(samples: readonly Sample[]): Record<string, number> {
  const keys = new Set(samples.flatMap((s) => Object.keys(s.detail)));
  return Object.fromEntries([...keys].map((key) => [key, median(samples.map((s) => s.detail[key])) ?? 0]));
}

function costOf(samples: readonly Sample[]): Cost {
  const per = (amount: (s: Sample) => number | undefined, unit: number) =>
    median(
      samples.map((s) => {
        const carried = amount(s);
        return carried ? (s.load.busySeconds / carried) * unit : undefined;
      }),
    );
  const secondsPerGigabyte = per((s) => s.bytes, 1e9);
  const secondsPerMillionPackets = per((s) => s.packets, 1e6);
  return {
    ...(secondsPerGigabyte !== undefined && { secondsPerGigabyte }),
    ...(secondsPerMillionPackets !== undefined && { secondsPerMillionPackets }),
  };
}

function verdictsOf(
  figure: Figure,
  figures: readonly Figure[],
  participants: readonly Participant[],
  goals: readonly Goal[],
): Verdict[] {
  return goals
    .filter((goal) => goal.row === figure.name)
    .flatMap((goal) => {
      const found = ratioOf(goal, figures, participants);
      if (!found) return [];
      const { least, most } = goal;
      const met = (least === undefined || found.ratio >= least) && (most === undefined || found.ratio <= most);
      return [{ ...found, ...(least !== undefined && { least }), ...(most !== undefined && { most }), met }];
    });
}
