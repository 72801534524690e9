/** What a new state of the cluster changes about the zone: whose names may be answered otherwise now. Pure. */
import type { Zone } from './zone.ts';

/** Tells for a source (Zone.sourceOf) whether it may have changed. */
export type ZoneChange = (source: string) => boolean;

/** Undefined where both zones say the same of every name. */
export function zoneChange(before: Zone, after: Zone): ZoneChange | undefined {
  const changed = new Set<string>();
  for (const [key, service] of after.services) {
    if (!sameData(before.services.get(key), service)) changed.add(key);
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
