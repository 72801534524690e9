/**
 * Bytes of fragments that wait for the first one of their datagram (datagram-fragments.ts says which), as they came in,
 * in slots of 2 KB: a longer one takes several. Lists of them are by slot + 1 of their first slots, 0 is the end. Those
 * whose first one has come stand in a list of their own until the vector takes them, as if they had just come.
 *
 *   slot      word 0 next of the same fragment (free ones: next)   1 first of the next fragment in its list
 *   only in a fragment's first   2 in port   3 length   4 flags   5..8 outer peer   9 its port
 */
import type { PacketVector } from '../io/vector.ts';
import { PORT_LIMIT } from '../tables/ports.ts';

const SLOT_BYTES = 2048;
const SMALLEST = 64;
export const MOST_SLOTS = 4096;
const MORE = 0;
const NEXT = 1;
const PORT = 2;
const LENGTH = 3;
const FLAGS = 4;
const PEER = 5;
const PEER_PORT = 9;
const WORDS = 10;

export class WaitingFragments {
  /** Fragments that wait, released ones included. */
  size = 0;
  /** Slots by port. */
  readonly slotsOf = new Int32Array(PORT_LIMIT);
  #words = new Int32Array(SMALLEST * WORDS);
  #bytes = new Uint8Array(SMALLEST * SLOT_BYTES);
  #used = 0;
  #free = 0;
  #released = 0;
  #releasedLast = 0;

  constructor() {
    this.#link(0, SMALLEST);
  }

  get anyReleased(): boolean {
    return this.#released !== 0;
  }

  /**
   * Keeps a copy of packet `i`, with the `front` bytes before its offset, behind the one in `last` (0: none). Returns
   * its place, or 0 where that would be more than its port may have, or than there is.
   */
  keep(v: PacketVector, i: number, front: number, last: number, mostOfPort: number): number {
    const port = v.inPort[i];
    const length = v.length[i] + front;
    const slots = Math.ceil(length / SLOT_BYTES);
    if (this.slotsOf[port] + slots > mostOfPort || !this.#reserve(slots)) return 0;
    const place = this.#free;
    this.#copyIn(v.arena, v.offset[i] - front, length);
    const w = this.#words;
    const o = (place - 1) * WORDS;
    w[o + NEXT] = 0;
    w[o + PORT] = port;
    w[o + LENGTH] = length;
    w[o + FLAGS] = v.flags[i];
    w[o + PEER] = v.peer0[i];
    w[o + PEER + 1] = v.peer1[i];
    w[o + PEER + 2] = v.peer2[i];
    w[o + PEER + 3] = v.peer3[i];
    w[o + PEER_PORT] = v.peerPort[i];
    if (last !== 0) w[(last - 1) * WORDS + NEXT] = place;
    this.slotsOf[port] += slots;
    this.size++;
    return place;
  }

  /** Lets a list of them go on. */
  release(first: number, last: number): void {
    if (this.#releasedLast === 0) this.#released = first;
    else this.#words[(this.#releasedLast - 1) * WORDS + NEXT] = first;
    this.#releasedLast = last;
  }

  /** Forgets a list of them. */
  drop(first: number): void {
    for (let place = first; place !== 0; ) {
      const next = this.#words[(place - 1) * WORDS + NEXT];
      this.#forget(place);
      place = next;
    }
  }

  /** Appends released ones to the vector while there is room; returns how many. */
  appendReleased(v: PacketVector): number {
    let appended = 0;
    const w = this.#words;
    while (this.#released !== 0) {
      const place = this.#released;
      const o = (place - 1) * WORDS;
      const i = v.append(w[o + LENGTH]);
      if (i < 0) return appended;
      v.inPort[i] = w[o + PORT];
      v.flags[i] = w[o + FLAGS];
      v.peer0[i] = w[o + PEER];
      v.peer1[i] = w[o + PEER + 1];
      v.peer2[i] = w[o + PEER + 2];
      v.peer3[i] = w[o + PEER + 3];
      v.peerPort[i] = w[o + PEER_PORT];
      this.#copyOut(place, v.arena, v.offset[i], v.length[i]);
      this.#released = w[o + NEXT];
      if (this.#released === 0) this.#releasedLast = 0;
      this.#forget(place);
      appended++;
    }
    return appended;
  }

  /** Copies bytes of an arena into slots, of which enough are free. */
  #copyIn(arena: Uint8Array, from: number, length: number): void {
    const w = this.#words;
    for (let done = 0; done < length; ) {
      const slot = this.#free - 1;
      const part = Math.min(SLOT_BYTES, length - done);
      const to = slot * SLOT_BYTES;
      for (let n = 0; n < part; n++) this.#bytes[to + n] = arena[from + done + n];
      done += part;
      this.#used++;
      // Free ones are linked by the same word as those of a fragment.
      this.#free = w[slot * WORDS + MORE];
      if (done === length) w[slot * WORDS + MORE] = 0;
    }
  }

  #copyOut(place: number, arena: Uint8Array, to: number, length: number): void {
    let done = 0;
    for (let slot = place; slot !== 0; slot = this.#words[(slot - 1) * WORDS + MORE]) {
      const part = Math.min(SLOT_BYTES, length - done);
      const from = (slot - 1) * SLOT_BYTES;
      for (let n = 0; n < part; n++) arena[to + done + n] = this.#bytes[from + n];
      done += part;
    }
  }

  #forget(place: number): void {
    const w = this.#words;
    const port = w[(place - 1) * WORDS + PORT];
    for (let slot = place; slot !== 0; ) {
      const o = (slot - 1) * WORDS;
      const more = w[o + MORE];
      w[o + MORE] = this.#free;
      this.#free = slot;
      this.#used--;
      this.slotsOf[port]--;
      slot = more;
    }
    this.size--;
  }

  #reserve(slots: number): boolean {
    const capacity = this.#words.length / WORDS;
    if (this.#used + slots <= capacity) return true;
    let grown = capacity;
    while (grown < this.#used + slots) grown *= 2;
    if (grown > MOST_SLOTS) return false;
    const words = new Int32Array(grown * WORDS);
    words.set(this.#words);
    this.#words = words;
    const bytes = new Uint8Array(grown * SLOT_BYTES);
    bytes.set(this.#bytes);
    this.#bytes = bytes;
    this.#link(capacity, grown);
    return true;
  }

  #link(from: number, to: number): void {
    for (let slot = to - 1; slot >= from; slot--) {
      this.#words[slot * WORDS + MORE] = this.#free;
      this.#free = slot + 1;
    }
  }
}
