/**
 * What one host says about its services: how each is served, who stands behind it and what became of the connections
 * that were sent there, and why one is not served. The shapes that `weft services -o json` prints; JSON, stable field
 * names.
 */
import { SERVICE_NAME_LABEL } from '../../control/endpoints.ts';
import type { ClusterModel, ClusterService } from '../../control/model.ts';
import { PodIndex } from '../../control/pod-index.ts';
import { type ProxyDefaults, proxyModeOf, schedulerOf } from '../../control/service-mode.ts';
import { targetKey } from '../../control/target-order.ts';
import type { EndpointSlice, ObjectSet } from '../../kube/objects.ts';
import { formatProblem, type Problem } from '../../kube/problem.ts';
import { idOf } from '../../relay/endpoint-picker.ts';
import type { ProxyCounts } from '../../relay/proxy-port.ts';
import type { ProxyStatus } from '../../relay/relay.ts';
import type { ServiceEndpoint } from '../../tables/services.ts';
import { formatAddress, parseAddress } from '../../wire/address.ts';
import { whyUnserved } from './unserved.ts';

export interface ServiceReport {
  namespace: string;
  name: string;
  /** '' where its object was refused: then all is empty but `problems`. */
  type: string;
  headless: boolean;
  clusterIps: readonly string[];
  /** LoadBalancer addresses and externalIPs. */
  externalIps: readonly string[];
  /** '' where it is none. */
  externalName: string;
  /** `failover`, `userspace`, `iptables`, `ipvs:rr`. */
  mode: string;
  ports: readonly PortReport[];
  /** Why something of it is not served, as sentences that name the object and the field. */
  problems: readonly string[];
}

export interface PortReport {
  name: string;
  protocol: string;
  port: number;
  /** 0 where it has none. */
  nodePort: number;
  endpoints: readonly EndpointReport[];
  /** In userspace mode: the proxy ports that lead to the endpoints, one for each address family. */
  relays: readonly RelayReport[];
}

export interface EndpointReport {
  /** `10.244.1.17:80`. */
  address: string;
  /** `namespace/name`, or '' where it is no pod that is known. */
  pod: string;
  node: string;
  /** `ready`, or `ending` where it serves because nobody else is ready or until its connections are done. */
  state: 'ready' | 'ending';
  /** Sent to it by this host, answered or not; UDP: conversations. */
  connections: number;
  active: number;
  /** Of the connections, those that it refused or did not answer in time. */
  failures: number;
  /** How often it was left out for its failures. */
  ejections: number;
  /** ISO 8601; '' while it is not left out for its failures. */
  ejectedUntil: string;
}

export interface RelayReport extends ProxyCounts {
  /** `10.244.1.1:40001`. */
  address: string;
}

/** The dataplane's counts of one endpoint, under one of the addresses of its service. */
export interface EndpointCounters {
  begun: number;
  active: number;
  failures: number;
  /** How often it was left out. */
  ejections: number;
  /** Milliseconds for which it is still left out; 0: it is not. */
  ejectedForMs: number;
}

export interface ReportParts {
  model: ClusterModel;
  objects: ObjectSet;
  problems: readonly Problem[];
  /** This host. */
  node: string;
  defaults: ProxyDefaults;
  /** What was compiled, by `namespace/name PROTOCOL/port` and which of the service's addresses. */
  compiled: ReadonlyMap<string, { endpoints: readonly ServiceEndpoint[]; outside?: readonly ServiceEndpoint[] }>;
  /** By the compiled endpoints' ids. */
  counters: Readonly<Record<number, EndpointCounters>>;
  /** By proxyPortKey. */
  relay: ReadonlyMap<string, ProxyStatus>;
  nowMs: number;
  /** Those that are asked for, `NAME` or `NAMESPACE/NAME`; all where it is empty. */
  names: readonly string[];
}

const NOTHING: EndpointCounters = { begun: 0, active: 0, failures: 0, ejections: 0, ejectedForMs: 0 };

