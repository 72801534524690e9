/**
 * Services as the network sees them: addresses, ports, who stands behind each. Part of the model; what a Service asks
 * for and does not get is named, and everything else of it works.
 */
import type { ObjectSet, Service } from '../kube/objects.ts';
import { formatAddress, isV4, type Words } from '../wire/address.ts';
import { buildBackends, carriedProtocol, portTargets, slicesByService } from './endpoints.ts';
import type { ClusterEndpoint, ClusterPod, ClusterService, ClusterServicePort } from './model.ts';
import { PodIndex } from './pod-index.ts';
import type { ProblemList } from './problem-list.ts';
import { writtenProxy } from './service-mode.ts';

/** `addresses`: the virtual addresses of those services that can be had. */
export function buildServices(
  objects: ObjectSet,
  pods: ReadonlyMap<string, ClusterPod>,
  addresses: ReadonlyMap<string, readonly Words[]>,
  problems: ProblemList,
): Map<string, ClusterService> {
  const index = new PodIndex(pods.values());
  const slices = slicesByService(objects.endpointSlices);
  const out = new Map<string, ClusterService>();
  for (const key of [...addresses.keys()].sort()) {
    const object = objects.services.get(key) as Service;
    const { metadata, spec } = object;
    const written = { endpoints: objects.endpoints.get(key), slices: slices.get(key) };
    const type = (spec.type ?? 'ClusterIP') as ClusterService['type'];
    const backends = type === 'ExternalName' ? { ready: [], leaving: [] } : buildBackends(object, written, index);
    nameWhatIsNotApplied(object, `Service ${key}`, problems);
    const own = addresses.get(key) as readonly Words[];
    nameStrangers(`Service ${key}`, own, backends.ready, problems);
    const ports: ClusterServicePort[] = [];
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
      ports.push({ name, protocol, port: p.port, targets, standby });
    });
    out.set(key, {
      namespace: metadata.namespace,
      name: metadata.name,
      type,
      clusterIps: own,
      headless: spec.clusterIP === 'None',
      ports,
      endpoints: backends.ready,
      proxy: writtenProxy(metadata.annotations),
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

/** Three hours by default (core/v1, DefaultClientIPServiceAffinitySeconds). */
function affinityOf({ spec }: Service): { affinitySeconds?: number } {
  if (spec.sessionAffinity !== 'ClientIP') return {};
  return { affinitySeconds: spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 10_800 };
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

/** What a Service asks for and does not get is never passed over in silence. */
function nameWhatIsNotApplied(service: Service, title: string, problems: ProblemList): void {
  const { type, sessionAffinity, externalIPs, internalTrafficPolicy } = service.spec;
  if (type === 'NodePort' || type === 'LoadBalancer') {
    problems.warning(title, `spec.type: ${type} is served at its cluster address only: no port is opened on nodes`);
  }
  if (sessionAffinity === 'ClientIP') {
    problems.warning(title, 'spec.sessionAffinity: ClientIP is not applied: each connection takes the next endpoint');
  }
  if (externalIPs && externalIPs.length > 0) problems.warning(title, 'spec.externalIPs: are not served');
  if (internalTrafficPolicy === 'Local') {
    problems.warning(title, 'spec.internalTrafficPolicy: Local is not applied: endpoints of all nodes are used');
  }
}
