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

/**
 * Median nanoseconds of each, measured in turns, round after round; of the rounds, the least: whatever else the machine
 * does only ever adds.
 */
export async function inTurns(works: readonly Work[]): Promise<number[]> {
  const rounds: number[][] = [];
  for (let round = 0; round < budget.rounds; round++) {
    const figures: number[] = [];
    for (const work of works) figures.push(await vectorNanoseconds(work, budget.seconds / budget.rounds));
    rounds.push(figures);
  }
  return works.map((_, i) => Math.min(...rounds.map((figures) => figures[i] as number)));
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
