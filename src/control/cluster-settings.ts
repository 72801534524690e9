/**
 * What all hosts of a cluster agree on, as written (`10.244.0.0/16,fd00:10:244::/56`) and as read: one range or address
 * of each family, IPv4 always, IPv6 where the cluster is to have it. Every fault names the setting and the entry.
 */
import { formatAddress, isV4, parseAddress, type Words } from '../wire/address.ts';
import { type AddressBlock, blockHolds, blocksOverlap, parseBlock } from './address-block.ts';
import { type LoadBalancerPool, parsePool } from './load-balancer-pool.ts';
import { DEFAULT_NODE_PORTS, type PortRange, parsePortRange } from './node-ports.ts';

export interface ClusterSettings {
  /** Where pods' addresses come from: `10.244.0.0/16,fd00:10:244::/56`. */
  clusterCidr: string;
  /** Where services' addresses come from: `10.96.0.0/16,fd00:10:96::/112`. */
  serviceCidr: string;
  /** `10.96.0.10,fd00:10:96::a`. */
  clusterDns: string;
  /** `cluster.local`. */
  clusterDomain: string;
  /** Where node ports come from: `30000-32767`, which is the default. */
  nodePortRange?: string;
  /** Where LoadBalancer services get addresses: `192.0.2.0/24,198.51.100.5-198.51.100.9`; nowhere by default. */
  loadBalancerPool?: string;
}

/** Ranges that most clusters and labs are content with. */
const DEFAULT_CLUSTER: ClusterSettings = {
  clusterCidr: '10.244.0.0/16,fd00:10:244::/56',
  serviceCidr: '10.96.0.0/16,fd00:10:96::/112',
  clusterDns: '10.96.0.10,fd00:10:96::a',
  clusterDomain: 'cluster.local',
};

/** What somebody said, and for the rest what most are content with. */
export function completeSettings(
  given: {
    [Name in keyof ClusterSettings]?: ClusterSettings[Name] | undefined;
  },
): Required<ClusterSettings> {
  const settings = {
    nodePortRange: given.nodePortRange ?? DEFAULT_NODE_PORTS,
    loadBalancerPool: given.loadBalancerPool ?? '',
    clusterCidr: given.clusterCidr ?? DEFAULT_CLUSTER.clusterCidr,
    serviceCidr: given.serviceCidr ?? DEFAULT_CLUSTER.serviceCidr,
    clusterDns: given.clusterDns ?? DEFAULT_CLUSTER.clusterDns,
    clusterDomain: given.clusterDomain ?? DEFAULT_CLUSTER.clusterDomain,
  };
  // Who names ranges of IPv4 alone wants no IPv6, also where the other settings are left as they are.
  const single = (['clusterCidr', 'serviceCidr'] as const).some((name) => given[name] && !given[name]?.includes(':'));
  for (const name of ['clusterCidr', 'serviceCidr', 'clusterDns'] as const) {
    if (single && given[name] === undefined) settings[name] = settings[name].split(',')[0] as string;
  }
  return settings;
}

export interface ClusterRanges {
  /** At most one of each family, IPv4 first. */
  cluster: readonly AddressBlock[];
  service: readonly AddressBlock[];
  /** Addresses of the cluster's DNS, IPv4 first. */
  dns: readonly Words[];
  nodePorts: PortRange;
  pool: LoadBalancerPool;
}

/** Settings that make no sense are the caller's to refuse: `code` WEFT_SETTINGS, the setting named in the message. */
export class SettingsError extends Error {
  readonly code = 'WEFT_SETTINGS';
}

