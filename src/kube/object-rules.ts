/**
 * Rules between the fields of one object, which a schema cannot say or cannot say well: checked once the schema holds
 * (k8s.io/kubernetes pkg/apis/core/validation).
 */
import { isV4, parseAddress } from '../wire/address.ts';
import { endpointSliceRules, endpointsRules } from './endpoint-rules.ts';
import type { KubeObject, Node, Pod } from './objects.ts';
import { doubles } from './rule-checks.ts';
import { serviceRules } from './service-rules.ts';
import type { FieldPath, Violation } from './violation.ts';

/** The pod's address, where the writer fixes it; `10.244.1.9,fd00:10:244:1::9` for both families. */
export const ADDRESS_ANNOTATION = 'weft.dev/ip';

/** Share of connections that the weighted schedulers of ipvs give a pod. */
export const WEIGHT_ANNOTATION = 'weft.dev/weight';

export function objectRules(object: KubeObject): Violation[] {
  switch (object.kind) {
    case 'Node':
      return nodeRules(object);
    case 'Pod':
      return podRules(object);
    case 'Service':
      return serviceRules(object);
    case 'Endpoints':
      return endpointsRules(object);
    case 'EndpointSlice':
      return endpointSliceRules(object);
    case 'ConfigMap':
      return [];
  }
}

function nodeRules(node: Node): Violation[] {
  const out: Violation[] = [];
  (node.status?.addresses ?? []).forEach((a, i) => {
    if ((a.type === 'InternalIP' || a.type === 'ExternalIP') && !parseAddress(a.address)) {
      out.push({ path: ['status', 'addresses', i, 'address'], message: `must be an IP address, not "${a.address}"` });
    }
  });
  return out;
}

function podRules(pod: Pod): Violation[] {
  const out: Violation[] = [];
  const fixed = pod.metadata.annotations?.[ADDRESS_ANNOTATION];
  if (fixed !== undefined) {
    const addresses = fixed.split(',').map((text) => parseAddress(text.trim()));
    const four = addresses.filter((address) => address && isV4(address)).length;
    if (addresses.includes(undefined) || four > 1 || addresses.length - four > 1) {
      const path = ['metadata', 'annotations', ADDRESS_ANNOTATION];
      out.push({ path, message: `must be an IP address, or one of each family with a comma, not "${fixed}"` });
    }
  }
  const weight = pod.metadata.annotations?.[WEIGHT_ANNOTATION];
  if (weight !== undefined && !/^[1-9]\d{0,4}$/.test(weight)) {
    const path = ['metadata', 'annotations', WEIGHT_ANNOTATION];
    out.push({ path, message: `must be a whole number from 1 to 99999, not "${weight}"` });
  }
  return [...out, ...specRules(pod.spec, ['spec'])];
}

/** `place`: of the spec in its object. */
export function specRules(spec: Pod['spec'], place: FieldPath): Violation[] {
  const out: Violation[] = [];
  const containers = [...(spec.initContainers ?? []), ...spec.containers];
  const initCount = spec.initContainers?.length ?? 0;
  doubles(
    containers.map((c) => c.name),
    (i) => [...place, i < initCount ? 'initContainers' : 'containers', i < initCount ? i : i - initCount, 'name'],
    out,
  );
  if (spec.dnsPolicy === 'None' && !spec.dnsConfig?.nameservers?.length) {
    out.push({ path: [...place, 'dnsConfig', 'nameservers'], message: 'is required with dnsPolicy None' });
  }
  return out;
}
