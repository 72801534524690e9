/** Figures as people read them: numbers, costs, ratios, verdicts, and the note that says how all was measured. */
import type { Cost, Figure, Standing, Verdict } from './figures.ts';
import type { Contest } from './rounds.ts';
import type { Spread } from './statistics.ts';

/** Three figures that count: 0.123, 12.3, 12345. */
export function number(n: number): string {
  return Math.abs(n) >= 100 || Number.isInteger(n) ? n.toFixed(0) : n.toPrecision(3);
}

export function ratio(n: number): string {
  return n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2);
}

export function ratioWithEnds({ median, least, greatest }: Spread): string {
  return `${ratio(median)} (${ratio(least)}-${ratio(greatest)})`;
}

export function asked({ least, most }: Pick<Verdict, 'least' | 'most'>): string {
  return least !== undefined ? `at least ${ratio(least)}` : `at most ${ratio(most ?? 0)}`;
}

export function cost({ secondsPerGigabyte, secondsPerMillionPackets }: Cost): string {
  // Where packets are counted they are small, and a gigabyte of them says nothing.
  if (secondsPerMillionPackets !== undefined) return `${number(secondsPerMillionPackets)} s/Mpacket`;
  return secondsPerGigabyte === undefined ? '' : `${number(secondsPerGigabyte)} s/GB`;
}

export function details(standing: Standing): string {
  return Object.entries(standing.detail)
    .map(([key, n]) => `${key} ${number(n)}`)
    .join(', ');
}

export function megabytes(bytes: number): string {
  return bytes > 0 ? `${number(Math.round(bytes / 1e6))} MB` : '-';
}

/** Goals that can be judged here, and how many of them are met. */
export function tally(figures: readonly Figure[]): string {
  const verdicts = figures.flatMap((f) => f.goals);
  return `${verdicts.filter((v) => v.met).length} of ${verdicts.length} goals met`;
}

export function noteOf(contest: Contest): string {
  const { repeated, kept } = contest.disturbed;
  const rounds = contest.rounds === 1 ? 'One round' : `Medians of ${contest.rounds} interleaved rounds`;
  const ends = contest.rounds === 1 ? '' : ', the least and the greatest in brackets';
  return (
    `${rounds}${ends}; ratios are each round's own, then their median. ` +
    `Measured in ${contest.minutes.toFixed(0)} minutes, ${contest.seconds} s each. ` +
    `Processor seconds are of the whole machine, traffic generators included. ` +
    `Measurements taken again because the hypervisor or others used more than a tenth of a core: ${repeated}; ` +
    `kept although disturbed: ${kept}. ` +
    `Damaged checksums in all namespaces: ${contest.checksumErrors}. Measurements that failed: ${contest.failures.length}.`
  );
}
