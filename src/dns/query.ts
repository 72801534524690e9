/**
 * The first stage of a message's way through the server: from bytes to a question, or to the reason why there is
 * none (RFC 1035 section 4.1, RFC 6891 for EDNS). Never throws. Header and question are read here, strictly: names
 * with their case and escapes; dns-packet then reads what follows, where only the OPT record matters.
 */
import { decode } from 'dns-packet';
import { FLAG, HEADER_BYTES, OPCODE_QUERY, PLAIN_UDP_BYTES } from './codes.ts';
import { readName, type WireName } from './name.ts';

export interface Query {
  id: number;
  /** The header's second word as it came. */
  flags: number;
  name: WireName;
  type: number;
  class: number;
  /** The question as it came, to be echoed and forwarded octet by octet: name, type, class. */
  question: Uint8Array;
  edns?: Edns;
}

export interface Edns {
  version: number;
  /** What the asker can receive in one datagram; never under 512 (RFC 6891 section 6.2.3). */
  udpBytes: number;
  /** The DO bit: the asker wants DNSSEC records; echoed (RFC 3225 section 3). */
  dnssecOk: boolean;
}

/** Why a message is not answered at all: to answer a response or a fragment of a header would start a loop. */
export type DropReason = 'short' | 'response';
/** Why a message is answered with FORMERR. */
export type FaultReason =
  | 'questionCount'
  | 'recordCount'
  | 'badName'
  | 'cutShort'
  | 'badRecord'
  | 'badOpt'
  | 'trailing';

export type QueryResult =
  | { kind: 'query'; query: Query }
  | { kind: 'drop'; reason: DropReason }
  | { kind: 'fault'; reason: FaultReason; id: number; flags: number }
  | { kind: 'opcode'; id: number; flags: number };

/** A query carries at most OPT and a signature; more would only buy its sender decoding time. */
const ADDITIONAL_LIMIT = 4;

export function readQuery(bytes: Buffer): QueryResult {
  if (bytes.length < HEADER_BYTES) return { kind: 'drop', reason: 'short' };
  const id = bytes.readUInt16BE(0);
  const flags = bytes.readUInt16BE(2);
  if (flags & FLAG.response) return { kind: 'drop', reason: 'response' };
  if (((flags >> 11) & 15) !== OPCODE_QUERY) return { kind: 'opcode', id, flags };
  const fault = (reason: FaultReason): QueryResult => ({ kind: 'fault', reason, id, flags });

  if (bytes.readUInt16BE(4) !== 1) return fault('questionCount');
  const additionals = bytes.readUInt16BE(10);
  if (bytes.readUInt16BE(6) !== 0 || bytes.readUInt16BE(8) !== 0) return fault('recordCount');
  if (additionals > ADDITIONAL_LIMIT) return fault('recordCount');

  const name = readName(bytes, HEADER_BYTES);
  if (!name) return fault('badName');
  const end = name.end + 4;
  if (end > bytes.length) return fault('cutShort');
  const query: Query = {
    id,
    flags,
    name,
    type: bytes.readUInt16BE(name.end),
    class: bytes.readUInt16BE(name.end + 2),
    question: bytes.subarray(HEADER_BYTES, end),
  };
  if (additionals === 0) return end === bytes.length ? { kind: 'query', query } : fault('trailing');

  const edns = readEdns(bytes);
  if (typeof edns === 'string') return fault(edns);
  return { kind: 'query', query: edns ? { ...query, edns } : query };
}

function readEdns(bytes: Buffer): Edns | undefined | FaultReason {
  let additionals: ReturnType<typeof decode>['additionals'];
  try {
    additionals = decode(bytes).additionals ?? [];
  } catch {
    return 'badRecord';
  }
  // dns-packet slices past the end without complaint; what it claims to have read gives that away.
  if (decode.bytes !== bytes.length) return decode.bytes > bytes.length ? 'badRecord' : 'trailing';
  let edns: Edns | undefined;
  for (const record of additionals) {
    if (record.type !== 'OPT') continue;
    if (edns || record.name !== '.') return 'badOpt';
    edns = {
      version: record.ednsVersion,
      udpBytes: Math.max(record.udpPayloadSize, PLAIN_UDP_BYTES),
      dnssecOk: record.flag_do,
    };
  }
  return edns;
}
