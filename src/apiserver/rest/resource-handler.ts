/**
 * The verbs of the API for every kind: create, get, list, watch, update, patch, delete, deletecollection, and the
 * subresources status and scale. What differs between kinds stands in their entries of the table.
 */
import { nodeOf } from '../access/access.ts';
import { checkNodeChanges, checkNodeCreates } from '../access/node-restriction.ts';
import { ApiError, successStatus } from '../api-error.ts';
import { type ApiObject, fieldAt } from '../api-object.ts';
import { type TableForm, tableOf, wantsTable } from '../kinds/api-table.ts';
import { apiVersionOf, asVersion, type Resource, resourceName } from '../kinds/resource.ts';
import type { ResourceTable } from '../kinds/resource-table.ts';
import { EVERYTHING, fieldMatcher, labelMatcher, type Matcher } from '../kinds/selectors.ts';
import { unknownFields } from '../kinds/unknown-fields.ts';
import type { ObjectPlace } from '../objects/object-errors.ts';
import { type Freshness, ObjectReader, revisionOf } from '../objects/object-reader.ts';
import type { ObjectStore } from '../objects/object-store.ts';
import type { WatchCache } from '../watch/watch-cache.ts';
import type { ResourcePath } from './api-path.ts';
import { deleteOptions } from './delete-options.ts';
import { listBlocks } from './list-answer.ts';
import type { NodeParts } from './node-parts.ts';
import { applyPatch, checkPatchType } from './patch.ts';
import { type ApiAnswer, type ApiRequest, isDryRun, isTrue, numberOf, readObject, readValue } from './request.ts';
import { SCALE_COLUMNS, scaled, scaleOf } from './scale.ts';
import { WatchStream } from './watch-stream.ts';

/** Objects that one deletecollection takes at a time. */
const DELETE_PAGE = 500;

export interface HandlerParts {
  table: ResourceTable;
  objects: ObjectStore;
  cache: WatchCache;
  nodeParts: NodeParts;
}

interface Target {
  request: ApiRequest;
  path: ResourcePath;
  resource: Resource;
  /** Fields of what was sent that its kind does not have: its sender is warned. */
  unknown: readonly string[];
  /** Of what an update replaces. */
  generation?: number | undefined;
}

export class ResourceHandler {
  readonly #table: ResourceTable;
  readonly #objects: ObjectStore;
  readonly #cache: WatchCache;
  readonly #reader: ObjectReader;
  readonly #nodeParts: NodeParts;

  constructor({ table, objects, cache, nodeParts }: HandlerParts) {
    this.#table = table;
    this.#objects = objects;
    this.#cache = cache;
    this.#reader = new ObjectReader({ objects, cache });
    this.#nodeParts = nodeParts;
  }

  async handle(request: ApiRequest, path: ResourcePath): Promise<ApiAnswer> {
    const resource = await this.#resourceOf(path);
    if (!resource) throw new ApiError('NotFound', 'the server could not find the requested resource');
    if (path.namespace !== undefined && !resource.namespaced) {
      throw new ApiError('NotFound', `${resourceName(resource)} stand in no namespace`);
    }
    const target: Target = { request, path, resource, unknown: [] };
    if (path.subresource !== '') return this.#subresource(target);
    if (path.name === '') return this.#collection(target);
    const place = placeOf(target);
    switch (request.method) {
      case 'GET':
        // The old way to watch one object.
        if (isTrue(request.query.get('watch'))) return this.#watch(target, `metadata.name=${path.name}`);
        return this.#get(target, place);
      case 'PUT':
        return this.#shown(target, 200, await this.#replace(target, place));
      case 'PATCH':
        return this.#shown(target, 200, await this.#patch(target, place));
      case 'DELETE':
        return this.#delete(target, place);
      default:
        throw notAllowed(request.method);
    }
  }

