/**
 * The API server of a lab: where it listens and how it is started. It runs in the lab's own namespaces,
 * where the bridge is: hosts reach it there, whoever is outside by a socket that `weft lab up` made and handed down.
 */
import { TUNNEL_ENVIRONMENT } from './etcd-tunnel.ts';
import type { LabDir } from './lab-dir.ts';
import { loadBalancerPool } from './load-balancer-pool.ts';
import type { GivenEtcd, Topology } from './topology.ts';

/** The lab's side of what agents and the API server are told alike. */
const SHARED_OPTIONS = [
  'cluster-cidr',
  'service-cidr',
  'cluster-dns',
  'service-node-port-range',
  'load-balancer-pool',
] as const;
const PORT = 6443;
/** Of an etcd of the lab's own. */
const ETCD_URL = 'http://127.0.0.1:2379';
const ETCD_PEER_URL = 'http://127.0.0.1:2380';
/** The number under which a holder and its API server have the outer socket. */
export const OUTER_FD = 3;

/** For the lab's hosts. */
export function innerUrl({ underlay }: Topology): string {
  return `https://${bracketed(serverAddress(underlay))}:${PORT}`;
}

/** For whoever is outside. */
export function outerUrl(port: number): string {
  return `https://127.0.0.1:${port}`;
}

export function apiServerArguments(lab: LabDir, topology: Topology, manifests: readonly string[]): string[] {
  const { api, underlay, agent } = topology;
  const pool = process.env.WEFT_LOAD_BALANCER_POOL === undefined ? loadBalancerPool(underlay) : '';
  const shared = SHARED_OPTIONS.flatMap((name) => (agent[name] === undefined ? [] : [`--${name}=${agent[name]}`]));
  return [
    'apiserver',
    ...['--data', lab.apiServerDir],
    ...['--bind', serverAddress(underlay), '--port', `${PORT}`],
    ...['--name', ...serverNames(topology)],
    ...['--listen-fd', `${OUTER_FD}`],
    ...(api?.store === 'etcd' ? ['--store', 'etcd', ...etcdArguments(lab, api.etcd)] : []),
    ...(pool === '' ? [] : ['--load-balancer-pool', pool]),
    ...shared,
    ...manifests.flatMap((path) => ['--manifests', path]),
  ];
}

function etcdArguments(lab: LabDir, given: GivenEtcd | undefined): string[] {
  if (given === undefined) return ['--etcd-servers', ETCD_URL];
  const files = given.files.flatMap((name) => [`--etcd-${name}`, lab.etcdFile(name)]);
  return ['--etcd-servers', given.servers.join(','), '--etcd-prefix', given.prefix, ...files];
}

/** Beside what everybody has: how etcd is reached, whatever proxies the machine has. */
export function apiServerEnvironment({ api }: Topology): NodeJS.ProcessEnv {
  return api?.etcd === undefined ? { no_grpc_proxy: new URL(ETCD_URL).hostname } : TUNNEL_ENVIRONMENT;
}

export function etcdCommand(lab: LabDir): string[] {
  return [
    'etcd',
    ...['--data-dir', lab.etcdDir, '--log-level', 'warn'],
    ...['--listen-client-urls', ETCD_URL, '--advertise-client-urls', ETCD_URL],
    ...['--listen-peer-urls', ETCD_PEER_URL, '--initial-advertise-peer-urls', ETCD_PEER_URL],
    ...['--initial-cluster', `default=${ETCD_PEER_URL}`],
  ];
}

/** On the bridge. */
export function serverAddress({ family, router, router6 }: Topology['underlay']): string {
  return family === 'ipv6' && router6 !== undefined ? router6 : router;
}

/** What else its certificate is for. */
export function serverNames({ underlay }: Topology): string[] {
  const service = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc'];
  return [...service, ...(underlay.family === 'dual' && underlay.router6 ? [underlay.router6] : [])];
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}
