/**
 * The host's own end of the pod network, in its kernel: the TUN device weft0, over which host processes reach pods
 * and services and pods reach the host and the world; routes; source NAT as nftables masquerade; sysctls. The plans
 * are pure and tested as text; applying them takes few spawns, since a restarted agent must be quick.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { KernelRoute } from '../../control/overlay-backend.ts';
import { AgentError, errnoOf } from '../agent-error.ts';
import { findTool, ipBatch, requireTool, runTool } from '../command.ts';
import { admitForwarding, withdrawForwarding } from './forward-rules.ts';
import { ipv6Sysctls } from './host-ipv6.ts';

export const HOST_DEVICE = 'weft0';
export const GSO_DEVICE = 'weft-gso';

export interface HostNetwork {
  /** IPv4, then IPv6 where this host carries it. */
  families: readonly HostFamily[];
  mtu: number;
  udpPort: number;
}

/** What the host has of one family. */
export interface HostFamily {
  isV4: boolean;
  gateway: string;
  podCidr: string;
  clusterCidr: string;
  serviceCidr: string;
  /** '' where the cluster's DNS has no address of this family. */
  clusterDns: string;
}

export function hostBatch(host: HostNetwork): string[] {
  const device = `dev ${HOST_DEVICE}`;
  return [
    `link set ${device} addrgenmode none`,
    // An earlier agent's addresses, and with them the routes that name them.
    `address flush ${device}`,
    `link set ${device} mtu ${host.mtu} up`,
    ...host.families.flatMap((family) => [
      ...[family.gateway, family.clusterDns].flatMap((address) => (address ? [addressLine(address, HOST_DEVICE)] : [])),
      `route replace ${family.clusterCidr} ${device} src ${family.gateway}`,
      `route replace ${family.serviceCidr} ${device} src ${family.gateway}`,
    ]),
  ];
}

/** For `ip -batch`: one whole address. Nobody else can have an IPv6 one on a TUN, so that none is asked. */
export function addressLine(address: string, device: string): string {
  return address.includes(':')
    ? `address replace ${address}/128 dev ${device} nodad`
    : `address replace ${address}/32 dev ${device}`;
}

/** The TAP that hands whole overlay frames to the kernel's forwarding. */
export function gsoBatch(): string[] {
  return [`link set dev ${GSO_DEVICE} addrgenmode none`, `link set dev ${GSO_DEVICE} mtu 65521 up`];
}

/** Sysctl names, relative to /proc/sys/net/ipv4, and their values. */
export function hostSysctls(): Record<string, string> {
  // The gateway's answers come from an address of the host itself: with host-gw the kernel is to carry them on.
  return { 'net/ipv4/ip_forward': '1', [`net/ipv4/conf/${HOST_DEVICE}/accept_local`]: '1' };
}

/** The kernel forwards what we write there although its source is the host itself. */
export function gsoSysctls(): Record<string, string> {
  const at = `net/ipv4/conf/${GSO_DEVICE}`;
  const six = `net/ipv6/conf/${GSO_DEVICE}`;
  return {
    [`${at}/forwarding`]: '1',
    [`${at}/rp_filter`]: '0',
    [`${at}/accept_local`]: '1',
    ...(existsSync(`/proc/sys/${six}`) ? { [`${six}/disable_ipv6`]: '0', [`${six}/forwarding`]: '1' } : {}),
  };
}

/** Replaces the family's table whole, in one transaction. */
export function nftRules(host: Pick<HostNetwork, 'udpPort'>, family: HostFamily): string {
  const table = tableOf(family);
  const ip = family.isV4 ? 'ip' : 'ip6';
  const { podCidr, clusterCidr } = family;
  return [
    `add table ${table}`,
    `delete table ${table}`,
    `table ${table} {`,
    '  chain postrouting {',
    '    type nat hook postrouting priority 100; policy accept;',
    `    ${ip} saddr ${podCidr} ${ip} daddr != ${clusterCidr} oifname != "${HOST_DEVICE}" counter masquerade`,
    '  }',
    // The overlay's own datagrams need no connection tracking: it would cost each of them a lookup.
    '  chain overlay-out {',
    '    type filter hook output priority -300; policy accept;',
    `    udp dport ${host.udpPort} notrack`,
    '  }',
    '  chain overlay-in {',
    '    type filter hook prerouting priority -300; policy accept;',
    `    udp dport ${host.udpPort} notrack`,
    '  }',
    '}',
    '',
  ].join('\n');
}

function tableOf({ isV4 }: Pick<HostFamily, 'isV4'>): string {
  return isV4 ? 'ip weft' : 'ip6 weft';
}

