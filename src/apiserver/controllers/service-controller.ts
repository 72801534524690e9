/** What writes the endpoints of services: one service at a time, at once, and what changes in a burst together. */
import type { Controller, ControllerParts } from './controller-set.ts';
import { splitKey } from './object-key.ts';
import { PacedQueue } from './paced-queue.ts';

export abstract class ServiceController implements Controller {
  readonly name: string;
  readonly #queue: PacedQueue;

  /** `paceMs`: between two looks at a service. */
  constructor({ clock, log }: ControllerParts, name: string, paceMs: number) {
    this.name = name;
    const work = (key: string) => {
      const { namespace = '', name: service } = splitKey(key);
      return this.look(namespace, service);
    };
    this.#queue = new PacedQueue({ name, clock, log, work, paceMs });
  }

  start(): void {
    this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  /** The endpoints of this service (`namespace/name`) may be others now. */
  protected add(service: string): void {
    this.#queue.add(service);
  }

  /** Makes them what they have to be. The service may be gone. */
  protected abstract look(namespace: string, service: string): Promise<void>;
}
