/** The API server as a whole: its store, its kinds, its watches and its outside, wired together. */
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { type ClusterRanges, clusterRanges, completeSettings } from '../control/cluster-settings.ts';
import { authorize } from './access/access.ts';
import { ApiError } from './api-error.ts';
import { timestamp } from './api-object.ts';
import { allControllers, type ControllerSettings } from './controllers/controller-list.ts';
import { ControllerSet } from './controllers/controller-set.ts';
import { CustomKinds } from './custom/custom-kinds.ts';
import { ResourceTable } from './kinds/resource-table.ts';
import { serviceAllocation } from './kinds/service-allocation.ts';
import { ManifestApplier, type ManifestSettings } from './manifests/manifest-applier.ts';
import { repairClaims } from './objects/claim-repair.ts';
import { FIRST_NAMESPACES } from './objects/deletion.ts';
import { ObjectStore } from './objects/object-store.ts';
import { OwnService, reachableAddress } from './own-service.ts';
import type { NodeIdentity } from './rest/node-client.ts';
import { NodeParts } from './rest/node-parts.ts';
import type { User } from './rest/request.ts';
import { type LimitSettings, RequestLimits } from './rest/request-limits.ts';
import { RequestRouter } from './rest/request-router.ts';
import { ResourceHandler } from './rest/resource-handler.ts';
import { ApiServer, type ServerTls } from './rest/server.ts';
import { ServerMetrics } from './rest/server-metrics.ts';
import { MeasuredStore } from './store/measured-store.ts';
import type { Store } from './store/store.ts';
import { WatchCache } from './watch/watch-cache.ts';

/** History is kept for so long: who watches from further back lists again. */
const COMPACTION_MS = 5 * 60 * 1000;

export interface ApiServiceOptions {
  store: Store;
  host: string;
  /** 0: any that is free. */
  port: number;
  /** A listening socket that is served too. */
  listenFd?: number | undefined;
  tls: ServerTls | undefined;
  authenticate(request: IncomingMessage, socket: TLSSocket | undefined): User;
  version: string;
  /** Where others reach this server; what it listens on, if that is no loopback address. */
  advertise?: string | undefined;
  /** What addresses and ports are given out of; those of most clusters by default. */
  ranges?: ClusterRanges;
  /** Objects that stand in files. */
  manifests?: ManifestSettings;
  log(message: string): void;
  /** How nodes know this server: undefined, and there are no logs and no commands. */
  nodes?: NodeIdentity | undefined;
  /** Of what clients ask at a time. */
  limits?: LimitSettings;
  /** What makes objects so; false: nobody, they are only kept. */
  controllers?: ControllerSettings | false;
}

export class ApiService {
  readonly port: number;
  readonly objects: ObjectStore;
  readonly #store: Store;
  readonly #cache: WatchCache;
  readonly #server: ApiServer;
  readonly #applier: ManifestApplier | undefined;
  readonly #controllers: ControllerSet | undefined;
  readonly #ownService: OwnService | undefined;
  readonly #customKinds: CustomKinds;
  readonly #metrics: ServerMetrics;
  readonly #compaction: NodeJS.Timeout;

