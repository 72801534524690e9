/**
 * The dataplane as the control thread holds it: starts its workers, hands them ports and tables, reads their counters.
 * Every call resolves when all workers have done it, each between two of its vectors. A pod's device is read by the
 * worker of its address, written by all of them; counters are their sums.
 */
import { loadNativeAddon } from '../io/native-addon.ts';
import type { NameTable } from '../tables/names.ts';
import type { Tables } from '../tables/tables.ts';
import { GAUGE, type Gauge, type PortCounters } from './counters.ts';
import { type SharedMemory, shareMemory, workerOf } from './crossing.ts';
import { ENDPOINT_AREA_BYTES, type EndpointCounters, readEndpoints } from './endpoint-states.ts';
import type { PortAttachment } from './worker-messages.ts';
import { type Request, WorkerThread } from './worker-thread.ts';

export interface DataplaneOptions {
  /** Worker threads; 1 by default. */
  workers?: number;
  /** Connections that the flow tables hold at most, all workers' together; 262,144 by default. */
  maxFlows?: number;
  /** Microseconds after traffic in which a worker looks for more before it sleeps; 0 by default. */
  busyPollMicros?: number;
  /** Called when a worker ends without having been asked to; the others then end as well. */
  onEnd?: (error: Error) => void;
}

export interface DataplaneCounters {
  gauges: Record<Gauge, number>;
  /** Packets dropped, by the reason's identifier. */
  drops: Record<string, number>;
  ports: Record<number, PortCounters>;
  /** By endpoint id (tables/services.ts): those that have had a connection. */
  endpoints: Record<number, EndpointCounters>;
  /** The addon's own counters. */
  native: Record<string, number>;
  /** Each worker's part. */
  workers: WorkerCounters[];
}

export interface WorkerCounters {
  /** Packets read from ports, written to ports, and handed to other workers. */
  rxPackets: number;
  txPackets: number;
  handedOver: number;
  flows: number;
}

const MOST_FLOWS = 262_144;

export class Dataplane {
  readonly #addon = loadNativeAddon();
  readonly #workers: WorkerThread[];
  readonly #attached = new Set<number>();
  readonly #endpointAreas: readonly SharedArrayBuffer[];
  #endpointLimit = 0;
  readonly #ended: Promise<unknown>;
  #stopping = false;

