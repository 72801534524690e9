/**
 * The last questions and what came of them, for who wonders why names are slow or missing: bounded, in memory, and only
 * when asked for. Each tells which candidate of a search path it was, and what the server's own completion tried.
 */
import { decode } from 'dns-packet';
import type { CompletionStep } from './autopath.ts';
import { rcodeName } from './codes.ts';
import type { AnswerSource } from './resolver.ts';

export interface QueryLogEntry {
  /** ISO 8601. */
  at: string;
  client: string;
  /** `namespace/name`, or '' where no pod has the client's address. */
  pod: string;
  transport: 'udp' | 'tcp';
  name: string;
  type: string;
  rcode: string;
  /** Data of the answer's records, the first few. */
  answers: readonly string[];
  /** '' for what was refused before it was looked up. */
  source: AnswerSource | '';
  ms: number;
  /** Where the question is a candidate of the pod's search path: of what name, which one, of how many. */
  search?: { name: string; step: number; of: number };
  /** What was tried to complete the name. */
  completion?: readonly CompletionStep[];
}

const ANSWERS_SHOWN = 4;

export class QueryLog {
  readonly #limit: number;
  readonly #ring: QueryLogEntry[] = [];
  #next = 0;

  /** 0: nothing is kept. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get isOn(): boolean {
    return this.#limit > 0;
  }

  add(entry: QueryLogEntry): void {
    if (this.#limit === 0) return;
    this.#ring[this.#next] = entry;
    this.#next = (this.#next + 1) % this.#limit;
  }

  /** Oldest first. */
  entries(): QueryLogEntry[] {
    return [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)].slice(-this.#ring.length);
  }
}

/** What the entry says of an answer's bytes. */
export function describeAnswer(message: Buffer): { rcode: string; answers: string[] } {
  const rcode = rcodeName(message.readUInt16BE(2) & 15);
  try {
    const { answers = [] } = decode(message);
    const shown = answers.slice(0, ANSWERS_SHOWN).map((answer) => {
      const data = 'data' in answer ? answer.data : '';
      return `${answer.type} ${typeof data === 'string' ? data : JSON.stringify(data)}`;
    });
    const more = answers.length - shown.length;
    return { rcode, answers: more > 0 ? [...shown, `and ${more} more`] : shown };
  } catch {
    return { rcode, answers: ['not readable'] };
  }
}
