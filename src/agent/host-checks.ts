/**
 * What a host must offer before an agent can work on it, each checked by looking: privileges, the TUN driver, the
 * tools. An agent refuses to start on the first that is missing and not optional; `weft doctor` shows them all.
 */
import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import { AgentError } from './agent-error.ts';
import { findTool } from './command.ts';
import type { Check } from './status.ts';

/** linux/capability.h */
const CAPABILITIES: Record<string, number> = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_SYS_ADMIN: 21 };

const CAPABILITY_USES: Record<string, string> = {
  CAP_NET_ADMIN: 'to make devices and routes',
  CAP_NET_RAW: 'to probe peers with ICMP',
  CAP_SYS_ADMIN: 'to make network namespaces',
};

/** Capabilities missing from an effective set as /proc/PID/status prints it (CapEff, hexadecimal). */
export function missingCapabilities(capEff: string): string[] {
  const set = BigInt(`0x${capEff.trim() || '0'}`);
  return Object.entries(CAPABILITIES)
    .filter(([, bit]) => ((set >> BigInt(bit)) & 1n) === 0n)
    .map(([name]) => name);
}

export function checkCapabilities(): Check {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'));
  const missing = missingCapabilities(line?.[1] ?? '0');
  const names = missing.map((name) => `${name} (${CAPABILITY_USES[name]})`).join(', ');
  return {
    name: 'capabilities',
    ok: missing.length === 0,
    detail: missing.length === 0 ? Object.keys(CAPABILITIES).join(', ') : `missing: ${names}`,
    remedy: missing.length === 0 ? '' : 'run it as root, or in a user namespace of its own: weft lab does that',
  };
}

export function checkTunDriver(path = '/dev/net/tun'): Check {
  const check = { name: 'tun driver', ok: true, detail: path, remedy: '' };
  try {
    closeSync(openSync(path, constants.O_RDWR));
    return check;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const remedies: Record<string, string> = {
      ENOENT: 'load the driver: modprobe tun; in a container, add the device: --device /dev/net/tun',
      ENODEV: 'load the driver: modprobe tun',
      EACCES: 'run it as root, or let others use the driver: chmod 0666 /dev/net/tun',
      EPERM: 'in a container, allow the device: --device /dev/net/tun --cap-add NET_ADMIN',
    };
    const remedy = remedies[code ?? ''] ?? 'see dmesg for why the driver refuses';
    return { ...check, ok: false, detail: `${path} cannot be opened: ${code ?? String(error)}`, remedy };
  }
}

export function checkTool(name: string, pack: string, use: string, optional = false): Check {
  const path = findTool(name);
  return {
    name: `program ${name}`,
    ok: path !== undefined,
    detail: path ?? `missing; it is needed ${use}`,
    remedy: path ? '' : `install the package ${pack}: apt-get install ${pack}`,
    ...(optional ? { optional } : {}),
  };
}

export function hostChecks(): Check[] {
  return [
    checkCapabilities(),
    checkTunDriver(),
    checkTool('ip', 'iproute2', 'to configure devices and routes'),
    checkTool('nsenter', 'util-linux', 'to enter pods with weft exec', true),
    checkTool('nft', 'nftables', 'for pods to reach the outside world', true),
  ];
}

/** Throws for the first check that failed and is not optional. */
export function requireChecks(checks: readonly Check[]): void {
  const failed = checks.filter((c) => !c.ok && !c.optional);
  const first = failed[0];
  if (!first) return;
  const rest = failed.slice(1).map((c) => `; ${c.name}: ${c.detail}: ${c.remedy}`);
  throw new AgentError('host-not-ready', `${first.name}: ${first.detail}`, `${first.remedy}${rest.join('')}`);
}
