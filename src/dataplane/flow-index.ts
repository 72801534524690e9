/**
 * From a key's hash to the flow record that most likely has the key: the flow table's buckets, open addressing with
 * linear probing and backward-shift deletion. The hash's low bits say where to look; a bucket holds
 *
 *   the hash's other bits | record's number + 1, in as many bits as there are low ones      (0: empty)
 *
 * so that other keys' records need not be read: with many flows every read of another record waits for memory. At most
 * half of the buckets are in use.
 */
import { FLOW, FLOW_WORDS as WORDS } from './flow-record.ts';

/** Memory for a table: 32-bit words, all 0. */
export type Allocate = (words: number) => Int32Array;

export class FlowIndex {
  readonly buckets: Int32Array;
  /** Of the hash: where to look. Of a bucket: the record's number + 1. */
  readonly mask: number;
  /** See `expect`. */
  readAhead = 0;

  /** Room for two records for each of `capacity` connections. */
  constructor(capacity: number, allocate: Allocate) {
    let size = 4;
    while (size < capacity * 4) size *= 2;
    this.buckets = allocate(size);
    this.mask = size - 1;
  }

  insert(record: number, hash: number): void {
    const { buckets, mask } = this;
    let slot = hash & mask;
    while (buckets[slot] !== 0) slot = (slot + 1) & mask;
    buckets[slot] = (hash & ~mask) | (record + 1);
  }

  /** Takes out a record, whose key and whose neighbours' keys are still in `words`. */
  remove(record: number, words: Int32Array): void {
    const { buckets, mask } = this;
    let hole = words[record * WORDS + FLOW.hash] & mask;
    while ((buckets[hole] & mask) !== record + 1) hole = (hole + 1) & mask;
    // Close the gap: an entry further on moves into it unless its own place lies behind the gap.
    for (let slot = (hole + 1) & mask; buckets[slot] !== 0; slot = (slot + 1) & mask) {
      const home = words[((buckets[slot] & mask) - 1) * WORDS + FLOW.hash] & mask;
      if (((slot - home) & mask) >= ((slot - hole) & mask)) {
        buckets[hole] = buckets[slot];
        hole = slot;
      }
    }
    buckets[hole] = 0;
  }

  /**
   * For keys from..to-1 by their hashes: the records that they most likely have, or NO_FLOW, into `found`. Afterwards
   * these are in the processor's cache: bucket after bucket, then record after record, is read by loops of nothing but
   * reads that do not wait for each other, of which it has many under way at once. Eight at a time, because then it
   * sees more of them ahead.
   */
  expect(hashes: Int32Array, from: number, to: number, words: Int32Array, found: Int32Array): void {
    const { buckets, mask } = this;
    let read = 0;
    let i = from;
    for (; i + 8 <= to; i += 8) {
      read ^=
        buckets[hashes[i] & mask] ^
        buckets[hashes[i + 1] & mask] ^
        buckets[hashes[i + 2] & mask] ^
        buckets[hashes[i + 3] & mask] ^
        buckets[hashes[i + 4] & mask] ^
        buckets[hashes[i + 5] & mask] ^
        buckets[hashes[i + 6] & mask] ^
        buckets[hashes[i + 7] & mask];
    }
    for (i = from; i < to; i++) {
      const hash = hashes[i];
      let slot = hash & mask;
      let entry = buckets[slot];
      while (entry !== 0 && ((entry ^ hash) & ~mask) !== 0) {
        slot = (slot + 1) & mask;
        entry = buckets[slot];
      }
      found[i] = (entry & mask) - 1;
    }
    for (i = from; i + 8 <= to; i += 8) {
      read ^=
        words[first(found[i])] ^
        words[first(found[i + 1])] ^
        words[first(found[i + 2])] ^
        words[first(found[i + 3])] ^
        words[first(found[i + 4])] ^
        words[first(found[i + 5])] ^
        words[first(found[i + 6])] ^
        words[first(found[i + 7])];
    }
    // Kept, or the compiler would leave the reads out.
    this.readAhead = read;
  }
}

/** Where a record begins; the first one in place of NO_FLOW, without a branch. */
function first(record: number): number {
  return (record & ~(record >> 31)) * WORDS;
}
