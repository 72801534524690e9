/**
 * What was wrong with what somebody wrote, told to them: the place, and a sentence that names the object and the
 * field. Problems are data, not exceptions: they travel beside the good objects through the whole state flow.
 */
export interface Problem {
  /** `file.yaml:12`, or the object (`Service default/web`) where no file is known. */
  place: string;
  /** Names the object and the field: `Service default/web: spec.ports[0].port: must be between 1 and 65535`. */
  message: string;
  severity: 'error' | 'warning';
}

/** One line for people; also what tells one problem from another. */
export function formatProblem(problem: Problem): string {
  return problem.message.startsWith(`${problem.place}: `) ? problem.message : `${problem.place}: ${problem.message}`;
}

export function compareProblems(a: Problem, b: Problem): number {
  const byPlace = a.place.localeCompare(b.place, 'en', { numeric: true });
  return byPlace || (a.message < b.message ? -1 : a.message > b.message ? 1 : 0);
}
