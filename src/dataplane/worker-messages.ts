/** What the control thread and the dataplane's workers say to each other. */
import type { NameTable } from '../tables/names.ts';
import type { Tables } from '../tables/tables.ts';
import type { SharedMemory } from './crossing.ts';

/** A device or socket that the worker is to read and write. The caller owns the descriptor and closes it. */
export interface PortAttachment {
  id: number;
  fd: number;
  /** UDP: one socket a worker; `fd` is the first. */
  fds?: readonly number[] | undefined;
  kind: 'tun' | 'udp' | 'tap';
  /** Bytes of the vnet header that a TUN or TAP carries in front of each packet; 0: none. */
  vnetHeaderBytes?: number | undefined;
  /** TUN: most bytes of consecutive TCP super-packets that it takes as one (native-addon.ts). */
  mergeBytes?: number | undefined;
  mergeBytes6?: number | undefined;
  /** UDP: whether the socket takes UDP_SEGMENT and gives UDP_GRO. */
  gso?: boolean | undefined;
  gro?: boolean | undefined;
  /** UDP: bytes in front of the inner IP header of what it carries. */
  encapBytes?: number | undefined;
  /** UDP: bytes of the largest inner packet on the wire. */
  mtu?: number | undefined;
  /** UDP: peers may leave inner checksums partial, because they are on this same machine. */
  trustPartial?: boolean | undefined;
  /** A pod's address: it says which worker reads its device. The first one reads what has none. */
  address4?: number | undefined;
  /** TAP: its own MAC; it then sends TCP packets to peers as whole frames with tunnel GSO. */
  tapMac?: Uint8Array | undefined;
}

export interface WorkerStart {
  counters: SharedArrayBuffer;
  native: SharedArrayBuffer;
  /** What each worker knows of endpoints, by worker, and which this one is (endpoint-states.ts). */
  endpoints: { areas: readonly SharedArrayBuffer[]; self: number };
  /** One Int32: how many messages control has sent. The worker reads its mail when it has changed. */
  mail: SharedArrayBuffer;
  waker: number;
  maxFlows: number | undefined;
  /** After traffic, look for more for so long before sleeping. */
  busyPollMicros: number | undefined;
  /** Where there are several workers: which one this is, what they share, and how to wake each of them. */
  shared: { self: number; memory: SharedMemory; wakers: readonly number[] } | undefined;
}

export type ToWorker =
  | { type: 'attach'; ticket: number; port: PortAttachment; reader: number }
  | { type: 'detach'; ticket: number; id: number }
  | { type: 'publish'; ticket: number; tables: Tables }
  | { type: 'names'; ticket: number; names: NameTable | undefined }
  | { type: 'stop'; ticket: number };

/** The ticket was dealt with, or could not be. */
export interface FromWorker {
  ticket: number;
  error?: { message: string; code?: string | undefined; syscall?: string | undefined };
}
