/** What `weft kubeconfig` does: a certificate for a node or a user, by the authority in an API server's folder. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { ADMINISTRATORS, NODE_PREFIX } from '../apiserver/access/access.ts';
import { Authority } from '../apiserver/access/authority.ts';
import { kubeconfig } from '../apiserver/access/kubeconfig.ts';

export interface KubeconfigOptions {
  data: string;
  node?: string;
  user?: string;
  group: string[];
  server?: string;
}

export async function printedKubeconfig(options: KubeconfigOptions): Promise<string> {
  const { node, user = 'admin', group } = options;
  const data = resolve(options.data);
  const pki = join(data, 'pki');
  if (!existsSync(join(pki, 'ca.key'))) {
    throw new Error(`${data} holds no certificate authority: weft apiserver --data ${options.data} makes one`);
  }
  if (options.user !== undefined && group.length === 0)
    throw new Error('--user needs --group: without one it may nothing');
  if (options.user === undefined && group.length > 0) throw new Error('--group needs --user: name who is in it');
  const authority = await Authority.open(pki);
  const credentials =
    node === undefined
      ? await authority.client(user, group.length > 0 ? group : [ADMINISTRATORS])
      : await authority.node(node);
  return kubeconfig({
    server: options.server ?? listeningAddress(data),
    user: node === undefined ? user : `${NODE_PREFIX}${node}`,
    authority: authority.certificate,
    credentials,
  });
}

/** As the server wrote it down when it last started. */
function listeningAddress(data: string): string {
  const path = join(data, 'admin.kubeconfig');
  try {
    const config = parse(readFileSync(path, 'utf8')) as { clusters?: { cluster?: { server?: string } }[] };
    const server = config.clusters?.[0]?.cluster?.server;
    if (typeof server === 'string') return server;
  } catch {
    // As if it were not there.
  }
  throw new Error(`${path} does not say where the server is: give --server`);
}
