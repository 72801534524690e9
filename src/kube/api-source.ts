/**
 * The objects of a Kubernetes API, ours or any other, as the network reads them: every Node, Pod, Service and
 * EndpointSlice, and the ConfigMaps that this node's pods name. While the server is away the last that it said stays in
 * force; an agent that starts meanwhile begins with the copy that an earlier one left.
 *
 *   Reflector ─▶ WatchedKind ─┐
 *   Reflector ─▶ WatchedKind ─┼─▶ current() ─▶ whoever follows; a copy on disk
 *   Reflector ─▶ WatchedKind ─┘
 */
import type { ApiClient } from './api-client.ts';
import { ConfigMapWatches, configMapsOf } from './config-map-watches.ts';
import { readCopy, writeCopy } from './object-copy.ts';
import type { EndpointSlice, Node, ObjectSet, Pod, Service } from './objects.ts';
import { objectSet } from './objects.ts';
import { compareProblems, type Problem } from './problem.ts';
import { Reflector } from './reflector.ts';
import type { ObjectSource } from './source.ts';
import { type RefusedObject, WatchedKind } from './watched-kind.ts';

/** Changes that come together are told together. */
const COALESCE_MS = 5;
/** So long a server has for its first answer before the copy is taken. */
const FIRST_ANSWER_MS = 1500;
/** A copy is written so long after a change, and takes a twentieth of the time, unless it is slow. */
const COPY_MS = 300;
const COPY_SHARE = 20;
const LONGEST_COPY_MS = 5000;

export interface ApiSourceOptions {
  client: ApiClient;
  /** Whose pods and Node are kept whole. */
  node: string;
  /** Where the last objects are kept; undefined: nowhere. */
  copyPath?: string;
  firstAnswerMs?: number;
}

export class ApiSource implements ObjectSource {
  readonly #options: ApiSourceOptions;
  readonly #nodes: WatchedKind<Node>;
  readonly #pods: WatchedKind<Pod>;
  readonly #services: WatchedKind<Service>;
  readonly #slices: WatchedKind<EndpointSlice>;
  readonly #configMaps: ConfigMapWatches;
  readonly #reflectors: Reflector[];
  readonly #listeners: (() => void)[] = [];
  #current: ObjectSet = { ...objectSet([]), slicesOnly: true };
  #isStale = false;
  #followsServer = false;
  #timer: NodeJS.Timeout | undefined;
  #copyTimer: NodeJS.Timeout | undefined;
  #copying: Promise<void> | undefined;
  #copyTookMs = 0;
  #copyIsOld = false;
  #first: (() => void) | undefined;
  #closed = false;

