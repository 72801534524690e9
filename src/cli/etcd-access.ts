/**
 * From the options that name an etcd to what its store needs. Certificates are read at once, so that what is wrong with
 * them is said before anything is made.
 */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { EtcdTls } from '../apiserver/store/etcd-members.ts';
import type { EtcdStoreOptions } from '../apiserver/store/etcd-store.ts';
import type { EtcdOptions } from './etcd-options.ts';

/** Undefined where no etcd is named. */
export function etcdAccess(options: EtcdOptions): EtcdStoreOptions | undefined {
  const { store, etcdServers: endpoints, etcdPrefix: prefix, etcdCafile, etcdCertfile, etcdKeyfile } = options;
  const hasFiles = (etcdCafile ?? etcdCertfile ?? etcdKeyfile) !== undefined;
  if (endpoints === undefined) {
    if (prefix !== undefined || hasFiles)
      throw new Error('what --etcd-… says is for a given etcd: name its --etcd-servers');
    return undefined;
  }
  if (store !== 'etcd') throw new Error('--etcd-servers goes with --store etcd');
  const secure = endpoints.filter((url) => url.startsWith('https:')).length;
  if (secure > 0 && secure < endpoints.length) throw new Error('--etcd-servers: https for all members or for none');
  if (secure === 0 && hasFiles) throw new Error('--etcd-cafile, --etcd-certfile and --etcd-keyfile are for https');
  if ((etcdCertfile === undefined) !== (etcdKeyfile === undefined)) {
    throw new Error('--etcd-certfile and --etcd-keyfile go together');
  }
  const tls: EtcdTls = {
    ...(etcdCafile === undefined ? {} : { ca: read('--etcd-cafile', etcdCafile) }),
    ...(etcdCertfile === undefined ? {} : { certificate: read('--etcd-certfile', etcdCertfile) }),
    ...(etcdKeyfile === undefined ? {} : { key: read('--etcd-keyfile', etcdKeyfile) }),
  };
  if (hasFiles) checkCertificates(tls);
  return { endpoints, ...(prefix === undefined ? {} : { prefix }), ...(hasFiles ? { tls } : {}) };
}

function read(option: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(`${option} ${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function checkCertificates({ ca, certificate: cert, key }: EtcdTls): void {
  try {
    createSecureContext({ ca, cert, key });
  } catch (error) {
    throw new Error(`--etcd-cafile, --etcd-certfile, --etcd-keyfile: ${(error as Error).message}`);
  }
}
