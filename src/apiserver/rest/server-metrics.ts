/** What the API server tells of itself on /metrics, under the names that Kubernetes has for it where it has one. */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { resourceName, storePrefix } from '../kinds/resource.ts';
import type { ResourceTable } from '../kinds/resource-table.ts';
import type { CommitResult } from '../store/measured-store.ts';
import type { WatchCache } from '../watch/watch-cache.ts';
import { parseResourcePath, type ResourcePath } from './api-path.ts';
import { Counter, describe, gauge, Histogram } from './metric-set.ts';
import type { RequestLimits } from './request-limits.ts';

export interface MeasuredParts {
  cache: WatchCache;
  limits: RequestLimits;
}

const LOOP_RESOLUTION_MS = 20;
const NANOSECONDS = 1e9;

export class ServerMetrics {
  readonly #requests = new Counter();
  readonly #durations = new Histogram();
  readonly #commits = new Histogram();
  readonly #loop: IntervalHistogram = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });

  readonly #table: ResourceTable;

  constructor(table: ResourceTable) {
    this.#table = table;
    this.#loop.enable();
  }

  /** `url`: as it was sent. What is of no kind of ours is counted as one, so that labels stay few. */
  answered(method: string, url: string, code: number, ms: number): void {
    const [path = '', query = ''] = url.split('?', 2);
    const parsed = parseResourcePath(path);
    const resource = parsed && this.#table.find(parsed.group, parsed.version, parsed.plural);
    const isWatch = method === 'GET' && /(?:^|&)watch=(?:true|1)(?:&|$)/.test(query);
    const labels = {
      verb: verbOf(method, parsed, isWatch),
      resource: resource ? resourceName(resource) : '',
      subresource: resource && parsed && PARTS.has(parsed.subresource) ? parsed.subresource : '',
    };
    this.#requests.add({ ...labels, code: `${code}` });
    if (!isWatch) this.#durations.observe(labels, ms / 1000);
  }

  committed(result: CommitResult, seconds: number): void {
    this.#commits.observe({ result }, seconds);
  }

  text({ cache, limits }: MeasuredParts): string {
    const { events, kinds } = cache.figures();
    const names = new Map([...this.#table].map((resource) => [storePrefix(resource), resourceName(resource)]));
    const each = (figure: 'objects' | 'watchers' | 'changes') =>
      [...kinds].map(([prefix, counts]) => [{ resource: names.get(prefix) ?? prefix }, counts[figure]] as const);
    const { rss, heapUsed } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    const one = (name: string, kind: string, help: string, value: number) =>
      describe(name, kind, help, gauge(name, [[{}, value]]));
    return [
      describe(
        'apiserver_request_total',
        'counter',
        'Requests that were answered.',
        this.#requests.lines('apiserver_request_total'),
      ),
      describe(
        'apiserver_request_duration_seconds',
        'histogram',
        'Time to the answer; watches are left out.',
        this.#durations.lines('apiserver_request_duration_seconds'),
      ),
      one('apiserver_current_inflight_requests', 'gauge', 'Requests that are being answered.', limits.requests),
      one('apiserver_rejected_requests_total', 'counter', 'Requests beyond a limit.', limits.refused),
      describe(
        'apiserver_longrunning_requests',
        'gauge',
        'Watches, of clients and of our own controllers.',
        gauge('apiserver_longrunning_requests', each('watchers')),
      ),
      describe(
        'apiserver_storage_objects',
        'gauge',
        'Objects of each kind.',
        gauge('apiserver_storage_objects', each('objects')),
      ),
      describe(
        'weft_watch_cache_changes',
        'gauge',
        'Changes of each kind that are kept, to resume watches from.',
        gauge('weft_watch_cache_changes', each('changes')),
      ),
      one('weft_watch_cache_events_total', 'counter', 'Changes that were heard of from the store.', events),
      describe(
        'weft_store_commit_duration_seconds',
        'histogram',
        'Time until the store has acknowledged a commit.',
        this.#commits.lines('weft_store_commit_duration_seconds'),
      ),
      one('process_cpu_seconds_total', 'counter', 'Processor time.', (user + system) / 1e6),
      one('process_resident_memory_bytes', 'gauge', 'Resident memory.', rss),
      one('nodejs_heap_size_used_bytes', 'gauge', "JavaScript's memory in use.", heapUsed),
      one(
        'process_start_time_seconds',
        'gauge',
        'When it began, since 1970.',
        Math.round(performance.timeOrigin) / 1000,
      ),
      one(
        'nodejs_eventloop_lag_p99_seconds',
        'gauge',
        'Delay of the event loop since the start.',
        this.#loop.percentile(99) / NANOSECONDS,
      ),
    ].join('');
  }

  close(): void {
    this.#loop.disable();
  }
}

/** Subresources that are counted by name. */
const PARTS = new Set(['status', 'scale', 'log', 'exec', 'attach', 'portforward', 'finalize', 'eviction', 'binding']);
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']);

function verbOf(method: string, path: ResourcePath | undefined, isWatch: boolean): string {
  if (isWatch) return 'WATCH';
  if (path?.name === '' && method === 'GET') return 'LIST';
  if (path?.name === '' && method === 'DELETE') return 'DELETECOLLECTION';
  return METHODS.has(method) ? method : 'OTHER';
}
