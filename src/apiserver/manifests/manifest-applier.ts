/**
 * Keeps objects as manifests in files and folders say, in the manner of `kubectl apply`: made where they are missing,
 * changed where the files changed, without touching what others wrote into them, deleted when they leave the files.
 * An object whose manifest has not changed since it was applied is nobody's business here: it may be edited, scaled
 * and deleted through the API, also across restarts, since what was applied is written down in a file.
 */
import { createHash } from 'node:crypto';
import { lastApplied, withLastApplied } from '../../kube/last-applied.ts';
import type { ManifestObject } from '../../kube/manifest.ts';
import { ManifestFolder } from '../../kube/manifest-folder.ts';
import { type NamedObject, objectIdentity, objectTitle } from '../../kube/objects.ts';
import { compareProblems, formatProblem, type Problem } from '../../kube/problem.ts';
import { threeWayPatch } from '../../kube/three-way-patch.ts';
import { writePrivate } from '../access/private-file.ts';
import { ApiError } from '../api-error.ts';
import type { ApiObject } from '../api-object.ts';
import { mergeRulesOf, type Resource } from '../kinds/resource.ts';
import type { ResourceTable } from '../kinds/resource-table.ts';
import type { ObjectStore } from '../objects/object-store.ts';
import { applyPatch, PATCH_TYPES } from '../rest/patch.ts';
import { type AppliedObject, type ApplierState, readApplierState } from './applier-state.ts';
import { manifestKinds, resourceOfKind } from './manifest-kinds.ts';

/** What could not be applied is tried again: what it stood in the way of may go, the store may come back. */
const RETRY_MS = 1000;
const AT_ONCE = 16;
/** What others need comes first. */
const RANKS: Readonly<Record<string, number>> = { Namespace: 0, CustomResourceDefinition: 0, Node: 1 };
const LAST_RANK = 2;

export interface ManifestSettings {
  /** Files and folders; watched. */
  paths: readonly string[];
  /** Where to write down what was applied, and what is wrong. */
  stateFile: string;
}

export interface ApplierParts extends ManifestSettings {
  objects: ObjectStore;
  table: ResourceTable;
  log(message: string): void;
}

