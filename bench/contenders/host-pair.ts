/**
 * The topology that every contender gets: two hosts as network namespaces on one veth pair with an MTU of 1500 and
 * its offloads on, as in a data centre where the network card does the work. What stands between pod and underlay is
 * the contender's business.
 *
 *   pod a | host a  172.31.9.1 ----veth---- 172.31.9.2  host b | pod b
 *   10.244.1.0/24                                        10.244.2.0/24
 */
import { writeFileSync } from 'node:fs';
import { inNamespace, ipBatch, run } from '../command.ts';

export const UNDERLAY = ['172.31.9.1', '172.31.9.2'] as const;
export const UNDERLAY_MTU = 1500;
export const POD_MTU = UNDERLAY_MTU - 50;

export interface HostPair {
  readonly hosts: readonly [string, string];
}

export async function makeHostPair(prefix: string): Promise<HostPair> {
  const hosts = [`${prefix}-a`, `${prefix}-b`] as const;
  for (const host of hosts) await makeNamespace(host);
  const [a, b] = hosts;
  await run([
    'ip',
    'link',
    'add',
    'under',
    'netns',
    a,
    'mtu',
    `${UNDERLAY_MTU}`,
    'type',
    'veth',
    'peer',
    'name',
    'under',
    'netns',
    b,
  ]);
  for (const [i, host] of hosts.entries()) {
    await ipBatch(host, [`address add ${UNDERLAY[i]}/24 dev under`, 'link set under up']);
    await sysctl(host, { 'net.ipv4.ip_forward': 1 });
  }
  return { hosts };
}

export async function makeNamespace(name: string): Promise<void> {
  await run(['ip', 'netns', 'add', name]);
  await run(inNamespace(name, ['ip', 'link', 'set', 'lo', 'up']));
}

export async function removeNamespace(name: string): Promise<void> {
  await run(['ip', 'netns', 'delete', name]);
}

export async function sysctl(namespace: string, settings: Readonly<Record<string, string | number>>): Promise<void> {
  const lines = Object.entries(settings).map(([key, value]) => `echo ${value} > /proc/sys/${key.replaceAll('.', '/')}`);
  await run(inNamespace(namespace, ['sh', '-c', lines.join(' && ')]));
}

export function writeManifests(path: string, objects: readonly object[]): void {
  writeFileSync(path, objects.map((o) => JSON.stringify(o, null, 2)).join('\n---\n'));
}
