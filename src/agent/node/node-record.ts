/**
 * This host's Node object in an API, as it should be: what others wrote in it is left alone, what stands in it decides
 * (a lab writes InternalIPs and podCIDRs beforehand), what is missing is added. Of a Node that a kubelet keeps only what
 * the network has to say. Pure; node-keeper.ts writes it.
 */
import type { NodeCondition, NodeStatus } from 'kubernetes-types/core/v1.js';
import { defaultMac, FLANNEL_DATA_ANNOTATION, VTEP_MAC_ANNOTATION } from '../../control/cluster-nodes.ts';
import { formatMac, isV4, parseAddress, word4 } from '../../wire/address.ts';

/** A Node as the API has it. */
export interface NodeRecord {
  apiVersion: 'v1';
  kind: 'Node';
  metadata: {
    name: string;
    uid?: string;
    resourceVersion?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  spec?: object;
  status?: NodeStatus;
}

/** What is known of this host. */
export interface HostFacts {
  name: string;
  /** For InternalIPs. */
  addresses: readonly string[];
  /** Somebody asked for them: they go before those that the Node has. */
  addressesAreGiven: boolean;
  /** Port of the agent's node server; 0: there is none. */
  nodePort: number;
  cpus: number;
  memoryBytes: number;
  info: NonNullable<NodeStatus['nodeInfo']>;
}

/** What marks a Node as kept by an agent of ours, in nodeInfo.kubeletVersion. */
export const OWN_MARK = '+weft-';
const MOST_PODS = 110;
/** So often a condition says that it is still seen. */
const HEARTBEAT_MS = 5 * 60_000;

/** Whether somebody else's kubelet keeps it. */
export function isKubelets(node: NodeRecord): boolean {
  const version = node.status?.nodeInfo?.kubeletVersion ?? '';
  return version !== '' && !version.includes(OWN_MARK);
}

/** What is to be added to its metadata; undefined: nothing. */
export function missingMetadata(node: NodeRecord, facts: HostFacts): object | undefined {
  const { info, name } = facts;
  const { labels, annotations } = node.metadata;
  const hasFlannels = annotations?.[FLANNEL_DATA_ANNOTATION] !== undefined;
  const added = {
    labels: missing(labels, {
      'kubernetes.io/hostname': name,
      'kubernetes.io/os': info.operatingSystem,
      'kubernetes.io/arch': info.architecture,
    }),
    annotations: hasFlannels ? {} : missing(annotations, vtepAnnotation(addressesOf(node, facts))),
  };
  const parts = Object.entries(added).filter(([, part]) => Object.keys(part).length > 0);
  return parts.length > 0 ? Object.fromEntries(parts) : undefined;
}

/** Its status as it should be. `why`: why the host is not ready, or ''. */
export function wantedStatus(node: NodeRecord, facts: HostFacts, why: string, now: Date): NodeStatus {
  const status = node.status ?? {};
  const network = condition('NetworkUnavailable', 'False', 'WeftIsUp', 'the pod network is up');
  if (isKubelets(node)) return why ? status : withConditions(status, [network], now);
  const ready = why
    ? condition('Ready', 'False', 'AgentNotReady', why)
    : condition('Ready', 'True', 'AgentReady', 'packets are carried and pods run');
  const resources = {
    cpu: `${facts.cpus}`,
    memory: `${Math.floor(facts.memoryBytes / 1024)}Ki`,
    pods: `${MOST_PODS}`,
  };
  return withConditions(
    {
      ...status,
      addresses: addressesOf(node, facts),
      capacity: { ...status.capacity, ...resources },
      allocatable: { ...status.allocatable, ...resources },
      nodeInfo: facts.info,
      ...(facts.nodePort > 0 ? { daemonEndpoints: { kubeletEndpoint: { Port: facts.nodePort } } } : {}),
    },
    why ? [ready] : [ready, network],
    now,
  );
}

type Addresses = NonNullable<NodeStatus['addresses']>;

function addressesOf({ status }: NodeRecord, facts: HostFacts): Addresses {
  const stands = status?.addresses ?? [];
  const internal = stands.filter(({ type }) => type === 'InternalIP');
  const own = facts.addresses.map((address) => ({ type: 'InternalIP', address }));
  const others = stands.filter(({ type }) => type !== 'InternalIP' && type !== 'Hostname');
  const first = facts.addressesAreGiven || internal.length === 0 ? own : internal;
  return [...first, { type: 'Hostname', address: facts.name }, ...others];
}

/** As every host of ours works it out; written down for whoever does not. */
function vtepAnnotation(addresses: Addresses): Record<string, string> {
  const internal = addresses.flatMap(({ type, address }) => (type === 'InternalIP' ? [parseAddress(address)] : []));
  const words = internal.find((address) => address && isV4(address)) ?? internal[0];
  return words ? { [VTEP_MAC_ANNOTATION]: formatMac(defaultMac(word4(words))) } : {};
}

function missing(
  stands: Readonly<Record<string, string>> = {},
  wanted: Readonly<Record<string, string>>,
): Record<string, string> {
  return Object.fromEntries(Object.entries(wanted).filter(([name]) => stands[name] === undefined));
}

function condition(type: string, status: string, reason: string, message: string): NodeCondition {
  return { type, status, reason, message };
}

/** In their places, the others as they are; with times that change no more often than they must. */
function withConditions(status: NodeStatus, wanted: readonly NodeCondition[], now: Date): NodeStatus {
  const stands = status.conditions ?? [];
  const time = `${now.toISOString().slice(0, 19)}Z`;
  const next = wanted.map((condition): NodeCondition => {
    const before = stands.find(({ type }) => type === condition.type);
    const isSame = before?.status === condition.status;
    const isTold = isSame && before.reason === condition.reason && before.message === condition.message;
    const age = now.getTime() - Date.parse(before?.lastHeartbeatTime ?? '');
    if (isTold && age < HEARTBEAT_MS) return before;
    return { ...condition, lastHeartbeatTime: time, lastTransitionTime: (isSame && before.lastTransitionTime) || time };
  });
  const kept = stands.map((before) => next.find(({ type }) => type === before.type) ?? before);
  const added = next.filter(({ type }) => !stands.some((before) => before.type === type));
  return { ...status, conditions: [...kept, ...added] };
}
