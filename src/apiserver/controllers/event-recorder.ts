/**
 * What controllers tell people about an object, as v1 Events (client-go tools/record). The same told again raises a
 * count; an object has so many new ones and no more for a while, so that a loop of failures does not fill the store.
 * Nobody waits for an event: one that cannot be written is lost.
 */
import { EventNames } from '../../kube/event-name.ts';
import { type ApiObject, timestamp } from '../api-object.ts';
import type { Resource } from '../kinds/resource.ts';
import type { ObjectStore } from '../objects/object-store.ts';
import type { Clock } from './clock.ts';

export type EventType = 'Normal' | 'Warning';

/** Objects whose events are remembered. */
const MOST_OBJECTS = 2000;
/** Events of an object at once, and how long until there is room for one more. */
const BURST = 25;
const REFILL_MS = 60_000;
/** Different events of an object that are remembered. */
const MOST_KNOWN = 30;
/** Being written at a time. */
const MOST_PENDING = 200;

interface Known {
  name: string;
  count: number;
}

interface History {
  room: number;
  refilledMs: number;
  known: Map<string, Known>;
}

export interface EventRecorderParts {
  objects: ObjectStore;
  /** Of v1 Event. */
  resource: Resource;
  clock: Clock;
}

export class EventRecorder {
  readonly #parts: EventRecorderParts;
  readonly #histories = new Map<string, History>();
  readonly #names = new EventNames();
  #pending = 0;

  constructor(parts: EventRecorderParts) {
    this.#parts = parts;
  }

  /** `component`: who says it, as in `deployment-controller`. */
  record(object: ApiObject, component: string, type: EventType, reason: string, message: string): void {
    const { clock } = this.#parts;
    const history = this.#historyOf(object.metadata.uid, clock.monotonicMs());
    if (history.room < 1 || this.#pending >= MOST_PENDING) return;
    history.room--;
    const words = `${type}/${reason}/${message}`;
    const known = history.known.get(words);
    if (known) known.count++;
    else {
      if (history.known.size >= MOST_KNOWN) history.known.delete(history.known.keys().next().value as string);
      const name = this.#names.next(object.metadata.name, clock.nowMs());
      history.known.set(words, { name, count: 1 });
    }
    const told = history.known.get(words) as Known;
    this.#pending++;
    void this.#write(object, { component, type, reason, message, ...told }).finally(() => {
      this.#pending--;
    });
  }

  async #write(
    object: ApiObject,
    event: { component: string; type: EventType; reason: string; message: string; name: string; count: number },
  ): Promise<void> {
    const { objects, resource, clock } = this.#parts;
    const { apiVersion, kind, metadata } = object;
    const namespace = metadata.namespace ?? 'default';
    const now = timestamp(new Date(clock.nowMs()));
    const { component, type, reason, message, name, count } = event;
    try {
      if (count > 1) {
        const change = (current: ApiObject) => ({ ...current, count, lastTimestamp: now });
        await objects.update({ resource, namespace, name }, change);
        return;
      }
    } catch {
      // It has gone by its age, or never came to be.
    }
    const { name: of, uid, resourceVersion } = metadata;
    const involved = { apiVersion, kind, name: of, uid, resourceVersion };
    try {
      await objects.create(resource, namespace, {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name, namespace, uid: '', resourceVersion: '', creationTimestamp: now },
        involvedObject: { ...involved, ...(metadata.namespace ? { namespace: metadata.namespace } : {}) },
        type,
        reason,
        message: message.slice(0, 1024),
        count,
        firstTimestamp: now,
        lastTimestamp: now,
        source: { component },
        reportingComponent: component,
      });
    } catch {
      // Nobody waits for it.
    }
  }

  #historyOf(uid: string, nowMs: number): History {
    const history = this.#histories.get(uid) ?? { room: BURST, refilledMs: nowMs, known: new Map() };
    // The one that is used is the youngest.
    this.#histories.delete(uid);
    this.#histories.set(uid, history);
    if (this.#histories.size > MOST_OBJECTS) this.#histories.delete(this.#histories.keys().next().value as string);
    const refill = Math.floor((nowMs - history.refilledMs) / REFILL_MS);
    if (refill > 0) {
      history.room = Math.min(BURST, history.room + refill);
      history.refilledMs += refill * REFILL_MS;
    }
    return history;
  }
}
