/** What a new state of the cluster changes about the zone: whose names may be answered otherwise now. Pure. */
import type { Words } from '../wire/address.ts';
import type { EndpointEntry, PortEntry, ServiceEntry } from './cluster-records.ts';
import type { Zone } from './zone.ts';

/** Tells for a source (Zone.sourceOf) whether it may have changed. */
export type ZoneChange = (source: string) => boolean;

/** Undefined where both zones say the same of every name. */
export function zoneChange(before: Zone, after: Zone): ZoneChange | undefined {
  const changed = new Set<string>();
  for (const [key, service] of after.services) {
    if (!sameService(before.services.get(key), service)) changed.add(key);
  }
  for (const key of before.services.keys()) if (!after.services.has(key)) changed.add(key);
  const { records: old } = before;
  const { records } = after;
  const same =
    sameData(old.namespaces, records.namespaces) &&
    sameData(old.pods, records.pods) &&
    sameData(old.reverse, records.reverse);
  if (changed.size === 0 && same) return undefined;
  // Others than services (pods, addresses) change with anything: they are asked for too seldom to look closer.
  return (source) => source === '' || changed.has(source);
}

// What is given in the place of an entry may have more fields than the entry, which say nothing of names: each field
// that counts is compared by name. A new one fails to compile until it is compared, and named here.
type Compared = 'namespace' | 'name' | 'clusterIps' | 'headless' | 'externalName' | 'ports' | 'endpoints';
type ComparedOfEndpoint = 'address' | 'hostname' | 'ports';
type Missing = Exclude<keyof ServiceEntry, Compared> | Exclude<keyof EndpointEntry, ComparedOfEndpoint>;
type Complete = [Missing] extends [never] ? ServiceEntry : never;

function sameService(a: Complete | undefined, b: Complete): boolean {
  if (a === b) return true;
  return (
    a !== undefined &&
    a.name === b.name &&
    a.namespace === b.namespace &&
    a.headless === b.headless &&
    a.externalName === b.externalName &&
    sameList(a.clusterIps, b.clusterIps, sameAddress) &&
    sameList(a.ports, b.ports, samePort) &&
    sameList(a.endpoints, b.endpoints, sameEndpoint)
  );
}

function sameEndpoint(a: EndpointEntry, b: EndpointEntry): boolean {
  return a.hostname === b.hostname && sameAddress(a.address, b.address) && sameList(a.ports, b.ports, samePort);
}

function samePort(a: PortEntry, b: PortEntry): boolean {
  return a.port === b.port && a.protocol === b.protocol && a.name === b.name;
}

function sameAddress(a: Words, b: Words): boolean {
  return a[3] === b[3] && a[2] === b[2] && a[1] === b[1] && a[0] === b[0];
}

function sameList<T>(a: readonly T[], b: readonly T[], same: (a: T, b: T) => boolean): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!same(a[i] as T, b[i] as T)) return false;
  return true;
}

/** Of plain data: texts, numbers, lists and objects of these. */
function sameData(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!sameData(a[i], b[i])) return false;
    return true;
  }
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  let fields = 0;
  for (const name in left) {
    fields++;
    if (!(name in right) || !sameData(left[name], right[name])) return false;
  }
  for (const _ in right) fields--;
  return fields === 0;
}