  private constructor(parts: {
    port: number;
    objects: ObjectStore;
    applier: ManifestApplier | undefined;
    store: Store;
    cache: WatchCache;
    server: ApiServer;
    controllers: ControllerSet | undefined;
    ownService: OwnService | undefined;
    customKinds: CustomKinds;
    metrics: ServerMetrics;
  }) {
    this.port = parts.port;
    this.objects = parts.objects;
    this.#applier = parts.applier;
    this.#store = parts.store;
    this.#cache = parts.cache;
    this.#server = parts.server;
    this.#controllers = parts.controllers;
    this.#ownService = parts.ownService;
    this.#customKinds = parts.customKinds;
    this.#metrics = parts.metrics;
    let earlier: number | undefined;
    this.#compaction = setInterval(async () => {
      try {
        if (earlier !== undefined) await this.#store.compact(earlier);
        earlier = await this.#store.revision();
      } catch {
        // The store is away: the next round does it.
      }
    }, COMPACTION_MS);
    this.#compaction.unref();
  }

  /** Where it cannot start, as on a port that is taken, nothing of it goes on. */
  static async start(options: ApiServiceOptions): Promise<ApiService> {
    const begun: (() => unknown)[] = [];
    try {
      return await ApiService.#started(options, (end) => begun.push(end));
    } catch (error) {
      for (const end of begun.reverse()) await end();
      throw error;
    }
  }

  /** `onFailure` is told how to end each part that has begun. */
  static async #started(options: ApiServiceOptions, onFailure: (end: () => unknown) => void): Promise<ApiService> {
    const { tls, authenticate, version, log, controllers: settings = {} } = options;
    const ranges = options.ranges ?? clusterRanges(completeSettings({}));
    const factories = settings ? allControllers(settings, ranges) : [];
    const table = new ResourceTable();
    const metrics = new ServerMetrics(table);
    onFailure(() => metrics.close());
    const store = new MeasuredStore(options.store, (result, seconds) => metrics.committed(result, seconds));
    const limits = new RequestLimits(options.limits);
    const services = table.find('', 'v1', 'services');
    if (services) table.add({ ...services, allocation: serviceAllocation(ranges) });
    const cache = new WatchCache(store);
    const objects = new ObjectStore(store, table, cache);
    onFailure(() => cache.close());
    await cache.start();
    await makeNamespaces(objects, table);
    const customKinds = new CustomKinds({ table, objects, cache, log });
    onFailure(() => customKinds.stop());
    await customKinds.start();
    await repairClaims({ store, objects, resources: table, log });
    const { manifests } = options;
    const applier = manifests?.paths.length ? new ManifestApplier({ objects, table, log, ...manifests }) : undefined;
    onFailure(() => applier?.close());
    // Before anybody asks: nodes shall find what their manifests say of them.
    await applier?.start();
    const nodeParts = new NodeParts({ objects, table, identity: options.nodes });
    const handler = new ResourceHandler({ table, objects, cache, nodeParts });
    // Who asks is not known, nor how many: the store is asked for all of them at once.
    let asked: Promise<boolean> | undefined;
    const ready = () => {
      asked ??= store
        .revision()
        .then(
          () => true,
          () => false,
        )
        .finally(() => {
          asked = undefined;
        });
      return asked;
    };
    const text = () => metrics.text({ cache, limits });
    const router = new RequestRouter({ authorize, version, table, handler, ready, metrics: text, log });
    const server = new ApiServer({ tls, authenticate, router, limits, metrics, log });
    onFailure(() => server.close());
    const port = await server.listen(options.host, options.port);
    if (options.listenFd !== undefined) await server.listenTo(options.listenFd);
    const controllers = settings
      ? new ControllerSet({ objects, cache, table, log, ...settings }, factories)
      : undefined;
    onFailure(() => controllers?.stop());
    // Another server may hold their lease: requests are answered meanwhile.
    void controllers?.start();
    const address = options.advertise ?? reachableAddress(options.host);
    const ownService = settings
      ? new OwnService({ objects, table, ranges, address, port, alone: settings.alone ?? false, log })
      : undefined;
    onFailure(() => ownService?.stop());
    await ownService?.start();
    const parts = { port, objects, applier, store, cache, server, controllers, customKinds, ownService, metrics };
    return new ApiService(parts);
  }

  /** The store is the caller's to close. */
  async close(): Promise<void> {
    clearInterval(this.#compaction);
    await this.#applier?.close();
    await this.#ownService?.stop();
    await this.#controllers?.stop();
    await this.#customKinds.stop();
    this.#cache.close();
    await this.#server.close();
    this.#metrics.close();
  }
}

async function makeNamespaces(objects: ObjectStore, table: ResourceTable): Promise<void> {
  const resource = table.find('', 'v1', 'namespaces');
  if (!resource) return;
  for (const name of FIRST_NAMESPACES) {
    const metadata = { name, uid: '', resourceVersion: '', creationTimestamp: timestamp() };
    try {
      await objects.create(resource, undefined, { apiVersion: 'v1', kind: 'Namespace', metadata });
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error;
    }
  }
}
