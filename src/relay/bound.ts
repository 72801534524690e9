/** How much of something may be open at once, over all proxies of a host. */
export class Bound {
  readonly limit: number;
  #used = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /** False where no more is allowed. */
  take(): boolean {
    if (this.#used >= this.limit) return false;
    this.#used++;
    return true;
  }

  release(): void {
    this.#used--;
  }
}
