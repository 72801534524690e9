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

  /** False where so much more is not allowed. */
  take(amount = 1): boolean {
    if (this.#used + amount > this.limit) return false;
    this.#used += amount;
    return true;
  }

  release(amount = 1): void {
    this.#used -= amount;
  }
}
