/**
 * Whether a value that a client sent is of a size that is worth looking at: how deep it is and how many values it has.
 * What comes after walks it, checks it and copies it, and trusts that it ends.
 */
import { ApiError } from '../api-error.ts';

/** Deeper than any object that people write, as deep as every recursion here can go. */
const DEEPEST = 200;
const MOST_VALUES = 100_000;

/** Throws ApiError BadRequest. Values that stand in several places (YAML's aliases) count in each. */
export function checkShape(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  let count = 0;
  let level: unknown[] = [value];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > DEEPEST) throw new ApiError('BadRequest', `the body is nested more than ${DEEPEST} deep`);
    const next: unknown[] = [];
    for (const one of level) {
      const children = Array.isArray(one) ? one : Object.values(one as object);
      count += children.length;
      if (count > MOST_VALUES) throw new ApiError('BadRequest', `the body has more than ${MOST_VALUES} values`);
      for (const child of children) if (typeof child === 'object' && child !== null) next.push(child);
    }
    level = next;
  }
}
