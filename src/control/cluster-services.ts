/**
 * Services as the network sees them: addresses, ports, who stands behind each. Part of the model; what a Service asks
 * for and does not get is named, and everything else of it works.
 */
import type { EndpointSlice, ObjectSet, Service } from '../kube/objects.ts';
import { formatAddress, isV4, type Words } from '../wire/address.ts';
import { carriedProtocol } from './carried-protocol.ts';
import type { ClusterRanges } from './cluster-settings.ts';
import { type Backends, buildBackends, portTargets, slicesByService, type WrittenEndpoints } from './endpoints.ts';
import { assignExternalAddresses, type ExternalAddresses } from './external-addresses.ts';
import type { ClusterEndpoint, ClusterNode, ClusterPod, ClusterService, ClusterServicePort } from './model.ts';
import { assignNodePorts, type NodePorts, portKey } from './node-ports.ts';
import { PodIndex } from './pod-index.ts';
import type { ProblemList } from './problem-list.ts';
import { assignServiceAddresses } from './service-addresses.ts';
import { writtenProxy } from './service-mode.ts';

/** core/v1 DefaultClientIPServiceAffinitySeconds: three hours. */
export const AFFINITY_SECONDS = 10_800;
const NO_BACKENDS: Backends = { ready: [], leaving: [] };
const NOWHERE: ExternalAddresses = { externalIps: [], loadBalancerIps: [], loadBalancerSources: [] };

export interface ServiceSurroundings {
  nodes: ReadonlyMap<string, ClusterNode>;
  pods: ReadonlyMap<string, ClusterPod>;
  ranges: ClusterRanges;
}

/** By `namespace/name`, in order of name. A service that can have no address is missing and named. */
export function buildServices(
  objects: ObjectSet,
  { nodes, pods, ranges }: ServiceSurroundings,
  problems: ProblemList,
): Map<string, ClusterService> {
  const addresses = assignServiceAddresses(objects.services, ranges, problems);
  const keys = [...addresses.keys()].sort();
  const nodePorts = assignNodePorts(objects.services, keys, ranges.nodePorts, problems);
  const around = {
    pool: ranges.pool,
    inner: [...ranges.cluster, ...ranges.service],
    nodes: [...nodes.values()].flatMap((node) => node.addresses),
  };
  const external = assignExternalAddresses(objects.services, addresses, around, problems);
  const index = new PodIndex(pods.values());
  const slices = slicesByService(objects.endpointSlices);
  const out = new Map<string, ClusterService>();
  for (const key of keys) {
    const object = objects.services.get(key) as Service;
    const { metadata, spec } = object;
    const title = `Service ${key}`;
    const own = addresses.get(key) ?? { families: [], addresses: [] };
    const type = (spec.type ?? 'ClusterIP') as ClusterService['type'];
    const written = writtenFor(key, objects, slices);
    const backends = type === 'ExternalName' ? NO_BACKENDS : buildBackends(object, own.families, written, index);
    nameStrangers(title, own.addresses, backends.ready, problems);
    const outside = external.get(key) ?? NOWHERE;
    const healthCheckNodePort = nodePorts.healthChecks.get(key);
    out.set(key, {
      namespace: metadata.namespace,
      name: metadata.name,
      type,
      families: own.families,
      clusterIps: own.addresses,
      headless: spec.clusterIP === 'None',
      ...outside,
      internalLocal: spec.internalTrafficPolicy === 'Local',
      externalLocal: spec.externalTrafficPolicy === 'Local',
      proxy: writtenProxy(metadata.annotations),
      ports: portsOf(object, key, backends, nodePorts, problems),
      endpoints: backends.ready,
      ...(healthCheckNodePort === undefined ? {} : { healthCheckNodePort }),
      ...affinityOf(object),
      ...(type === 'ExternalName' ? { externalName: spec.externalName as string } : {}),
    });
  }
  for (const [key, slice] of objects.endpointSlices) {
    if (slice.addressType === 'FQDN') {
      problems.warning(`EndpointSlice ${key}`, 'addressType: FQDN is not carried: its endpoints are passed over');
    }
  }
  return out;
}

/** Where slices are written for every service, one without any has nobody behind it. */
function writtenFor(
  key: string,
  objects: ObjectSet,
  slices: ReadonlyMap<string, readonly EndpointSlice[]>,
): WrittenEndpoints {
  if (objects.slicesOnly) return { slices: slices.get(key) ?? [] };
  return { endpoints: objects.endpoints.get(key), slices: slices.get(key) };
}

function portsOf(
  { spec }: Service,
  key: string,
  backends: Backends,
  nodePorts: NodePorts,
  problems: ProblemList,
): ClusterServicePort[] {
  const out: ClusterServicePort[] = [];
  (spec.ports ?? []).forEach((p, i) => {
    const name = p.name ?? '';
    const protocol = carriedProtocol(p.protocol);
    if (protocol === undefined) {
      const message = `spec.ports[${i}].protocol: ${p.protocol} is not carried: port ${p.port} is not served`;
      problems.warning(`Service ${key}`, message);
      return;
    }
    const ready = portTargets(backends.ready, name, protocol);
    const leaving = backends.leaving.length > 0 ? portTargets(backends.leaving, name, protocol) : [];
    // Better an endpoint that is ending than none (KEP-1669).
    const [targets, standby] = ready.length > 0 ? [ready, leaving] : [leaving, []];
    const nodePort = nodePorts.ports.get(portKey(key, protocol, p.port));
    out.push({ name, protocol, port: p.port, ...(nodePort === undefined ? {} : { nodePort }), targets, standby });
  });
  return out;
}

function affinityOf({ spec }: Service): { affinitySeconds?: number } {
  if (spec.sessionAffinity !== 'ClientIP') return {};
  return { affinitySeconds: spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? AFFINITY_SECONDS };
}

/** Endpoints that no address of the service can lead to. */
function nameStrangers(
  title: string,
  own: readonly Words[],
  endpoints: readonly ClusterEndpoint[],
  problems: ProblemList,
): void {
  if (own.length === 0) return;
  const stranger = endpoints.find((e) => own.every((address) => isV4(address) !== isV4(e.address)));
  if (!stranger) return;
  const family = isV4(stranger.address) ? 'IPv4' : 'IPv6';
  const message = `endpoint ${formatAddress(stranger.address)} is ${family}, the service has no address of that family`;
  problems.warning(title, `${message}: passed over`);
}