/** Throws SettingsError. */
export function clusterRanges(settings: ClusterSettings): ClusterRanges {
  const cluster = readBlocks('clusterCidr', settings.clusterCidr);
  const service = readBlocks('serviceCidr', settings.serviceCidr);
  const dns = readAddresses('clusterDns', settings.clusterDns);
  for (const own of service) {
    const other = cluster.find((block) => blocksOverlap(block, own));
    if (other) throw new SettingsError(`serviceCidr: ${own.text} overlaps the cluster's ${other.text}`);
  }
  for (const address of dns) {
    const other = cluster.find((block) => blockHolds(block, address));
    if (other) throw new SettingsError(`clusterDns: ${formatAddress(address)} is inside the cluster's ${other.text}`);
  }
  const six = { clusterCidr: cluster.length > 1, serviceCidr: service.length > 1 };
  if (six.clusterCidr !== six.serviceCidr) {
    const [has, lacks] = six.clusterCidr ? ['clusterCidr', 'serviceCidr'] : ['serviceCidr', 'clusterCidr'];
    throw new SettingsError(`${lacks}: names no IPv6 range, ${has} does: give both one, or neither`);
  }
  if (dns.length > 1 && !six.clusterCidr) {
    throw new SettingsError(
      `clusterDns: ${formatAddress(dns[1] as Words)} is IPv6, and clusterCidr names no IPv6 range`,
    );
  }
  const nodePorts = parsePortRange(settings.nodePortRange ?? DEFAULT_NODE_PORTS);
  if (!nodePorts) throw new SettingsError(`nodePortRange: ${settings.nodePortRange} is no range such as 30000-32767`);
  const pool = readPool(settings.loadBalancerPool ?? '', [...cluster, ...service]);
  return { cluster, service, dns, nodePorts, pool };
}

function readPool(text: string, inner: readonly AddressBlock[]): LoadBalancerPool {
  const pool = parsePool(text);
  if (typeof pool === 'string') {
    throw new SettingsError(`loadBalancerPool: ${pool} is neither a CIDR nor a range such as 192.0.2.10-192.0.2.20`);
  }
  for (const { first, count } of [...pool.v4, ...pool.v6]) {
    const last: Words = [first[0], first[1], first[2], (first[3] + count - 1) >>> 0];
    const span = { text: `${formatAddress(first)}-${formatAddress(last)}`, ends: [first, last] };
    const other = inner.find((block) => span.ends.some((end) => blockHolds(block, end)));
    if (other) throw new SettingsError(`loadBalancerPool: ${span.text} overlaps ${other.text} of pods or services`);
  }
  return pool;
}

function readBlocks(setting: string, text: string): AddressBlock[] {
  const blocks = entriesOf(setting, text).map((entry) => {
    const block = parseBlock(entry);
    if (!block) throw new SettingsError(`${setting}: ${entry} is not a CIDR such as 10.244.0.0/16`);
    return block;
  });
  return oneOfEach(
    setting,
    'range',
    blocks,
    (block) => block.isV4,
    (block) => block.text,
  );
}

function readAddresses(setting: string, text: string): Words[] {
  const addresses = entriesOf(setting, text).map((entry) => {
    const address = parseAddress(entry);
    if (!address) throw new SettingsError(`${setting}: ${entry} is not an IP address`);
    return address;
  });
  return oneOfEach(setting, 'address', addresses, isV4, formatAddress);
}

function entriesOf(setting: string, text: string): string[] {
  const entries = text.split(',').map((entry) => entry.trim());
  const empty = entries.indexOf('');
  if (empty >= 0) throw new SettingsError(`${setting}: entry ${empty + 1} of "${text}" is empty`);
  return entries;
}

/** IPv4 first. Pods, services and hosts have an IPv4 address always: IPv6 stands beside it, not in its place. */
function oneOfEach<T>(
  setting: string,
  what: string,
  entries: readonly T[],
  is4: (entry: T) => boolean,
  show: (entry: T) => string,
): T[] {
  const four = entries.filter(is4);
  const six = entries.filter((entry) => !is4(entry));
  for (const [family, list] of [['IPv4', four] as const, ['IPv6', six] as const]) {
    if (list.length < 2) continue;
    const both = list.slice(0, 2).map(show).join(' and ');
    throw new SettingsError(`${setting}: ${both} are both ${family}: give one ${what} of each family`);
  }
  if (four.length === 0) {
    const own = entries.map(show).join(',');
    throw new SettingsError(`${setting}: ${own} has no IPv4 ${what}: clusters of IPv6 alone are not served, give both`);
  }
  return [...four, ...six];
}