  /** A custom kind may have come just now, by another server even. */
  async #resourceOf({ group, version, plural }: ResourcePath): Promise<Resource | undefined> {
    const found = this.#table.find(group, version, plural);
    if (found || !group.includes('.')) return found;
    await this.#cache.caughtUp();
    return this.#table.find(group, version, plural);
  }

  async #collection(target: Target): Promise<ApiAnswer> {
    const { request, path, resource } = target;
    switch (request.method) {
      case 'GET':
        return isTrue(request.query.get('watch')) ? this.#watch(target) : this.#list(target);
      case 'POST': {
        if (resource.namespaced && path.namespace === undefined) throw notAllowed('POST');
        const body = await readObject(request);
        const node = nodeOf(request.user);
        if (node !== undefined) checkNodeCreates(node, resource, body);
        checkFields(target, body);
        const options = { dryRun: isDryRun(request), needsNamespace: true };
        const made = await this.#objects.create(resource, path.namespace, body, options);
        return this.#shown(target, 201, made);
      }
      case 'DELETE':
        return this.#deleteAll(target);
      default:
        throw notAllowed(request.method);
    }
  }

  async #subresource(target: Target): Promise<ApiAnswer> {
    const { request, path, resource } = target;
    const place = placeOf(target);
    const { method } = request;
    if (path.subresource === 'status' && resource.status) {
      if (method === 'GET') return this.#get(target, place);
      if (method === 'PUT') return this.#shown(target, 200, await this.#replace(target, place, 'status'));
      if (method === 'PATCH') return this.#shown(target, 200, await this.#patch(target, place, 'status'));
      throw notAllowed(method);
    }
    if (path.subresource === 'scale' && resource.scale) return this.#scale(target, place);
    if (resource.nodeParts?.includes(path.subresource)) {
      return this.#nodeParts.answer(request, path.subresource, await this.#objects.get(place));
    }
    if (path.subresource === 'finalize' && resource.kind === 'Namespace' && method === 'PUT') {
      const body = await readObject(request);
      const finalizers = fieldAt(body, ['spec', 'finalizers']) ?? [];
      const change = (current: ApiObject) => ({ ...current, spec: { ...current.spec, finalizers } });
      const options = { whole: true, dryRun: isDryRun(request) };
      return this.#shown(target, 200, await this.#objects.update(place, change, options));
    }
    // kubectl debug looks into the details, and tells by their having no name that it is not the pod that is missing.
    throw new ApiError('NotFound', `${resourceName(resource)} have no subresource ${path.subresource}`, {});
  }

  async #scale({ request, resource }: Target, place: ObjectPlace): Promise<ApiAnswer> {
    const { method } = request;
    const dryRun = isDryRun(request);
    if (method === 'GET') {
      const scale = scaleOf(resource, await this.#objects.get(place));
      const form = tableForm(request);
      const { resourceVersion } = scale.metadata;
      return {
        code: 200,
        json: form ? tableOf({ columns: SCALE_COLUMNS }, [scale], form, { resourceVersion }) : scale,
      };
    }
    if (method !== 'PUT' && method !== 'PATCH') throw notAllowed(method);
    const body = method === 'PUT' ? await readObject(request) : await readValue(request);
    const type = contentTypeOf(request);
    const change = (current: ApiObject) => {
      const wanted = method === 'PUT' ? body : applyPatch(type, scaleOf(resource, current), body, resource);
      return scaled(resource, current, wanted as ApiObject);
    };
    return { code: 200, json: scaleOf(resource, await this.#objects.update(place, change, { dryRun })) };
  }

  async #replace(target: Target, place: ObjectPlace, subresource?: 'status'): Promise<ApiObject> {
    const { request } = target;
    const body = await readObject(request);
    checkFields(target, body);
    const change = (current: ApiObject) => {
      target.generation = current.metadata.generation;
      checkChange(target, current, body, subresource);
      return structuredClone(body);
    };
    return this.#objects.update(place, change, { dryRun: isDryRun(request), subresource });
  }

  async #patch(target: Target, place: ObjectPlace, subresource?: 'status'): Promise<ApiObject> {
    const { request, resource } = target;
    const type = contentTypeOf(request);
    // Also of what is not there, which server-side apply would create.
    checkPatchType(type, resource);
    const patch = await readValue(request);
    const change = (current: ApiObject) => {
      const patched = applyPatch(type, current, patch, resource) as ApiObject;
      target.generation = current.metadata.generation;
      checkChange(target, current, patched, subresource);
      checkFields(target, patched, current);
      return patched;
    };
    return this.#objects.update(place, change, { dryRun: isDryRun(request), subresource });
  }

  async #get(target: Target, place: ObjectPlace): Promise<ApiAnswer> {
    const cached = await this.#reader.get(place, target.request.query.get('resourceVersion') ?? '');
    if (tableForm(target.request)) return this.#shown(target, 200, cached.object);
    const shown = asVersion(place.resource, cached.object);
    if (shown !== cached.object) return { code: 200, json: shown };
    return { code: 200, bytes: cached.json, contentType: 'application/json' };
  }

  async #list(target: Target): Promise<ApiAnswer> {
    const { request, path, resource } = target;
    const { query } = request;
    const page = await this.#reader.list(resource, {
      namespace: path.namespace,
      limit: numberOf(query, 'limit') ?? 0,
      continue: query.get('continue') || undefined,
      matches: matcherOf(target),
      freshness: freshnessOf(query),
    });
    const metadata = { resourceVersion: page.resourceVersion, ...(page.continue ? { continue: page.continue } : {}) };
    const form = tableForm(request);
    if (form) {
      const items = page.items.map(({ object }) => object);
      return { code: 200, json: tableOf(resource, items, form, metadata) };
    }
    const head = { kind: `${resource.kind}List`, apiVersion: apiVersionOf(resource), metadata };
    const blocks = () => listBlocks(head, page.items);
    const bytes = request.gzip ? await page.snapshot?.compressed(page, head.apiVersion, blocks) : undefined;
    return bytes
      ? { code: 200, bytes, contentType: 'application/json', encoding: 'gzip' }
      : { code: 200, blocks: blocks() };
  }

  /**
   * From a resourceVersion on; without one from what there is now, told as additions. With sendInitialEvents these come
   * where it is true, and a bookmark behind them (KEP-3157, which new clients ask in place of a list).
   */
  async #watch(target: Target, fieldSelector = ''): Promise<ApiAnswer> {
    const { request, path, resource } = target;
    const { namespace } = path;
    const { query } = request;
    const matches = matcherOf(target, fieldSelector);
    const version = query.get('resourceVersion') ?? '';
    const all = { namespace, matches, limit: 0, continue: undefined, freshness: { version, exact: false } };
    const fromNow = version === '' || version === '0';
    const asked = query.get('sendInitialEvents');
    const tellsInitial = asked === null ? fromNow : isTrue(asked);
    const page = fromNow || tellsInitial ? await this.#reader.list(resource, all) : undefined;
    const after = revisionOf(page?.resourceVersion ?? version);
    if (!page) await this.#reader.checkPast(resource, after);
    const bookmarks = isTrue(query.get('allowWatchBookmarks'));
    const stream = new WatchStream({
      cache: this.#cache,
      wanted: { resource, namespace, matches, after, goesOn: !page },
      initial: tellsInitial ? (page?.items ?? []) : [],
      table: tableForm(request),
      bookmarks,
      marksInitial: bookmarks && asked !== null && tellsInitial,
      seconds: numberOf(query, 'timeoutSeconds') ?? 0,
    });
    return { code: 200, lines: stream };
  }

  async #delete(target: Target, place: ObjectPlace): Promise<ApiAnswer> {
    const options = await deleteOptions(target.request);
    const node = nodeOf(target.request.user);
    if (node !== undefined) {
      const current = await this.#objects.get(place);
      checkNodeChanges(node, target.resource, current, undefined);
      // By then the name may be another pod's, on another node.
      options.preconditions = { uid: current.metadata.uid, ...options.preconditions };
    }
    const { object, gone } = await this.#objects.delete(place, options);
    if (!gone) return this.#shown(target, 200, object);
    const { group, plural } = place.resource;
    const details = { name: place.name, ...(group ? { group } : {}), kind: plural, uid: object.metadata.uid };
    return { code: 200, json: successStatus(details) };
  }

  async #deleteAll(target: Target): Promise<ApiAnswer> {
    const { request, path, resource } = target;
    if (resource.namespaced && path.namespace === undefined) throw notAllowed('DELETE');
    const options = await deleteOptions(request);
    const matches = matcherOf(target);
    const deleted: ApiObject[] = [];
    for (let next: string | undefined; ; ) {
      const page = await this.#objects.list(resource, {
        namespace: path.namespace,
        limit: DELETE_PAGE,
        matches,
        continue: next,
      });
      for (const { metadata } of page.items) {
        const place = { resource, namespace: metadata.namespace, name: metadata.name };
        try {
          deleted.push((await this.#objects.delete(place, options)).object);
        } catch (error) {
          // Somebody was quicker.
          if (!(error instanceof ApiError) || error.reason !== 'NotFound') throw error;
        }
      }
      if (page.continue === '') {
        const listMeta = { resourceVersion: page.resourceVersion };
        const head = { kind: `${resource.kind}List`, apiVersion: apiVersionOf(resource), metadata: listMeta };
        return { code: 200, json: { ...head, items: deleted } };
      }
      next = page.continue;
    }
  }

  #shown({ request, resource, path, unknown, generation }: Target, code: number, object: ApiObject): ApiAnswer {
    const form = tableForm(request);
    const isWrite = request.method !== 'GET' && request.method !== 'DELETE' && path.subresource === '';
    // Who labels a hundred objects learns nothing from what they ask for.
    const asksAnew = generation === undefined || generation !== object.metadata.generation;
    const warnings = isWrite ? [...unknown, ...((asksAnew && resource.warnings?.(object)) || [])] : [];
    if (!form) return { code, json: object, warnings };
    const listMeta = { resourceVersion: object.metadata.resourceVersion };
    return { code, json: tableOf(resource, [object], form, listMeta), warnings };
  }
}

