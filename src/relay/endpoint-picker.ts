/**
 * Which endpoint of one service port is next, as kube-proxy's userspace mode chooses (pkg/proxy/userspace,
 * roundrobin.go): shuffled when the set changes, then strictly cyclic; a client with affinity keeps its endpoint until
 * that fails or leaves. Unlike there, a connection that moves on goes round from its own place and leaves the others'
 * turns alone, so that it meets every endpoint once. Pure; the caller holds the clock and the dice.
 */
import { ClientAffinity } from './client-affinity.ts';

export interface Target {
  /** `10.244.1.17`. */
  address: string;
  port: number;
}

/** What one endpoint of one service port has seen. Counts since the endpoint was listed. */
export interface EndpointCounts {
  /** Connections (UDP: conversations) that were given to it. */
  connections: number;
  /** Of them, those that go on. */
  active: number;
  /** Tries that it did not answer or refused. */
  failures: number;
}

/** One connection's way round the endpoints. */
export interface Choice {
  readonly client: string;
  target: Target;
  id: string;
  /** Of the target; goes on counting when the endpoint has left. */
  counts: EndpointCounts;
  /** Place in the order; undefined while the client's own endpoint is tried. */
  turn: number | undefined;
}

export interface PickerOptions {
  /** undefined: none. */
  affinitySeconds: number | undefined;
  random?: () => number;
  now?: () => number;
}

export class EndpointPicker {
  readonly #affinity: ClientAffinity | undefined;
  readonly #random: () => number;
  readonly #now: () => number;
  #order: readonly Target[] = [];
  #counts = new Map<string, EndpointCounts>();
  #next = 0;

  constructor(options: PickerOptions) {
    this.#affinity = options.affinitySeconds === undefined ? undefined : new ClientAffinity(options.affinitySeconds);
    this.#random = options.random ?? Math.random;
    this.#now = options.now ?? Date.now;
  }

  get size(): number {
    return this.#order.length;
  }

  /** The same set in another order changes nothing. */
  update(targets: readonly Target[]): void {
    const wanted = new Map(targets.map((target) => [idOf(target), target]));
    if (wanted.size === this.#counts.size && [...wanted.keys()].every((id) => this.#counts.has(id))) return;
    this.#order = this.#shuffled([...wanted.values()]);
    this.#next = 0;
    this.#counts = new Map([...wanted.keys()].map((id) => [id, this.#counts.get(id) ?? newCounts()]));
    this.#affinity?.keep((id) => wanted.has(id));
  }

  has(id: string): boolean {
    return this.#counts.has(id);
  }

  /** Nothing where there is no endpoint. */
  first(client: string): Choice | undefined {
    const own = this.#affinity?.use(client, this.#now());
    const target = own === undefined ? undefined : this.#order.find((each) => idOf(each) === own);
    return target ? this.#choice(client, target, undefined) : this.#take(client, this.#turn());
  }

  /** Tells that the choice's endpoint failed: its client is bound to it no longer. Then the endpoint after it. */
  next(choice: Choice): Choice | undefined {
    const { client, id, turn } = choice;
    this.#affinity?.forget(client, id);
    if (turn !== undefined) return this.#take(client, turn + 1);
    const free = this.#turn();
    const again = this.#order[free];
    return this.#take(client, again && idOf(again) === id ? this.#turn() : free);
  }

  /** In the order in which they take turns. */
  counts(): { target: Target; counts: EndpointCounts }[] {
    return this.#order.map((target) => ({ target, counts: this.#counts.get(idOf(target)) as EndpointCounts }));
  }

  #turn(): number {
    const turn = this.#next;
    this.#next = turn + 1 >= this.#order.length ? 0 : turn + 1;
    return turn;
  }

  #take(client: string, turn: number): Choice | undefined {
    const at = this.#order.length === 0 ? 0 : turn % this.#order.length;
    const target = this.#order[at];
    if (target === undefined) return undefined;
    this.#affinity?.set(client, idOf(target), this.#now());
    return this.#choice(client, target, at);
  }

  #choice(client: string, target: Target, turn: number | undefined): Choice {
    const id = idOf(target);
    return { client, target, id, counts: this.#counts.get(id) as EndpointCounts, turn };
  }

  /** Fisher and Yates. */
  #shuffled(targets: Target[]): Target[] {
    for (let i = targets.length - 1; i > 0; i--) {
      const j = Math.floor(this.#random() * (i + 1));
      [targets[i], targets[j]] = [targets[j] as Target, targets[i] as Target];
    }
    return targets;
  }
}

/** `10.244.1.17:80`, `[fd00::17]:80`. */
export function idOf({ address, port }: Target): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function newCounts(): EndpointCounts {
  return { connections: 0, active: 0, failures: 0 };
}
