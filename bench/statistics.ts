/** What several rounds say: the middle, the ends, and ratios of what was measured in the same round. */

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly greatest: number;
}

/** By round; what a round does not have is undefined. */
export type Rounds = readonly (number | undefined)[];

export function spread(values: Rounds): Spread | undefined {
  const sorted = values.filter((v) => v !== undefined).sort((a, b) => a - b);
  const [least] = sorted;
  const greatest = sorted.at(-1);
  if (least === undefined || greatest === undefined) return undefined;
  return { median: middle(sorted), least, greatest };
}

/** Each round's own ratio, so that drift from round to round falls out. */
export function ratios(own: Rounds, other: Rounds): Rounds {
  return own.map((value, round) => {
    const beside = other[round];
    return value === undefined || !beside ? undefined : value / beside;
  });
}

export function median(values: Rounds): number | undefined {
  return spread(values)?.median;
}

function middle(sorted: readonly number[]): number {
  const at = sorted.length >> 1;
  const high = sorted[at] as number;
  return sorted.length % 2 === 1 ? high : ((sorted[at - 1] as number) + high) / 2;
}
