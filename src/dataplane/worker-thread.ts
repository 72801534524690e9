/**
 * One worker as the control thread holds it: its thread, its mail and its counters. A question resolves when the worker
 * has done what it asks, between two vectors.
 */
import { Worker } from 'node:worker_threads';
import type { NativeAddon } from '../io/native-addon.ts';
import { Counters } from './counters.ts';
import type { SharedMemory } from './crossing.ts';
import type { FromWorker, ToWorker, WorkerStart } from './worker-messages.ts';

export class DataplaneError extends Error {
  readonly code: string;
  readonly syscall: string | undefined;

  constructor(message: string, code: string, syscall?: string) {
    super(message);
    this.name = 'DataplaneError';
    this.code = code;
    this.syscall = syscall;
  }
}

export type Request = ToWorker extends infer M ? (M extends ToWorker ? Omit<M, 'ticket'> : never) : never;

export interface WorkerPlace {
  self: number;
  /** From the addon's openWaker, by worker; the caller closes them when all workers have ended. */
  wakers: readonly number[];
  /** Undefined for a worker that is alone. */
  memory: SharedMemory | undefined;
  /** What each worker knows of endpoints, by worker. */
  endpointAreas: readonly SharedArrayBuffer[];
  maxFlows: number | undefined;
  busyPollMicros: number | undefined;
}

export class WorkerThread {
  readonly counters = new Counters();
  /** The addon's own counters, in the order of its statNames. */
  readonly native: Float64Array;
  /** Resolves when the thread has ended. */
  readonly ended: Promise<void>;
  readonly #worker: Worker;
  readonly #addon: NativeAddon;
  readonly #mail = new Int32Array(new SharedArrayBuffer(4));
  readonly #waker: number;
  readonly #waiting = new Map<number, { resolve: () => void; reject: (e: Error) => void }>();
  #ticket = 0;
  #exited = false;

  /** `onEnd` is called when the worker ends, with why; more than once perhaps. */
  constructor(addon: NativeAddon, place: WorkerPlace, onEnd: (error: Error) => void) {
    const { self, wakers, memory, endpointAreas, maxFlows, busyPollMicros } = place;
    this.#addon = addon;
    this.#waker = wakers[self];
    this.native = new Float64Array(new SharedArrayBuffer(addon.statNames.length * 8));
    const start: WorkerStart = {
      counters: this.counters.buffer,
      native: this.native.buffer as SharedArrayBuffer,
      endpoints: { areas: endpointAreas, self },
      mail: this.#mail.buffer,
      waker: this.#waker,
      maxFlows,
      busyPollMicros,
      shared: memory && { self, memory, wakers },
    };
    const file = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);
    this.#worker = new Worker(file, { workerData: start, name: `dataplane-${self}` });
    this.#worker.on('message', (answer: FromWorker) => this.#settle(answer));
    const end = (error: Error) => {
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
      onEnd(error);
    };
    this.ended = new Promise((resolve) => {
      this.#worker.once('error', end);
      this.#worker.once('exit', () => {
        end(new DataplaneError('the dataplane ended', 'WEFT_DATAPLANE_ENDED'));
        this.#exited = true;
        resolve();
      });
    });
  }

  ask(request: Request): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#exited) {
        reject(new DataplaneError('the dataplane has ended', 'WEFT_DATAPLANE_ENDED'));
        return;
      }
      const ticket = ++this.#ticket;
      this.#waiting.set(ticket, { resolve, reject });
      this.#worker.postMessage({ ...request, ticket });
      Atomics.add(this.#mail, 0, 1);
      this.#addon.wake(this.#waker);
    });
  }

  #settle(answer: FromWorker): void {
    const waiting = this.#waiting.get(answer.ticket);
    this.#waiting.delete(answer.ticket);
    const { error } = answer;
    if (error === undefined) waiting?.resolve();
    else waiting?.reject(new DataplaneError(error.message, error.code ?? 'WEFT_DATAPLANE', error.syscall));
  }
}
