/** The lab of `weft demo`: the default pods on three hosts, and two hosts on which the kernel does the work. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { PodStatus } from '../agent/status.ts';
import { type Entry, targetEntry } from './exec.ts';
import { addKernelHost, announceKernelHost, type KernelHost, kernelHost, weftPeer } from './kernel-host.ts';
import type { LabDir } from './lab-dir.ts';
import { readLab } from './lab-status.ts';
import type { Topology } from './topology.ts';
import { bringUp } from './up.ts';

export interface DemoLab {
  lab: LabDir;
  topology: Topology;
  /** Addresses of the pods, by name. */
  pods: ReadonlyMap<string, string>;
  /** Their IPv6 addresses; empty where the machine has no IPv6. */
  pods6: ReadonlyMap<string, string>;
  /** The service's own address. */
  service: string;
  /** Knows the Weft hosts by fixed neighbours. */
  fixed: KernelHost;
  /** Learns them by ARP over the overlay. */
  learned: KernelHost;
}

export async function bringDemoUp(name: string, report: (step: string) => void): Promise<DemoLab> {
  const lab = await bringUp({ name }, report);
  const topology = lab.topology();
  if (topology === undefined) throw new Error(`lab ${name} has no topology`);
  const fixed = kernelHost(topology, 1);
  const learned = kernelHost(topology, 2);
  // Between themselves the kernel hosts have fixed neighbours: nothing of ours is in that way.
  await addKernelHost(lab, topology, fixed, [
    ...topology.hosts.map((host) => weftPeer(host, true)),
    { ...learned, fixed: true },
  ]);
  await addKernelHost(lab, topology, learned, [
    ...topology.hosts.map((host) => weftPeer(host, false)),
    { ...fixed, fixed: true },
  ]);
  for (const host of [fixed, learned]) announceKernelHost(lab, host);
  await waitForPeers(lab, [fixed.name, learned.name], 5000);
  const statuses = (await readLab(lab)).hosts.flatMap((host) => host.status ?? []);
  const running = statuses.flatMap((status) => status.pods);
  const pods = new Map(running.map((pod) => [pod.name, pod.address]));
  const pods6 = new Map(running.flatMap(({ name: pod, addresses: [, six] }) => (six ? [[pod, six] as const] : [])));
  const service = statuses[0]?.services.find((each) => each.name === 'web')?.clusterIps[0] ?? '';
  return { lab, topology, pods, pods6, service, fixed, learned };
}

/** Until every agent of the lab forwards to these nodes. */
export async function waitForPeers(lab: LabDir, names: readonly string[], timeoutMs: number): Promise<void> {
  await waitFor(`every agent to know ${names.join(', ')}`, timeoutMs, async () => {
    const { hosts } = await readLab(lab);
    return hosts.every(({ status }) => names.every((name) => status?.peers.some((peer) => peer.node === name)));
  });
}

export async function waitFor(what: string, timeoutMs: number, test: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await test())) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await sleep(50);
  }
}

export function enter(demo: DemoLab, target: string): Entry {
  return targetEntry(demo.lab, target);
}

export function addressOf(demo: DemoLab, pod: string): string {
  const address = demo.pods.get(pod);
  if (address === undefined) throw new Error(`there is no pod ${pod}`);
  return address;
}

/** The process of a pod's only container, by its number inside the lab. */
export async function podProcess(demo: DemoLab, name: string): Promise<number> {
  const { hosts } = await readLab(demo.lab);
  const pods: PodStatus[] = hosts.flatMap((host) => [...(host.status?.pods ?? [])]);
  const pid = pods.find((pod) => pod.name === name)?.containers[0]?.pid ?? 0;
  if (pid === 0) throw new Error(`no process of pod ${name} runs`);
  return pid;
}

/**
 * Kills a process and waits until it is gone: it takes a moment to die, in which its kernel goes on accepting for it,
 * and a connection that it accepted ends with it on any network.
 */
export function killCommand(pid: number): string[] {
  return ['sh', '-c', 'kill -9 "$1" && while kill -0 "$1" 2>/dev/null; do sleep 0.005; done', 'kill', `${pid}`];
}