export function writeSysctls(values: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(values)) {
    const path = `/proc/sys/${name}`;
    try {
      if (readFileSync(path, 'latin1').trim() !== value) writeSysctl(path, value);
    } catch (error) {
      const remedy = `write it yourself: sysctl -w ${name.replaceAll('/', '.')}=${value}`;
      throw new AgentError('sysctl-refused', `${path} cannot be set to ${value}`, remedy, error);
    }
  }
}

function writeSysctl(path: string, value: string): void {
  try {
    writeFileSync(path, value);
  } catch (error) {
    if (errnoOf(error) !== 'EROFS') throw error;
    // A container's engine mounts it read-only, in the container alone; who may make namespaces may change that.
    spawnSync(requireTool('mount'), ['-o', 'remount,rw,bind', '/proc/sys'], { stdio: 'ignore' });
    writeFileSync(path, value);
  }
}

/** What of the network is there. */
export interface AppliedNetwork {
  /** The families of it. */
  families: readonly HostFamily[];
  /** What could not be had, as sentences. */
  problems: readonly string[];
}

/** Throws where nothing would work without it; where only IPv6 is not to be had, IPv4 goes on. */
export async function applyHostNetwork(host: HostNetwork): Promise<AppliedNetwork> {
  try {
    if (host.families.some((family) => !family.isV4)) writeSysctls(ipv6Sysctls(HOST_DEVICE));
    return await applyFamilies(host);
  } catch (error) {
    const families = host.families.filter((family) => family.isV4);
    if (families.length === host.families.length) throw error;
    const { problems } = await applyFamilies({ ...host, families });
    const said = error instanceof Error ? error.message : String(error);
    return { families, problems: [`this host has no IPv6 for its pods, IPv4 goes on: ${said}`, ...problems] };
  }
}

async function applyFamilies(host: HostNetwork): Promise<AppliedNetwork> {
  writeSysctls(hostSysctls());
  const [masquerade, forwarding] = await Promise.all([
    applyMasquerade(host),
    admitForwarding(),
    ipBatch(hostBatch(host)),
  ]);
  return { families: host.families, problems: [...masquerade, ...forwarding] };
}

const NO_NFT = ['the program nft is missing, so pods cannot reach the outside world: install the package nftables'];

async function applyMasquerade(host: HostNetwork): Promise<string[]> {
  if (!findTool('nft')) return NO_NFT;
  const rules = host.families.map((family) => nftRules(host, family)).join('');
  // In one go; where that is refused, which family it is that nftables does not have here.
  const done = await runTool('nft', ['-f', '-'], rules).then(
    () => true,
    () => false,
  );
  return done ? [] : (await Promise.all(host.families.map((family) => masqueradeAlone(host, family)))).flat();
}

async function masqueradeAlone(host: HostNetwork, family: HostFamily): Promise<string[]> {
  try {
    await runTool('nft', ['-f', '-'], nftRules(host, family));
    return [];
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const world = family.isV4 ? 'the outside world' : 'the outside world over IPv6';
    return [`nftables refused the masquerade rules, so pods cannot reach ${world}: ${said}`];
  }
}

/** Changes the kernel's routes to remote pods from what they are to what they should be. */
export async function changeKernelRoutes(from: readonly KernelRoute[], to: readonly KernelRoute[]): Promise<void> {
  const { remove, add } = routeChanges(from, to);
  await ipBatch(remove, { force: true });
  await ipBatch(add);
}

export function routeChanges(
  from: readonly KernelRoute[],
  to: readonly KernelRoute[],
): { remove: string[]; add: string[] } {
  const wanted = new Set(to.map((r) => r.destination));
  const had = new Set(from.map((r) => `${r.destination} ${r.via}`));
  return {
    remove: from.filter((r) => !wanted.has(r.destination)).map((r) => `route del ${r.destination} via ${r.via}`),
    add: to
      .filter((r) => !had.has(`${r.destination} ${r.via}`))
      .map((r) => `route replace ${r.destination} via ${r.via}`),
  };
}

/** Takes away everything that applyHostNetwork and changeKernelRoutes made. */
export async function removeHostNetwork(routes: readonly KernelRoute[]): Promise<void> {
  const lines = routes.map((r) => `route del ${r.destination} via ${r.via}`);
  for (const device of [HOST_DEVICE, GSO_DEVICE]) {
    if (existsSync(`/proc/sys/net/ipv4/conf/${device}`)) lines.push(`link delete dev ${device}`);
  }
  await ipBatch(lines, { force: true });
  await withdrawForwarding();
  if (!findTool('nft')) return;
  for (const isV4 of [true, false]) {
    const table = tableOf({ isV4 });
    await runTool('nft', ['-f', '-'], `add table ${table}\ndelete table ${table}\n`).catch(() => {});
  }
}
