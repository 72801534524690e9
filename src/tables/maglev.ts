/**
 * Maglev's lookup table (Eisenbud et al., Maglev: A Fast and Reliable Software Network Load Balancer, NSDI 2016, 3.4):
 * a hash of a connection names a slot, a slot an endpoint. Each endpoint fills slots in an order of its own, which
 * follows from its address and port alone: when one leaves, its slots go to the others, and few of theirs change hands.
 * Every endpoint takes as many slots a round as its weight says.
 */

/**
 * Primes: steps of any length then visit every slot. Another size is another table altogether, so the size must not
 * follow the number of endpoints; only a service that grows beyond SMALL_ENDPOINTS is shuffled, once. Up to there an
 * endpoint has 100 slots or more, and shares differ by about one percent. The small one is `ip_vs`'s.
 */
const SMALL_SLOTS = 4093;
const LARGE_SLOTS = 65_537;
const SMALL_ENDPOINTS = 40;

export interface MaglevEndpoint {
  address: readonly [number, number, number, number];
  port: number;
  weight?: number | undefined;
}

/** Slot to endpoint number. Empty where no endpoint has a weight. */
export function buildMaglev(endpoints: readonly MaglevEndpoint[]): Uint16Array {
  const weights = endpoints.map((e) => e.weight ?? 1);
  const divisor = weights.reduce(greatestCommonDivisor, 0);
  if (divisor === 0) return new Uint16Array(0);
  const size = endpoints.length <= SMALL_ENDPOINTS ? SMALL_SLOTS : LARGE_SLOTS;
  const at = endpoints.map((e) => hash(e, 0x9e3779b1) % size);
  const step = endpoints.map((e) => (hash(e, 0x85ebca6b) % (size - 1)) + 1);
  const slots = new Uint16Array(size);
  const taken = new Uint8Array(size);
  for (let filled = 0; ; ) {
    for (let n = 0; n < endpoints.length; n++) {
      for (let turn = weights[n] / divisor; turn > 0; turn--) {
        let slot = at[n];
        while (taken[slot] === 1) slot = (slot + step[n]) % size;
        at[n] = (slot + step[n]) % size;
        taken[slot] = 1;
        slots[slot] = n;
        if (++filled === size) return slots;
      }
    }
  }
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

function hash(e: MaglevEndpoint, seed: number): number {
  let h = seed;
  for (const word of [...e.address, e.port]) {
    h = Math.imul(h ^ word, 0xcc9e2d51);
    h = Math.imul(h ^ (h >>> 15), 0x1b873593);
    h ^= h >>> 13;
  }
  return h >>> 0;
}
