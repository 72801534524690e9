/**
 * A pod's network as the kernel has it: a namespace under /run/netns with one TUN device eth0, which carries the
 * pod's addresses and its default routes, and whose other end is the agent's. The device persists, so that namespace,
 * device and processes outlast an agent that is killed, and the next one takes the device up again.
 */
import { existsSync, rmSync, statfsSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NativeAddon } from '../../io/native-addon.ts';
import { AgentError, errnoOf } from '../agent-error.ts';
import { ipBatch, runTool } from '../command.ts';
import { ipv6Obstacle } from '../host/host-ipv6.ts';
import { addressLine } from '../host/host-network.ts';
import { NETNS_FOLDER } from './container-command.ts';
import { pidsInNetns, signalProcess } from './process-table.ts';

export const POD_DEVICE = 'eth0';

/** Processes of a namespace that is removed are looked for so often, and with this time to end between. */
const MOST_ROUNDS = 20;
const ROUND_MS = 5;

export interface PodDevice {
  fd: number;
  vnetHeaderBytes: number;
}

export function netnsPath(name: string): string {
  return join(NETNS_FOLDER, name);
}

/** linux/magic.h, NSFS_MAGIC. */
const NSFS = 0x6e736673;

/**
 * Whether a namespace is bound at the path. Where /run outlives the namespaces, as in a container that was started
 * again, what remains of one is an empty file.
 */
export function isNetns(path: string): boolean {
  try {
    return statfsSync(path).type === NSFS;
  } catch {
    return false;
  }
}

/** The lines that `ip -batch` gets inside the pod's namespace. */
export function podNetworkBatch(addresses: readonly string[], mtu: number): string[] {
  return [
    'link set dev lo up',
    // No IPv6 link-local address: its router solicitations would only be dropped and counted.
    `link set dev ${POD_DEVICE} addrgenmode none`,
    `link set dev ${POD_DEVICE} mtu ${mtu} up`,
    ...addresses.flatMap((address) => [
      addressLine(address, POD_DEVICE),
      `route replace ${address.includes(':') ? '::/0' : '0.0.0.0/0'} dev ${POD_DEVICE}`,
    ]),
  ];
}

// Several `ip netns add` at once trip over each other while they make /run/netns a shared mount.
let lastAdd: Promise<unknown> = Promise.resolve();

/**
 * Makes the namespace and the device, or takes up those that are there. The caller owns the descriptor. What needs the
 * namespace alone goes on beside, from `namespaceMade` on.
 */
export async function openPodNetwork(
  native: Pick<NativeAddon, 'openTun' | 'closeFd'>,
  pod: { netns: string; addresses: readonly string[]; mtu: number },
  offloads: boolean,
  namespaceMade: () => Promise<void>,
): Promise<PodDevice> {
  const path = netnsPath(pod.netns);
  if (!isNetns(path)) {
    rmSync(path, { force: true });
    const added = lastAdd.then(() => runTool('ip', ['netns', 'add', pod.netns]));
    lastAdd = added.catch(() => {});
    await added;
  }
  let device: { fd: number; vnetHeaderBytes: number };
  try {
    device = native.openTun({ name: POD_DEVICE, netns: path, kind: 'tun', offloads, persist: true });
  } catch (error) {
    if (errnoOf(error) !== 'EBUSY') throw error;
    throw new AgentError(
      'pod-device-busy',
      `${POD_DEVICE} of ${path} belongs to another agent`,
      'it is taken up as soon as that one lets go',
      error,
    );
  }
  try {
    // What this host cannot give, it has said.
    const four = pod.addresses.filter(isIPv4);
    const wanted = ipv6Obstacle(pod.mtu) ? four : pod.addresses;
    const at = { netns: pod.netns };
    const configured = ipBatch(podNetworkBatch(wanted, pod.mtu), at).catch((error) => {
      if (wanted.length === four.length) throw error;
      return ipBatch(podNetworkBatch(four, pod.mtu), at);
    });
    await Promise.all([configured, namespaceMade()]);
  } catch (error) {
    native.closeFd(device.fd);
    throw error;
  }
  return { fd: device.fd, vnetHeaderBytes: device.vnetHeaderBytes };
}

/** Ends whatever still runs in a pod's namespace and removes it, the device with it. */
export async function removePodNetwork(netns: string): Promise<void> {
  const path = netnsPath(netns);
  if (!existsSync(path)) return;
  // What forks while it is ended is met in the next round.
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const pids = pidsInNetns(path).filter((pid) => pid !== process.pid);
    if (pids.length === 0) break;
    for (const pid of pids) signalProcess(pid, 'SIGKILL');
    await sleep(ROUND_MS);
  }
  await runTool('ip', ['netns', 'delete', netns]);
}
