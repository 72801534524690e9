/**
 * One resource record as the zone holds it and the encoder writes it (RFC 1035 section 3.2.1, RFC 2782, RFC 3596).
 * Names are keys (lower case, no final dot); addresses are words, as everywhere between rooms.
 */
import { formatAddress, type Words } from '../wire/address.ts';
import { type TYPE, typeName } from './codes.ts';

interface Owned {
  readonly owner: string;
  readonly ttlSeconds: number;
}

export interface AddressRecord extends Owned {
  readonly type: typeof TYPE.a | typeof TYPE.aaaa;
  readonly address: Words;
}

export interface NameRecord extends Owned {
  readonly type: typeof TYPE.cname | typeof TYPE.ns | typeof TYPE.ptr;
  readonly target: string;
}

export interface ServiceRecord extends Owned {
  readonly type: typeof TYPE.srv;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
}

export interface TextRecord extends Owned {
  readonly type: typeof TYPE.txt;
  /** ASCII, at most 255 octets. */
  readonly text: string;
}

export interface AuthorityRecord extends Owned {
  readonly type: typeof TYPE.soa;
  readonly server: string;
  readonly mailbox: string;
  readonly serial: number;
  /** How long a resolver may believe that something is absent (RFC 2308 section 5). */
  readonly negativeTtlSeconds: number;
}

export type DnsRecord = AddressRecord | NameRecord | ServiceRecord | TextRecord | AuthorityRecord;

/** Type and data, for people: `A 10.96.0.20`, `CNAME www.example.com`. */
export function recordData(record: DnsRecord): string {
  const type = typeName(record.type);
  if ('address' in record) return `${type} ${formatAddress(record.address)}`;
  if ('port' in record) return `${type} 0 ${record.weight} ${record.port} ${record.target}`;
  if ('target' in record) return `${type} ${record.target}`;
  return 'text' in record ? `${type} "${record.text}"` : `${type} ${record.server} ${record.mailbox} ${record.serial}`;
}
