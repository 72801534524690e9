/**
 * Tells an API what happened to this node's pods, as v1 Events that `kubectl describe` shows. What happens again is
 * counted in the Event that is there; a pod that makes too much of it is heard less (k8s.io/client-go tools/record,
 * EventCorrelator). Events are told when they can be, and not kept for long: nothing depends on them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ApiClient, ApiRequestError, pathSegment } from '../../kube/api-client.ts';
import { EventNames } from '../../kube/event-name.ts';
import type { PodEvent } from '../pods/pod.ts';

const MOST_WAITING = 500;
const MOST_KNOWN = 2000;
const MOST_MESSAGE = 1024;
/** Of one pod: so many at once, then one in so long. */
const BURST = 25;
const EVERY_MS = 60_000;
const TRIES = 3;
const WAIT_MS = 1000;

interface Known {
  path: string;
  count: number;
}

interface Waiting {
  event: PodEvent;
  id: string;
  at: Date;
}

export class EventWriter {
  /** Not told, for there were too many. */
  dropped = 0;
  readonly #client: ApiClient;
  readonly #node: string;
  readonly #now: () => number;
  readonly #names = new EventNames();
  readonly #waiting: Waiting[] = [];
  /** By what makes two the same; the last told is the last. */
  readonly #known = new Map<string, Known>();
  readonly #budgets = new Map<string, { left: number; atMs: number }>();
  #running: Promise<void> | undefined;
  /** Of the event under way. */
  #abort = new AbortController();
  #stopped = false;

  constructor(client: ApiClient, node: string, now: () => number = Date.now) {
    this.#client = client;
    this.#node = node;
    this.#now = now;
  }

  tell(event: PodEvent): void {
    if (this.#stopped || this.#waiting.length >= MOST_WAITING || !this.#isAllowed(event.uid)) {
      this.dropped++;
      return;
    }
    const { namespace, name, uid, type, reason, container = '' } = event;
    // What a manifest says may stand in it, at any length.
    const message = event.message.slice(0, MOST_MESSAGE);
    const id = JSON.stringify([namespace, name, uid, type, reason, message, container]);
    this.#waiting.push({ event: { ...event, message }, id, at: new Date(this.#now()) });
    this.#running ??= this.#run();
  }

  /** What waits is not told any more, nor what is being told. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#abort.abort();
    this.#waiting.length = 0;
    await this.#running;
  }

  #isAllowed(uid: string): boolean {
    const now = this.#now();
    const budget = this.#budgets.get(uid) ?? { left: BURST, atMs: now };
    // A clock that was set back is no time that passed.
    const left = Math.min(BURST, budget.left + Math.max(0, now - budget.atMs) / EVERY_MS);
    this.#budgets.delete(uid);
    this.#budgets.set(uid, { left: left >= 1 ? left - 1 : left, atMs: now });
    forgetOldest(this.#budgets);
    return left >= 1;
  }

  async #run(): Promise<void> {
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) await this.#try(next);
    this.#running = undefined;
  }

  async #try(waiting: Waiting): Promise<void> {
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    for (let tries = 1; !signal.aborted; tries++) {
      try {
        return await this.#write(waiting, signal);
      } catch (error) {
        const mayHelp = error instanceof ApiRequestError && error.isOutage;
        if (!mayHelp || tries >= TRIES) return;
        await sleep(WAIT_MS, undefined, { signal }).catch(() => {});
      }
    }
  }

  async #write({ event, id, at }: Waiting, signal: AbortSignal): Promise<void> {
    const known = this.#known.get(id);
    const time = `${at.toISOString().slice(0, 19)}Z`;
    if (known) {
      const count = known.count + 1;
      try {
        await this.#client.patch(known.path, 'merge', { count, lastTimestamp: time }, { signal });
        this.#remember(id, { ...known, count });
        return;
      } catch (error) {
        // It was too old for the server; told anew.
        if (!(error instanceof ApiRequestError) || error.code !== 404) throw error;
        this.#known.delete(id);
      }
    }
    const name = this.#names.next(event.name, at.getTime());
    const path = `/api/v1/namespaces/${pathSegment(event.namespace)}/events`;
    await this.#client.post(path, this.#record(event, name, time), { signal });
    this.#remember(id, { path: `${path}/${pathSegment(name)}`, count: 1 });
  }

  #remember(id: string, known: Known): void {
    this.#known.delete(id);
    this.#known.set(id, known);
    forgetOldest(this.#known);
  }

  #record(event: PodEvent, name: string, time: string): object {
    const { namespace, uid, type, reason, message, container } = event;
    const fieldPath = container === undefined ? {} : { fieldPath: `spec.containers{${container}}` };
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace, name: event.name, uid, ...fieldPath },
      type,
      reason,
      message,
      source: { component: 'weft-agent', host: this.#node },
      reportingComponent: 'weft-agent',
      reportingInstance: this.#node,
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    };
  }
}

function forgetOldest(map: Map<string, unknown>): void {
  if (map.size <= MOST_KNOWN) return;
  const oldest = map.keys().next().value;
  if (oldest !== undefined) map.delete(oldest);
}
