/** What `weft apiserver` does: opens the store, makes certificates, writes kubeconfigs, serves until it is told to end. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ADMINISTRATORS, Authenticator, VIEWERS } from '../apiserver/access.ts';
import { ApiService } from '../apiserver/api-service.ts';
import { Authority, writePrivate } from '../apiserver/authority.ts';
import { kubeconfig } from '../apiserver/kubeconfig.ts';
import type { User } from '../apiserver/request.ts';
import { EtcdStore } from '../apiserver/store/etcd-store.ts';
import { LmdbStore } from '../apiserver/store/lmdb-store.ts';
import type { Store } from '../apiserver/store/store.ts';
import { clusterRanges, completeSettings } from '../control/cluster-settings.ts';
import type { ApiServerOptions } from './apiserver-commands.ts';
import { weftVersion } from './version.ts';

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);
const ADMIN: User = { name: 'admin', groups: [ADMINISTRATORS] };
const VIEWER: User = { name: 'viewer', groups: [VIEWERS] };

export async function apiServer(options: ApiServerOptions): Promise<void> {
  const { bind, plainHttp = false } = options;
  if (plainHttp && !LOOPBACK.has(bind)) {
    throw new Error(`--plain-http lets everybody do everything: it is for loopback, not for ${bind}`);
  }
  const { serviceNodePortRange, ...given } = options;
  const ranges = clusterRanges(completeSettings({ ...given, nodePortRange: serviceNodePortRange }));
  const data = resolve(options.data);
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const store = openStore(options, data);
  const authority = plainHttp ? undefined : await Authority.open(join(data, 'pki'));
  const certified = await authority?.server([...new Set([bind, '127.0.0.1', 'localhost', ...options.name])]);
  const authenticator = new Authenticator([], plainHttp ? ADMIN : undefined);
  const service = await ApiService.start({
    store,
    host: bind,
    port: options.port,
    tls:
      authority && certified
        ? { key: certified.key, certificate: certified.certificate, clientCa: authority.certificate }
        : undefined,
    authenticate: (request, socket) => authenticator.userOf(request, socket),
    version: weftVersion(),
    log: (message) => console.error(`weft apiserver: ${message}`),
    ranges,
    controllers: { alone: options.store === 'lmdb' },
  });
  const address = bind.includes(':') ? `[${bind}]` : bind;
  const server = `${plainHttp ? 'http' : 'https'}://${address}:${service.port}`;
  for (const user of [ADMIN, VIEWER]) {
    const credentials = await authority?.client(user.name, user.groups);
    const config = kubeconfig({ server, user: user.name, authority: authority?.certificate, credentials });
    if (authority || user === ADMIN) writePrivate(join(data, `${user.name}.kubeconfig`), config);
  }
  console.log(`serving ${server}\nkubectl --kubeconfig ${join(data, 'admin.kubeconfig')} get all -A`);
  await new Promise((resolve) => process.once('SIGTERM', resolve).once('SIGINT', resolve));
  await service.close();
  await store.close();
}

function openStore(options: ApiServerOptions, data: string): Store {
  if (options.store === 'lmdb') return LmdbStore.open({ path: join(data, 'store') });
  const { etcdServers = [], etcdCa, etcdCert, etcdKey } = options;
  if (etcdServers.length === 0) throw new Error('--store etcd needs --etcd-servers: name its members');
  if ((etcdCert === undefined) !== (etcdKey === undefined)) throw new Error('--etcd-cert and --etcd-key go together');
  if (etcdCa === undefined) return new EtcdStore({ endpoints: etcdServers });
  const own = etcdCert && etcdKey ? { certificate: readFileSync(etcdCert), key: readFileSync(etcdKey) } : {};
  return new EtcdStore({ endpoints: etcdServers, tls: { ca: readFileSync(etcdCa), ...own } });
}
