/**
 * What an agent says about itself over its status interface: the shapes that the command line, the lab and the tests
 * read. JSON, stable field names, units in the names.
 */
import type { Problem } from '../kube/problem.ts';

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

export interface ContainerStatus {
  name: string;
  state: 'waiting' | 'running' | 'terminated';
  /** 0 when it does not run. */
  pid: number;
  restarts: number;
  /** Of the last end; -1 before the first. */
  exitCode: number;
  reason: string;
  /** ISO 8601, or ''. */
  startedAt: string;
  env: Readonly<Record<string, string>>;
  workingDir: string;
  log: string;
}

export interface PodStatus {
  namespace: string;
  name: string;
  address: string;
  /** One of each family that it has, `address` first. */
  addresses: readonly string[];
  hostNetwork: boolean;
  hostname: string;
  phase: PodPhase;
  /** Every container runs. */
  ready: boolean;
  /** Path of its network namespace; '' in the host's network. */
  netns: string;
  /** Folder with its resolv.conf, hosts and logs. */
  directory: string;
  port: number;
  /** Why it is not up, or ''. */
  message: string;
  /** What of its object is not carried out. */
  notes: readonly string[];
  containers: readonly ContainerStatus[];
}

export interface ProbeResult {
  address: string;
  reachable: boolean;
  sent: number;
  received: number;
  rttMs: { min: number; median: number; max: number } | undefined;
  /** Largest IP packet that came through unfragmented; undefined when nothing did. */
  pathMtu: number | undefined;
}

export interface PeerStatus {
  node: string;
  address: string;
  podCidr: string;
  /** Its host address by the underlay. */
  underlay: ProbeResult | undefined;
  /** Its gateway address through the overlay. */
  overlay: ProbeResult | undefined;
  /** Its IPv6 gateway address likewise, where both hosts have one. */
  overlay6: ProbeResult | undefined;
  /** What is wrong and what to do, as sentences. */
  problems: readonly string[];
  probedAt: string;
}

export interface ServiceStatus {
  namespace: string;
  name: string;
  type: string;
  clusterIps: readonly string[];
  /** LoadBalancer addresses and externalIPs. */
  externalIps: readonly string[];
  /** `nodePort`: 0 where it has none. `targets`: `10.244.1.17:80`, `[fd00:10:244:1::111]:80`. */
  ports: readonly {
    name: string;
    protocol: string;
    port: number;
    nodePort: number;
    targets: readonly string[];
  }[];
}

export interface Check {
  name: string;
  ok: boolean;
  /** What was found. */
  detail: string;
  /** What to do; '' where all is well. */
  remedy: string;
  /** The agent can work without it. */
  optional?: boolean;
}

export interface AgentStatus {
  node: string;
  pid: number;
  ready: boolean;
  /** Why it is not ready, or ''. */
  notReady: string;
  startedAt: string;
  /** Milliseconds from the process's start until it was ready first; 0 before. */
  readyAfterMs: number;
  versions: { weft: string; node: string; kernel: string };
  backend: string;
  vni: number;
  udpPort: number;
  offload: { mode: string; requested: string; detail: string };
  underlay: { address: string; addresses: readonly string[]; device: string; mtu: number };
  podMtu: number;
  podCidr: string;
  gateway: string;
  /** '' where the node has no IPv6 range. */
  podCidr6: string;
  gateway6: string;
  generation: number;
  pods: readonly PodStatus[];
  services: readonly ServiceStatus[];
  peers: readonly PeerStatus[];
  problems: readonly Problem[];
  counters: {
    drops: Readonly<Record<string, number>>;
    ports: Readonly<Record<string, Readonly<Record<string, number>>>>;
    /** current, capacity, created, expired, evicted. */
    flows: Readonly<Record<string, number>>;
    /** Everything that the pipeline counts beside drops and ports. */
    gauges: Readonly<Record<string, number>>;
    native: Readonly<Record<string, number>>;
    /** By worker of the dataplane: rxPackets, txPackets, handedOver, flows. */
    workers: readonly Readonly<Record<string, number>>[];
    /** Of services in userspace mode: ports, accepted, active, moved, failed, limited. */
    relay: Readonly<Record<string, number>>;
    dns: Readonly<Record<string, number>>;
  };
  rssBytes: number;
}
