/**
 * The namespaces of a lab's hosts, made from inside the holder: per host one process that holds its network, mount
 * and host-name namespaces, with a /run and a resolv.conf of its own, and a veth to the bridge that is the underlay.
 * The bridge's own address is the hosts' router; whatever a test attaches behind it is their outside world.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { runTool } from '../agent/command.ts';
import { type LabDir, makeDir } from './lab-dir.ts';
import { LabError } from './lab-error.ts';
import type { LabHost, Topology } from './topology.ts';

export const BRIDGE = 'underlay';

/** $1 name, $2 the host's resolv.conf, $3 what /etc/resolv.conf really is (often a link into /run). */
const HOST_SCRIPT = `
set -e
mount -t tmpfs -o mode=755 weft /run
mkdir -p /run/netns
hostname "$1" 2>/dev/null || true
mkdir -p "$(dirname "$3")"
[ -e "$3" ] || : > "$3"
mount --bind "$2" "$3"
ip link set lo up
echo ready
exec sleep infinity >/dev/null 2>&1
`;

/** Where the machine's resolv.conf is and what it says; to be read before /run is hidden. */
export function readResolvConf(): { path: string; text: string } {
  const plain = '/etc/resolv.conf';
  try {
    const path = realpathSync(plain);
    return { path, text: readFileSync(path, 'utf8') };
  } catch {
    return { path: plain, text: '' };
  }
}

/** The underlay: a bridge with the router's address, which forwards. */
export async function buildUnderlay(topology: Topology): Promise<void> {
  const { mtu, router, router6, prefixBits } = topology.underlay;
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  if (router6) writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', '1');
  const lines = [
    'link set lo up',
    `link add name ${BRIDGE} mtu ${mtu} type bridge`,
    `addr add ${router}/${prefixBits} dev ${BRIDGE}`,
    ...(router6 ? [`addr add ${router6}/${prefixBits6(topology)} dev ${BRIDGE} nodad`] : []),
    `link set ${BRIDGE} up`,
  ];
  await runTool('ip', ['-batch', '-'], `${lines.join('\n')}\n`);
}

/** Starts the process that holds a host's namespaces, and joins them to the underlay. Resolves with it, ready. */
export async function buildHost(
  lab: LabDir,
  topology: Topology,
  host: LabHost,
  resolvConf: { path: string; text: string },
): Promise<ChildProcess> {
  makeDir(lab.agentStateDir(host.name));
  const own = lab.resolvConf(host.name);
  if (!existsSync(own)) writeFileSync(own, resolvConf.text);
  const args = ['--net', '--mount', '--uts', '--propagation', 'private', 'sh', '-c', HOST_SCRIPT];
  const child = spawn('unshare', [...args, 'weft-host', host.name, own, resolvConf.path], {
    // Not the holder's number 3: what runs in a host has no business with the API server's socket.
    stdio: ['ignore', 'pipe', 'inherit', 'ignore'],
  });
  await readyLine(child, host.name);
  await joinUnderlay(topology, host, child.pid ?? 0);
  return child;
}

function readyLine(child: ChildProcess, name: string): Promise<void> {
  return new Promise((done, fail) => {
    const refused = (why: string) => fail(new LabError('WEFT_LAB_SYSTEM', `host ${name}: its namespaces: ${why}`));
    child.once('error', (error) => refused(error.message));
    child.once('exit', (code) => refused(`unshare ended with exit code ${code}`));
    if (child.stdout === null) return refused('no output');
    createInterface(child.stdout).once('line', () => {
      child.removeAllListeners('exit');
      done();
    });
  });
}

async function joinUnderlay(topology: Topology, host: LabHost, pid: number): Promise<void> {
  const { mtu } = topology.underlay;
  const outer = `u${topology.hosts.indexOf(host)}`;
  const outside = [
    `link add name ${outer} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${pid}`,
    `link set ${outer} master ${BRIDGE} up`,
  ];
  await runTool('ip', ['-batch', '-'], `${outside.join('\n')}\n`);
  const inside = [
    ...hostAddresses(topology, host).map((address) => `addr add ${address} dev eth0`),
    'link set eth0 up',
    ...hostRouters(topology).map((router) => `route add ${router.includes(':') ? '::/0' : '0.0.0.0/0'} via ${router}`),
  ];
  await runTool('nsenter', ['-t', `${pid}`, '-n', 'ip', '-batch', '-'], `${inside.join('\n')}\n`);
}

/** With their prefixes, as `ip addr add` takes them. Nobody else has the IPv6 one: it is there at once. */
function hostAddresses(topology: Topology, { address, address6 }: LabHost): string[] {
  const four = `${address}/${topology.underlay.prefixBits}`;
  const six = (each: string): string => `${each}/${prefixBits6(topology)} nodad`;
  if (address.includes(':')) return [six(address)];
  return address6 === undefined ? [four] : [four, six(address6)];
}

function hostRouters({ underlay }: Topology): string[] {
  return [...(underlay.family === 'ipv6' ? [] : [underlay.router]), ...(underlay.router6 ? [underlay.router6] : [])];
}

function prefixBits6({ underlay }: Topology): string {
  return underlay.cidr6?.split('/')[1] ?? '64';
}
