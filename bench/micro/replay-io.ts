/**
 * Ports in memory that receive the same vector again and again: bytes and descriptors are copied in as a device would
 * lay them out, and what is sent is counted. Nothing is allocated, so that what is measured is the dataplane.
 */
import type { PacketIo } from '../../src/io/packet-io.ts';
import { FIELD_COUNT, type PacketVector, VECTOR_PACKETS } from '../../src/io/vector.ts';

export class ReplayIo implements PacketIo {
  readonly nowMs = 1;
  sent = 0;
  readonly #count: number;
  readonly #arena: Uint8Array;
  readonly #fields: Int32Array[] = [];

  /** What the vector holds now is what will be received. */
  constructor(vector: PacketVector) {
    this.#count = vector.count;
    let end = 0;
    for (let i = 0; i < vector.count; i++) {
      end = Math.max(end, (vector.offset[i] as number) + (vector.length[i] as number));
    }
    this.#arena = vector.arena.slice(0, end);
    for (let f = 0; f < FIELD_COUNT; f++) {
      this.#fields.push(vector.descriptors.slice(f * VECTOR_PACKETS, f * VECTOR_PACKETS + vector.count));
    }
  }

  exchange(vector: PacketVector): number {
    for (let i = 0; i < vector.count; i++) if ((vector.outPort[i] as number) >= 0) this.sent++;
    vector.arena.set(this.#arena);
    for (let f = 0; f < FIELD_COUNT; f++) vector.descriptors.set(this.#fields[f] as Int32Array, f * VECTOR_PACKETS);
    vector.begin(this.#count);
    return this.#count;
  }

  close(): void {}
}
