/**
 * Tells an API how this node's pods are: writes the status of those of which the API knows another one, and deletes
 * those that were to go and have ended. Level-triggered: what could not be written is compared and written later, and
 * of many changes only the last. While the server is away nothing piles up.
 */
import { isDeepStrictEqual } from 'node:util';
import type { PodCondition, PodStatus } from 'kubernetes-types/core/v1.js';
import { hasFinished } from '../../control/live-objects.ts';
import { type ApiClient, ApiRequestError, pathSegment } from '../../kube/api-client.ts';
import type { Pod } from '../../kube/objects.ts';
import { describeError } from '../agent-error.ts';

/** Changes that come together are written together. */
const COALESCE_MS = 5;
const MOST_AT_ONCE = 8;
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 10_000;
/** What is told again as it was, though the API says otherwise, or will not have it, is told no more often than this. */
const SAME_AGAIN_MS = 5000;
/** What the watch will say soon is waited for so long. */
const WATCH_MS = 1000;

/** What is known of a pod here. */
export interface RunningPod {
  uid: string;
  status: PodStatus | undefined;
  /** It was to end, and has. */
  hasEnded: boolean;
}

export interface PodStatusParts {
  client: ApiClient;
  /** The node's pods as the API has them, by `namespace/name`. */
  told(): ReadonlyMap<string, Pod>;
  /** Those that are here, ending ones too; who is missing has nothing here. Undefined: it is not known yet. */
  running(): ReadonlyMap<string, RunningPod> | undefined;
  /** Milliseconds of a clock that nobody sets. */
  now?: () => number;
}

interface Written {
  /** The pod's version and status as the API answered them; newer than what is told until that has caught up. */
  version: number;
  stands: PodStatus;
  /** What it was told. */
  status: PodStatus;
  atMs: number;
}

/** A pod that is left alone for a moment. */
interface Rest {
  untilMs: number;
  /** Why the API will not have what it is told, or ''. */
  problem: string;
}

export class PodStatusWriter {
  readonly #parts: PodStatusParts;
  readonly #now: () => number;
  /** By uid, as the next. */
  readonly #written = new Map<string, Written>();
  readonly #resting = new Map<string, Rest>();
  readonly #busy = new Set<string>();
  /** Some have to be compared once more when the next request has ended. */
  #again = false;
  #timer: NodeJS.Timeout | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  #waitMs = FIRST_WAIT_MS;
  #pausedUntilMs = 0;
  #stopped = false;

  constructor(parts: PodStatusParts) {
    this.#parts = parts;
    this.#now = parts.now ?? (() => performance.now());
  }

