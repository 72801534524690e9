/**
 * One change of one object, and the event that it is to a watcher: what begins to match a selector is added, what
 * ceases to is deleted. An event is made once, and its line of JSON once, for all watchers that hear of it.
 */
import type { ApiObject } from '../api-object.ts';
import { type TableForm, tableOf } from '../kinds/api-table.ts';
import type { Resource } from '../kinds/resource.ts';
import type { Matcher } from '../kinds/selectors.ts';
import type { CachedObject } from './cached-object.ts';

export type EventType = 'ADDED' | 'MODIFIED' | 'DELETED';

const LINE_END = Buffer.from('}\n');
const LINE_STARTS: Readonly<Record<EventType, Buffer>> = {
  ADDED: lineStart('ADDED'),
  MODIFIED: lineStart('MODIFIED'),
  DELETED: lineStart('DELETED'),
};

export class ObjectEvent {
  readonly type: EventType;
  readonly #cached: CachedObject;
  #line: Buffer | undefined;
  /** By version and the form of their rows. */
  #tables: Map<string, Buffer> | undefined;

  constructor(type: EventType, cached: CachedObject) {
    this.type = type;
    this.#cached = cached;
  }

  /** Shared by all who hear of it: nobody changes it. */
  get object(): ApiObject {
    return this.#cached.object;
  }

  get line(): Buffer {
    this.#line ??= this.#cached.line(LINE_STARTS[this.type], LINE_END);
    return this.#line;
  }

  /** As a row of a table whose columns were said before. */
  tableLine(resource: Resource, form: TableForm): Buffer {
    this.#tables ??= new Map();
    // Versions of a custom kind have columns of their own.
    const name = `${resource.version} ${form.includeObject}`;
    let line = this.#tables.get(name);
    if (!line) this.#tables.set(name, (line = tableLine(this, resource, form, false)));
    return line;
  }
}

/** `head`: with the columns, which a watch says once. */
export function tableLine({ type, object }: ObjectEvent, resource: Resource, form: TableForm, head: boolean): Buffer {
  const { resourceVersion } = object.metadata;
  return lineOf(type, tableOf(resource, [object], form, { resourceVersion }, head));
}

export function lineOf(type: string, object: unknown): Buffer {
  return Buffer.from(`${JSON.stringify({ type, object })}\n`);
}

export class Change {
  readonly revision: number;
  readonly key: string;
  readonly #before: CachedObject | undefined;
  readonly #after: CachedObject | undefined;
  /** What it holds in memory beside what stands in the cache anyway: what was there before. */
  readonly bytes: number;
  readonly #events: Partial<Record<EventType, ObjectEvent>> = {};

  /** `after` is undefined where the object was deleted. */
  constructor(revision: number, key: string, before: CachedObject | undefined, after: CachedObject | undefined) {
    this.revision = revision;
    this.key = key;
    this.#before = before;
    this.#after = after;
    this.bytes = before?.bytes ?? 0;
  }

  /** What it is to a watcher with that selector, if anything. */
  eventFor(matches: Matcher): ObjectEvent | undefined {
    const before = this.#before;
    const after = this.#after;
    const was = before !== undefined && matches(before.object);
    if (after !== undefined && matches(after.object)) return this.#event(was ? 'MODIFIED' : 'ADDED', () => after);
    return was ? this.#event('DELETED', () => before.left(this.revision)) : undefined;
  }

  #event(type: EventType, object: () => CachedObject): ObjectEvent {
    this.#events[type] ??= new ObjectEvent(type, object());
    return this.#events[type];
  }
}

function lineStart(type: EventType): Buffer {
  return Buffer.from(`{"type":"${type}","object":`);
}
