/**
 * From a request to its answer, without HTTP: who may what, how much at a time, and which part of the server knows. All
 * that goes wrong comes out as an ApiError, which is a Status to the client.
 *
 *   request ─▶ limits ─▶ may it? ─▶ discovery │ openapi │ metrics │ access reviews │ ResourceHandler
 */
import { ApiError } from '../api-error.ts';
import type { ResourceTable } from '../kinds/resource-table.ts';
import { StoreError } from '../store/store.ts';
import { answerReview, reviewAt } from './access-reviews.ts';
import { parseResourcePath } from './api-path.ts';
import { discovery } from './discovery.ts';
import { OPENAPI_V2_BYTES, OPENAPI_V2_TYPE, openApiDocument, openApiIndex } from './openapi.ts';
import type { ApiAnswer, ApiRequest, PlainAnswer, User } from './request.ts';
import type { ResourceHandler } from './resource-handler.ts';

export interface RouterOptions {
  /** Throws ApiError Forbidden. */
  authorize(user: User, request: ApiRequest): void;
  version: string;
  table: ResourceTable;
  handler: ResourceHandler;
  /** Whether the store answers. */
  ready(): Promise<boolean>;
  /** For /metrics. */
  metrics(): string;
  log(message: string): void;
}

export class RequestRouter {
  readonly #options: RouterOptions;

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  /** What asks nobody who they are; undefined for other paths. */
  async health(path: string, verbose: boolean): Promise<PlainAnswer | undefined> {
    if (path !== '/livez' && path !== '/healthz' && path !== '/readyz') return undefined;
    const stored = path !== '/readyz' || (await this.#options.ready());
    const code = stored ? 200 : 503;
    if (!verbose) return { code, text: stored ? 'ok' : 'the store does not answer' };
    const checks = [
      '[+]ping ok',
      ...(path === '/readyz' ? [`${stored ? '[+]store ok' : '[-]store does not answer'}`] : []),
    ];
    return { code, text: `${checks.join('\n')}\n${path.slice(1)} check ${stored ? 'passed' : 'failed'}\n` };
  }

  /** Throws ApiError, whatever happens. */
  async answer(request: ApiRequest): Promise<ApiAnswer> {
    try {
      this.#options.authorize(request.user, request);
      return await this.#answer(request);
    } catch (error) {
      throw this.asApiError(error, request);
    }
  }

  asApiError(error: unknown, { method, path }: { method: string; path: string }): ApiError {
    if (error instanceof ApiError) return error;
    if (error instanceof StoreError) return storeFailure(error);
    const said = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#options.log(`${method} ${path.slice(0, 500)}: ${said}`);
    return new ApiError('InternalError', 'an error of the server; its log says more');
  }

  async #answer(request: ApiRequest): Promise<ApiAnswer> {
    const { table, handler, version, metrics } = this.#options;
    const { path } = request;
    if (path === '/version') return { code: 200, json: versionOf(version) };
    if (path === '/metrics')
      return { code: 200, text: metrics(), contentType: 'text/plain; version=0.0.4; charset=utf-8' };
    if (path === '/openapi/v2') return { code: 200, bytes: OPENAPI_V2_BYTES, contentType: OPENAPI_V2_TYPE };
    if (path === '/openapi/v3') return { code: 200, json: openApiIndex(table) };
    const document = path.startsWith('/openapi/v3/')
      ? openApiDocument(table, path.slice('/openapi/v3/'.length))
      : undefined;
    const found = document ?? discovery(table, path);
    if (found) return { code: 200, json: found };
    const resource = parseResourcePath(path);
    const review = resource && reviewAt(resource);
    if (review) return answerReview(request, review, table);
    if (resource) return handler.handle(request, resource);
    throw new ApiError('NotFound', 'the server could not find the requested resource');
  }
}

function storeFailure(error: StoreError): ApiError {
  switch (error.code) {
    case 'compacted':
      return new ApiError('Expired', `the list is too old to go on with: ${error.message}`);
    case 'future-revision':
    case 'bad-request':
      return new ApiError('BadRequest', error.message);
    default:
      return new ApiError('ServiceUnavailable', `the store does not answer: ${error.message}`, {
        retryAfterSeconds: 1,
      });
  }
}

/** The Kubernetes whose API this is, with our own version behind a plus. */
function versionOf(own: string): Record<string, string> {
  return {
    major: '1',
    minor: '30',
    gitVersion: `v1.30.0+weft-${own}`,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: process.version,
    compiler: 'v8',
    platform: `${process.platform}/${process.arch}`,
  };
}