  private constructor(options: DataplaneOptions) {
    const count = options.workers ?? 1;
    const wakers = Array.from({ length: count }, () => this.#addon.openWaker());
    const memory: SharedMemory | undefined = count > 1 ? shareMemory(count) : undefined;
    const maxFlows = count > 1 ? Math.ceil((options.maxFlows ?? MOST_FLOWS) / count) : options.maxFlows;
    const endpointAreas = wakers.map(() => new SharedArrayBuffer(ENDPOINT_AREA_BYTES));
    this.#endpointAreas = endpointAreas;
    const { busyPollMicros } = options;
    this.#workers = wakers.map(
      (_, self) =>
        new WorkerThread(this.#addon, { self, wakers, memory, endpointAreas, maxFlows, busyPollMicros }, (error) =>
          this.#end(error, options.onEnd),
        ),
    );
    this.#ended = Promise.all(this.#workers.map((worker) => worker.ended)).then(() => {
      // Not one by one: the others may still wake a worker that has ended.
      for (const waker of wakers) this.#addon.closeFd(waker);
    });
  }

  /** Starts the workers; resolves when they answer. */
  static async start(options: DataplaneOptions = {}): Promise<Dataplane> {
    const dataplane = new Dataplane(options);
    // A detach of a port that was never attached changes nothing; its answer says that the loop runs.
    await dataplane.#ask({ type: 'detach', id: 0 });
    return dataplane;
  }

  get workers(): number {
    return this.#workers.length;
  }

  /** Where a worker refuses, none has the port. */
  async attach(port: PortAttachment): Promise<void> {
    const reader = port.address4 === undefined ? 0 : workerOf(port.address4, this.workers);
    const answers = await this.#askEach({ type: 'attach', port, reader });
    const refused = answers.find((answer) => answer.status === 'rejected');
    if (refused !== undefined) {
      if (answers.some((answer) => answer.status === 'fulfilled')) await this.#ask({ type: 'detach', id: port.id });
      throw refused.reason;
    }
    this.#attached.add(port.id);
  }

  /** Resolves when no worker touches the port any longer; the caller then closes its descriptor. */
  async detach(id: number): Promise<void> {
    this.#attached.delete(id);
    await this.#ask({ type: 'detach', id });
  }

  /** Resolves when packets are forwarded by these tables. */
  async publish(tables: Tables): Promise<void> {
    this.#endpointLimit = tables.services.endpointAt.length;
    await this.#ask({ type: 'publish', tables });
  }

  /** Resolves when these DNS questions, and no others, are answered by the workers. */
  async publishNames(names: NameTable | undefined): Promise<void> {
    await this.#ask({ type: 'names', names });
  }

  /** DNS questions that the workers have answered. */
  get namesAnswered(): number {
    return this.#workers.reduce((sum, { counters }) => sum + counters.gauges[GAUGE.namesAnswered], 0);
  }

  counters(): DataplaneCounters {
    const ids = [...this.#attached];
    const each = this.#workers.map(({ counters }) => ({
      gauges: counters.gaugesByName(),
      drops: counters.dropsByReason(),
      ports: Object.fromEntries(ids.map((id) => [id, counters.port(id)])),
    }));
    const gauges = sumUp(each.map((one) => one.gauges)) as Record<Gauge, number>;
    gauges.generation = Math.min(...this.#workers.map(({ counters }) => counters.gauges[GAUGE.generation]));
    return {
      gauges,
      drops: sumUp(each.map((one) => one.drops)),
      ports: Object.fromEntries(
        ids.map((id) => [id, sumUp(each.map((one) => ({ ...one.ports[id] }))) as unknown as PortCounters]),
      ),
      endpoints: readEndpoints(this.#endpointAreas, this.#endpointLimit, monotonicMs()),
      native: Object.fromEntries(
        this.#addon.statNames.map((name, i) => [name, this.#workers.reduce((sum, { native }) => sum + native[i], 0)]),
      ),
      workers: each.map(({ gauges: own, ports }) => ({
        rxPackets: Object.values(ports).reduce((sum, port) => sum + port.rxPackets, 0),
        txPackets: Object.values(ports).reduce((sum, port) => sum + port.txPackets, 0),
        handedOver: own.handedOver,
        flows: own.flows,
      })),
    };
  }

  /** Ends the workers. Nothing is sent any more once this resolves. */
  async stop(): Promise<void> {
    this.#stopAll();
    await this.#ended;
  }

  #stopAll(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    // A worker ends instead of answering, or answers and ends: both are fine.
    this.#ask({ type: 'stop' }).catch(() => {});
  }

  async #ask(request: Request): Promise<void> {
    for (const answer of await this.#askEach(request)) if (answer.status === 'rejected') throw answer.reason;
  }

  #askEach(request: Request): Promise<PromiseSettledResult<void>[]> {
    return Promise.allSettled(this.#workers.map((worker) => worker.ask(request)));
  }

  #end(error: Error, onEnd: ((error: Error) => void) | undefined): void {
    if (this.#stopping) return;
    // The others wait for packets in the addon: woken, they let the process end.
    this.#stopAll();
    onEnd?.(error);
  }
}

/** The workers' clock: CLOCK_MONOTONIC, as process.hrtime reads it too. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

/** The sum of counts, name by name. */
function sumUp(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const out: Record<string, number> = {};
  for (const each of counts) for (const [name, count] of Object.entries(each)) out[name] = (out[name] ?? 0) + count;
  return out;
}
