/**
 * A host of a lab on which the kernel does all the work: its own VXLAN device, plain routes, one pod namespace behind
 * a veth. What Weft must be able to talk to, and what its throughput is compared with.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Entry } from './exec.ts';
import { labEntry } from './exec.ts';
import { BRIDGE } from './host-namespaces.ts';
import type { LabDir } from './lab-dir.ts';
import { mustRun } from './run.ts';
import type { LabHost, Topology } from './topology.ts';

export interface KernelHost extends LabHost {
  mac: string;
  /** Address of its pod. */
  pod: string;
}

/** Another host, to which it sends by a static neighbour or by ARP over the overlay. */
export interface KernelHostPeer {
  address: string;
  podCidr: string;
  mac: string;
  /** Neighbours and forwarding entries written down; else both are learned. */
  fixed: boolean;
}

/** The N-th kernel host of a lab. */
export function kernelHost(topology: Topology, index: number): KernelHost {
  const network = topology.underlay.router.split('.').slice(0, 3).join('.');
  const range = 200 + index;
  return {
    name: `kernel${index}`,
    address: `${network}.${range}`,
    podCidr: `10.244.${range}.0/24`,
    mac: `5e:00:00:00:00:0${index}`,
    pod: `10.244.${range}.2`,
  };
}

/** What any Weft host is as a peer. */
export function weftPeer(host: LabHost, fixed: boolean): KernelHostPeer {
  return { ...host, mac: defaultMac(host.address), fixed };
}

/** 0a:58 and the address: the VTEP's MAC where no annotation says otherwise. */
export function defaultMac(address: string): string {
  const bytes = address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  return ['0a', '58', ...bytes].join(':');
}

/** Makes its namespaces in the lab. Its Node object is announceKernelHost's. */
export async function addKernelHost(
  lab: LabDir,
  topology: Topology,
  host: KernelHost,
  peers: readonly KernelHostPeer[],
): Promise<void> {
  const { mtu, prefixBits } = topology.underlay;
  const range = host.podCidr.split('/')[0]?.replace(/\.0$/, '');
  const inner = mtu - 50;
  const n = `-n ${host.name}`;
  const p = `-n ${host.name}-pod`;
  const learning = peers.every((peer) => peer.fixed) ? 'nolearning' : 'learning';
  const script = [
    `ip netns add ${host.name}`,
    `ip netns add ${host.name}-pod`,
    `ip link add ${host.name} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${host.name}`,
    `ip link set ${host.name} master ${BRIDGE} up`,
    `ip ${n} link set lo up`,
    `ip ${n} addr add ${host.address}/${prefixBits} dev eth0`,
    `ip ${n} link set eth0 up`,
    `ip ${n} link add vxlan1 address ${host.mac} mtu ${inner} type vxlan id ${topology.vni} dstport 4789 ` +
      `local ${host.address} dev eth0 ${learning}`,
    `ip ${n} addr add ${range}.0/32 dev vxlan1`,
    `ip ${n} link set vxlan1 up`,
    `ip ${n} link add pod mtu ${inner} type veth peer name eth0 mtu ${inner} netns ${host.name}-pod`,
    `ip ${n} addr add ${range}.1/24 dev pod`,
    `ip ${n} link set pod up`,
    `nsenter --net=/run/netns/${host.name} sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'`,
    `ip ${p} link set lo up`,
    `ip ${p} addr add ${host.pod}/24 dev eth0`,
    `ip ${p} link set eth0 up`,
    `ip ${p} route add default via ${range}.1`,
    ...peers.flatMap((peer) => peerCommands(host, peer)),
  ];
  await mustRun(labEntry(lab), ['sh', '-e', '-c', script.join('\n')]);
}

function peerCommands(host: KernelHost, peer: KernelHostPeer): string[] {
  const vtep = peer.podCidr.split('/')[0];
  const route = `ip -n ${host.name} route add ${peer.podCidr} via ${vtep} dev vxlan1 onlink`;
  const forward = (mac: string) => `bridge -n ${host.name} fdb append ${mac} dev vxlan1 dst ${peer.address}`;
  if (!peer.fixed) return [route, forward('00:00:00:00:00:00')];
  return [route, `ip -n ${host.name} neigh add ${vtep} lladdr ${peer.mac} dev vxlan1 nud permanent`, forward(peer.mac)];
}

/** Tells the lab's agents of it, as a Node object in the folder that they watch. */
export function announceKernelHost(lab: LabDir, host: KernelHost, mac: string | 'learn' = host.mac): void {
  writeFileSync(
    join(lab.manifests, `${host.name}.yaml`),
    `apiVersion: v1
kind: Node
metadata:
  name: ${host.name}
  annotations:
    weft.dev/vtep-mac: "${mac}"
spec:
  podCIDR: ${host.podCidr}
status:
  addresses:
    - type: InternalIP
      address: ${host.address}
`,
  );
}

/** Enters its pod. */
export function kernelPodEntry(lab: LabDir, host: KernelHost): Entry {
  const entry = labEntry(lab);
  return { ...entry, args: [...entry.args, entry.file, `--net=/run/netns/${host.name}-pod`, '--'] };
}

/** Enters the host itself. */
export function kernelHostEntry(lab: LabDir, host: KernelHost): Entry {
  const entry = labEntry(lab);
  return { ...entry, args: [...entry.args, entry.file, `--net=/run/netns/${host.name}`, '--'] };
}