/**
 * Fields that the kind does not have, but for those that stand there already: a mistake by `fieldValidation=Strict`, which
 * kubectl asks for, a warning by default. Throws ApiError BadRequest.
 */
function checkFields(target: Target, object: ApiObject, current?: ApiObject): void {
  const { request, resource } = target;
  const how = request.query.get('fieldValidation');
  if (how === 'Ignore') return;
  const before = new Set(current && unknownFields(resource, current));
  target.unknown = unknownFields(resource, object)
    .filter((field) => !before.has(field))
    .map((field) => `unknown field ${JSON.stringify(field)}`);
  if (how !== 'Strict' || target.unknown.length === 0) return;
  throw new ApiError('BadRequest', `strict decoding error: ${target.unknown.join(', ')}`);
}

/** What the path left open of what a node may do. */
function checkChange({ request, resource }: Target, current: ApiObject, next: ApiObject, part?: 'status'): void {
  const node = nodeOf(request.user);
  // By its status path a node changes nothing else.
  if (node !== undefined) checkNodeChanges(node, resource, current, part ? undefined : next);
}

function placeOf({ path, resource }: Target): ObjectPlace {
  if (resource.namespaced && path.namespace === undefined) {
    throw new ApiError('NotFound', `${resourceName(resource)} stand in namespaces: name one in the path`);
  }
  return { resource, namespace: path.namespace, name: path.name };
}

