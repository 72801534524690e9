/** What a pod is to a service: open ports, addresses, whether it takes traffic (k8s.io/endpointslice, utils.go). */
import type { Endpoint, EndpointPort } from 'kubernetes-types/discovery/v1.js';
import { type AddressFamily, familyOf } from '../../control/address-family.ts';
import { targetPort } from '../../control/endpoints.ts';
import type { Pod, Service } from '../../kube/objects.ts';
import { parseAddress } from '../../wire/address.ts';

/** Undefined: none of the service's ports is open on it, and it stands behind none of them. */
export function podPorts({ spec }: Service, pod: Pod): EndpointPort[] | undefined {
  const ports = spec.ports ?? [];
  const open = ports.flatMap((wanted): EndpointPort[] => {
    const { name = '', protocol = 'TCP', appProtocol } = wanted;
    const port = targetPort(wanted.targetPort || wanted.port, protocol, pod);
    return port === undefined ? [] : [{ name, port, protocol, ...(appProtocol ? { appProtocol } : {}) }];
  });
  return open.length > 0 || ports.length === 0 ? open : undefined;
}

/** Has an address, and has not run to its end. */
export function isPresent({ status }: Pod): boolean {
  return status?.phase !== 'Succeeded' && status?.phase !== 'Failed' && (status?.podIP ?? '') !== '';
}

export function podAddress({ status }: Pod, family: AddressFamily): string | undefined {
  const all = [...(status?.podIPs ?? []).map(({ ip }) => ip), status?.podIP];
  return all.find((ip) => {
    const words = ip ? parseAddress(ip) : undefined;
    return words && familyOf(words) === family;
  });
}

export function isReady({ status }: Pod): boolean {
  return status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
}

export function podEndpoint(service: Service, pod: Pod, address: string, zone: string | undefined): Endpoint {
  const { namespace, name, uid, deletionTimestamp } = pod.metadata;
  const { nodeName, hostname } = pod.spec;
  const serving = isReady(pod);
  const terminating = deletionTimestamp !== undefined;
  const ready = service.spec.publishNotReadyAddresses === true || (serving && !terminating);
  return {
    addresses: [address],
    conditions: { ready, serving, terminating },
    ...(isNamed(service, pod) ? { hostname: hostname as string } : {}),
    ...(nodeName ? { nodeName } : {}),
    targetRef: { kind: 'Pod', namespace, name, ...(uid === undefined ? {} : { uid }) },
    ...(zone === undefined ? {} : { zone }),
  };
}

/** The pod has a name of its own below the service's. */
export function isNamed({ metadata }: Service, pod: Pod): boolean {
  const { hostname, subdomain } = pod.spec;
  return Boolean(hostname) && subdomain === metadata.name && pod.metadata.namespace === metadata.namespace;
}
