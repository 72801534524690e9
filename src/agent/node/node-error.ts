/** What the node server answers where it cannot do what it is asked: a code of HTTP and one sentence. */
export class NodeError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = 'NodeError';
    this.code = code;
  }
}
