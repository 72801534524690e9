/**
 * A host of a lab on which the kernel does all the work: its own VXLAN device, plain routes, one pod namespace behind
 * a veth. What Weft must be able to talk to, and what its throughput is compared with.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatMac, parseAddress } from '../wire/address.ts';
import { nodeManifests } from './default-pods.ts';
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
  /** Its IPv6 address, in labs that have IPv6. */
  pod6?: string;
}

/** Another host, to which it sends by a static neighbour or by ARP and neighbour solicitations over the overlay. */
export interface KernelHostPeer {
  address: string;
  podCidr: string;
  podCidr6?: string;
  mac: string;
  /** Neighbours and forwarding entries written down; else both are learned. */
  fixed: boolean;
}

/** The N-th kernel host of a lab, on the underlay in one family: in IPv4 where it has that, unless told otherwise. */
export function kernelHost(topology: Topology, index: number, family: 4 | 6 = defaultFamily(topology)): KernelHost {
  const range = 200 + index;
  const { router, router6 = '' } = topology.underlay;
  const six = `fd00:10:244:${range.toString(16)}::`;
  return {
    name: `kernel${index}`,
    address: `${(family === 4 ? router : router6).replace(/1$/, '')}${range}`,
    podCidr: `10.244.${range}.0/24`,
    mac: `5e:00:00:00:00:0${index}`,
    pod: `10.244.${range}.2`,
    ...(topology.hosts[0]?.podCidr6 ? { podCidr6: `${six}/64`, pod6: `${six}2` } : {}),
  };
}

function defaultFamily({ underlay }: Topology): 4 | 6 {
  return underlay.family === 'ipv6' ? 6 : 4;
}

/** What any Weft host is as a peer, for a kernel host on the underlay in one family. */
export function weftPeer(host: LabHost, fixed: boolean, family: 4 | 6 = 4): KernelHostPeer {
  const address = family === 6 ? (host.address6 ?? host.address) : host.address;
  return { ...host, address, mac: defaultMac(host.address), fixed };
}

/** 0a:58 and the address's last four bytes: the VTEP's MAC where no annotation says otherwise. */
export function defaultMac(address: string): string {
  const word = parseAddress(address)?.[3] ?? 0;
  return formatMac(Uint8Array.of(0x0a, 0x58, word >>> 24, word >>> 16, word >>> 8, word));
}

/** Makes its namespaces in the lab. Its Node object is announceKernelHost's. */
export async function addKernelHost(
  lab: LabDir,
  topology: Topology,
  host: KernelHost,
  peers: readonly KernelHostPeer[],
): Promise<void> {
  const { mtu, prefixBits, cidr6 = '/64' } = topology.underlay;
  const six = host.address.includes(':');
  const inner = mtu - (six ? 70 : 50);
  const n = `-n ${host.name}`;
  const p = `-n ${host.name}-pod`;
  const learning = peers.every((peer) => peer.fixed) ? 'nolearning' : 'learning';
  const script = [
    `ip netns add ${host.name}`,
    `ip netns add ${host.name}-pod`,
    `ip link add ${host.name} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${host.name}`,
    `ip link set ${host.name} master ${BRIDGE} up`,
    `ip ${n} link set lo up`,
    `ip ${n} addr add ${host.address}/${six ? `${cidr6.split('/')[1]} nodad` : prefixBits} dev eth0`,
    `ip ${n} link set eth0 up`,
    `ip ${n} link add vxlan1 address ${host.mac} mtu ${inner} type vxlan id ${topology.vni} dstport 4789 ` +
      `local ${host.address} dev eth0 ${learning}`,
    `ip ${n} link add pod mtu ${inner} type veth peer name eth0 mtu ${inner} netns ${host.name}-pod`,
    `nsenter --net=/run/netns/${host.name} sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'`,
    `ip ${n} addr add ${networkOf(host.podCidr)}/32 dev vxlan1`,
    ...(host.podCidr6 ? ipv6Commands(host, host.podCidr6) : []),
    `ip ${n} link set vxlan1 up`,
    `ip ${n} addr add ${gatewayOf(host.podCidr)}/24 dev pod`,
    `ip ${n} link set pod up`,
    `ip ${p} link set lo up`,
    `ip ${p} addr add ${host.pod}/24 dev eth0`,
    `ip ${p} link set eth0 up`,
    `ip ${p} route add default via ${gatewayOf(host.podCidr)}`,
    ...(host.podCidr6 ? [`ip ${p} route add ::/0 via ${gatewayOf(host.podCidr6)}`] : []),
    ...peers.flatMap((peer) => peerCommands(host, peer)),
  ];
  await mustRun(labEntry(lab), ['sh', '-e', '-c', script.join('\n')]);
}

/** Nobody else can have the addresses: they are there at once (nodad). */
function ipv6Commands(host: KernelHost, podCidr6: string): string[] {
  const [n, p] = [`-n ${host.name}`, `-n ${host.name}-pod`];
  return [
    `nsenter --net=/run/netns/${host.name} sh -c 'cd /proc/sys/net/ipv6/conf && echo 1 > all/forwarding && ` +
      // Solicitations for what is forwarded come from link-local addresses, which would have to be asked for first.
      `echo 0 > vxlan1/accept_dad && echo 0 > pod/accept_dad'`,
    `ip ${n} addr add ${networkOf(podCidr6)}/128 dev vxlan1 nodad`,
    `ip ${n} addr add ${gatewayOf(podCidr6)}/64 dev pod nodad`,
    `ip ${p} addr add ${host.pod6}/64 dev eth0 nodad`,
  ];
}

/** `10.244.1.0`, `fd00:10:244:1::`: the VTEP's, as flannel has it. */
function networkOf(podCidr: string): string {
  return podCidr.split('/')[0] ?? '';
}

function gatewayOf(podCidr: string): string {
  return podCidr.includes(':') ? `${networkOf(podCidr)}1` : networkOf(podCidr).replace(/0$/, '1');
}

function peerCommands(host: KernelHost, peer: KernelHostPeer): string[] {
  const forward = (mac: string) => `bridge -n ${host.name} fdb append ${mac} dev vxlan1 dst ${peer.address}`;
  const ranges = [peer.podCidr, ...(host.podCidr6 && peer.podCidr6 ? [peer.podCidr6] : [])];
  return [
    forward(peer.fixed ? peer.mac : '00:00:00:00:00:00'),
    ...ranges.flatMap((range) => [
      `ip -n ${host.name} route add ${range} via ${networkOf(range)} dev vxlan1 onlink`,
      ...(peer.fixed
        ? [`ip -n ${host.name} neigh add ${networkOf(range)} lladdr ${peer.mac} dev vxlan1 nud permanent`]
        : []),
    ]),
  ];
}

/** Tells the lab's agents of it, as a Node object in the folder that they watch. */
export function announceKernelHost(lab: LabDir, host: KernelHost, mac: string | 'learn' = host.mac): void {
  const annotation = `  annotations:\n    weft.dev/vtep-mac: "${mac}"\n`;
  writeFileSync(
    join(lab.manifests, `${host.name}.yaml`),
    nodeManifests([host]).replace(/^ {2}name: .*\n/m, (name) => name + annotation),
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
