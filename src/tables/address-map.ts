/**
 * An exact-match map from an address and one extra word (a protocol and port, or 0) to a number: open addressing
 * with linear probing in one Int32Array, at most half full, built once and never changed.
 *
 *   word  0..3 address (big-endian words, IPv4 mapped)   4 extra   5 value + 1 (0: empty)   6, 7 spare
 */
const ENTRY_WORDS = 8;

export interface AddressMap {
  slots: Int32Array;
  /** Number of slots - 1; slots are a power of two. */
  mask: number;
}

export interface AddressMapEntry {
  address: readonly [number, number, number, number];
  extra: number;
  /** 0 to 2 ** 31 - 2: stored with 1 added. */
  value: number;
}

/** Absent. */
export const NO_VALUE = -1;

export function buildAddressMap(entries: readonly AddressMapEntry[]): AddressMap {
  let size = 8;
  while (size < entries.length * 2) size *= 2;
  const slots = new Int32Array(size * ENTRY_WORDS);
  const mask = size - 1;
  for (const e of entries) {
    const [w0, w1, w2, w3] = e.address;
    let slot = hashKey(w0, w1, w2, w3, e.extra) & mask;
    for (;;) {
      const o = slot * ENTRY_WORDS;
      if (slots[o + 5] === 0 || matches(slots, o, w0, w1, w2, w3, e.extra)) {
        slots.set([w0, w1, w2, w3, e.extra, e.value + 1], o);
        break;
      }
      slot = (slot + 1) & mask;
    }
  }
  return { slots, mask };
}

/** The value at an address and extra word, or NO_VALUE. */
export function find(map: AddressMap, w0: number, w1: number, w2: number, w3: number, extra: number): number {
  const slots = map.slots;
  const mask = map.mask;
  let slot = hashKey(w0, w1, w2, w3, extra) & mask;
  for (;;) {
    const o = slot * ENTRY_WORDS;
    const value = slots[o + 5];
    if (value === 0) return NO_VALUE;
    if (matches(slots, o, w0, w1, w2, w3, extra)) return value - 1;
    slot = (slot + 1) & mask;
  }
}

function matches(s: Int32Array, o: number, w0: number, w1: number, w2: number, w3: number, extra: number): boolean {
  return (
    s[o + 3] === (w3 | 0) &&
    s[o + 4] === (extra | 0) &&
    s[o + 2] === (w2 | 0) &&
    s[o + 1] === (w1 | 0) &&
    s[o] === (w0 | 0)
  );
}

function hashKey(w0: number, w1: number, w2: number, w3: number, extra: number): number {
  let h = Math.imul(w3 ^ (w3 >>> 15), 0x2c1b3c6d) ^ Math.imul(extra, 0x297a2d39);
  h = Math.imul(h ^ w0 ^ (w1 << 7) ^ (w1 >>> 25) ^ (w2 << 13) ^ (w2 >>> 19), 0x85ebca6b);
  return h ^ (h >>> 13);
}
