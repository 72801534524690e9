/**
 * Why nobody stands behind a port of a service: what its author would look for, looked for. Only asked of services
 * that somebody looks at. Pure.
 */
import type { PodIndex } from '../../control/pod-index.ts';
import type { Service } from '../../kube/objects.ts';

/** A sentence without its subject: `no pod has the labels app=web`. `isWritten`: endpoints are written down for it. */
export function whyUnserved(
  service: Service,
  port: { port: number; targetPort?: string | number },
  pods: PodIndex,
  isWritten: boolean,
): string {
  if (isWritten) return 'its Endpoints or EndpointSlices name nobody who is ready for it';
  const { selector = {}, publishNotReadyAddresses } = service.spec;
  const labels = Object.entries(selector).map(([key, value]) => `${key}=${value}`);
  if (labels.length === 0) return 'it has no selector, and no Endpoints or EndpointSlice say who stands behind it';
  const { namespace } = service.metadata;
  const selected = pods.select(namespace, selector);
  const matching = selected.length;
  const ready = selected.filter((pod) => pod.ready || publishNotReadyAddresses).length;
  if (matching === 0) return `no pod in namespace ${namespace} has the labels ${labels.join(', ')}`;
  if (ready === 0)
    return `${count(matching)} the labels ${labels.join(', ')}, but ${matching === 1 ? 'is not' : 'none is'} ready`;
  return `${count(ready)} the labels ${labels.join(', ')}, but no container port is named ${port.targetPort}`;
}

function count(pods: number): string {
  return pods === 1 ? '1 pod has' : `${pods} pods have`;
}