function matcherOf({ request, resource }: Target, fieldSelector = ''): Matcher {
  const labels = labelMatcher(request.query.get('labelSelector') ?? '');
  const fields = fieldMatcher(fieldSelector || (request.query.get('fieldSelector') ?? ''), resource);
  if (labels === EVERYTHING) return fields;
  return fields === EVERYTHING ? labels : (object) => labels(object) && fields(object);
}

function freshnessOf(query: URLSearchParams): Freshness {
  const version = query.get('resourceVersion') ?? '';
  const match = query.get('resourceVersionMatch') ?? '';
  if (match !== '' && match !== 'Exact' && match !== 'NotOlderThan') {
    throw new ApiError('BadRequest', `resourceVersionMatch: must be Exact or NotOlderThan, not ${match.slice(0, 40)}`);
  }
  const exact = match === 'Exact';
  if (match !== '' && (version === '' || (exact && version === '0'))) {
    throw new ApiError('BadRequest', `resourceVersionMatch: ${match} needs a resourceVersion`);
  }
  return { version, exact };
}

function tableForm(request: ApiRequest): TableForm | undefined {
  return wantsTable(request.accept, request.query.get('includeObject'));
}

function contentTypeOf(request: ApiRequest): string {
  return request.contentType.split(';')[0]?.trim() ?? '';
}

function notAllowed(method: string): ApiError {
  return new ApiError('MethodNotAllowed', `the server does not allow this method on the requested resource: ${method}`);
}
