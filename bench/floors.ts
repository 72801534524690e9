/**
 * Whether a quick run fell through a floor. Only rounds that nobody disturbed are judged, and one of them above the
 * floor is enough: what is broken is below it every time, what is noisy is not.
 */
import { OWN } from './contenders/every-contender.ts';
import type { Figure } from './figures.ts';
import type { Goal } from './goals.ts';
import { DISTURBED_CORES, disturbance } from './interference.ts';
import type { Contest, Sample } from './rounds.ts';

export interface FloorVerdict {
  readonly title: string;
  readonly floor: Goal;
  /** The best of the rounds that were judged; undefined where every round was disturbed. */
  readonly ratio: number | undefined;
  readonly fell: boolean;
}

export function judgeFloors(contest: Contest, figures: readonly Figure[], floors: readonly Goal[]): FloorVerdict[] {
  return floors.flatMap((floor): FloorVerdict[] => {
    const figure = figures.find((f) => f.name === floor.row);
    const { against } = floor;
    if (!figure || !('contender' in against)) return [];
    const ratios: number[] = [];
    for (let round = 1; round <= contest.rounds; round++) {
      const [own, other] = [OWN, against.contender].map((name) =>
        contest.samples.find((s) => s.contender === name && s.round === round && floor.row in s.values),
      );
      if (own && other && isCalm(own) && isCalm(other)) {
        ratios.push((own.values[floor.row] ?? 0) / (other.values[floor.row] ?? 0));
      }
    }
    if (ratios.length === 0) return [{ title: figure.title, floor, ratio: undefined, fell: false }];
    const ratio = floor.least !== undefined ? Math.max(...ratios) : Math.min(...ratios);
    const fell = ratio < (floor.least ?? 0) || ratio > (floor.most ?? Number.POSITIVE_INFINITY);
    return [{ title: figure.title, floor, ratio, fell }];
  });
}

function isCalm({ load }: Sample): boolean {
  return disturbance(load) <= DISTURBED_CORES;
}
