/**
 * Packets on their way from one worker to another: a bounded ring with one producer and one consumer, in memory that
 * both see. The bytes are written straight into the consumer's arena, behind its own regions, so that the consumer
 * takes a packet by pointing a descriptor at it. An entry is given back once the vector it was in has been sent.
 *
 *   control   word 0 entries written   16 entries given back   32.. entries, 16 words each:
 *   entry     0 in port   1 offset   2 length   3 flags   4 GSO type   5 GSO size   6 checksum start   7 and offset
 *             8..11 peer   12 peer's port
 *   bytes     packets one behind the other, headroom in front of each; one that does not fit before the end begins anew
 *
 * Counts go round at 2^32. What is written becomes visible by `publish`, all of a vector at once.
 */
import { HEADROOM_BYTES, type PacketVector } from '../io/vector.ts';

export const RING_BYTES = 2 * 1024 * 1024;
const ENTRIES = 1024;
const ENTRY_WORDS = 16;
const WRITTEN = 0;
/** On a cache line of its own: each side writes one of the two. */
const RETURNED = 16;
const FIRST_ENTRY = 32;
export const CONTROL_WORDS = FIRST_ENTRY + ENTRIES * ENTRY_WORDS;
/** A shorter packet is copied by words: cheaper than the objects that a copy of a range needs. */
const SHORT_BYTES = 192;

/** Index of an entry's first word. */
function entryOf(count: number): number {
  return FIRST_ENTRY + (count & (ENTRIES - 1)) * ENTRY_WORDS;
}

export class RingProducer {
  readonly #control: Int32Array;
  readonly #from: Uint8Array;
  readonly #fromWords: Int32Array;
  readonly #to: Uint8Array;
  readonly #toWords: Int32Array;
  readonly #base: number;
  /** Bytes that each entry takes. */
  readonly #sizes = new Int32Array(ENTRIES);
  #written = 0;
  #published = 0;
  #returned = 0;
  /** Next free byte of the ring, and bytes in use, those skipped before its end included. */
  #cursor = 0;
  #used = 0;

  /**
   * From packets in one arena to a ring in the consumer's: `base` is where there its bytes begin, a multiple of 64. Both
   * arenas are buffers of their own.
   */
  constructor(control: Int32Array, from: Uint8Array, to: Uint8Array, base: number) {
    this.#control = control;
    this.#from = from;
    this.#fromWords = new Int32Array(from.buffer);
    this.#to = to;
    this.#toWords = new Int32Array(to.buffer);
    this.#base = base;
  }

