/**
 * What a Service has alone: its virtual addresses, its node ports, the addresses of its load balancer out of the pool
 * (k8s.io/kubernetes pkg/registry/core/service/storage/alloc.go). What is left open gets the place that the hash of its
 * name gives, as in a cluster without an API server, if it is free.
 */
import { type AddressBlock, addressAt, blockOfFamily, offsetIn } from '../../control/address-block.ts';
import { familyOf } from '../../control/address-family.ts';
import { freePlace } from '../../control/address-pool.ts';
import type { ClusterRanges } from '../../control/cluster-settings.ts';
import { poolOffsets } from '../../control/load-balancer-pool.ts';
import { type PortRange, portFault, portWishes } from '../../control/node-ports.ts';
import { rangeFault, serviceFamilies, serviceOffsets } from '../../control/service-addresses.ts';
import type { Service } from '../../kube/objects.ts';
import type { FieldPath, Violation } from '../../kube/violation.ts';
import { formatAddress, isV4, parseAddress, type Words } from '../../wire/address.ts';
import type { Allocation, Claim } from './allocation.ts';

const ALLOCATED = 'provided port is already allocated';

type IsTaken = (name: string) => boolean;

export function serviceAllocation(ranges: ClusterRanges): Allocation {
  return {
    claims: (object) => claimsOf(object as unknown as Service, ranges),
    fill(object, old, isTaken) {
      const service = object as unknown as Service;
      const before = old as unknown as Service | undefined;
      return [
        ...fillAddresses(service, before, ranges, isTaken),
        ...fillPorts(service, before, ranges.nodePorts, isTaken),
      ];
    },
  };
}

function claimsOf(service: Service, ranges: ClusterRanges): Claim[] {
  const { spec, status } = service;
  const out: Claim[] = [];
  for (const { address, path } of writtenAddresses(service)) out.push(addressClaim(address, path));
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') {
    (spec.ports ?? []).forEach(({ nodePort, protocol = 'TCP' }, i) => {
      if (nodePort) out.push(portClaim(nodePort, protocol, ['spec', 'ports', i, 'nodePort']));
    });
    if (spec.healthCheckNodePort) out.push(portClaim(spec.healthCheckNodePort, 'TCP', ['spec', 'healthCheckNodePort']));
  }
  (status?.loadBalancer?.ingress ?? []).forEach(({ ip, ipMode }, i) => {
    const address = ip && ipMode !== 'Proxy' ? parseAddress(ip) : undefined;
    // Addresses from elsewhere may be shared by intent.
    const spans = address && (isV4(address) ? ranges.pool.v4 : ranges.pool.v6);
    if (!address || !spans || poolOffsets(spans, address).length === 0) return;
    const path = ['status', 'loadBalancer', 'ingress', i, 'ip'];
    const text = formatAddress(address);
    out.push({ name: `loadbalancerips/${text}`, path, refusal: `${text} is already the address of another service` });
  });
  return out;
}

function addressClaim(address: Words, path: FieldPath): Claim {
  const text = formatAddress(address);
  return { name: addressName(text), path, refusal: `failed to allocate IP ${text}: provided IP is already allocated` };
}

function portClaim(port: number, protocol: string, path: FieldPath): Claim {
  return { name: portName(port, protocol), path, refusal: ALLOCATED };
}

function addressName(text: string): string {
  return `serviceips/${text}`;
}

function portName(port: number, protocol: string): string {
  return `nodeports/${port}/${protocol}`;
}

/** The virtual addresses that stand in a service, in order. */
function writtenAddresses({ spec }: Service): { address: Words; path: FieldPath }[] {
  if (spec.type === 'ExternalName') return [];
  const listed = spec.clusterIPs?.length ? spec.clusterIPs : undefined;
  return (listed ?? [spec.clusterIP ?? '']).flatMap((text, i) => {
    const address = text ? parseAddress(text) : undefined;
    return address ? [{ address, path: listed ? ['spec', 'clusterIPs', i] : ['spec', 'clusterIP'] }] : [];
  });
}

