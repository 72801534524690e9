/**
 * Datagrams of one conversation to which nothing came back yet: what is sent again when it turns out that the endpoint
 * refuses them. Few, young, and small in sum over all conversations, because a refusal comes at once or never; what
 * there is no room for is sent once. Pure.
 */
import type { Bound } from './bound.ts';

interface Sent {
  datagram: Uint8Array;
  atMs: number;
}

const MOST_DATAGRAMS = 16;
/** A refusal that comes later than this is about something else. */
const YOUNG_MS = 1000;

export class Unanswered {
  /** Bytes of all conversations. */
  readonly #bytes: Bound;
  /** Oldest first. */
  readonly #sent: Sent[] = [];

  constructor(bytes: Bound) {
    this.#bytes = bytes;
  }

  /** False where there is no room for it. */
  add(datagram: Uint8Array, nowMs: number): boolean {
    if (this.#sent.length === MOST_DATAGRAMS) this.#drop();
    if (!this.#bytes.take(datagram.length)) return false;
    this.#sent.push({ datagram, atMs: nowMs });
    return true;
  }

  /** Forgets what is old. */
  age(nowMs: number): void {
    for (let oldest = this.#sent[0]; oldest && nowMs - oldest.atMs >= YOUNG_MS; oldest = this.#sent[0]) this.#drop();
  }

  clear(): void {
    while (this.#sent.length > 0) this.#drop();
  }

  /** Those that may still be refused, oldest first. They stay. */
  young(nowMs: number): Uint8Array[] {
    this.age(nowMs);
    return this.#sent.map(({ datagram }) => datagram);
  }

  #drop(): void {
    this.#bytes.release(this.#sent.shift()?.datagram.length ?? 0);
  }
}
