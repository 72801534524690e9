/**
 * Every service's virtual address: the one written down, else one out of the services' CIDR by hash of the service's
 * name, so that every host comes to the same without asking anybody.
 */
import type { Service } from '../kube/objects.ts';
import { formatAddress4, isV4, parseAddress, type Words, word4, wordsFrom4 } from '../wire/address.ts';
import { type AddressBlock, blockHolds, blockOfFamily } from './address-block.ts';
import { allocate } from './address-pool.ts';
import type { ClusterRanges } from './cluster-settings.ts';
import type { ProblemList } from './problem-list.ts';

/**
 * By `namespace/name`; an empty list for services that have none by intent (headless, ExternalName). A service that
 * can have no address is missing and named among the problems.
 */
export function assignServiceAddresses(
  services: ReadonlyMap<string, Service>,
  ranges: ClusterRanges,
  problems: ProblemList,
): Map<string, readonly Words[]> {
  const block = blockOfFamily(ranges.service, true) as AddressBlock;
  const first = word4(block.prefix.address);
  const clusterDns4 = word4(ranges.dns[0] as Words);
  const out = new Map<string, readonly Words[]>();
  const owners = new Map<number, string>();
  const unaddressed: string[] = [];
  for (const key of [...services.keys()].sort()) {
    const service = services.get(key) as Service;
    const title = `Service ${key}`;
    if (service.spec.clusterIP === 'None' || service.spec.type === 'ExternalName') {
      out.set(key, []);
      continue;
    }
    const written = writtenAddresses(service, title, problems);
    if (written.length === 0) {
      unaddressed.push(key);
      continue;
    }
    const fault = written.map((a) => faultOf(a, block, owners.get(a), problems)).find((f) => f !== undefined);
    if (fault) {
      problems.error(title, `spec.clusterIP: ${fault}: left out`);
      continue;
    }
    if (written.includes(clusterDns4)) {
      const address = formatAddress4(clusterDns4);
      problems.warning(title, `spec.clusterIP: ${address} is the cluster DNS, which every host answers itself`);
    }
    for (const a of written) owners.set(a, title);
    out.set(key, written.map(wordsFrom4));
  }
  const given = allocate(
    { first: first + 1, count: block.size - 2 },
    unaddressed,
    new Set([...owners.keys(), clusterDns4]),
  );
  for (const key of unaddressed) {
    const address = given.get(key);
    if (address !== undefined) out.set(key, [wordsFrom4(address)]);
    else problems.error(`Service ${key}`, `spec.clusterIP: no address is free in ${block.text}: left out`);
  }
  return out;
}

function writtenAddresses(service: Service, title: string, problems: ProblemList): number[] {
  const { clusterIP, clusterIPs } = service.spec;
  const texts = clusterIPs && clusterIPs.length > 0 ? clusterIPs : [clusterIP ?? ''];
  const out: number[] = [];
  for (const text of texts) {
    const words = text ? parseAddress(text) : undefined;
    if (words && isV4(words)) out.push(word4(words));
    else if (words) problems.warning(title, `spec.clusterIP: ${text} is IPv6, which is not carried yet: passed over`);
  }
  return [...new Set(out)];
}

function faultOf(
  address: number,
  block: AddressBlock,
  owner: string | undefined,
  problems: ProblemList,
): string | undefined {
  const text = formatAddress4(address);
  if (owner !== undefined) return `${text} is already the address of ${problems.whereIs(owner)}`;
  if (!blockHolds(block, wordsFrom4(address))) return `${text} is outside the services' ${block.text}`;
  const offset = address - word4(block.prefix.address);
  return offset === 0 || offset === block.size - 1 ? `${text} is reserved in ${block.text}` : undefined;
}
