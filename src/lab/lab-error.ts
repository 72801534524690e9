/**
 * What can go wrong with a lab, for people: one sentence that names the lab, host or pod and says what to do, a stable
 * `code` for programs, and the lines below it (problems of a file, the tail of a log).
 */
export type LabErrorCode =
  | 'WEFT_LAB_FILE' // the lab file or the manifests are wrong; details lists the places
  | 'WEFT_LAB_NAME' // no lab of that name, or none that could be meant
  | 'WEFT_LAB_EXISTS' // a lab of that name is up
  | 'WEFT_LAB_TARGET' // no such host or pod
  | 'WEFT_LAB_SYSTEM' // this machine refuses what a lab needs
  | 'WEFT_LAB_FAILED'; // an agent or a pod did not come up

export class LabError extends Error {
  readonly code: LabErrorCode;
  readonly details: readonly string[];

  constructor(code: LabErrorCode, message: string, details: readonly string[] = []) {
    super(message);
    this.name = 'LabError';
    this.code = code;
    this.details = details;
  }
}
