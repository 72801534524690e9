/** What the rules of several kinds check in the same way: values that stand twice, addresses that no host can have. */
import { isV4, type Words, word4 } from '../wire/address.ts';
import type { FieldPath, Violation } from './violation.ts';

export const UNUSABLE = 'must not be a loopback, link-local, multicast, broadcast or unspecified address';

/** Whether an address can be somebody's on a network (RFC 1122 3.2.1.3, RFC 4291 2.4). */
export function isHostAddress(words: Words): boolean {
  if (!isV4(words)) {
    const first = words[0] >>> 16;
    const small = words[0] === 0 && words[1] === 0 && words[2] === 0 && words[3] >>> 0 <= 1;
    return !small && first < 0xff00 && (first & 0xffc0) !== 0xfe80;
  }
  const address = word4(words);
  const first = address >>> 24;
  return first !== 0 && first !== 127 && first < 224 && address >>> 16 !== 0xa9fe;
}

/** Says where a value stands a second time. Absent values do not count. */
export function doubles(
  values: readonly (string | undefined)[],
  path: (i: number) => FieldPath,
  out: Violation[],
): void {
  const seen = new Set<string>();
  values.forEach((value, i) => {
    if (value === undefined || value === '') return;
    if (seen.has(value)) out.push({ path: path(i), message: `Duplicate value: ${JSON.stringify(value)}` });
    seen.add(value);
  });
}

/** Ports of which there are several need names, and no two the same. */
export function portNames(
  names: readonly (string | undefined)[],
  path: (i: number) => FieldPath,
  out: Violation[],
): void {
  if (names.length > 1) {
    names.forEach((name, i) => {
      if (!name) out.push({ path: path(i), message: 'is required where there are several ports' });
    });
  }
  doubles(names, path, out);
}
