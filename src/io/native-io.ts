/**
 * Packets to and from kernel devices and sockets: the packet-io contract over the native engine. It stands at both
 * ends of the packet flow in the dataplane's worker, one engine over the worker's one vector.
 */
import { loadNativeAddon, type NativeEngine, type NativePort } from './native-addon.ts';
import type { PacketIo } from './packet-io.ts';
import { FIELD, HEADROOM_BYTES, type PacketVector, RECEIVE_BYTES, SPARE_PACKETS, VECTOR_PACKETS } from './vector.ts';

export interface NativeIoOptions {
  /** From the addon's openWaker: `wake` on it ends a waiting exchange. -1 for none. */
  readonly waker: number;
  /** One slot for each of the addon's statNames, over shared memory when another thread reads them. */
  readonly stats: Float64Array;
  /** After a vector with packets, look for more for so long before sleeping; absent or 0: sleep at once. */
  readonly busyPollMicros?: number | undefined;
}

export class NativeIo implements PacketIo {
  nowMs = 0;
  readonly #vector: PacketVector;
  readonly #engine: NativeEngine;

  /** `vector` is the only one this will ever exchange: the engine writes its memory. */
  constructor(vector: PacketVector, options: NativeIoOptions) {
    const { Engine } = loadNativeAddon();
    this.#vector = vector;
    this.#engine = new Engine({
      arena: vector.arena,
      descriptors: vector.descriptors,
      receiveBytes: RECEIVE_BYTES,
      packets: VECTOR_PACKETS,
      sparePackets: SPARE_PACKETS,
      headroomBytes: HEADROOM_BYTES,
      fields: FIELD,
      waker: options.waker,
      busyPollMicros: options.busyPollMicros ?? 0,
      stats: options.stats,
    });
  }

  /** The port's descriptor stays the caller's; after `detach` it is no longer touched. */
  attach(port: NativePort): void {
    this.#engine.attach(port);
  }

  detach(id: number): void {
    this.#engine.detach(id);
  }

  exchange(vector: PacketVector, timeoutMs: number): number {
    if (vector !== this.#vector) throw new Error('native io: exchanges only the vector it was made for');
    const received = this.#engine.txrx(vector.count, timeoutMs);
    vector.begin(received);
    this.nowMs = this.#engine.nowMs();
    return received;
  }

  close(): void {
    this.#engine.close();
  }
}
