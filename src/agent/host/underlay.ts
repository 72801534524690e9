/**
 * The network between the hosts, as this host has it: which device carries the Node's InternalIP and with which MTU.
 */
import { isIPv4 } from 'node:net';
import type { NativeAddon } from '../../io/native-addon.ts';
import { AgentError } from '../agent-error.ts';
import { runTool } from '../command.ts';

export interface Underlay {
  /** The Node's first InternalIP. */
  address: string;
  /** Of the Node's InternalIPs one of each family that this host has, `address` first. */
  addresses: readonly string[];
  /** Those that it has not. */
  absent: readonly string[];
  device: string;
  mtu: number;
  /** The kind of link (`veth`, `bridge`, …) where the kernel names one. */
  linkKind: string;
}

/** `ip -json -details address show`, as far as it is read here. */
interface Link {
  ifname?: string;
  mtu?: number;
  linkinfo?: { info_kind?: string };
  addr_info?: { family?: string; local?: string; scope?: string }[];
}

export async function readLinks(): Promise<readonly Link[]> {
  return JSON.parse(await runTool('ip', ['-json', '-details', 'address', 'show'])) as Link[];
}

/** The device with the first of the Node's InternalIPs. */
export function findUnderlay(links: readonly Link[], wanted: readonly string[], node: string): Underlay {
  const [address = '', ...others] = wanted;
  const has = (link: Link, each: string): boolean => link.addr_info?.some((a) => a.local === each) === true;
  const isHere = (each: string): boolean => links.some((link) => has(link, each));
  for (const link of links) {
    if (!link.ifname || !has(link, address)) continue;
    const other = others.find((each) => isIPv4(each) !== isIPv4(address) && isHere(each));
    return {
      address,
      addresses: other ? [address, other] : [address],
      absent: others.filter((each) => !isHere(each)),
      device: link.ifname,
      mtu: link.mtu ?? 1500,
      linkKind: link.linkinfo?.info_kind ?? '',
    };
  }
  const own = links.flatMap((link) =>
    link.ifname === 'lo' ? [] : (link.addr_info ?? []).filter((a) => a.scope !== 'link').map((a) => a.local),
  );
  throw new AgentError(
    'no-underlay',
    `Node ${node}: InternalIP ${address} is on no device of this host, which has ${own.join(', ') || 'no address'}`,
    'correct status.addresses of the Node, or give the right --node',
  );
}

/**
 * Whether a super-packet in the tunnel leaves the device whole. Where it does not, the kernel cuts it and every packet
 * goes on alone: then we cut better ourselves and send many at once.
 */
export function segmentsTunnels(native: Pick<NativeAddon, 'deviceOffloads'>, device: string): boolean {
  try {
    const { tcpSegmentation, tunnelSegmentation } = native.deviceOffloads(device);
    return tcpSegmentation && tunnelSegmentation;
  } catch {
    // A device that does not tell, or is just going: as if it did.
    return true;
  }
}

/**
 * Whether packets may arrive that never were on a wire, their checksums therefore never computed: a virtual link
 * between namespaces of one machine.
 */
export function isSameMachine(underlay: Underlay): boolean {
  return underlay.linkKind === 'veth';
}