  /** What the API will not have, as sentences. */
  problems(): string[] {
    return [...this.#resting.values()].flatMap(({ problem }) => problem || []);
  }

  /** Something may have changed, here or there. */
  look(): void {
    this.#lookIn(COALESCE_MS);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #lookIn(ms: number): void {
    const now = this.#now();
    const due = Math.max(now + ms, this.#pausedUntilMs);
    if (this.#stopped || due >= this.#dueMs) return;
    clearTimeout(this.#timer);
    this.#dueMs = due;
    this.#timer = setTimeout(() => this.#compare(), due - now);
  }

  #compare(): void {
    this.#dueMs = Number.POSITIVE_INFINITY;
    const told = this.#parts.told();
    const running = this.#parts.running();
    if (!running) return;
    const uids = new Set<string>();
    for (const [key, pod] of told) {
      const uid = pod.metadata.uid ?? '';
      uids.add(uid);
      if (this.#busy.has(key)) {
        this.#again = true;
        continue;
      }
      if (!this.#isDue(this.#resting.get(uid)?.untilMs ?? 0)) continue;
      const here = running.get(key);
      const own = here?.uid === uid ? here : undefined;
      const status = own?.status && this.#change(uid, pod, own.status) ? own.status : undefined;
      const goes = isDeleted(pod) && (here === undefined || own?.hasEnded === true);
      if (!status && !goes) continue;
      if (this.#busy.size >= MOST_AT_ONCE) {
        this.#again = true;
        continue;
      }
      void this.#write(key, pod, status, goes);
    }
    for (const map of [this.#written, this.#resting]) {
      for (const uid of map.keys()) if (!uids.has(uid)) map.delete(uid);
    }
  }

  /** If not, it is looked at again when it is. */
  #isDue(atMs: number): boolean {
    const wait = atMs - this.#now();
    if (wait > 0) this.#lookIn(wait);
    return wait <= 0;
  }

  /** Whether the API should be told. */
  #change(uid: string, pod: Pod, status: PodStatus): boolean {
    // Whoever said that it is over, it stays so, be it that it runs here for a moment more.
    if (hasFinished(pod) && !hasFinished({ status })) return false;
    const written = this.#written.get(uid);
    // Versions are numbers wherever they are compared at all.
    const isAhead = written && written.version > Number(pod.metadata.resourceVersion);
    const stands = (isAhead ? written.stands : pod.status) ?? {};
    if (covers(stands, status)) return false;
    if (!written || !isDeepStrictEqual(written.status, status)) return true;
    // As the server answered it: what it left out it does not know.
    return !covers(stands, written.stands) && this.#isDue(written.atMs + SAME_AGAIN_MS);
  }

  async #write(key: string, pod: Pod, status: PodStatus | undefined, goes: boolean): Promise<void> {
    const { client } = this.#parts;
    const { namespace, name, uid = '' } = pod.metadata;
    const path = `/api/v1/namespaces/${pathSegment(namespace)}/pods/${pathSegment(name)}`;
    this.#busy.add(key);
    try {
      if (status) {
        const patch = { metadata: { uid }, status: patchOf(status) };
        const { metadata, status: stands = {} } = await client.patch<Pod>(`${path}/status`, 'strategic', patch);
        this.#written.set(uid, { version: Number(metadata.resourceVersion), stands, status, atMs: this.#now() });
        this.#resting.delete(uid);
      }
      if (goes) {
        const options = { gracePeriodSeconds: 0, preconditions: { uid } };
        await client.delete(path, { body: { apiVersion: 'v1', kind: 'DeleteOptions', ...options } });
        this.#resting.set(uid, { untilMs: this.#now() + WATCH_MS, problem: '' });
      }
      this.#waitMs = FIRST_WAIT_MS;
    } catch (error) {
      this.#failed(error, uid, `Pod ${key}`);
    } finally {
      this.#busy.delete(key);
      if (this.#again) this.#lookIn(0);
      this.#again = false;
    }
  }

  #failed(error: unknown, uid: string, title: string): void {
    const code = error instanceof ApiRequestError ? error.code : 0;
    if (code >= 400 && code < 500 && code !== 429) {
      // Gone, or another of that name, as the watch says soon; or somebody wrote at the same time. What else the
      // server will not have, it will not have the next moment either, and that is this pod's matter alone.
      const mayPass = code === 404 || code === 409;
      const ms = mayPass ? WATCH_MS : SAME_AGAIN_MS;
      const problem = mayPass ? '' : `${title}: the API does not take what it is told: ${describeError(error)}`;
      this.#resting.set(uid, { untilMs: this.#now() + ms, problem });
      this.#lookIn(ms);
      return;
    }
    this.#pausedUntilMs = this.#now() + this.#waitMs;
    this.#waitMs = Math.min(this.#waitMs * 2, LONGEST_WAIT_MS);
    this.#lookIn(0);
  }
}

/** Without any time left it would be gone, were it not held by finalizers. */
function isDeleted({ metadata }: Pod): boolean {
  return metadata.deletionTimestamp !== undefined && metadata.deletionGracePeriodSeconds !== 0;
}

/** Conditions of others stay; of ours goes what they said when they were otherwise. Lists of addresses are ours alone. */
function patchOf(status: PodStatus): Record<string, unknown> {
  const { podIPs, hostIPs, conditions, ...rest } = status as PodStatus & { hostIPs?: unknown[] };
  const whole = (list: readonly unknown[]) => [...list, { $patch: 'replace' }];
  return {
    ...rest,
    ...(conditions ? { conditions: conditions.map((each) => ({ reason: null, message: null, ...each })) } : {}),
    ...(podIPs ? { podIPs: whole(podIPs) } : {}),
    ...(hostIPs ? { hostIPs: whole(hostIPs) } : {}),
  };
}

/** Whether all that is to be told stands there; servers add to it, and write times in their own way. */
export function covers(stands: PodStatus, told: PodStatus): boolean {
  const { conditions: written, ...others } = stands;
  const standing = Array.isArray(written) ? written : [];
  const { conditions = [], ...rest } = told;
  const held = conditions.every((condition) => {
    const before = standing.find(({ type }: PodCondition) => type === condition.type);
    return before !== undefined && includes(before, { reason: '', message: '', ...condition });
  });
  return held && includes(others, rest);
}

function includes(stands: unknown, told: unknown): boolean {
  if (told === undefined || told === null) return true;
  if (Array.isArray(told)) {
    if (stands === undefined) return told.length === 0;
    return Array.isArray(stands) && stands.length === told.length && told.every((t, i) => includes(stands[i], t));
  }
  if (typeof told === 'object') {
    // An empty map is left out by some.
    const all = typeof stands === 'object' && stands !== null ? (stands as Record<string, unknown>) : {};
    return Object.entries(told).every(([key, value]) => includes(all[key], value));
  }
  if (stands === told) return true;
  // What is nothing may be left out.
  if (stands === undefined) return told === '' || told === 0 || told === false;
  return typeof stands === 'string' && typeof told === 'string' && isSameTime(stands, told);
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

/** To the second, as most fields have it. */
function isSameTime(a: string, b: string): boolean {
  return TIME.test(a) && TIME.test(b) && a.slice(0, 19) === b.slice(0, 19);
}