  /** Writes packet `i` of a vector over the producer's arena, whose bytes begin `front` in front of its offset. False when there is no room for it. */
  push(vector: PacketVector, i: number, front: number): boolean {
    const length = vector.length[i] + front;
    const from = vector.offset[i] - front;
    // Alike modulo 8, both can be copied by words.
    const lead = HEADROOM_BYTES + (from & 7);
    const size = (lead + length + 63) & ~63;
    const wraps = this.#cursor + size > RING_BYTES;
    const skipped = wraps ? RING_BYTES - this.#cursor : 0;
    if (!this.#hasRoom(skipped + size)) return false;
    const start = wraps ? 0 : this.#cursor;
    const at = this.#base + start + lead;
    if (vector.stride[i] > 0) this.#copyStrided(vector, i, from, front, at);
    else if (length > SHORT_BYTES) this.#copy(from, at, length);
    else this.#copyWords(from, at, length);
    this.#cursor = start + size;
    this.#used += skipped + size;
    this.#sizes[this.#written & (ENTRIES - 1)] = skipped + size;
    this.#describe(vector, i, front, at, length);
    this.#written = (this.#written + 1) | 0;
    return true;
  }

  /** Shows the consumer what was written. True when that is anything new. */
  publish(): boolean {
    if (this.#published === this.#written) return false;
    this.#published = this.#written;
    Atomics.store(this.#control, WRITTEN, this.#written);
    return true;
  }

  /** Waits until the consumer has given something back since a packet last found no room, at most for so long. */
  awaitRoom(milliseconds: number): void {
    Atomics.wait(this.#control, RETURNED, this.#returned, milliseconds);
  }

  #hasRoom(bytes: number): boolean {
    if (this.#fits(bytes)) return true;
    const returned = Atomics.load(this.#control, RETURNED);
    for (; this.#returned !== returned; this.#returned = (this.#returned + 1) | 0) {
      this.#used -= this.#sizes[this.#returned & (ENTRIES - 1)];
    }
    return this.#fits(bytes);
  }

  #fits(bytes: number): boolean {
    return this.#used + bytes <= RING_BYTES && ((this.#written - this.#returned) | 0) < ENTRIES;
  }

  #describe(v: PacketVector, i: number, front: number, at: number, length: number): void {
    const w = this.#control;
    const e = entryOf(this.#written);
    w[e] = v.inPort[i];
    w[e + 1] = at;
    w[e + 2] = length;
    w[e + 3] = v.flags[i];
    w[e + 4] = v.gsoType[i];
    w[e + 5] = v.gsoSize[i];
    w[e + 6] = v.checksumStart[i] > 0 ? v.checksumStart[i] + front : 0;
    w[e + 7] = v.checksumOffset[i];
    w[e + 8] = v.peer0[i];
    w[e + 9] = v.peer1[i];
    w[e + 10] = v.peer2[i];
    w[e + 11] = v.peer3[i];
    w[e + 12] = v.peerPort[i];
  }

  #copy(from: number, at: number, length: number): void {
    this.#to.set(this.#from.subarray(from, from + length), at);
  }

  /** As #copy, for what stands at the same distance from a word's start in both, and has nothing right before it. */
  #copyWords(from: number, at: number, length: number): void {
    // Up to three bytes on either side come along, headroom in front and behind what is still free.
    const words = this.#fromWords;
    const last = (from + length - 1) >> 2;
    for (let word = from >> 2, to = at >> 2; word <= last; word++, to++) this.#toWords[to] = words[word];
  }

  /** As receive offload leaves it, each segment stands behind a copy of the header: only the first one's is taken. */
  #copyStrided(v: PacketVector, i: number, from: number, front: number, at: number): void {
    const header = v.headerBytes[i] + front;
    const size = v.gsoSize[i];
    const total = v.length[i] + front;
    this.#copyWords(from, at, header);
    for (let k = 0, done = header; done < total; k++, done += size) {
      this.#copy(from + k * v.stride[i] + header, at + done, Math.min(size, total - done));
    }
  }
}

export class RingConsumer {
  readonly #control: Int32Array;
  #taken = 0;
  #returned = 0;

  constructor(control: Int32Array) {
    this.#control = control;
  }

  /** True when there is something to take. */
  get waiting(): boolean {
    return Atomics.load(this.#control, WRITTEN) !== this.#taken;
  }

  /** Gives back what was taken before, and places up to `most` packets in the vector; returns how many. */
  take(vector: PacketVector, most: number): number {
    if (this.#returned !== this.#taken) {
      this.#returned = this.#taken;
      Atomics.store(this.#control, RETURNED, this.#returned);
      Atomics.notify(this.#control, RETURNED);
    }
    const w = this.#control;
    const written = Atomics.load(w, WRITTEN);
    let count = 0;
    for (; count < most && this.#taken !== written; count++) {
      const e = entryOf(this.#taken);
      const i = vector.place(w[e + 1], w[e + 2]);
      if (i < 0) break;
      vector.inPort[i] = w[e];
      vector.flags[i] = w[e + 3];
      vector.gsoType[i] = w[e + 4];
      vector.gsoSize[i] = w[e + 5];
      vector.checksumStart[i] = w[e + 6];
      vector.checksumOffset[i] = w[e + 7];
      vector.peer0[i] = w[e + 8];
      vector.peer1[i] = w[e + 9];
      vector.peer2[i] = w[e + 10];
      vector.peer3[i] = w[e + 11];
      vector.peerPort[i] = w[e + 12];
      this.#taken = (this.#taken + 1) | 0;
    }
    return count;
  }
}
