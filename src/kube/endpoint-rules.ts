/**
 * Rules between the fields of Endpoints and EndpointSlices (k8s.io/kubernetes pkg/apis/core/validation and
 * pkg/apis/discovery/validation).
 */
import { isV4, parseAddress } from '../wire/address.ts';
import type { EndpointSlice, Endpoints } from './objects.ts';
import { isHostAddress, portNames, UNUSABLE } from './rule-checks.ts';
import type { Violation } from './violation.ts';

export function endpointsRules(endpoints: Endpoints): Violation[] {
  const out: Violation[] = [];
  (endpoints.subsets ?? []).forEach((subset, s) => {
    for (const list of ['addresses', 'notReadyAddresses'] as const) {
      (subset[list] ?? []).forEach((a, i) => {
        const address = parseAddress(a.ip);
        if (address && !isHostAddress(address)) {
          out.push({ path: ['subsets', s, list, i, 'ip'], message: UNUSABLE });
        }
      });
    }
    portNames(
      (subset.ports ?? []).map((p) => p.name),
      (i) => ['subsets', s, 'ports', i, 'name'],
      out,
    );
  });
  return out;
}

export function endpointSliceRules(slice: EndpointSlice): Violation[] {
  const out: Violation[] = [];
  if (slice.addressType !== 'FQDN') {
    (slice.endpoints ?? []).forEach((endpoint, e) => {
      endpoint.addresses.forEach((text, i) => {
        const path = ['endpoints', e, 'addresses', i];
        const words = parseAddress(text);
        if (!words || isV4(words) !== (slice.addressType === 'IPv4')) {
          out.push({ path, message: `must be an ${slice.addressType} address, as addressType says, not "${text}"` });
        } else if (!isHostAddress(words)) out.push({ path, message: UNUSABLE });
      });
    });
  }
  portNames(
    (slice.ports ?? []).map((p) => p.name),
    (i) => ['ports', i, 'name'],
    out,
  );
  return out;
}
