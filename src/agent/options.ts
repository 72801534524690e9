/**
 * What an agent can be told, and what it assumes when it is not. The command line fills AgentOptions; everything
 * else in this room reads AgentSettings, where nothing is optional any more.
 */
import { availableParallelism, hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { type ClusterSettings, clusterRanges, completeSettings } from '../control/cluster-settings.ts';
import { DEFAULT_PROXY, type ProxyDefaults } from '../control/service-mode.ts';
import type { StubDomain } from '../dns/forwarder.ts';
import { canonicalName, isWritableName } from '../dns/name.ts';
import { POD_NAMES, type PodNames } from '../dns/pod-records.ts';
import { parseUpstream } from '../dns/upstream.ts';

import { IPVS_SCHEDULERS, type IpvsScheduler, PROXY_MODES, parseProxyMode } from '../kube/proxy-mode.ts';
import { type PortRange, parsePortRange } from '../relay/port-range.ts';
import { parseAddress } from '../wire/address.ts';
import { parsePrefix } from '../wire/prefix.ts';
import { AgentError } from './agent-error.ts';
import type { LogFormat, LogLevel } from './log.ts';
import { type ImageMap, readImageMap } from './pods/image-map.ts';

export type BackendName = 'vxlan' | 'host-gw';
export type OffloadRequest = 'auto' | 'tunnel-gso' | 'udp-gso' | 'batched';

export interface AgentOptions {
  /** Name of the Node object that this host is; the host's name by default. */
  node?: string;
  /** Files and folders of Kubernetes manifests; watched. These or a kubeconfig. */
  manifests?: readonly string[];
  /** Path of the kubeconfig of the API that is followed instead. */
  kubeconfig?: string;
  /** False: another runtime runs this node's pods. With a kubeconfig only; true by default. */
  pods?: boolean;
  /** InternalIPs for the Node in the API; by default what it has, else the host's on the way to the API server. */
  nodeIps?: readonly string[];
  /** Port of the server that is asked for logs, commands and port forwards, with a kubeconfig; 0: none. */
  nodePort?: number;
  backend?: BackendName;
  /** VXLAN network identifier, 0 to 16777215. */
  vni?: number;
  /** UDP port of the overlay. */
  port?: number;
  /** One range of each family: `10.244.0.0/16,fd00:10:244::/56`; IPv4 alone: no IPv6. */
  clusterCidr?: string;
  serviceCidr?: string;
  clusterDns?: string;
  clusterDomain?: string;
  /** Where the agent keeps what must outlive it: /run/weft/NODE. */
  stateDir?: string;
  /** Unix socket of the status interface: STATEDIR/agent.sock. */
  socketPath?: string;
  /** MTU of the pods; the underlay device's less 50 by default. */
  mtu?: number;
  offload?: OffloadRequest;
  /** On SIGTERM leave pods, devices and routes as they are. */
  keepPods?: boolean;
  logLevel?: LogLevel;
  logFormat?: LogFormat;
  /** Most flows that the dataplane tracks at once. */
  maxFlows?: number;
  /** Threads that carry packets; by default half of the processors, at least 1, at most 4: the rest is for pods. */
  workers?: number;
  /** Domains with name servers of their own. */
  dnsStub?: readonly StubDomain[];
  /** Prefixes from which whole DNS zones may be fetched; none by default. */
  dnsTransfer?: readonly string[];
  /** How many DNS questions are kept for `weft dns log`; none by default. */
  dnsLog?: number;
  /** Which names pods have; `verified` by default. */
  dnsPods?: PodNames;
  /** TTL of the cluster's records in seconds, 0 to 3600; 5 by default. */
  dnsTtl?: number;
  /** Bytes for answers of other servers; 4 MB by default. */
  dnsCache?: number;
  /** Let the dataplane answer what the DNS server answered once; on by default. */
  dnsOffload?: boolean;
  /** Complete names along the asking pod's search path; on by default. */
  dnsAutopath?: boolean;
  /** Microseconds after traffic in which a worker looks for more before it sleeps. */
  busyPoll?: number;
  /** How services are served that do not say it: failover (the default), userspace, iptables, ipvs, ipvs:SCHEDULER. */
  proxyMode?: string;
  /** Of mode ipvs; rr by default. */
  ipvsScheduler?: string;
  /** Where node ports come from: `30000-32767`. The same on all hosts, as the next. */
  serviceNodePortRange?: string;
  /** Where LoadBalancer services get addresses: `192.0.2.0/24,198.51.100.5-198.51.100.9`; nowhere by default. */
  loadBalancerPool?: string;
  /** File with commands for images, before the built-in ones. */
  images?: string;
  /** Ports of the host for services in userspace mode, `40000-40999`; any that are free by default. */
  proxyPortRange?: string;
}

type Parsed = 'mtu' | 'images' | 'maxFlows' | 'proxyMode' | 'ipvsScheduler' | 'proxyPortRange' | 'serviceNodePortRange';

export interface AgentSettings extends Required<Omit<AgentOptions, Parsed | 'kubeconfig' | 'pods'>> {
  /** undefined: manifests are read. */
  kubeconfig: string | undefined;
  runsPods: boolean;
  /** How services are served that do not say it themselves. */
  proxy: ProxyDefaults;
  /** undefined: any port that is free. */
  proxyPortRange: PortRange | undefined;
  nodePortRange: string;
  images: ImageMap;
  mtu: number | undefined;
  maxFlows: number | undefined;
}

/** Longest path of a unix socket (sun_path in linux/un.h, less the final zero). */
const SOCKET_PATH_BYTES = 107;
/** As kubelet's. */
const NODE_PORT = 10_250;
export const MOST_WORKERS = 16;
export const MOST_DNS_LOG = 100_000;
const DNS_TTL_SECONDS = 5;
const MOST_DNS_TTL_SECONDS = 3600;
const DNS_CACHE_BYTES = 4 << 20;
const MOST_DNS_CACHE_BYTES = 2 ** 30;
/** Bridges the wait for an answer from the next host; docs/performance.md has what it gains and costs. */
const BUSY_POLL_MICROS = 200;

export function agentSettings(options: AgentOptions): AgentSettings {
  const node = options.node ?? hostname().toLowerCase();
  if (!/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(node) || node.length > 253) {
    throw new AgentError('bad-option', `--node ${node} cannot name a Node`, 'use lower-case letters, digits, - and .');
  }
  const stateDir = resolve(options.stateDir ?? join('/run/weft', node));
  const socketPath = resolve(options.socketPath ?? join(stateDir, 'agent.sock'));
  if (Buffer.byteLength(socketPath) > SOCKET_PATH_BYTES) {
    throw new AgentError(
      'bad-option',
      `socket path ${socketPath} is longer than ${SOCKET_PATH_BYTES} bytes`,
      'choose a shorter one with --socket',
    );
  }
  const cluster = clusterSettings(options);
  return {
    node,
    ...sourceSettings(options),
    nodePort: inRange('--node-port', options.nodePort ?? NODE_PORT, 0, 65535),
    backend: oneOf('--backend', options.backend ?? 'vxlan', ['vxlan', 'host-gw']),
    vni: inRange('--vni', options.vni ?? 1, 0, 0xffffff),
    port: inRange('--port', options.port ?? 4789, 1, 65535),
    ...cluster,
    stateDir,
    socketPath,
    mtu: options.mtu === undefined ? undefined : inRange('--mtu', options.mtu, 576, 65535),
    offload: oneOf('--offload', options.offload ?? 'auto', ['auto', 'tunnel-gso', 'udp-gso', 'batched']),
    keepPods: options.keepPods ?? false,
    images: readImageMap(options.images),
    dnsStub: options.dnsStub ?? [],
    dnsTransfer: (options.dnsTransfer ?? []).map(checkedPrefix),
    dnsLog: inRange('--dns-log', options.dnsLog ?? 0, 0, MOST_DNS_LOG),
    dnsAutopath: options.dnsAutopath ?? true,
    dnsPods: oneOf('--dns-pods', options.dnsPods ?? 'verified', POD_NAMES),
    dnsTtl: inRange('--dns-ttl', options.dnsTtl ?? DNS_TTL_SECONDS, 0, MOST_DNS_TTL_SECONDS),
    dnsCache: inRange('--dns-cache', options.dnsCache ?? DNS_CACHE_BYTES, 0, MOST_DNS_CACHE_BYTES),
    dnsOffload: options.dnsOffload ?? true,
    logLevel: options.logLevel ?? 'info',
    logFormat: options.logFormat ?? 'plain',
    workers: inRange('--workers', options.workers ?? defaultWorkers(availableParallelism()), 1, MOST_WORKERS),
    busyPoll: inRange('--busy-poll', options.busyPoll ?? BUSY_POLL_MICROS, 0, 10_000),
    proxy: proxyDefaults(options),
    proxyPortRange: options.proxyPortRange === undefined ? undefined : checkedRange(options.proxyPortRange),
    maxFlows: options.maxFlows === undefined ? undefined : inRange('--max-flows', options.maxFlows, 1024, 1 << 24),
  };
}

/** Where objects come from: files, or an API. */
function sourceSettings(
  options: AgentOptions,
): Pick<AgentSettings, 'manifests' | 'kubeconfig' | 'runsPods' | 'nodeIps'> {
  const { manifests = [], kubeconfig, pods = true, nodeIps = [] } = options;
  if (kubeconfig === undefined && manifests.length === 0) {
    const remedy = 'name a file or folder of Kubernetes YAML, --manifests PATH, or an API, --kubeconfig FILE';
    throw new AgentError('bad-option', 'no manifests given', remedy);
  }
  if (kubeconfig !== undefined && manifests.length > 0) {
    throw new AgentError(
      'bad-option',
      '--manifests and --kubeconfig exclude each other',
      'objects come from one place',
    );
  }
  if (kubeconfig === undefined && (!pods || nodeIps.length > 0)) {
    const name = pods ? '--node-ip' : '--no-pods';
    throw new AgentError('bad-option', `${name} goes with --kubeconfig`, 'with --manifests the files say it');
  }
  const wrong = nodeIps.find((text) => parseAddress(text) === undefined);
  if (wrong !== undefined) throw new AgentError('bad-option', `--node-ip ${wrong} is no IP address`);
  return {
    manifests: manifests.map((path) => resolve(path)),
    kubeconfig: kubeconfig === undefined ? undefined : resolve(kubeconfig),
    runsPods: pods,
    nodeIps,
  };
}

function clusterSettings(options: AgentOptions): Required<ClusterSettings> {
  const { serviceNodePortRange, ...given } = options;
  const settings = completeSettings({ ...given, nodePortRange: serviceNodePortRange });
  try {
    clusterRanges(settings);
    return settings;
  } catch (error) {
    throw new AgentError(
      'bad-option',
      (error as Error).message,
      'see --cluster-cidr, --service-cidr, --cluster-dns, --service-node-port-range and --load-balancer-pool',
    );
  }
}

export function defaultWorkers(processors: number): number {
  return Math.min(4, Math.max(1, Math.floor(processors / 2)));
}

/** `corp.example=10.0.0.1,10.0.0.2:5353`. */
export function parseStubDomain(text: string): StubDomain {
  const [domain = '', servers = '', ...more] = text.split('=');
  const upstreams = servers.split(',');
  const wrong = upstreams.filter((upstream) => parseUpstream(upstream) === undefined);
  if (canonicalName(domain) !== '' && isWritableName(canonicalName(domain)) && more.length + wrong.length === 0) {
    return { domain, upstreams };
  }
  const remedy = 'write a domain and addresses, as in corp.example=10.0.0.1,10.0.0.2:5353';
  throw new AgentError('bad-option', `--dns-stub ${text} is not understood`, remedy);
}

function checkedPrefix(text: string): string {
  if (parsePrefix(text)) return text;
  throw new AgentError('bad-option', `--dns-transfer ${text} is not a prefix`, 'write one as in 10.244.0.0/16');
}

function proxyDefaults({ proxyMode = 'failover', ipvsScheduler }: AgentOptions): ProxyDefaults {
  const wish = parseProxyMode(proxyMode);
  if (!wish) {
    const remedy = `use one of ${PROXY_MODES.join(', ')}, ipvs:SCHEDULER`;
    throw new AgentError('bad-option', `--proxy-mode ${proxyMode} is not known`, remedy);
  }
  const scheduler = ipvsScheduler ?? wish.scheduler ?? DEFAULT_PROXY.scheduler;
  return { mode: wish.mode, scheduler: oneOf('--ipvs-scheduler', scheduler as IpvsScheduler, IPVS_SCHEDULERS) };
}

function checkedRange(text: string): PortRange {
  const range = parsePortRange(text);
  if (range) return range;
  throw new AgentError('bad-option', `--proxy-port-range ${text} is no range of ports`, 'write one as in 40000-40999');
}

function inRange(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new AgentError('bad-option', `${name} ${value} is not between ${min} and ${max}`);
}

function oneOf<T extends string>(name: string, value: T, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  throw new AgentError('bad-option', `${name} ${value} is not known`, `use one of ${allowed.join(', ')}`);
}
