/**
 * Answers of the cluster's zone, kept in the bytes in which they were first given, as a table from which the dataplane's
 * workers answer the same questions without this server (tables/names.ts). What was asked once is learned; what a change
 * of the cluster may have changed is forgotten at once and learned again, so that nothing is worked out that nobody asks
 * for, and a change costs no more in a cluster of ten thousand services than in one of ten.
 *
 *   responder -- learn(question, answer) --> here -- table, a moment later --> workers
 *   records   -- forget(what changed) ----->      -- table, at once ----------->
 *
 * Bounded: when it is full it begins anew.
 */
import { buildNames, hashQuestion, type NameAnswer, type NameTable } from '../tables/names.ts';
import type { Words } from '../wire/address.ts';
import { LOWER, OPT_BYTES, TYPE_AND_CLASS_BYTES } from '../wire/dns.ts';
import { HEADER_BYTES, RCODE, TYPE, UDP_BYTES } from './codes.ts';
import type { Reply } from './encode.ts';
import type { Query } from './query.ts';

export interface ReadyAnswersOptions {
  servers: readonly Words[];
  /** The table from now on; called again and again, never with a part of one. */
  publish: (table: NameTable) => void;
  entryLimit?: number;
  byteLimit?: number;
  /** How long what was learned may wait for more, in milliseconds. */
  gatherMs?: number;
}

interface ReadyAnswer extends NameAnswer {
  /** What it was made from; see Zone.sourceOf. */
  source: string;
}

const ENTRY_LIMIT = 65_536;
const BYTE_LIMIT = 16 << 20;
const GATHER_MS = 50;
/** Of the time, at most this share goes into building tables while much is learned. */
const BUILD_SHARE = 0.1;
/** SOA and NS change with every state, and are hardly asked for; aliases lead elsewhere. */
const LEARNED_TYPES: ReadonlySet<number> = new Set([TYPE.a, TYPE.aaaa, TYPE.ptr, TYPE.srv, TYPE.txt]);

export class ReadyAnswers {
  readonly #options: Required<ReadyAnswersOptions>;
  readonly #answers = new Map<string, ReadyAnswer>();
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #buildMs = 0;
  #closed = false;

  constructor(options: ReadyAnswersOptions) {
    this.#options = { entryLimit: ENTRY_LIMIT, byteLimit: BYTE_LIMIT, gatherMs: GATHER_MS, ...options };
  }

  get entries(): number {
    return this.#answers.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The answer that was given, whole; nothing happens where it is none that a worker could give. */
  learn(query: Query, reply: Reply, message: Buffer, source: string): void {
    if (this.#closed || !isReady(query, reply, message)) return;
    const key = keyOf(query);
    if (this.#answers.has(key)) return;
    const behind = HEADER_BYTES + query.question.length;
    const end = message.length - (query.edns ? OPT_BYTES : 0);
    const question = lowerCased(query.question);
    const records = Uint8Array.prototype.slice.call(message, behind, end);
    const { answers, authorities, additionals } = reply;
    const hash = hashQuestion(question, 0, question.length);
    if (this.#answers.size >= this.#options.entryLimit || this.#bytes >= this.#options.byteLimit) this.#clear();
    this.#answers.set(key, {
      question,
      records,
      answers: answers.length,
      authorities: authorities.length,
      additionals: additionals.length,
      hash,
      source,
    });
    this.#bytes += question.length + records.length;
    if (this.#timer) return;
    const wait = Math.max(this.#options.gatherMs, this.#buildMs / BUILD_SHARE);
    this.#timer = setTimeout(() => this.#publish(), wait);
    this.#timer.unref();
  }

  /** Answers of these sources are not given any more, from the workers' next packets on. */
  forget(isChanged: (source: string) => boolean): void {
    let forgotten = 0;
    for (const [key, { source, question, records }] of this.#answers) {
      if (!isChanged(source)) continue;
      this.#answers.delete(key);
      this.#bytes -= question.length + records.length;
      forgotten++;
    }
    if (forgotten > 0) this.#publish();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#clear();
  }

  #clear(): void {
    this.#answers.clear();
    this.#bytes = 0;
  }

  #publish(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const began = performance.now();
    const table = buildNames(this.#options.servers, [...this.#answers.values()], UDP_BYTES);
    this.#buildMs = performance.now() - began;
    this.#options.publish(table);
  }
}

/** Of the zone alone, whole, and the same whoever asks: records of the question's own name, or that it has none such. */
function isReady(query: Query, reply: Reply, message: Buffer): boolean {
  const { key } = query.name;
  const { rcode, authoritative, answers, authorities, additionals } = reply;
  return (
    LEARNED_TYPES.has(query.type) &&
    rcode === RCODE.noError &&
    authoritative &&
    answers.length + authorities.length > 0 &&
    answers.every((record) => record.owner === key && record.type === query.type) &&
    message.length <= UDP_BYTES &&
    message.readUInt16BE(6) === answers.length &&
    message.readUInt16BE(8) === authorities.length &&
    message.readUInt16BE(10) === additionals.length + (query.edns ? 1 : 0)
  );
}

function keyOf(query: Query): string {
  return `${query.name.key} ${query.type}`;
}

function lowerCased(question: Uint8Array): Uint8Array {
  const name = question.length - TYPE_AND_CLASS_BYTES;
  return question.map((octet, i) => (i < name ? (LOWER[octet] ?? octet) : octet));
}