  constructor(options: ApiSourceOptions) {
    this.#options = options;
    const { client, node } = options;
    const changed = () => this.#changed();
    this.#nodes = new WatchedKind('Node', node, changed);
    this.#pods = new WatchedKind('Pod', node, changed);
    this.#services = new WatchedKind('Service', node, changed);
    this.#slices = new WatchedKind('EndpointSlice', node, changed);
    this.#configMaps = new ConfigMapWatches(client, changed);
    this.#reflectors = [
      new Reflector({ client, path: '/api/v1/nodes', sink: this.#nodes }),
      new Reflector({ client, path: '/api/v1/pods', sink: this.#pods }),
      new Reflector({ client, path: '/api/v1/services', sink: this.#services }),
      new Reflector({ client, path: '/apis/discovery.k8s.io/v1/endpointslices', sink: this.#slices }),
    ];
  }

  /** Resolves when all is read, or when the server is away: with the copy then, or with nothing. */
  async start(): Promise<void> {
    const first = new Promise<void>((resolve) => {
      this.#first = resolve;
    });
    for (const reflector of this.#reflectors) reflector.start();
    const late = setTimeout(() => this.#first?.(), this.#options.firstAnswerMs ?? FIRST_ANSWER_MS);
    await first;
    clearTimeout(late);
    this.#first = undefined;
    const { copyPath, client } = this.#options;
    if (this.#isComplete || copyPath === undefined) return;
    const copy = await readCopy(copyPath, client.access.server);
    // It may have come meanwhile.
    if (copy && !this.#isComplete) this.#current = { ...copy, slicesOnly: true };
  }

  /** Whether it is what the server said, not what a copy holds. */
  get isFollowing(): boolean {
    return this.#followsServer;
  }

  current(): ObjectSet {
    if (this.#isComplete && (this.#isStale || !this.#followsServer)) {
      this.#isStale = false;
      this.#followsServer = true;
      this.#current = {
        nodes: this.#nodes.objects,
        pods: this.#pods.objects,
        services: this.#services.objects,
        endpoints: new Map(),
        endpointSlices: this.#slices.objects,
        configMaps: new Map(this.#configMaps.kinds.flatMap((kind) => [...kind.objects])),
        slicesOnly: true,
      };
    }
    return this.#current;
  }

  problems(): readonly Problem[] {
    const server = `API server ${this.#options.client.access.server}`;
    const outages = new Map<string, Date>();
    for (const { outage } of this.#kinds) if (outage) outages.set(outage.message, outage.since);
    return [
      ...[...outages].map(([message, since]): Problem => {
        const clock = since.toISOString().slice(11, 19);
        const text = `is not followed since ${clock} UTC, what it said last stays in force: ${message}`;
        return { place: server, message: text, severity: 'error' };
      }),
      ...this.#kinds.flatMap(({ refused }) => [...refused.values()].flatMap(({ problems }) => problems)),
    ].sort(compareProblems);
  }

  /** Pods that are not in force as they stand in the API, by `namespace/name`. */
  refusedPods(): ReadonlyMap<string, RefusedObject> {
    return this.#pods.refused;
  }

  /** Whether all is known that a pod of ours needs to start. */
  isKnown(pod: Pod): boolean {
    return !this.#followsServer || configMapsOf(pod).every((key) => this.#configMaps.isKnown(key));
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#copyTimer);
    this.#first?.();
    await Promise.all([...this.#reflectors.map((reflector) => reflector.close()), this.#configMaps.close()]);
    await this.#copying;
    if (this.#copyIsOld) await this.#copy();
  }

  get #kinds(): WatchedKind<Node | Pod | Service | EndpointSlice>[] {
    return [this.#nodes, this.#pods, this.#services, this.#slices, ...this.#configMaps.kinds] as never;
  }

  get #isComplete(): boolean {
    return [this.#nodes, this.#pods, this.#services, this.#slices].every((kind) => kind.isComplete);
  }

  #changed(): void {
    if (this.#closed) return;
    this.#isStale = true;
    const isComplete = this.#isComplete;
    if (isComplete || this.#kinds.some(({ outage }) => outage)) this.#first?.();
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#isComplete && this.#configMaps.follow(this.#wantedConfigMaps())) this.#isStale = true;
      for (const listener of this.#listeners) listener();
    }, COALESCE_MS);
    this.#copyIsOld = isComplete;
    this.#copyLater();
  }

  #wantedConfigMaps(): Set<string> {
    const wanted = new Set<string>();
    for (const pod of this.#pods.objects.values()) {
      if (pod.spec.nodeName !== this.#options.node) continue;
      for (const key of configMapsOf(pod)) wanted.add(key);
    }
    return wanted;
  }

  #copyLater(): void {
    if (this.#options.copyPath === undefined || !this.#copyIsOld || this.#copying || this.#closed) return;
    const wait = Math.min(LONGEST_COPY_MS, Math.max(COPY_MS, COPY_SHARE * this.#copyTookMs));
    this.#copyTimer ??= setTimeout(() => void this.#copy(), wait);
  }

  /** It is a help, no more: where it cannot be written the agent does without. */
  async #copy(): Promise<void> {
    const { copyPath, client } = this.#options;
    this.#copyTimer = undefined;
    if (copyPath === undefined) return;
    this.#copyIsOld = false;
    const began = performance.now();
    this.#copying = writeCopy(copyPath, client.access.server, this.current()).catch(() => {});
    await this.#copying;
    this.#copying = undefined;
    this.#copyTookMs = performance.now() - began;
    this.#copyLater();
  }
}
