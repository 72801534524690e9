/**
 * The controllers of this process: they run while it holds the Lease `kube-system/weft-controllers`. Where several API
 * servers stand on one store, one of them leads; who loses the lease ends its controllers at once and forgets what
 * they knew.
 *
 *   Lease ─▶ lead ─▶ informers list ─▶ controllers start     lose ─▶ controllers stop ─▶ informers close
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { ResourceTable } from '../kinds/resource-table.ts';
import type { ObjectStore } from '../objects/object-store.ts';
import type { WatchCache } from '../watch/watch-cache.ts';
import { type Clock, SYSTEM_CLOCK } from './clock.ts';
import { EventRecorder } from './event-recorder.ts';
import { Informer } from './informer.ts';
import { InformerSet } from './informer-set.ts';
import { LeaseElection } from './lease-election.ts';

export interface Controller {
  readonly name: string;
  /** What it follows has been listed by now. */
  start(): void | Promise<void>;
  /** Begins nothing more from the call on; resolves when what was begun has ended. */
  stop(): Promise<void>;
}

/** What a controller is made of. It asks for its informers when it is made, and works from start() on. */
export interface ControllerParts {
  objects: ObjectStore;
  table: ResourceTable;
  informers: InformerSet;
  events: EventRecorder;
  clock: Clock;
  log(message: string): void;
}

export type ControllerFactory = (parts: ControllerParts) => Controller;

export interface ControllerSetOptions {
  objects: ObjectStore;
  cache: WatchCache;
  table: ResourceTable;
  log(message: string): void;
  /** The system's, if nothing else is said. */
  clock?: Clock | undefined;
  /** No other process can be at the store: nobody has to be waited for. */
  alone?: boolean | undefined;
}

const LEASE_NAMESPACE = 'kube-system';
const LEASE_NAME = 'weft-controllers';

export class ControllerSet {
  readonly #options: ControllerSetOptions;
  readonly #factories: readonly ControllerFactory[];
  readonly #clock: Clock;
  readonly #election: LeaseElection;
  /** Tells of the lease's changes. */
  readonly #leases: Informer;
  #turn: Turn | undefined;
  /** Those that were lost end one after the other, before the next begins. */
  #ended: Promise<void> = Promise.resolve();

  constructor(options: ControllerSetOptions, factories: readonly ControllerFactory[]) {
    this.#options = options;
    this.#factories = factories;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    const resource = options.table.known('coordination.k8s.io', 'v1', 'leases');
    this.#leases = new Informer(options, resource, LEASE_NAMESPACE);
    this.#election = new LeaseElection({
      objects: options.objects,
      place: { resource, namespace: LEASE_NAMESPACE, name: LEASE_NAME },
      clock: this.#clock,
      identity: `${hostname()}_${randomUUID()}`,
      alone: options.alone ?? false,
      onLead: (revision) => this.#lead(revision),
      onLose: () => this.#lose(),
    });
    this.#leases.onChange((_, after) => {
      if (after?.metadata.name === LEASE_NAME) this.#election.look();
    });
  }

  get leads(): boolean {
    return this.#election.leads;
  }

  /** Resolves when it is known whether we lead at once. */
  async start(): Promise<void> {
    await this.#leases.start();
    await this.#election.start();
  }

  async stop(): Promise<void> {
    this.#leases.close();
    this.#end();
    await this.#ended;
    await this.#election.stop();
    // The lease may have come in the meantime.
    this.#end();
    await this.#ended;
  }

  #lead(revision: number): void {
    const { log } = this.#options;
    const turn = new Turn(this.#options, this.#clock, this.#factories);
    this.#turn = turn;
    // What the last leader made must be known by then: it would be made again.
    Promise.all([this.#ended, this.#leases.reached(revision)])
      .then(() => turn.start())
      .catch((error) => log(`controllers: ${String(error)}`));
  }

  #lose(): void {
    this.#options.log('controllers: another API server runs them from now on');
    this.#end();
  }

  #end(): void {
    const turn = this.#turn;
    this.#turn = undefined;
    if (!turn) return;
    const stopped = turn.stop();
    this.#ended = this.#ended.then(() => stopped);
  }
}

/** From a lease's beginning to its end. */
class Turn {
  readonly #informers: InformerSet;
  readonly #controllers: readonly Controller[];
  readonly #log: (message: string) => void;
  #stopped = false;

  constructor(options: ControllerSetOptions, clock: Clock, factories: readonly ControllerFactory[]) {
    const { objects, table, log } = options;
    this.#log = log;
    this.#informers = new InformerSet(options);
    const events = new EventRecorder({ objects, resource: table.known('', 'v1', 'events'), clock });
    const parts: ControllerParts = { objects, table, informers: this.#informers, events, clock, log };
    this.#controllers = factories.map((make) => make(parts));
  }

  async start(): Promise<void> {
    if (this.#stopped) return;
    await this.#informers.start();
    for (const controller of this.#controllers) {
      if (this.#stopped) return;
      try {
        await controller.start();
      } catch (error) {
        this.#log(`${controller.name}: ${String(error)}`);
      }
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#informers.close();
    await Promise.all(
      this.#controllers.map((controller) =>
        controller.stop().catch((error) => this.#log(`${controller.name}: ${String(error)}`)),
      ),
    );
  }
}
