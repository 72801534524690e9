/**
 * The contract between the dataplane and whatever moves its packets: devices and sockets by the native addon, queues
 * in memory, a capture file. One exchange per vector: send what the last vector decided, then receive the next.
 */
import type { PacketVector } from './vector.ts';

export interface PacketIo {
  /**
   * Sends every packet of the vector whose outPort is not negative, in order; then waits until a packet arrives,
   * `wake` is called, or `timeoutMs` milliseconds have passed (-1: no limit; 0: do not wait); receives what is there
   * and begins the vector anew with it. Returns the number of packets received, 0 when woken or timed out.
   */
  exchange(vector: PacketVector, timeoutMs: number): number;
  /** Milliseconds of a clock that never goes back, taken at the end of the last exchange. */
  readonly nowMs: number;
  close(): void;
}