export function serviceReports(parts: ReportParts): ServiceReport[] {
  const isWanted = wanted(parts.names);
  const counts = endpointCounts(parts, isWanted);
  const problems = problemsByService(parts);
  const { endpoints, endpointSlices } = parts.objects;
  const written = new Set([...endpoints.keys(), ...[...endpointSlices.values()].map(serviceOf)]);
  const index = new PodIndex(parts.model.pods.values());
  const shown = [...parts.model.services].filter(([key]) => isWanted(key));
  const served = shown.map(([key, service]) => ({
    namespace: service.namespace,
    name: service.name,
    type: service.type,
    headless: service.headless,
    clusterIps: service.clusterIps.map(formatAddress),
    externalIps: [...service.loadBalancerIps, ...service.externalIps].map(formatAddress),
    externalName: service.externalName ?? '',
    mode: modeName(service, parts.defaults),
    ports: portReports(key, service, { parts, counts, pods: index }),
    problems: [
      ...(problems.get(key) ?? []),
      ...unserved(key, service, parts, { isWritten: written.has(key), pods: index }),
    ],
  }));
  return [...served, ...refused(parts, problems, isWanted)];
}

/** Services of which nothing is served, because of what is written in them: else they would be missed without a word. */
function refused(
  { model, problems: all }: ReportParts,
  problems: ReadonlyMap<string, string[]>,
  isWanted: (key: string) => boolean,
): ServiceReport[] {
  const keys = new Set(all.map(({ message }) => /^Service ([^ :]+): /.exec(message)?.[1] ?? ''));
  return [...keys].flatMap((key) => {
    const [namespace = '', name = ''] = key.split('/');
    if (name === '' || model.services.has(key) || !isWanted(key)) return [];
    const nothing = {
      type: '',
      headless: false,
      clusterIps: [],
      externalIps: [],
      externalName: '',
      mode: '',
      ports: [],
    };
    return [{ namespace, name, ...nothing, problems: problems.get(key) ?? [] }];
  });
}

function wanted(names: readonly string[]): (key: string) => boolean {
  const all = new Set(names);
  return (key) => all.size === 0 || all.has(key) || all.has(key.slice(key.indexOf('/') + 1));
}

function modeName(service: ClusterService, defaults: ProxyDefaults): string {
  // Names alone: nobody's packets are for it.
  if (service.clusterIps.length === 0) return '';
  const mode = proxyModeOf(service.proxy, defaults);
  // The relay knows no policies: the dataplane serves by itself.
  if (mode === 'userspace' && service.internalLocal) return 'failover';
  return mode === 'ipvs' ? `ipvs:${schedulerOf(service.proxy, defaults)}` : mode;
}

interface Known {
  parts: ReportParts;
  counts: ReadonlyMap<string, EndpointCounters>;
  pods: PodIndex;
}

function portReports(key: string, service: ClusterService, { parts, counts, pods }: Known): PortReport[] {
  const ready = new Map(service.endpoints.map((endpoint) => [formatAddress(endpoint.address), endpoint]));
  return service.ports.map(({ name, protocol, port, nodePort, targets, standby }) => {
    const id = `${key} ${protocol}/${port}`;
    const endpoints = [...targets, ...standby].map((target): EndpointReport => {
      const address = formatAddress(target.address);
      const { begun, active, failures, ejections, ejectedForMs } = counts.get(`${id} ${targetKey(target)}`) ?? NOTHING;
      const pod = pods.at(target.address);
      return {
        address: idOf({ address, port: target.port }),
        pod: ready.get(address)?.pod ?? (pod ? `${pod.namespace}/${pod.name}` : ''),
        node: target.nodeName ?? ready.get(address)?.nodeName ?? pod?.nodeName ?? '',
        state: ready.has(address) ? 'ready' : 'ending',
        connections: begun,
        active,
        failures,
        ejections,
        ejectedUntil: ejectedForMs > 0 ? new Date(parts.nowMs + ejectedForMs).toISOString() : '',
      };
    });
    return { name, protocol, port, nodePort: nodePort ?? 0, endpoints, relays: relayReports(id, parts.relay) };
  });
}

