/** An object as the watch cache holds it: read once from the store, and written as JSON once for all who ask for it. */
import type { ApiObject } from '../api-object.ts';
import { decodeIfObject } from '../kinds/object-encoding.ts';
import type { StoredValue } from '../store/store.ts';

const OPEN = Buffer.from('{');

export class CachedObject {
  readonly key: string;
  /** Shared by all readers: nobody changes it. */
  readonly object: ApiObject;
  /** Of the JSON that the store keeps. */
  readonly bytes: number;
  #json: Buffer | undefined;
  /** Where the JSON goes on behind apiVersion and kind. */
  #tail = 0;

  constructor(key: string, object: ApiObject, bytes = 0) {
    this.key = key;
    this.object = object;
    this.bytes = bytes;
  }

  /** All of it. */
  get json(): Buffer {
    if (this.#json === undefined) {
      const { apiVersion, kind, ...rest } = this.object;
      const head = `{"apiVersion":${JSON.stringify(apiVersion)},"kind":${JSON.stringify(kind)},`;
      this.#tail = Buffer.byteLength(head);
      this.#json = Buffer.from(head + JSON.stringify(rest).slice(1));
    }
    return this.#json;
  }

  /** All of it in a line of others' making, of which it is a part from then on: it is in memory once. */
  line(start: Buffer, end: Buffer): Buffer {
    const line = Buffer.concat([start, this.json, end]);
    this.#json = line.subarray(start.length, line.length - end.length);
    return line;
  }

  /** As an item of a list, which has its apiVersion and kind said once: the pieces to write one after the other. */
  get item(): readonly [Buffer, Buffer] {
    const { json } = this;
    return [OPEN, json.subarray(this.#tail)];
  }

  /** The last that is heard of it: as it was, with the revision that it left with. */
  left(revision: number): CachedObject {
    const { metadata } = this.object;
    return new CachedObject(this.key, {
      ...this.object,
      metadata: { ...metadata, resourceVersion: `${revision}` },
    });
  }
}

export function readCached(stored: StoredValue): CachedObject | undefined {
  const object = decodeIfObject(stored);
  return object && new CachedObject(stored.key, object, stored.value.length);
}
