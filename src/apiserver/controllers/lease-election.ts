/**
 * Who of several API servers runs the controllers: the holder of one Lease (client-go tools/leaderelection). A lease
 * is taken when its record has not changed for its whole duration by our own clock; every step is a write on condition
 * that nobody else wrote in between. Who cannot renew gives up before anybody else may begin.
 */
import { ApiError } from '../api-error.ts';
import type { ApiObject } from '../api-object.ts';
import type { ObjectPlace } from '../objects/object-errors.ts';
import type { ObjectStore } from '../objects/object-store.ts';
import type { Clock } from './clock.ts';

export const LEASE_SECONDS = 15;
const RENEW_MS = 2000;
/** Since the last renewal was begun; less than a lease, so that two never lead. */
const GIVE_UP_MS = 10_000;

export interface LeaseElectionOptions {
  objects: ObjectStore;
  /** Of the Lease. */
  place: ObjectPlace;
  clock: Clock;
  /** No other has it. */
  identity: string;
  /** No other process can be at this store: whoever held the lease is gone. */
  alone: boolean;
  /** `revision`: that took the lease. What others wrote while they had it is older. */
  onLead(revision: number): void;
  onLose(): void;
}

interface Record {
  holder: string;
  resourceVersion: string;
}

export class LeaseElection {
  readonly #options: LeaseElectionOptions;
  /** As we saw it last, and since when. */
  #seen: Record | undefined;
  #seenMs = 0;
  #leads = false;
  #stopped = false;
  #cancelTick: () => void = () => {};
  #cancelEnd: () => void = () => {};
  #running: Promise<void> | undefined;

  constructor(options: LeaseElectionOptions) {
    this.#options = options;
  }

  get leads(): boolean {
    return this.#leads;
  }

  /** Resolves after the first try. */
  async start(): Promise<void> {
    await this.#tick();
  }

  /** Somebody saw the lease change: as told by a watch. Makes taking over quick; nothing depends on it. */
  look(): void {
    if (!this.#leads && !this.#stopped) void this.#tick();
  }

  /** Gives the lease back, so that another may begin at once. The caller has ended its work. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelTick();
    this.#cancelEnd();
    await this.#running;
    if (!this.#leads) return;
    this.#leads = false;
    const { objects, place, identity } = this.#options;
    const change = (current: ApiObject) => {
      if (current.spec?.holderIdentity !== identity) throw taken();
      return { ...current, spec: { ...current.spec, holderIdentity: '' } };
    };
    await objects.update(place, change).catch(() => undefined);
  }

  /** One at a time; the next is arranged by its end. */
  #tick(): Promise<void> {
    this.#running ??= this.#turn().finally(() => {
      this.#running = undefined;
      if (!this.#stopped) this.#arrange();
    });
    return this.#running;
  }

  #arrange(): void {
    const { clock } = this.#options;
    this.#cancelTick();
    // A lease that somebody holds is looked at when its time may be over, and by look() when it changes.
    const left = this.#seenMs + LEASE_SECONDS * 1000 - clock.monotonicMs();
    const held = !this.#leads && this.#seen !== undefined && this.#seen.holder !== '';
    const delay = held ? Math.min(Math.max(left, 0), RENEW_MS) : RENEW_MS;
    this.#cancelTick = clock.after(delay, () => void this.#tick());
  }

  async #turn(): Promise<void> {
    try {
      if (this.#leads) await this.#renew();
      else await this.#acquire();
    } catch (error) {
      // The store is away, or somebody was quicker: the next turn sees. Who leads has GIVE_UP_MS.
      if (!this.#leads || !(error instanceof ApiError)) return;
      this.#lose();
      // From now on the other's time is counted.
      await this.#acquire().catch(() => undefined);
    }
  }

  async #renew(): Promise<void> {
    const { objects, place, clock, identity } = this.#options;
    const begun = clock.monotonicMs();
    await objects.update(place, (current) => {
      if (current.spec?.holderIdentity !== identity) throw taken();
      return { ...current, spec: { ...current.spec, renewTime: microTime(clock.nowMs()) } };
    });
    if (this.#leads) this.#renewed(begun);
  }

  async #acquire(): Promise<void> {
    const { objects, place, clock, identity, alone } = this.#options;
    const begun = clock.monotonicMs();
    const time = microTime(clock.nowMs());
    let current: ApiObject;
    try {
      current = await objects.get(place);
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'NotFound') throw error;
      const made = await objects.create(place.resource, place.namespace, newLease(place, identity, time));
      this.#won(begun, made);
      return;
    }
    const holder = String(current.spec?.holderIdentity ?? '');
    const { resourceVersion } = current.metadata;
    if (this.#seen?.resourceVersion !== resourceVersion) {
      this.#seen = { holder, resourceVersion };
      this.#seenMs = clock.monotonicMs();
    }
    const free = holder === '' || holder === identity || alone;
    if (!free && clock.monotonicMs() - this.#seenMs < LEASE_SECONDS * 1000) return;
    const transitions = Number(current.spec?.leaseTransitions ?? 0) + 1;
    const written = await objects.update(place, (now) => {
      if (now.metadata.resourceVersion !== resourceVersion) throw taken();
      const spec = { holderIdentity: identity, leaseDurationSeconds: LEASE_SECONDS, leaseTransitions: transitions };
      return { ...now, spec: { ...now.spec, ...spec, acquireTime: time, renewTime: time } };
    });
    this.#won(begun, written);
  }

  #won(begunMs: number, lease: ApiObject): void {
    if (this.#stopped) {
      // Too late to begin: stop() gives it back.
      this.#leads = true;
      return;
    }
    if (this.#options.clock.monotonicMs() - begunMs >= GIVE_UP_MS) return;
    this.#leads = true;
    this.#renewed(begunMs);
    this.#options.onLead(Number(lease.metadata.resourceVersion));
  }

  #renewed(begunMs: number): void {
    const { clock } = this.#options;
    this.#cancelEnd();
    this.#cancelEnd = clock.after(begunMs + GIVE_UP_MS - clock.monotonicMs(), () => this.#lose());
  }

  #lose(): void {
    if (!this.#leads || this.#stopped) return;
    this.#leads = false;
    this.#seen = undefined;
    this.#cancelEnd();
    this.#options.onLose();
  }
}

function newLease({ namespace, name }: ObjectPlace, identity: string, time: string): ApiObject {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name, ...(namespace ? { namespace } : {}), uid: '', resourceVersion: '', creationTimestamp: time },
    spec: {
      holderIdentity: identity,
      leaseDurationSeconds: LEASE_SECONDS,
      acquireTime: time,
      renewTime: time,
      leaseTransitions: 0,
    },
  };
}

function taken(): ApiError {
  return new ApiError('Conflict', 'another API server took the lease');
}

/** RFC 3339 to the microsecond, as meta/v1 MicroTime is written. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
