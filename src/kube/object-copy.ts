/**
 * The last objects that an API server told, on disk: an agent that starts while the server is away forwards on what
 * there was. A line for each object, written in slices and replaced whole; what cannot be read is passed over.
 */
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isJsonObject } from './json-value.ts';
import { splitLines } from './line-splitter.ts';
import { type KubeObject, type ObjectSet, objectSet } from './objects.ts';
import { isKnownKind, validate } from './validate.ts';

/** Objects a slice: a few milliseconds. */
const SLICE = 200;

/** Whole or not at all. `origin` says which cluster it is of. */
export async function writeCopy(path: string, origin: string, objects: ObjectSet): Promise<void> {
  const next = `${path}.next`;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const file = await open(next, 'w', 0o600);
  try {
    await file.write(`${JSON.stringify({ version: 1, origin })}\n`);
    const all = allOf(objects);
    for (let i = 0; i < all.length; i += SLICE) {
      const lines = all.slice(i, i + SLICE).map((object) => `${JSON.stringify(object)}\n`);
      await file.write(lines.join(''));
    }
    await file.close();
    await rename(next, path);
  } catch (error) {
    await file.close().catch(() => {});
    await rm(next, { force: true });
    throw error;
  }
}

/** Undefined where there is none of that cluster. */
export async function readCopy(path: string, origin: string): Promise<ObjectSet | undefined> {
  const objects: KubeObject[] = [];
  let isOurs = false;
  let lines = 0;
  try {
    for await (const line of splitLines(createReadStream(path))) {
      const value = parsed(line);
      if (lines++ === 0) {
        isOurs = isJsonObject(value) && value.version === 1 && value.origin === origin;
        if (!isOurs) return undefined;
      } else if (isObject(value)) objects.push(value);
      if (lines % SLICE === 0) await nextTurn();
    }
  } catch {
    // There is none, or not all of it can be read: what can be is better than nothing.
  }
  return isOurs ? objectSet(objects) : undefined;
}

function allOf(objects: ObjectSet): KubeObject[] {
  const { nodes, pods, services, endpoints, endpointSlices, configMaps } = objects;
  return [nodes, pods, services, endpoints, endpointSlices, configMaps].flatMap((map): KubeObject[] => [
    ...map.values(),
  ]);
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is KubeObject {
  return isJsonObject(value) && isKnownKind(value.apiVersion, value.kind) && validate(value.kind, value).length === 0;
}
