/**
 * How the micro benches take time: by mitata, medians, the least of several rounds. A vector's work is timed by itself,
 * with what it needs put in place before every run and not timed. What is to be compared takes turns, so that drift of
 * the machine falls on all.
 */
import { measure } from 'mitata';

export interface Work {
  /** Not timed, before every run. */
  prepare?: () => void;
  run: () => void;
}

/** Seconds that each measurement may take of the processor; --quick takes less. */
export const budget = { seconds: 0.3, rounds: 5 };

/** Median nanoseconds of a run that takes microseconds. */
async function vectorNanoseconds(work: Work, seconds: number): Promise<number> {
  const { prepare = () => {}, run } = work;
  const stats = await measure(
    function* () {
      yield {
        0: () => {
          prepare();
          return 0;
        },
        bench(_prepared: number) {
          run();
        },
      } as unknown as () => void;
    },
    { min_cpu_time: seconds * 1e9, batch_threshold: 0, gc: false },
  );
  return stats.p50;
}

/** Median nanoseconds of each, measured in turns: the figures of one round after the other, in the same time in all. */
export async function roundsOf(works: readonly Work[], count = budget.rounds): Promise<number[][]> {
  const rounds: number[][] = [];
  for (let round = 0; round < count; round++) {
    const figures: number[] = [];
    for (const work of works) figures.push(await vectorNanoseconds(work, budget.seconds / count));
    rounds.push(figures);
  }
  return rounds;
}

/** Of several rounds each one's least figure: whatever else the machine does only ever adds. */
export function leastOf(rounds: readonly number[][]): number[] {
  return (rounds[0] as number[]).map((_, i) => Math.min(...rounds.map((figures) => figures[i] as number)));
}

/**
 * What each costs to what `base` costs, the median of the rounds' own ratios: a machine that is slow for some seconds is
 * slow for both.
 */
export function ratiosOf(rounds: readonly number[][], base: number): number[] {
  return (rounds[0] as number[]).map((_, i) => {
    const ratios = rounds.map((figures) => (figures[i] as number) / (figures[base] as number)).sort((a, b) => a - b);
    return ratios[ratios.length >> 1] as number;
  });
}

/** Median nanoseconds of each, the least of the rounds. */
export async function inTurns(works: readonly Work[]): Promise<number[]> {
  return leastOf(await roundsOf(works));
}

/** The same of a function that is over in nanoseconds: many calls at a time. */
export async function callNanoseconds(call: () => unknown): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < budget.rounds; round++) {
    const { p50 } = await measure(call, { min_cpu_time: (budget.seconds / budget.rounds) * 1e9, gc: false });
    least = Math.min(least, p50);
  }
  return least;
}
