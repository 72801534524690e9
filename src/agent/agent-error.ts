/**
 * What can be wrong with a host so that an agent cannot do its work: each with a stable code for programs, the place
 * for the reader, and what to do about it.
 */
export class AgentError extends Error {
  readonly code: string;
  /** What the reader can do, as a sentence. */
  readonly remedy: string;

  constructor(code: string, message: string, remedy = '', cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'AgentError';
    this.code = code;
    this.remedy = remedy;
  }

  /** Message and remedy in one line. */
  get sentence(): string {
    return this.remedy ? `${this.message}: ${this.remedy}` : this.message;
  }
}

/** One line about anything thrown. */
export function describeError(error: unknown): string {
  if (error instanceof AgentError) return error.sentence;
  return error instanceof Error ? error.message : String(error);
}

/** The errno name (`EBUSY`) of a system error, or ''. */
export function errnoOf(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : '';
}
