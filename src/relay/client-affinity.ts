/**
 * Session affinity by client address (`sessionAffinity: ClientIP`): which endpoint a client had last, for as long as
 * it keeps coming. Bounded: the client that was away longest is forgotten first. Pure; the caller holds the clock.
 */
interface Bond {
  endpoint: string;
  usedAtMs: number;
}

const MOST_CLIENTS = 16_384;

export class ClientAffinity {
  readonly #timeoutMs: number;
  readonly #limit: number;
  /** In order of use, the longest ago first. */
  readonly #bonds = new Map<string, Bond>();

  constructor(timeoutSeconds: number, limit = MOST_CLIENTS) {
    this.#timeoutMs = timeoutSeconds * 1000;
    this.#limit = limit;
  }

  get size(): number {
    return this.#bonds.size;
  }

  /** The endpoint of a client that was here less than the timeout ago; the time counts from now on. */
  use(client: string, nowMs: number): string | undefined {
    const bond = this.#bonds.get(client);
    if (bond === undefined) return undefined;
    this.#bonds.delete(client);
    if (nowMs - bond.usedAtMs >= this.#timeoutMs) return undefined;
    bond.usedAtMs = nowMs;
    this.#bonds.set(client, bond);
    return bond.endpoint;
  }

  set(client: string, endpoint: string, nowMs: number): void {
    this.#bonds.delete(client);
    for (const [oldest, { usedAtMs }] of this.#bonds) {
      if (this.#bonds.size < this.#limit && nowMs - usedAtMs < this.#timeoutMs) break;
      this.#bonds.delete(oldest);
    }
    this.#bonds.set(client, { endpoint, usedAtMs: nowMs });
  }

  /** Unless the client has another endpoint by now. */
  forget(client: string, endpoint: string): void {
    if (this.#bonds.get(client)?.endpoint === endpoint) this.#bonds.delete(client);
  }

  /** Endpoints that have left take their clients' bonds with them. */
  keep(listed: (endpoint: string) => boolean): void {
    for (const [client, { endpoint }] of this.#bonds) if (!listed(endpoint)) this.#bonds.delete(client);
  }
}
