/**
 * Leases of objects that go by themselves, such as events. Those that are written within a minute share one: a lease
 * costs the store a write of its own, and there are thousands of events when nodes fail (k8s.io/apiserver
 * pkg/storage/etcd3, leaseManager).
 */
import type { LeaseId, Store } from '../store/store.ts';

const SHARED_SECONDS = 60;

export class SharedLeases {
  readonly #store: Pick<Store, 'grantLease'>;
  readonly #nowMs: () => number;
  /** By the seconds that objects last. */
  readonly #leases = new Map<number, { lease: Promise<LeaseId>; untilMs: number }>();

  constructor(store: Pick<Store, 'grantLease'>, nowMs: () => number = () => performance.now()) {
    this.#store = store;
    this.#nowMs = nowMs;
  }

  /** One that lasts as long or longer, by a minute at most. */
  lasting(seconds: number): Promise<LeaseId> {
    const known = this.#leases.get(seconds);
    if (known && this.#nowMs() < known.untilMs) return known.lease;
    const lease = this.#store.grantLease(seconds + SHARED_SECONDS);
    const granted = { lease, untilMs: this.#nowMs() + SHARED_SECONDS * 1000 };
    this.#leases.set(seconds, granted);
    lease.catch(() => {
      if (this.#leases.get(seconds) === granted) this.#leases.delete(seconds);
    });
    return lease;
  }

  /** The store does not know one of them any more. */
  forget(): void {
    this.#leases.clear();
  }
}
