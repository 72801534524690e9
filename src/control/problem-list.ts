/**
 * Collects what control finds wrong with objects: names the object, and the place it was written at where one is
 * known.
 */
import { compareProblems, type Problem } from '../kube/problem.ts';

export class ProblemList {
  readonly #places: ReadonlyMap<string, string>;
  readonly #list: Problem[] = [];

  constructor(places: ReadonlyMap<string, string> = new Map()) {
    this.#places = places;
  }

  /** `title` as objectTitle gives it; the message names the field: `spec.podCIDR: …`. */
  error(title: string, message: string): void {
    this.#add(title, message, 'error');
  }

  warning(title: string, message: string): void {
    this.#add(title, message, 'warning');
  }

  /** `Node hosta (file.yaml:12)`: for a message that names a second object. */
  whereIs(title: string): string {
    const place = this.#places.get(title);
    return place === undefined ? title : `${title} (${place})`;
  }

  sorted(): readonly Problem[] {
    return [...this.#list].sort(compareProblems);
  }

  #add(title: string, message: string, severity: Problem['severity']): void {
    this.#list.push({ place: this.#places.get(title) ?? title, message: `${title}: ${message}`, severity });
  }
}
