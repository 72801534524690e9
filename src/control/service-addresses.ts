/**
 * Every service's address families and virtual addresses: the ones written down, the others out of the services' ranges
 * by hash of the service's name, so that every host comes to the same without asking anybody (k8s.io/kubernetes
 * pkg/registry/core/service/storage/alloc.go).
 */
import type { Service } from '../kube/objects.ts';
import { formatPath, type Violation } from '../kube/violation.ts';
import { formatAddress, isV4, parseAddress, type Words } from '../wire/address.ts';
import { type AddressBlock, addressAt, blockHolds, blockOfFamily, offsetIn } from './address-block.ts';
import { type AddressFamily, familyOf } from './address-family.ts';
import { type AddressRange, allocate } from './address-pool.ts';
import type { ClusterRanges } from './cluster-settings.ts';
import type { ProblemList } from './problem-list.ts';

export interface ServiceAddresses {
  /** In the order of the spec: the first is the one that counts where there can be only one. */
  families: readonly AddressFamily[];
  /** One of each family; empty for services that have none by intent (headless, ExternalName). */
  addresses: readonly Words[];
}

/** By `namespace/name`, in order of name. A service that can have no address is missing and named among the problems. */
export function assignServiceAddresses(
  services: ReadonlyMap<string, Service>,
  ranges: ClusterRanges,
  problems: ProblemList,
): Map<string, ServiceAddresses> {
  const known = ranges.service.map((block) => familyOf(block.prefix.address));
  const found = new Map<string, ServiceAddresses>();
  const owners = new Map<string, string>();
  const wanting: Record<AddressFamily, string[]> = { IPv4: [], IPv6: [] };
  for (const key of [...services.keys()].sort()) {
    const service = services.get(key) as Service;
    const title = `Service ${key}`;
    const families = serviceFamilies(service, known);
    if ('message' in families) {
      problems.error(title, `${formatPath(families.path)}: ${families.message}: left out`);
      continue;
    }
    if (service.spec.clusterIP === 'None' || service.spec.type === 'ExternalName') {
      found.set(key, { families, addresses: [] });
      continue;
    }
    const written =
      service.spec.clusterIP || service.spec.clusterIPs ? writtenAddresses(service, known, title, problems) : [];
    const fault = written.map((a) => faultOf(a, ranges, owners.get(a.join()), problems)).find((f) => f !== undefined);
    if (fault) {
      problems.error(title, `spec.clusterIP: ${fault}: left out`);
      continue;
    }
    for (const address of written) {
      if (isOneOf(address, ranges.dns)) {
        const message = `${formatAddress(address)} is the cluster DNS, which every host answers itself`;
        problems.warning(title, `spec.clusterIP: ${message}`);
      }
      owners.set(address.join(), title);
    }
    for (const family of families) {
      if (!written.some((address) => familyOf(address) === family)) wanting[family].push(key);
    }
    found.set(key, { families, addresses: written });
  }
  for (const family of known) give(family);
  return found;

  function give(family: AddressFamily): void {
    const block = blockOfFamily(ranges.service, family === 'IPv4') as AddressBlock;
    const taken = [...found.values()].flatMap(({ addresses }) => addresses);
    const given = allocate(
      serviceOffsets(block),
      wanting[family],
      new Set([...taken, ...ranges.dns].map((address) => offsetIn(block, address))),
    );
    for (const key of wanting[family]) {
      const offset = given.get(key);
      const { families, addresses } = found.get(key) as ServiceAddresses;
      if (offset === undefined) {
        problems.error(`Service ${key}`, `spec.clusterIP: no address is free in ${block.text}: left out`);
        found.delete(key);
      } else {
        const own = addressAt(block, offset);
        const isFirst = families[0] === family;
        found.set(key, { families, addresses: isFirst ? [own, ...addresses] : [...addresses, own] });
      }
    }
  }
}

/** The families that a service has here, or what is wrong with its wish. `known`: those that services have ranges of. */
export function serviceFamilies(
  { spec }: Service,
  known: readonly AddressFamily[],
): readonly AddressFamily[] | Violation {
  if (spec.type === 'ExternalName') return known;
  // As nearly all are.
  if (!spec.clusterIP && !spec.clusterIPs && !spec.ipFamilies && !spec.ipFamilyPolicy) return known.slice(0, 1);
  const addresses = (spec.clusterIPs ?? [spec.clusterIP ?? '']).map(parseAddress).filter((a) => a !== undefined);
  const wished = (spec.ipFamilies as AddressFamily[] | undefined) ?? addresses.map(familyOf);
  const strange = wished.find((family) => !known.includes(family));
  // Whoever writes two families, or endpoints by hand behind no address, takes what there is.
  const open = spec.clusterIP === 'None' && !spec.selector;
  const policy = spec.ipFamilyPolicy ?? (wished.length > 1 || open ? 'PreferDualStack' : 'SingleStack');
  if (strange && (policy === 'RequireDualStack' || wished.length === 1)) {
    return { path: ['spec', 'ipFamilies'], message: `${strange} has no range of services here (--service-cidr)` };
  }
  if (policy === 'RequireDualStack' && known.length < 2) {
    const message = 'RequireDualStack needs ranges of both families (--service-cidr)';
    return { path: ['spec', 'ipFamilyPolicy'], message };
  }
  const usable = [...new Set([...wished.filter((family) => known.includes(family)), ...known])];
  return policy === 'SingleStack' ? usable.slice(0, 1) : usable;
}

function writtenAddresses(
  service: Service,
  known: readonly AddressFamily[],
  title: string,
  problems: ProblemList,
): Words[] {
  const { clusterIP, clusterIPs } = service.spec;
  const texts = clusterIPs && clusterIPs.length > 0 ? clusterIPs : [clusterIP ?? ''];
  const out: Words[] = [];
  for (const text of texts) {
    const words = text ? parseAddress(text) : undefined;
    if (words && known.includes(familyOf(words))) out.push(words);
    else if (words) {
      const message = `${text} is ${familyOf(words)}, of which services have no range here (--service-cidr)`;
      problems.warning(title, `spec.clusterIP: ${message}: passed over`);
    }
  }
  return out;
}

function faultOf(
  address: Words,
  ranges: ClusterRanges,
  owner: string | undefined,
  problems: ProblemList,
): string | undefined {
  if (owner === undefined) return rangeFault(address, ranges.service);
  return `${formatAddress(address)} is already the address of ${problems.whereIs(owner)}`;
}

/** Why an address can be no service's, whoever asks for it. */
export function rangeFault(address: Words, ranges: readonly AddressBlock[]): string | undefined {
  const text = formatAddress(address);
  const block = blockOfFamily(ranges, isV4(address));
  if (!block) return `${text} is ${familyOf(address)}, of which services have no range here (--service-cidr)`;
  if (!blockHolds(block, address)) return `${text} is outside the services' ${block.text}`;
  const offset = offsetIn(block, address);
  const reserved = offset === 0 || (block.isV4 && offset === block.size - 1);
  return reserved ? `${text} is reserved in ${block.text}` : undefined;
}

/** Offsets of a block that services can have: IPv6 has no broadcast address, but the one for any router (RFC 4291 2.6.1). */
export function serviceOffsets(block: AddressBlock): AddressRange {
  return { first: 1, count: block.size - (block.isV4 ? 2 : 1) };
}

function isOneOf(address: Words, list: readonly Words[]): boolean {
  return list.some((other) => other.every((word, i) => word === address[i]));
}
