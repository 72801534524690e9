/**
 * Addresses for names out of a range, without a store: every host that knows the same names and the same taken
 * addresses comes to the same answer. A name wants the place its hash gives. Whoever comes first by name has it, and
 * only then do those who lost look for the next free place, in order of name: a new name can move another one only
 * when both want the same place.
 */
import { nameHash } from './name-hash.ts';

export interface AddressRange {
  /** First address that may be given out, host-order uint32. */
  first: number;
  /** How many follow each other from there. */
  count: number;
}

/**
 * One name at a time, where a store remembers who has what: the place of the name's hash or the next free one; the
 * first `kept` places only when all others are taken, for they are those that people write down. Undefined: it is full.
 */
export function freePlace(
  range: AddressRange & { kept: number },
  name: string,
  isTaken: (place: number) => boolean,
): number | undefined {
  const { first, count, kept } = range;
  if (count <= 0) return undefined;
  const start = nameHash(name) % count;
  let low: number | undefined;
  for (let i = 0; i < count; i++) {
    const at = (start + i) % count;
    if ((at < kept && low !== undefined) || isTaken(first + at)) continue;
    if (at >= kept) return first + at;
    low = first + at;
  }
  return low;
}

/** Names without a place are missing from the answer: the range is full. */
export function allocate(
  range: AddressRange,
  names: readonly string[],
  taken: ReadonlySet<number>,
): Map<string, number> {
  const given = new Map<string, number>();
  if (range.count <= 0) return given;
  const used = new Set(taken);
  const lost: string[] = [];
  for (const name of [...names].sort()) {
    const address = range.first + (nameHash(name) % range.count);
    if (used.has(address)) {
      lost.push(name);
    } else {
      used.add(address);
      given.set(name, address);
    }
  }
  let free = range.count;
  for (const address of used) if (address >= range.first && address < range.first + range.count) free--;
  for (const name of lost) {
    if (free === 0) break;
    let at = nameHash(name) % range.count;
    while (used.has(range.first + at)) at = at + 1 === range.count ? 0 : at + 1;
    used.add(range.first + at);
    given.set(name, range.first + at);
    free--;
  }
  return given;
}