function fillAddresses(
  service: Service,
  old: Service | undefined,
  ranges: ClusterRanges,
  isTaken: IsTaken,
): Violation[] {
  const { spec } = service;
  if (spec.type === 'ExternalName') return [];
  // Whose families are settled keeps them when the cluster gets others.
  if (old?.spec.clusterIP && old.spec.ipFamilies && addressing(spec) === addressing(old.spec)) return [];
  const families = serviceFamilies(
    service,
    ranges.service.map((block) => familyOf(block.prefix.address)),
  );
  if ('message' in families) return [families];
  spec.ipFamilies = [...families];
  spec.ipFamilyPolicy ??= families.length > 1 ? 'PreferDualStack' : 'SingleStack';
  if (spec.clusterIP === 'None') {
    spec.clusterIPs = ['None'];
    return [];
  }
  const own = writtenAddresses(service);
  const kept = new Set(old ? writtenAddresses(old).map(({ address }) => formatAddress(address)) : []);
  const faults = own.flatMap(({ address, path }): Violation[] => {
    const fault = kept.has(formatAddress(address)) ? undefined : rangeFault(address, ranges.service);
    return fault === undefined ? [] : [{ path, message: `provided IP is not in the valid range: ${fault}` }];
  });
  if (faults.length > 0) return faults;
  const addresses: string[] = [];
  for (const [i, family] of families.entries()) {
    const written = own.find(({ address }) => familyOf(address) === family)?.address;
    const block = blockOfFamily(ranges.service, family === 'IPv4') as AddressBlock;
    const address = written ?? freeAddress(service, block, ranges.dns, isTaken);
    if (!address) return [{ path: ['spec', 'clusterIPs', i], message: `failed to allocate IP: ${block.text} is full` }];
    addresses.push(formatAddress(address));
  }
  spec.clusterIPs = addresses;
  spec.clusterIP = addresses[0] as string;
  return [];
}

function addressing({ clusterIP, clusterIPs, ipFamilies, ipFamilyPolicy }: Service['spec']): string {
  return JSON.stringify([clusterIP, clusterIPs, ipFamilies, ipFamilyPolicy]);
}

function freeAddress(
  { metadata }: Service,
  block: AddressBlock,
  dns: readonly Words[],
  isTaken: IsTaken,
): Words | undefined {
  const range = serviceOffsets(block);
  // As large as Kubernetes keeps for addresses that people choose (KEP-3070).
  const kept = range.count <= 16 ? 0 : Math.min(Math.max(16, Math.floor(range.count / 16)), 256);
  const reserved = new Set(dns.map((address) => offsetIn(block, address)));
  const at = freePlace(
    { ...range, kept },
    `${metadata.namespace}/${metadata.name}`,
    (offset) => reserved.has(offset) || isTaken(addressName(formatAddress(addressAt(block, offset)))),
  );
  return at === undefined ? undefined : addressAt(block, at);
}

function fillPorts(service: Service, old: Service | undefined, range: PortRange, isTaken: IsTaken): Violation[] {
  const { metadata, spec } = service;
  const wishes = portWishes(`${metadata.namespace}/${metadata.name}`, service);
  const kept = new Set(old ? nodePortsOf(old) : []);
  const used = new Set(nodePortsOf(service));
  const written = new Set<string>();
  const count = range.last - range.first + 1;
  // Likewise for ports (KEP-3668).
  const low = count <= 16 ? 0 : Math.min(Math.max(16, Math.floor(count / 32)), 128);
  const out: Violation[] = [];
  for (const { written: wanted, name, protocol, index } of wishes) {
    const path = index === undefined ? ['spec', 'healthCheckNodePort'] : ['spec', 'ports', index, 'nodePort'];
    if (wanted !== undefined) {
      const claimed = portName(wanted, protocol);
      if (written.has(claimed)) out.push({ path, message: `${ALLOCATED}, to another port of this service` });
      written.add(claimed);
      const fault = kept.has(claimed) ? undefined : portFault(wanted, range);
      if (fault !== undefined) out.push({ path, message: `provided port is not in the valid range: ${fault}` });
      continue;
    }
    const port = freePlace({ first: range.first, count, kept: low }, name, (at) => {
      const claimed = portName(at, protocol);
      return used.has(claimed) || isTaken(claimed);
    });
    if (port === undefined) {
      out.push({ path, message: `failed to allocate a nodePort: ${range.first}-${range.last} is full` });
      continue;
    }
    used.add(portName(port, protocol));
    const own = index === undefined ? undefined : spec.ports?.[index];
    if (own) own.nodePort = port;
    else spec.healthCheckNodePort = port;
  }
  return out;
}

function nodePortsOf(service: Service): string[] {
  const { spec } = service;
  const health = spec.healthCheckNodePort ? [portName(spec.healthCheckNodePort, 'TCP')] : [];
  return [
    ...(spec.ports ?? []).flatMap((p) => (p.nodePort ? [portName(p.nodePort, p.protocol ?? 'TCP')] : [])),
    ...health,
  ];
}