/** A service port has one in each family. */
function relayReports(id: string, relay: ReadonlyMap<string, ProxyStatus>): RelayReport[] {
  return [id, `${id} IPv6`].flatMap((key) => {
    const proxy = relay.get(key);
    return proxy ? [{ address: idOf(proxy), ...proxy.counts }] : [];
  });
}

/**
 * By `SERVICE PROTOCOL/PORT ENDPOINT`: the dataplane counts each address of a service by itself, the relay all that
 * comes to it.
 */
function endpointCounts(
  { compiled, counters, relay }: ReportParts,
  isWanted: (key: string) => boolean,
): Map<string, EndpointCounters> {
  const out = new Map<string, EndpointCounters>();
  const add = (id: string, more: EndpointCounters): void => {
    const sum = out.get(id) ?? NOTHING;
    out.set(id, {
      begun: sum.begun + more.begun,
      active: sum.active + more.active,
      failures: sum.failures + more.failures,
      ejections: sum.ejections + more.ejections,
      ejectedForMs: Math.max(sum.ejectedForMs, more.ejectedForMs),
    });
  };
  for (const [key, { endpoints, outside = [] }] of compiled) {
    const port = portOf(key);
    if (!isWanted(port.slice(0, port.indexOf(' ')))) continue;
    // One endpoint has one id in both lists.
    const ids = new Map([...endpoints, ...outside].map((endpoint) => [endpoint.id, endpoint]));
    for (const [id, endpoint] of ids) {
      const counted = counters[id];
      if (counted) add(`${port} ${targetKey(endpoint)}`, counted);
    }
  }
  for (const [key, { endpoints }] of relay) {
    for (const { target, counts } of endpoints) {
      const address = parseAddress(target.address);
      const { connections: begun, active, failures } = counts;
      if (address) {
        add(`${portOf(key)} ${targetKey({ address, port: target.port })}`, { ...NOTHING, begun, active, failures });
      }
    }
  }
  return out;
}

/** `default/web TCP/80` of a key that goes on. */
function portOf(key: string): string {
  return key.split(' ', 2).join(' ');
}

/** By `namespace/name` of the service: what is wrong with it or with what is written down of its endpoints. */
function problemsByService({ problems, objects }: ReportParts): Map<string, string[]> {
  const out = new Map<string, string[]>();
  for (const problem of problems) {
    const [, kind, name = ''] = /^(Service|Endpoints|EndpointSlice) ([^ :]+): /.exec(problem.message) ?? [];
    if (kind === undefined) continue;
    const slice = kind === 'EndpointSlice' ? objects.endpointSlices.get(name) : undefined;
    const key = slice ? serviceOf(slice) : name;
    const list = out.get(key);
    if (list) list.push(formatProblem(problem));
    else out.set(key, [formatProblem(problem)]);
  }
  return out;
}

function unserved(
  key: string,
  service: ClusterService,
  { objects, node }: ReportParts,
  { isWritten, pods }: { isWritten: boolean; pods: PodIndex },
): string[] {
  const object = objects.services.get(key);
  if (!object || service.type === 'ExternalName') return [];
  return service.ports.flatMap(({ port, protocol, name, targets, standby }) => {
    const title = `Service ${key}: port ${port}/${protocol}`;
    if (targets.length > 0) {
      const isHere = [...targets, ...standby].some(({ nodeName }) => nodeName === node);
      const policies = isHere ? [] : localPolicies(service);
      return policies.map((policy) => `${title}: ${policy}: Local, and no endpoint is on ${node}`);
    }
    const written = object.spec.ports?.find((p) => (p.name ?? '') === name) ?? { port };
    return [`${title} has no endpoint: ${whyUnserved(object, written, pods, isWritten)}`];
  });
}

function localPolicies({ internalLocal, externalLocal }: ClusterService): string[] {
  return [
    ...(internalLocal ? ['spec.internalTrafficPolicy'] : []),
    ...(externalLocal ? ['spec.externalTrafficPolicy'] : []),
  ];
}

function serviceOf({ metadata }: EndpointSlice): string {
  return `${metadata.namespace}/${metadata.labels?.[SERVICE_NAME_LABEL] ?? ''}`;
}
