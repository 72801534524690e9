/** What `weft apiserver` does: opens the store, makes certificates, writes kubeconfigs, serves until it is told to end. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ADMINISTRATORS, Authenticator, VIEWERS } from '../apiserver/access.ts';
import { ApiService } from '../apiserver/api-service.ts';
import { Identities } from '../apiserver/identities.ts';
import { kubeconfig } from '../apiserver/kubeconfig.ts';
import { ManifestApplier } from '../apiserver/manifest-applier.ts';
import { writePrivate } from '../apiserver/private-file.ts';
import type { User } from '../apiserver/request.ts';
import type { Store } from '../apiserver/store/store.ts';
import { followTokens } from '../apiserver/token-file.ts';
import { clusterRanges, completeSettings } from '../control/cluster-settings.ts';
import { isHostAddress } from '../kube/rule-checks.ts';
import { parseAddress } from '../wire/address.ts';
import type { ApiServerOptions } from './apiserver-commands.ts';
import { weftVersion } from './version.ts';

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);
const ADMIN: User = { name: 'admin', groups: [ADMINISTRATORS] };
/** Nodes take the server's requests for those of an administrator. */
const SERVER: User = { name: 'weft:apiserver', groups: [ADMINISTRATORS] };
const VIEWER: User = { name: 'viewer', groups: [VIEWERS] };

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
  const identities = plainHttp ? undefined : await Identities.open(join(data, 'pki'));
  const certified = await identities?.server([...new Set([bind, '127.0.0.1', 'localhost', ...options.name])]);
  const own = await identities?.client(SERVER.name, SERVER.groups);
  const authenticator = new Authenticator([], plainHttp ? ADMIN : undefined);
  if (options.tokenFile) followTokens(options.tokenFile, (tokens) => authenticator.replaceTokens(tokens), log);
  const service = await ApiService.start({
    store,
    host: bind,
    port: options.port,
    listenFd: options.listenFd,
    tls:
      identities && certified
        ? { key: certified.key, certificate: certified.certificate, clientCa: identities.authority }
        : undefined,
    authenticate: (request, socket) => authenticator.userOf(request, socket),
    version: weftVersion(),
    log,
    ranges,
    nodes: identities && own && { ...own, authority: identities.authority },
    advertise: options.advertiseAddress,
    controllers: {
      alone: options.store === 'lmdb',
      nodeMonitorGraceMs: options.nodeMonitorGracePeriod * 1000,
      nodeMask4: options.nodeCidrMaskSize,
      nodeMask6: options.nodeCidrMaskSizeIpv6,
    },
  });
  const address = bind.includes(':') ? `[${bind}]` : bind;
  const server = `${plainHttp ? 'http' : 'https'}://${address}:${service.port}`;
  for (const user of [ADMIN, VIEWER]) {
    const credentials = await identities?.client(user.name, user.groups);
    const config = kubeconfig({ server, user: user.name, authority: identities?.authority, credentials });
    if (identities || user === ADMIN) writePrivate(join(data, `${user.name}.kubeconfig`), config);
  }
  console.log(`serving ${server}\nkubectl --kubeconfig ${join(data, 'admin.kubeconfig')} get all -A`);
  const { objects, table } = service;
  const stateFile = join(data, 'manifests.json');
  const applier =
    options.manifests.length > 0
      ? new ManifestApplier({ objects, table, paths: options.manifests.map((path) => resolve(path)), stateFile, log })
      : undefined;
  void applier?.start();
  await new Promise((ended) => process.once('SIGTERM', ended).once('SIGINT', ended));
  await applier?.close();
  await service.close();
  await store.close();
}

function log(message: string): void {
  console.error(`weft apiserver: ${message}`);
}

/** Only the store that is used is loaded. */
async function openStore(options: ApiServerOptions, data: string): Promise<Store> {
  if (options.store === 'lmdb') {
    const { LmdbStore } = await import('../apiserver/store/lmdb-store.ts');
    return LmdbStore.open({ path: join(data, 'store') });
  }
  const { etcdServers = [], etcdCa, etcdCert, etcdKey } = options;
  if (etcdServers.length === 0) throw new Error('--store etcd needs --etcd-servers: name its members');
  if ((etcdCert === undefined) !== (etcdKey === undefined)) throw new Error('--etcd-cert and --etcd-key go together');
  const { EtcdStore } = await import('../apiserver/store/etcd-store.ts');
  if (etcdCa === undefined) return new EtcdStore({ endpoints: etcdServers });
  const own = etcdCert && etcdKey ? { certificate: readFileSync(etcdCert), key: readFileSync(etcdKey) } : {};
  return new EtcdStore({ endpoints: etcdServers, tls: { ca: readFileSync(etcdCa), ...own } });
}
