/**
 * Where objects come from: the head of the state flow. A folder of manifests today; anything that lists and watches
 * behind the same contract.
 */
import type { ObjectSet } from './objects.ts';
import type { Problem } from './problem.ts';

export interface ObjectSource {
  /** Resolves when the first reading is done; current() is complete from then on. */
  start(): Promise<void>;
  /** What is in force now: immutable, a new one for every change. */
  current(): ObjectSet;
  /** What is wrong now with what was read, in a stable order. */
  problems(): readonly Problem[];
  /** Called after current() or problems() changed. */
  onChange(listener: () => void): void;
  close(): Promise<void>;
}
