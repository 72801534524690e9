/**
 * The host's own end of the pod network, in its kernel: the TUN device weft0, over which host processes reach pods
 * and services and pods reach the host and the world; routes; source NAT as nftables masquerade; sysctls. The plans
 * are pure and tested as text; applying them takes few spawns, since a restarted agent must be quick.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { KernelRoute } from '../control/overlay-backend.ts';
import { AgentError, errnoOf } from './agent-error.ts';
import { findTool, ipBatch, requireTool, runTool } from './command.ts';
import { admitForwarding, withdrawForwarding } from './forward-rules.ts';

export const HOST_DEVICE = 'weft0';
export const GSO_DEVICE = 'weft-gso';

export interface HostNetwork {
  gateway: string;
  podCidr: string;
  clusterCidr: string;
  serviceCidr: string;
  clusterDns: string;
  mtu: number;
  udpPort: number;
}

export function hostBatch(host: HostNetwork): string[] {
  const device = `dev ${HOST_DEVICE}`;
  return [
    `link set ${device} addrgenmode none`,
    // An earlier agent's addresses, and with them the routes that name them.
    `address flush ${device}`,
    `link set ${device} mtu ${host.mtu} up`,
    `address add ${host.gateway}/32 ${device}`,
    `address add ${host.clusterDns}/32 ${device}`,
    `route replace ${host.clusterCidr} ${device} src ${host.gateway}`,
    `route replace ${host.serviceCidr} ${device} src ${host.gateway}`,
  ];
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
  return { [`${at}/forwarding`]: '1', [`${at}/rp_filter`]: '0', [`${at}/accept_local`]: '1' };
}

/** Replaces the table whole, in one transaction. */
export function nftRules(host: HostNetwork): string {
  return [
    'add table ip weft',
    'delete table ip weft',
    'table ip weft {',
    '  chain postrouting {',
    '    type nat hook postrouting priority 100; policy accept;',
    `    ip saddr ${host.podCidr} ip daddr != ${host.clusterCidr} oifname != "${HOST_DEVICE}" counter masquerade`,
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

/** Returns what could not be had, as sentences; throws where nothing would work without it. */
export async function applyHostNetwork(host: HostNetwork): Promise<string[]> {
  writeSysctls(hostSysctls());
  const [masquerade, forwarding] = await Promise.all([
    applyMasquerade(host),
    admitForwarding(),
    ipBatch(hostBatch(host)),
  ]);
  return [...masquerade, ...forwarding];
}

async function applyMasquerade(host: HostNetwork): Promise<string[]> {
  if (!findTool('nft')) {
    return ['the program nft is missing, so pods cannot reach the outside world: install the package nftables'];
  }
  try {
    await runTool('nft', ['-f', '-'], nftRules(host));
    return [];
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    return [`nftables refused the masquerade rules, so pods cannot reach the outside world: ${said}`];
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
  if (findTool('nft')) await runTool('nft', ['-f', '-'], 'add table ip weft\ndelete table ip weft\n').catch(() => {});
}
