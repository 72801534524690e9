/**
 * The dataplane as the control thread holds it: starts the worker, hands it ports and tables, reads its counters.
 * Every call resolves when the worker has done it, between two vectors.
 */
import { Worker } from 'node:worker_threads';
import { loadNativeAddon } from '../io/native-addon.ts';
import type { Tables } from '../tables/tables.ts';
import { Counters, type Gauge, type PortCounters } from './counters.ts';
import type { FromWorker, PortAttachment, ToWorker, WorkerStart } from './worker-messages.ts';

export interface DataplaneOptions {
  /** Connections that the flow table holds at most; 262,144 by default. */
  maxFlows?: number;
  /** Called when the worker ends without having been asked to. */
  onEnd?: (error: Error) => void;
}

export interface DataplaneCounters {
  gauges: Record<Gauge, number>;
  /** Packets dropped, by the reason's identifier. */
  drops: Record<string, number>;
  ports: Record<number, PortCounters>;
  /** The addon's own counters. */
  native: Record<string, number>;
}

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

type Request = ToWorker extends infer M ? (M extends ToWorker ? Omit<M, 'ticket'> : never) : never;

export class Dataplane {
  readonly #worker: Worker;
  readonly #counters = new Counters();
  readonly #addon = loadNativeAddon();
  readonly #native: Float64Array;
  readonly #mail = new Int32Array(new SharedArrayBuffer(4));
  readonly #waker: number;
  readonly #attached = new Set<number>();
  readonly #waiting = new Map<number, { resolve: () => void; reject: (e: Error) => void }>();
  readonly #ended: Promise<void>;
  #ticket = 0;
  #stopping = false;
  #exited = false;

  private constructor(options: DataplaneOptions) {
    this.#waker = this.#addon.openWaker();
    this.#native = new Float64Array(new SharedArrayBuffer(this.#addon.statNames.length * 8));
    const start: WorkerStart = {
      counters: this.#counters.buffer,
      native: this.#native.buffer as SharedArrayBuffer,
      mail: this.#mail.buffer,
      waker: this.#waker,
      maxFlows: options.maxFlows,
    };
    const file = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);
    this.#worker = new Worker(file, { workerData: start, name: 'dataplane' });
    this.#worker.on('message', (answer: FromWorker) => this.#settle(answer));
    this.#ended = new Promise((resolve) => {
      this.#worker.once('error', (error) => this.#end(error, options.onEnd));
      this.#worker.once('exit', () => {
        this.#end(new DataplaneError('the dataplane ended', 'WEFT_DATAPLANE_ENDED'), options.onEnd);
        this.#exited = true;
        this.#addon.closeFd(this.#waker);
        resolve();
      });
    });
  }

  /** Starts the worker; resolves when it answers. */
  static async start(options: DataplaneOptions = {}): Promise<Dataplane> {
    const dataplane = new Dataplane(options);
    // A detach of a port that was never attached changes nothing; its answer says that the loop runs.
    await dataplane.#ask({ type: 'detach', id: 0 });
    return dataplane;
  }

  async attach(port: PortAttachment): Promise<void> {
    await this.#ask({ type: 'attach', port });
    this.#attached.add(port.id);
  }

  /** Resolves when the worker no longer touches the port; the caller then closes its descriptor. */
  async detach(id: number): Promise<void> {
    this.#attached.delete(id);
    await this.#ask({ type: 'detach', id });
  }

  /** Resolves when packets are forwarded by these tables. */
  async publish(tables: Tables): Promise<void> {
    await this.#ask({ type: 'publish', tables });
  }

  counters(): DataplaneCounters {
    return {
      gauges: this.#counters.gaugesByName(),
      drops: this.#counters.dropsByReason(),
      ports: Object.fromEntries([...this.#attached].map((id) => [id, this.#counters.port(id)])),
      native: Object.fromEntries(this.#addon.statNames.map((name: string, i: number) => [name, this.#native[i]])),
    };
  }

  /** Ends the worker. Nothing is sent any more once this resolves. */
  async stop(): Promise<void> {
    if (!this.#stopping) {
      this.#stopping = true;
      // The worker ends instead of answering, or answers and ends: both are fine.
      this.#ask({ type: 'stop' }).catch(() => {});
    }
    await this.#ended;
  }

  #ask(request: Request): Promise<void> {
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

  #end(error: Error, onEnd: ((error: Error) => void) | undefined): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    if (this.#stopping) return;
    this.#stopping = true;
    onEnd?.(error);
  }
}
