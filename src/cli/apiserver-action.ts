/** What `weft apiserver` does: opens the store, makes certificates, writes kubeconfigs, serves until it is told to end. */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Authenticator } from '../apiserver/access/access.ts';
import { ADMIN, Identities, SERVER, VIEWER } from '../apiserver/access/identities.ts';
import { kubeconfig } from '../apiserver/access/kubeconfig.ts';
import { writePrivate } from '../apiserver/access/private-file.ts';
import { followTokens } from '../apiserver/access/token-file.ts';
import { ApiService } from '../apiserver/api-service.ts';
import { applierStateFile } from '../apiserver/manifests/applier-state.ts';
import type { Store } from '../apiserver/store/store.ts';
import { type ClusterRanges, clusterRanges, completeSettings } from '../control/cluster-settings.ts';
import { isHostAddress } from '../kube/rule-checks.ts';
import { parseAddress } from '../wire/address.ts';
import { etcdAccess } from './etcd-access.ts';
import type { EtcdOptions } from './etcd-options.ts';
import { weftVersion } from './version.ts';

export interface ApiServerOptions extends EtcdOptions {
  data: string;
  bind: string;
  port: number;
  name: string[];
  clusterCidr?: string;
  serviceCidr?: string;
  clusterDns?: string;
  serviceNodePortRange?: string;
  nodeCidrMaskSize: number;
  nodeCidrMaskSizeIpv6: number;
  nodeMonitorGracePeriod: number;
  loadBalancerPool?: string;
  advertiseAddress?: string;
  manifests: string[];
  listenFd?: number;
  tokenFile?: string;
  maxRequestsPerSecond: number;
  plainHttp?: boolean;
}

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);

export async function apiServer(options: ApiServerOptions): Promise<void> {
  const { bind, plainHttp = false } = options;
  if (plainHttp && !LOOPBACK.has(bind)) {
    throw new Error(`--plain-http lets everybody do everything: it is for loopback, not for ${bind}`);
  }
  const advertised = options.advertiseAddress === undefined ? undefined : parseAddress(options.advertiseAddress);
  if (options.advertiseAddress !== undefined && !(advertised && isHostAddress(advertised))) {
    throw new Error(`--advertise-address ${options.advertiseAddress} is no address at which pods could reach anybody`);
  }
  const { serviceNodePortRange, ...given } = options;
  const ranges = clusterRanges(completeSettings({ ...given, nodePortRange: serviceNodePortRange }));
  const data = resolve(options.data);
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const store = await openStore(options, data);
  try {
    await serve(options, { data, store, ranges });
  } finally {
    await store.close();
  }
}

/** Until it is told to end. */
async function serve(
  options: ApiServerOptions,
  { data, store, ranges }: { data: string; store: Store; ranges: ClusterRanges },
): Promise<void> {
  const { bind, plainHttp = false } = options;
  const identities = plainHttp ? undefined : await Identities.open(join(data, 'pki'));
  const certified = await identities?.server([bind, ...options.name]);
  const own = await identities?.client(SERVER);
  const authenticator = new Authenticator([], plainHttp ? ADMIN : undefined);
  if (options.tokenFile) followTokens(options.tokenFile, (tokens) => authenticator.replaceTokens(tokens), log);
  const service = await ApiService.start({
    store,
    host: bind,
    port: options.port,
    listenFd: options.listenFd,
    manifests: { paths: options.manifests.map((path) => resolve(path)), stateFile: applierStateFile(data) },
    tls:
      identities && certified
        ? { key: certified.key, certificate: certified.certificate, clientCa: identities.authority }
        : undefined,
    authenticate: (request, socket) => authenticator.userOf(request, socket),
    version: weftVersion(),
    log,
    ranges,
    nodes: identities && own && { ...own, authority: identities.authority },
    limits: { requestsPerSecond: options.maxRequestsPerSecond },
    advertise: options.advertiseAddress,
    controllers: {
      alone: options.store === 'lmdb',
      nodeMonitorGraceMs: options.nodeMonitorGracePeriod * 1000,
      nodeMask4: options.nodeCidrMaskSize,
      nodeMask6: options.nodeCidrMaskSizeIpv6,
    },
  });
  try {
    const address = bind.includes(':') ? `[${bind}]` : bind;
    const server = `${plainHttp ? 'http' : 'https'}://${address}:${service.port}`;
    for (const user of [ADMIN, VIEWER]) {
      const credentials = await identities?.client(user);
      const config = kubeconfig({ server, user: user.name, authority: identities?.authority, credentials });
      if (identities || user === ADMIN) writePrivate(join(data, `${user.name}.kubeconfig`), config);
    }
    console.log(`serving ${server}\nkubectl --kubeconfig ${join(data, 'admin.kubeconfig')} get all -A`);
    await new Promise((ended) => process.once('SIGTERM', ended).once('SIGINT', ended));
  } finally {
    await service.close();
  }
}

function log(message: string): void {
  console.error(`weft apiserver: ${message}`);
}

/** Only the store that is used is loaded. */
async function openStore(options: ApiServerOptions, data: string): Promise<Store> {
  const etcd = etcdAccess(options);
  if (options.store === 'lmdb') {
    const { LmdbStore } = await import('../apiserver/store/lmdb-store.ts');
    return LmdbStore.open({ path: join(data, 'store') });
  }
  if (etcd === undefined) throw new Error('--store etcd needs --etcd-servers: name its members');
  const { EtcdStore } = await import('../apiserver/store/etcd-store.ts');
  return new EtcdStore(etcd);
}
