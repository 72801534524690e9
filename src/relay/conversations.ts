/**
 * The UDP conversations of one proxy port, by client: in order of use, so that the one that was silent longest is
 * found at once. Pure; the caller holds the clock.
 */
export class Conversations<T extends { usedAtMs: number }> {
  readonly #idleMs: number;
  /** The longest silent first. */
  readonly #byClient = new Map<string, T>();

  constructor(idleMs: number) {
    this.#idleMs = idleMs;
  }

  get size(): number {
    return this.#byClient.size;
  }

  get(client: string): T | undefined {
    return this.#byClient.get(client);
  }

  values(): IterableIterator<T> {
    return this.#byClient.values();
  }

  /** New, or heard of again: the last to be ended. */
  touch(client: string, conversation: T, nowMs: number): void {
    conversation.usedAtMs = nowMs;
    this.#byClient.delete(client);
    this.#byClient.set(client, conversation);
  }

  delete(client: string): void {
    this.#byClient.delete(client);
  }

  oldest(): T | undefined {
    for (const conversation of this.#byClient.values()) return conversation;
    return undefined;
  }

  /** Those whose time is over. They stay until they are deleted. */
  expired(nowMs: number): T[] {
    const out: T[] = [];
    for (const conversation of this.#byClient.values()) {
      if (nowMs - conversation.usedAtMs < this.#idleMs) break;
      out.push(conversation);
    }
    return out;
  }
}
