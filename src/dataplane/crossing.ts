/**
 * A worker among others: who reads which port, and the rings by which packets get to the worker that keeps their
 * connection. Workers share nothing else. Each ordered pair has a ring; its bytes stand in the receiving worker's arena.
 *
 *   arena of worker w   | receive | spare | ring from worker 0 | … | ring from worker N-1 |   (none from itself)
 *
 * A worker that waits for packets says so in a word that all see, and looks at its rings once more before it does:
 * whoever hands it something then finds either the word, and wakes it, or is found.
 */
import { ARENA_BYTES, type PacketVector, VECTOR_PACKETS } from '../io/vector.ts';
import { ADJACENCY, ADJACENCY_KIND, ADJACENCY_WORDS } from '../tables/adjacency.ts';
import { PORT_LIMIT } from '../tables/ports.ts';
import { lookup } from '../tables/routes.ts';
import type { Tables } from '../tables/tables.ts';
import { CONTROL_WORDS, RING_BYTES, RingConsumer, RingProducer } from './hand-over-ring.ts';

/** Descriptors of a vector that are kept free for the dataplane's own packets. */
const KEPT_FREE = 64;
/**
 * Longest wait for room in others' rings, in all of a vector: as long as the other one needs for a ring of bulk. What is
 * read faster than it can take would be lost, where devices that are not read hold their senders back. Two workers that
 * wait for each other go on after it, and drop.
 */
const PATIENCE_MS = 5;
/** Words of a worker in the shared array of those asleep: each on a cache line of its own. */
const SLEEPER_WORDS = 16;

/** What all workers of a dataplane see of each other. Made once by the control thread. */
export interface SharedMemory {
  /** By worker. */
  arenas: readonly SharedArrayBuffer[];
  /** Control words of the ring from one worker to another: rings[from][to]. */
  rings: readonly (readonly SharedArrayBuffer[])[];
  sleepers: SharedArrayBuffer;
}

export function shareMemory(workers: number): SharedMemory {
  const each = <T>(make: () => T): T[] => Array.from({ length: workers }, make);
  return {
    arenas: each(() => new SharedArrayBuffer(ARENA_BYTES + workers * RING_BYTES)),
    rings: each(() => each(() => new SharedArrayBuffer(CONTROL_WORDS * 4))),
    sleepers: new SharedArrayBuffer(workers * SLEEPER_WORDS * 4),
  };
}

/** The worker that reads a pod's device. */
export function workerOf(address4: number, workers: number): number {
  return (address4 & 0xffff) % workers;
}

export class Crossing {
  readonly self: number;
  /** The worker that reads each port, by port id. */
  readonly readers = new Uint8Array(PORT_LIMIT);
  /** Packets handed to other workers, and to this one. */
  given = 0;
  taken = 0;
  readonly #to: (RingProducer | undefined)[];
  readonly #from: RingConsumer[];
  readonly #sleepers: Int32Array;
  readonly #wake: (worker: number) => void;
  #patienceMs = PATIENCE_MS;

  /** `wake` ends another worker's wait for packets. */
  constructor(self: number, memory: SharedMemory, wake: (worker: number) => void) {
    this.self = self;
    const own = new Uint8Array(memory.arenas[self]);
    this.#to = memory.arenas.map((arena, to) => {
      const control = new Int32Array(memory.rings[self][to]);
      return to === self
        ? undefined
        : new RingProducer(control, own, new Uint8Array(arena), ARENA_BYTES + self * RING_BYTES);
    });
    this.#from = memory.arenas.flatMap((_, from) =>
      from === self ? [] : [new RingConsumer(new Int32Array(memory.rings[from][self]))],
    );
    this.#sleepers = new Int32Array(memory.sleepers);
    this.#wake = wake;
  }

  get workers(): number {
    return this.#to.length;
  }

  /** Hands packet `i`, with the `front` bytes before its offset, to a worker. False when its ring stays full. */
  give(vector: PacketVector, i: number, front: number, worker: number): boolean {
    const ring = this.#to[worker]!;
    while (!ring.push(vector, i, front)) {
      if (this.#patienceMs <= 0) return false;
      this.#show(worker);
      const start = performance.now();
      ring.awaitRoom(this.#patienceMs);
      this.#patienceMs -= performance.now() - start;
    }
    this.given++;
    return true;
  }

  /** At the end of a vector: what was given is shown to whom it was given, who is woken if asleep. */
  publish(): void {
    this.#patienceMs = PATIENCE_MS;
    for (let worker = 0; worker < this.#to.length; worker++) this.#show(worker);
  }

  #show(worker: number): void {
    if (this.#to[worker]?.publish() !== true) return;
    if (Atomics.exchange(this.#sleepers, worker * SLEEPER_WORDS, 0) === 1) this.#wake(worker);
  }

  /** Before waiting for packets for that long: returns how long it may be, and says so to the others. */
  waits(timeoutMs: number): number {
    if (timeoutMs === 0) return 0;
    Atomics.store(this.#sleepers, this.self * SLEEPER_WORDS, 1);
    for (let n = 0; n < this.#from.length; n++) if (this.#from[n].waiting) return 0;
    return timeoutMs;
  }

  /** After an exchange: appends what others have handed over; returns how many packets. */
  take(vector: PacketVector): number {
    Atomics.store(this.#sleepers, this.self * SLEEPER_WORDS, 0);
    let count = 0;
    const rings = this.#from.length;
    // None may fill a vector's last descriptors alone.
    for (let n = 0; n < rings; n++) {
      const free = VECTOR_PACKETS - KEPT_FREE - vector.count;
      count += this.#from[n].take(vector, Math.max(0, Math.ceil(free / (rings - n))));
    }
    this.taken += count;
    return count;
  }

  /** Whether an address is one of this host's that another worker reads. */
  isForeign(tables: Tables, w0: number, w1: number, w2: number, w3: number): boolean {
    const reader = this.readerOf(tables, w0, w1, w2, w3);
    return reader >= 0 && reader !== this.self;
  }

  /** The worker that reads what comes from an address of this host, or -1 for one that is elsewhere. */
  readerOf(tables: Tables, w0: number, w1: number, w2: number, w3: number): number {
    const route = lookup(tables.routes, w0, w1, w2, w3);
    if (route < 0) return -1;
    const a = route * ADJACENCY_WORDS;
    const kind = tables.adjacencies[a];
    const here = kind === ADJACENCY_KIND.pod || kind === ADJACENCY_KIND.gateway || kind === ADJACENCY_KIND.host;
    return here ? this.readers[tables.adjacencies[a + ADJACENCY.port]] : -1;
  }
}
