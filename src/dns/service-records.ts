/** One service's names, written out: itself, its named ports, its endpoints. A part of the zone; pure. */
import { formatAddress, type Words } from '../wire/address.ts';
import type { EndpointEntry, PortEntry, ServiceEntry } from './cluster-records.ts';
import { canonicalName } from './name.ts';
import { ZoneDraft } from './zone-draft.ts';

/** An RRset's targets share this; the specification leaves weights to the server, CoreDNS does the same. */
const TOTAL_WEIGHT = 100;

/** `10-244-1-5`, `2001-db8--1`. */
export function dashed(address: Words): string {
  return formatAddress(address).replaceAll(/[.:]/g, '-');
}

export function endpointLabel(endpoint: EndpointEntry): string {
  return endpoint.hostname ? canonicalName(endpoint.hostname) : dashed(endpoint.address);
}

/** By name; nothing for a headless service without an endpoint, whose name does not exist. `name`: its own. */
export function serviceRecords(service: ServiceEntry, name: string, ttlSeconds: number): ZoneDraft {
  const draft = new ZoneDraft(name, ttlSeconds);
  if (service.externalName !== undefined) {
    draft.alias(name, canonicalName(service.externalName));
    return draft;
  }
  if (!service.headless) {
    draft.exists(name);
    for (const address of service.clusterIps) draft.address(name, address);
    addPorts(draft, service.clusterIps.length > 0 ? service.ports : [], name, name, TOTAL_WEIGHT);
  }
  const weight = Math.max(1, Math.floor(TOTAL_WEIGHT / service.endpoints.length));
  for (const endpoint of service.endpoints) {
    const target = `${endpointLabel(endpoint)}.${name}`;
    draft.address(target, endpoint.address);
    for (const port of endpoint.ports) draft.service(target, port.port, target, TOTAL_WEIGHT);
    if (!service.headless) continue;
    draft.address(name, endpoint.address);
    addPorts(draft, endpoint.ports, name, target, weight);
  }
  return draft;
}

function addPorts(draft: ZoneDraft, ports: readonly PortEntry[], name: string, target: string, weight: number): void {
  for (const port of ports) {
    draft.service(name, port.port, target, weight);
    if (port.name) draft.service(`_${port.name}._${port.protocol}.${name}`.toLowerCase(), port.port, target, weight);
  }
}
