/**
 * Client affinity: which endpoint a client's connections to a service go to (sessionAffinity ClientIP; kube-proxy
 * pkg/proxy/userspace/roundrobin.go). Asked by the service stage for first packets only. The time runs from a client's
 * latest connection. A client is always one worker's, so each worker keeps its own.
 *
 *   entry   word 0 service id + 1 (0: empty)   1..4 client address   5 endpoint id   6 incarnation of that id
 *                7 latest connection (ticks of 100 ms)
 *
 * Bounded: a client may stand in one of eight entries; when all are others', the one idle longest gives way.
 */
const WORDS = 8;
const WAYS = 8;
const SETS = 8192;
const NONE = -1;

export class Affinity {
  /** Made when the first service with affinity is asked for. */
  #words: Int32Array | undefined;

  /** The entry of a client, or -1. One that is older than `mostTicks` is none. */
  find(service: number, a0: number, a1: number, a2: number, a3: number, nowTicks: number, mostTicks: number): number {
    const w = this.#words;
    if (w === undefined) return NONE;
    const first = setOf(service, a0, a1, a2, a3);
    for (let way = 0; way < WAYS; way++) {
      const o = first + way * WORDS;
      if (!isFor(w, o, service, a0, a1, a2, a3)) continue;
      return nowTicks - w[o + 7] > mostTicks ? NONE : o;
    }
    return NONE;
  }

  endpointOf(entry: number): number {
    return this.#words![entry + 5];
  }

  incarnationOf(entry: number): number {
    return this.#words![entry + 6];
  }

  /** The client's time begins again. */
  touch(entry: number, nowTicks: number): void {
    this.#words![entry + 7] = nowTicks;
  }

  /** From now on the client's connections go to this endpoint. */
  set(
    service: number,
    a0: number,
    a1: number,
    a2: number,
    a3: number,
    endpoint: number,
    incarnation: number,
    nowTicks: number,
  ): void {
    this.#words ??= new Int32Array(SETS * WAYS * WORDS);
    const w = this.#words;
    const first = setOf(service, a0, a1, a2, a3);
    let at = first;
    for (let way = 0; way < WAYS; way++) {
      const o = first + way * WORDS;
      if (isFor(w, o, service, a0, a1, a2, a3)) {
        at = o;
        break;
      }
      if (w[at] !== 0 && (w[o] === 0 || nowTicks - w[o + 7] > nowTicks - w[at + 7])) at = o;
    }
    w[at] = service + 1;
    w[at + 1] = a0;
    w[at + 2] = a1;
    w[at + 3] = a2;
    w[at + 4] = a3;
    w[at + 5] = endpoint;
    w[at + 6] = incarnation;
    w[at + 7] = nowTicks;
  }
}

function isFor(w: Int32Array, o: number, service: number, a0: number, a1: number, a2: number, a3: number): boolean {
  return (
    w[o] === service + 1 &&
    w[o + 4] === (a3 | 0) &&
    w[o + 3] === (a2 | 0) &&
    w[o + 2] === (a1 | 0) &&
    w[o + 1] === (a0 | 0)
  );
}

/** First word of the entries in which a client may stand. */
function setOf(service: number, a0: number, a1: number, a2: number, a3: number): number {
  let h = Math.imul(a3 ^ Math.imul(service, 0x9e3779b1), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15) ^ a2, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 13) ^ a1, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 15) ^ a0, 0x165667b1);
  return ((h ^ (h >>> 16)) & (SETS - 1)) * WAYS * WORDS;
}
