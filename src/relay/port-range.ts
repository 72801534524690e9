/** Where proxy ports come from: any that the system has free, or a range that somebody keeps for them. */
export interface PortRange {
  first: number;
  last: number;
}

/** `40000-40999`; undefined for what is no range. */
export function parsePortRange(text: string): PortRange | undefined {
  const [, a, b] = /^(\d{1,5})-(\d{1,5})$/.exec(text) ?? [];
  const first = Number(a);
  const last = Number(b);
  return first >= 1 && last <= 65535 && first <= last ? { first, last } : undefined;
}

/** Each port of the range once, from one at random on; without a range, 0 for any. */
export function* candidates(range: PortRange | undefined, random: () => number = Math.random): Generator<number> {
  if (range === undefined) {
    yield 0;
    return;
  }
  const count = range.last - range.first + 1;
  const start = Math.floor(random() * count);
  for (let i = 0; i < count; i++) yield range.first + ((start + i) % count);
}
