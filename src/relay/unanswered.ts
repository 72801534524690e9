/**
 * Datagrams of one conversation to which nothing came back yet: what is sent again when it turns out that the endpoint
 * refuses them. Few, young and small in sum, because a refusal comes at once or never. Pure.
 */
interface Sent {
  datagram: Uint8Array;
  atMs: number;
}

const MOST_DATAGRAMS = 16;
const MOST_BYTES = 256 * 1024;
/** A refusal that comes later than this is about something else. */
const YOUNG_MS = 1000;

export class Unanswered {
  #sent: Sent[] = [];
  #bytes = 0;

  add(datagram: Uint8Array, nowMs: number): void {
    this.#sent.push({ datagram, atMs: nowMs });
    this.#bytes += datagram.length;
    while (this.#sent.length > MOST_DATAGRAMS || this.#bytes > MOST_BYTES) {
      this.#bytes -= this.#sent.shift()?.datagram.length ?? 0;
    }
  }

  clear(): void {
    this.#sent = [];
    this.#bytes = 0;
  }

  /** Those that may still be refused, oldest first. They stay. */
  young(nowMs: number): Uint8Array[] {
    return this.#sent.filter(({ atMs }) => nowMs - atMs < YOUNG_MS).map(({ datagram }) => datagram);
  }
}
