/**
 * What running a pod takes, worked out from its Kubernetes object: which command with which environment, in which
 * network namespace, with which files. Pure; the pod's life (pod.ts) carries it out. A pod is made anew when the
 * fingerprint of its plan changes.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Container, EnvVar } from 'kubernetes-types/core/v1.js';
import type { ClusterPod } from '../control/model.ts';
import { hostNetworkEtcHosts, podEtcHosts } from '../dns/etc-hosts.ts';
import { podResolvConf, serversFor } from '../dns/resolv-conf.ts';
import { formatAddress } from '../wire/address.ts';

export type RestartPolicy = 'Always' | 'OnFailure' | 'Never';

export interface ContainerPlan {
  name: string;
  /** Absent when the object names no command: nothing here can run an image. */
  argv: readonly string[] | undefined;
  env: Readonly<Record<string, string>>;
  workingDir: string;
  /** Why it cannot run. */
  problem: string | undefined;
}

export interface PodPlan {
  key: string;
  namespace: string;
  name: string;
  address: string;
  /** One of each family that it has, `address` first. */
  addresses: readonly string[];
  hostNetwork: boolean;
  hostname: string;
  /** Name under /run/netns; '' for a pod in the host's network. */
  netns: string;
  /** Folder of its files, under the agent's own. */
  directory: string;
  restartPolicy: RestartPolicy;
  graceSeconds: number;
  containers: readonly ContainerPlan[];
  resolvConf: string;
  etcHosts: string;
  mtu: number;
  fingerprint: string;
  /** What of the object is not carried out, as sentences. */
  notes: readonly string[];
}

export interface PodPlanContext {
  stateDir: string;
  /** The node's, one of each family that it has. */
  nodeAddresses: readonly string[];
  /** The cluster's DNS, one of each family that it has. */
  clusterDns: readonly string[];
  clusterDomain: string;
  hostResolvConf: string;
  hostEtcHosts: string;
  mtu: number;
}

/** A pod's PATH after the folder with the weft command. */
const POD_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Longest name that a file system takes, with room for what tools append. */
const NAME_BYTES = 200;

/** Fields of a container that promise something this agent does not do. */
const IGNORED_FIELDS = [
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'lifecycle',
  'volumeMounts',
  'envFrom',
] as const;

/** `weft-default-web-0`. The suffix tells a/b-c from a-b/c. */
export function netnsName(namespace: string, name: string): string {
  const plain = `weft-${namespace}-${name}`;
  return namespace.includes('-') || plain.length > NAME_BYTES ? shortened(plain, `${namespace}/${name}`) : plain;
}

/** Folder of a pod's files: `<stateDir>/pods/default_web-0`. */
export function podDirectory(stateDir: string, namespace: string, name: string): string {
  const plain = `${namespace}_${name}`;
  return join(stateDir, 'pods', plain.length > NAME_BYTES ? shortened(plain, plain) : plain);
}

function shortened(plain: string, unique: string): string {
  return `${plain.slice(0, NAME_BYTES - 9)}-${digest(unique).slice(0, 8)}`;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

export function planPod(pod: ClusterPod, context: PodPlanContext): PodPlan {
  const { namespace, name } = pod;
  const spec = pod.object.spec;
  const notes: string[] = [];
  const address = formatAddress(pod.address);
  const addresses = pod.addresses.map(formatAddress);
  const restartPolicy = (spec.restartPolicy ?? 'Always') as RestartPolicy;
  const fields: Record<string, string> = {
    'metadata.name': name,
    'metadata.namespace': namespace,
    'metadata.uid': pod.object.metadata.uid ?? '',
    'spec.nodeName': pod.nodeName,
    'spec.serviceAccountName': spec.serviceAccountName ?? 'default',
    'status.podIP': address,
    'status.podIPs': addresses.join(),
    'status.hostIP': context.nodeAddresses[0] ?? '',
    'status.hostIPs': context.nodeAddresses.join(),
  };
  const containers = spec.containers.map((container, i) => {
    const place = `spec.containers[${i}]`;
    for (const field of IGNORED_FIELDS)
      if (container[field] !== undefined) notes.push(`${place}.${field} is not supported`);
    return planContainer(container, place, pod, fields, context, notes);
  });
  if (spec.initContainers?.length) notes.push('spec.initContainers is not supported: they do not run');
  if (spec.hostPID || spec.hostIPC)
    notes.push('spec.hostPID and hostIPC make no difference: pods share those of the host');

  const resolv = podResolvConf({
    ...(spec.dnsPolicy ? { dnsPolicy: spec.dnsPolicy } : {}),
    ...(spec.dnsConfig ? { dnsConfig: spec.dnsConfig } : {}),
    namespace,
    domain: context.clusterDomain,
    clusterDns: serversFor(addresses, context.clusterDns),
    hostResolvConf: context.hostResolvConf,
    hostNetwork: pod.hostNetwork,
  });
  notes.push(...resolv.problems);
  const plan = {
    key: `${namespace}/${name}`,
    namespace,
    name,
    address,
    addresses,
    hostNetwork: pod.hostNetwork,
    hostname: pod.hostname,
    netns: pod.hostNetwork ? '' : netnsName(namespace, name),
    directory: podDirectory(context.stateDir, namespace, name),
    restartPolicy,
    graceSeconds: spec.terminationGracePeriodSeconds ?? 30,
    containers,
    mtu: context.mtu,
  };
  const etcHosts = pod.hostNetwork
    ? hostNetworkEtcHosts(context.hostEtcHosts, spec.hostAliases ?? [])
    : podEtcHosts({
        addresses,
        hostname: pod.hostname,
        ...(pod.subdomain
          ? { fqdn: `${pod.hostname}.${pod.subdomain}.${namespace}.svc.${context.clusterDomain}` }
          : {}),
        hostAliases: spec.hostAliases ?? [],
      });
  return { ...plan, resolvConf: resolv.text, etcHosts, fingerprint: digest(JSON.stringify(plan)), notes };
}

function planContainer(
  container: Container,
  place: string,
  pod: ClusterPod,
  fields: Readonly<Record<string, string>>,
  context: PodPlanContext,
  notes: string[],
): ContainerPlan {
  const env: Record<string, string> = {
    PATH: `${join(context.stateDir, 'bin')}:${POD_PATH}`,
    HOME: '/root',
    HOSTNAME: pod.hostname,
  };
  (container.env ?? []).forEach((variable, i) => {
    const value = variableValue(variable, fields);
    if (value === undefined) notes.push(`${place}.env[${i}] ${variable.name}: its valueFrom is not supported`);
    else env[variable.name] = expand(value, env);
  });
  const command = container.command ?? [];
  const argv =
    command.length > 0 ? [...command, ...(container.args ?? [])].map((word) => expand(word, env)) : undefined;
  return {
    name: container.name,
    argv,
    env,
    workingDir: container.workingDir || '/',
    problem: argv ? undefined : `${place}: image ${container.image ?? '(none)'} is not known; give a command`,
  };
}

function variableValue(variable: EnvVar, fields: Readonly<Record<string, string>>): string | undefined {
  if (!variable.valueFrom) return variable.value ?? '';
  const path = variable.valueFrom.fieldRef?.fieldPath;
  return path === undefined ? undefined : fields[path];
}

/** `$(NAME)` becomes the variable's value, where there is one; `$$(NAME)` stays as `$(NAME)` (core/v1 EnvVar). */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$(\$|\(([^()]+)\))/g, (whole, first: string, name: string | undefined) => {
    if (first === '$') return '$';
    return name !== undefined && Object.hasOwn(env, name) ? (env[name] as string) : whole;
  });
}
