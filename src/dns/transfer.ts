/**
 * Zone transfers (RFC 5936): a whole zone of ours over one TCP connection, as a sequence of messages that begins and
 * ends with the SOA. Beside the ordinary way of a question, and closed to everybody who is not let in by address.
 */

import type { Words } from '../wire/address.ts';
import { type Prefix, prefixContains } from '../wire/prefix.ts';
import { RCODE, TCP_BYTES } from './codes.ts';
import { encodeReply } from './encode.ts';
import { isWithin } from './name.ts';
import type { Query } from './query.ts';
import type { DnsRecord } from './record.ts';
import type { Zone } from './zone.ts';

/** The longest record (two names of 255 octets and 20 more) as often fits well into one message. */
const RECORDS_PER_MESSAGE = 100;

export function mayTransfer(allowed: readonly Prefix[], client: Words | undefined): boolean {
  return client !== undefined && allowed.some((prefix) => prefixContains(prefix, client));
}

/** The messages, made as they are taken; or the rcode that says why there are none. */
export function transferZone(zone: Zone, query: Query): Iterable<Buffer> | number {
  const origin = query.name.key;
  if (zone.originOf(origin) !== origin) return RCODE.notAuth;
  return messages(zone, origin, query);
}

function* messages(zone: Zone, origin: string, query: Query): Generator<Buffer> {
  let batch: DnsRecord[] = [];
  for (const record of transferred(zone, origin)) {
    batch.push(record);
    if (batch.length < RECORDS_PER_MESSAGE) continue;
    yield message(query, batch);
    batch = [];
  }
  if (batch.length > 0) yield message(query, batch);
}

function* transferred(zone: Zone, origin: string): Generator<DnsRecord> {
  const authority = zone.authorityOf(origin);
  yield authority;
  for (const [name, records] of zone.names) {
    if (!isWithin(name, origin)) continue;
    for (const record of records) if (record.type !== authority.type) yield record;
  }
  yield authority;
}

function message(query: Query, answers: readonly DnsRecord[]): Buffer {
  const reply = { rcode: RCODE.noError, authoritative: true, answers, authorities: [], additionals: [] };
  return encodeReply(query, reply, TCP_BYTES);
}
