/**
 * The certificates and kubeconfigs that a lab's API server, agents and users start with. `weft lab up` issues them while
 * the holder builds the hosts, which starts nobody before they are there.
 */
import { join } from 'node:path';
import { NODE_PREFIX } from '../apiserver/access/access.ts';
import { ADMIN, Identities, SERVER } from '../apiserver/access/identities.ts';
import { kubeconfig } from '../apiserver/access/kubeconfig.ts';
import { writePrivate } from '../apiserver/access/private-file.ts';
import { innerUrl, outerUrl, serverAddress, serverNames } from './lab-api-server.ts';
import { type LabDir, makeDir } from './lab-dir.ts';
import type { Topology } from './topology.ts';

export async function issueIdentities(lab: LabDir, topology: Topology): Promise<void> {
  makeDir(lab.apiServerDir);
  const identities = await Identities.open(join(lab.apiServerDir, 'pki'));
  const { authority } = identities;
  await identities.server([serverAddress(topology.underlay), ...serverNames(topology)]);
  const inner = innerUrl(topology);
  for (const { name } of topology.hosts) {
    makeDir(lab.host(name));
    const credentials = await identities.node(name);
    const user = `${NODE_PREFIX}${name}`;
    writePrivate(lab.nodeKubeconfig(name), kubeconfig({ server: inner, user, authority, credentials }));
  }
  const credentials = await identities.client(ADMIN);
  const admin = { user: ADMIN.name, authority, credentials };
  writePrivate(lab.innerKubeconfig, kubeconfig({ ...admin, server: inner }));
  await identities.client(SERVER);
  // Last: whoever waits for this file finds all the others.
  writePrivate(lab.kubeconfig, kubeconfig({ ...admin, server: outerUrl(topology.api?.outerPort ?? 0) }));
}
