/**
 * From a question to an answer out of the zone alone: the middle of a message's way through the server. Pure. Tells
 * NXDOMAIN from NODATA, both with the SOA that bounds how long that may be believed (RFC 2308), follows CNAMEs as far
 * as the zone goes (RFC 1034 section 4.3.2), and says when somebody else has to be asked.
 */
import { FIRST_META_TYPE, LAST_META_TYPE, RCODE, TYPE } from './codes.ts';
import type { Reply } from './encode.ts';
import type { DnsRecord, NameRecord } from './record.ts';
import type { Zone } from './zone.ts';

export interface ZoneAnswer extends Reply {
  /** A CNAME led out of the zone to this name: to be asked elsewhere and appended. */
  outside?: string;
}

const CNAME_LIMIT = 8;

/** Nothing when the name is not ours. `key` is the lower-case name; the class is IN. */
export function answerQuestion(zone: Zone, key: string, type: number): ZoneAnswer | undefined {
  const origin = zone.originOf(key);
  if (origin === undefined) {
    // Endpoints outside our ranges (a database on another network) have reverse names here and nowhere else.
    const pointers = type === TYPE.ptr ? (zone.names.get(key) ?? []) : [];
    return pointers.length > 0 ? found(zone, [], pointers) : undefined;
  }
  if (isMetaType(type)) return failure(RCODE.refused);

  const chain: DnsRecord[] = [];
  let name = key;
  let within = origin;
  for (let hops = 0; hops < CNAME_LIMIT; hops++) {
    const records = zone.names.get(name) ?? (name === within ? [] : undefined);
    if (!records) return absent(zone, within, RCODE.nxDomain, chain);
    const matching = records.filter((record) => record.type === type);
    if (matching.length > 0) return found(zone, chain, matching);
    if (type === TYPE.soa && name === within) return found(zone, chain, [zone.authorityOf(within)]);
    const alias = records.find(isAlias);
    if (!alias) return absent(zone, within, RCODE.noError, chain);
    chain.push(alias);
    const next = zone.originOf(alias.target);
    if (next === undefined) return { ...found(zone, [], chain), outside: alias.target };
    name = alias.target;
    within = next;
  }
  return failure(RCODE.servFail);
}

export function failure(rcode: number): Reply {
  return { rcode, authoritative: false, answers: [], authorities: [], additionals: [] };
}

export function isMetaType(type: number): boolean {
  return (type >= FIRST_META_TYPE && type <= LAST_META_TYPE) || type === TYPE.opt;
}

function isAlias(record: DnsRecord): record is NameRecord {
  return record.type === TYPE.cname;
}

function found(zone: Zone, chain: readonly DnsRecord[], records: readonly DnsRecord[]): Reply {
  const targets = new Set<string>();
  for (const record of records) {
    if (record.type === TYPE.srv || record.type === TYPE.ns) targets.add(record.target);
  }
  const additionals = [...targets].flatMap((target) =>
    (zone.names.get(target) ?? []).filter((record) => record.type === TYPE.a || record.type === TYPE.aaaa),
  );
  const answers = [...chain, ...records];
  return { rcode: RCODE.noError, authoritative: true, answers, authorities: [], additionals };
}

function absent(zone: Zone, origin: string, rcode: number, chain: readonly DnsRecord[]): Reply {
  const authorities = [zone.authorityOf(origin)];
  return { rcode, authoritative: true, answers: chain, authorities, additionals: [] };
}
