/** What objects of a kind have alone, of all objects: an address, a port, a range. */
import type { FieldPath, Violation } from '../../kube/violation.ts';
import type { ApiObject } from '../api-object.ts';

export interface Claim {
  /** `serviceips/10.96.0.5`: the range, and what of it. */
  name: string;
  /** Where it stands in the object. */
  path: FieldPath;
  /** What is said where another has it: `provided IP is already allocated`. */
  refusal: string;
}

/** How objects of a kind come to what they have alone. */
export interface Allocation {
  /** All that an object has, as it stands. */
  claims(object: ApiObject): readonly Claim[];
  /** Fills in what the object leaves open, or says why it cannot; `old` is what an update replaces. */
  fill?(object: ApiObject, old: ApiObject | undefined, isTaken: (name: string) => boolean): Violation[];
}