export class ManifestApplier {
  readonly #parts: ApplierParts;
  readonly #folder: ManifestFolder<NamedObject>;
  /** By identity. */
  readonly #applied = new Map<string, AppliedObject>();
  /** What stood in the files since this server began. */
  readonly #seen = new Set<string>();
  #refused: Problem[] = [];
  #told = new Set<string>();
  #written = '';
  #pass: Promise<void> | undefined;
  #again = false;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(parts: ApplierParts) {
    this.#parts = parts;
    this.#folder = new ManifestFolder(parts.paths, manifestKinds(parts.table));
    const earlier = readApplierState(parts.stateFile);
    for (const applied of earlier?.applied ?? []) this.#applied.set(identityOf(applied), applied);
  }

  /** Resolves when everything has been applied or refused once. */
  async start(): Promise<void> {
    this.#folder.onChange(() => void this.#run());
    await this.#folder.start();
    await this.#run();
  }

  problems(): Problem[] {
    return [...this.#folder.problems(), ...this.#refused].sort(compareProblems);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#folder.close();
    await this.#pass;
  }

  /** One pass at a time; a request during one makes it run once more. */
  #run(): Promise<void> {
    this.#again = true;
    this.#pass ??= (async () => {
      try {
        while (this.#again && !this.#closed) {
          this.#again = false;
          await this.#applyAll();
        }
      } finally {
        this.#pass = undefined;
      }
    })();
    return this.#pass;
  }

  async #applyAll(): Promise<void> {
    clearTimeout(this.#retry);
    const refused: Problem[] = [];
    const stands = new Set<string>();
    for (let rank = 0; rank <= LAST_RANK; rank++) {
      const due = [...this.#folder.current().values()].filter(({ object }) => rankOf(object) === rank);
      await inParallel(due, async (found) => {
        const problem = await this.#try(found, stands);
        if (problem) refused.push(problem);
      });
    }
    // What an earlier server applied may stand where this one cannot read, of which there is no good version yet.
    const isWhole = this.#folder.problems().every(({ severity }) => severity !== 'error');
    for (const [identity, applied] of this.#applied) {
      if (stands.has(identity) || this.#closed || !(isWhole || this.#seen.has(identity))) continue;
      const problem = await this.#remove(applied);
      if (problem) refused.push(problem);
      else this.#applied.delete(identity);
    }
    this.#refused = refused;
    this.#publish();
    if (refused.length > 0 && !this.#closed) this.#retry = setTimeout(() => void this.#run(), RETRY_MS);
  }

  async #try({ object, place }: ManifestObject<NamedObject>, stands: Set<string>): Promise<Problem | undefined> {
    if (this.#closed) return undefined;
    const { apiVersion, kind } = object;
    const resource = resourceOfKind(this.#parts.table, apiVersion, kind);
    if (!resource) {
      const message = `${objectTitle(object)}: no kind ${kind} (${apiVersion}) is defined`;
      return { place, message, severity: 'error' };
    }
    const { name, namespace } = object.metadata;
    const own = resource.namespaced && namespace !== undefined ? { namespace } : {};
    const wanted: AppliedObject = { apiVersion, kind, ...own, name, digest: digestOf(object) };
    const identity = identityOf(wanted);
    stands.add(identity);
    this.#seen.add(identity);
    if (this.#applied.get(identity)?.digest === wanted.digest) return undefined;
    try {
      await this.#apply(resource, structuredClone(object) as ApiObject);
      this.#applied.set(identity, wanted);
      return undefined;
    } catch (error) {
      return { place, message: `${objectTitle(object)}: ${messageOf(error)}`, severity: 'error' };
    }
  }

  async #apply(resource: Resource, wanted: ApiObject): Promise<void> {
    const { objects } = this.#parts;
    if (!resource.namespaced) delete wanted.metadata.namespace;
    const { status, ...plain } = wanted;
    // As kubectl has it, so that `kubectl apply` of the same file goes on from here, and we from there.
    const main = withLastApplied<ApiObject>(plain);
    const { name, namespace } = main.metadata;
    const place = { resource, namespace, name };
    try {
      await objects.update(place, (current) => merged(resource, current, main));
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
      await this.#makeNamespace(namespace);
      await objects.create(resource, namespace, structuredClone(main));
    }
    // A node's addresses stand in its status, and nobody else says them before its agent runs.
    if (resource.kind !== 'Node' || status === undefined) return;
    const withStatus = (current: ApiObject) => ({ ...current, status: { ...current.status, ...status } });
    await objects.update(place, withStatus, { subresource: 'status' });
  }

  /** Files may name a namespace without making it, as they could before there was a server. */
  async #makeNamespace(name: string | undefined): Promise<void> {
    const resource = resourceOfKind(this.#parts.table, 'v1', 'Namespace');
    if (name === undefined || !resource) return;
    const metadata = { name, uid: '', resourceVersion: '', creationTimestamp: '' };
    try {
      await this.#parts.objects.create(resource, undefined, { apiVersion: 'v1', kind: 'Namespace', metadata });
    } catch (error) {
      if (!isReason(error, 'AlreadyExists')) throw error;
    }
  }

  /** What stands in the way of it; nothing: it is gone, or going. */
  async #remove({ apiVersion, kind, namespace, name }: AppliedObject): Promise<Problem | undefined> {
    const resource = resourceOfKind(this.#parts.table, apiVersion, kind);
    if (!resource) return undefined;
    try {
      await this.#parts.objects.delete({ resource, namespace, name }, { propagationPolicy: 'Background' });
      return undefined;
    } catch (error) {
      if (isReason(error, 'NotFound')) return undefined;
      const metadata = { name, ...(namespace === undefined ? {} : { namespace }) };
      const place = objectTitle({ apiVersion, kind, metadata });
      const message = `${place}: left the manifests and cannot be deleted: ${messageOf(error)}`;
      return { place, message, severity: 'error' };
    }
  }

  /** Into the file whole, into the log what is new. */
  #publish(): void {
    const problems = this.problems();
    const lines = new Set(problems.map(formatProblem));
    for (const line of lines) if (!this.#told.has(line)) this.#parts.log(line);
    for (const line of this.#told) if (!lines.has(line)) this.#parts.log(`solved: ${line}`);
    this.#told = lines;
    const state: ApplierState = { applied: [...this.#applied.values()], problems };
    const text = JSON.stringify(state);
    if (text === this.#written) return;
    try {
      writePrivate(this.#parts.stateFile, text);
      this.#written = text;
    } catch (error) {
      this.#parts.log(`${this.#parts.stateFile}: ${messageOf(error)}`);
    }
  }
}

function merged(resource: Resource, current: ApiObject, wanted: ApiObject): ApiObject {
  if (current.metadata.deletionTimestamp !== undefined) {
    throw new ApiError('Conflict', 'is being deleted: it is made again when it is gone');
  }
  // As kubectl: custom kinds take no strategic patch.
  const rules = resource.custom ? undefined : mergeRulesOf(resource);
  const patch = threeWayPatch(lastApplied(current), { ...wanted }, { ...current }, rules);
  return applyPatch(resource.custom ? PATCH_TYPES.merge : PATCH_TYPES.strategic, current, patch, resource) as ApiObject;
}

function identityOf({ apiVersion, kind, namespace, name }: Omit<AppliedObject, 'digest'>): string {
  return objectIdentity({ apiVersion, kind, metadata: namespace === undefined ? { name } : { name, namespace } });
}

function rankOf({ kind }: NamedObject): number {
  return RANKS[kind] ?? LAST_RANK;
}

function digestOf(object: NamedObject): string {
  return createHash('sha256').update(JSON.stringify(object)).digest('base64url').slice(0, 22);
}

function isReason(error: unknown, reason: ApiError['reason']): boolean {
  return error instanceof ApiError && error.reason === reason;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) await work(items[i] as T);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
}
