/**
 * Reads an upstream's reply as far as the cache must: every record is walked, every name followed, and the fields that
 * hold a time to live are noted with how long the whole may be kept. What cannot be walked to its last octet is no
 * reply. Never throws, never reads past the end; pointers may only lead backwards (RFC 1035 section 4.1.4).
 */
import { FLAG, HEADER_BYTES, RCODE, TYPE } from './codes.ts';
import { LABEL_BYTES, NAME_BYTES } from './name.ts';

export interface ReplyScan {
  rcode: number;
  truncated: boolean;
  /** Offset behind the question. */
  questionEnd: number;
  /** Offsets of the TTLs of all records but OPT, whose field of that name is flags. */
  ttlOffsets: readonly number[];
  /** It says that there is no such name, or nothing of that type (RFC 2308 section 2). */
  negative: boolean;
  /** How long it may be kept: the least TTL in it, for a negative one with the SOA's bound; 0: not at all. */
  lifeSeconds: number;
}

/** A message of 64 KB could hold 4,000 records of 16 octets; more are somebody's game. */
const RECORD_LIMIT = 4096;
/** A number with the highest bit set counts as 0 (RFC 2181 section 8). */
const LARGEST_TTL = 0x7fffffff;
const SOA_NUMBERS_BYTES = 20;

export function scanReply(bytes: Buffer): ReplyScan | undefined {
  if (bytes.length < HEADER_BYTES || bytes.readUInt16BE(4) !== 1) return undefined;
  const flags = bytes.readUInt16BE(2);
  const answers = bytes.readUInt16BE(6);
  const authorities = bytes.readUInt16BE(8);
  const total = answers + authorities + bytes.readUInt16BE(10);
  let at = nameEnd(bytes, HEADER_BYTES);
  if (at === undefined || at + 4 > bytes.length || total > RECORD_LIMIT) return undefined;
  const askedType = bytes.readUInt16BE(at);
  at += 4;
  const questionEnd = at;
  const ttlOffsets: number[] = [];
  let least = LARGEST_TTL;
  let denial: number | undefined;
  let answered = false;
  for (let i = 0; i < total; i++) {
    const end = nameEnd(bytes, at);
    if (end === undefined || end + 10 > bytes.length) return undefined;
    const type = bytes.readUInt16BE(end);
    const dataAt = end + 10;
    at = dataAt + bytes.readUInt16BE(end + 8);
    if (at > bytes.length) return undefined;
    if (type === TYPE.opt) continue;
    ttlOffsets.push(end + 4);
    const ttl = ttlAt(bytes, end + 4);
    least = Math.min(least, ttl);
    if (i < answers) answered ||= type === askedType;
    else if (i < answers + authorities && type === TYPE.soa) {
      const minimum = soaMinimum(bytes, dataAt, at);
      if (minimum === undefined) return undefined;
      denial = Math.min(ttl, minimum);
    }
  }
  if (at !== bytes.length) return undefined;
  const rcode = flags & 15;
  const truncated = (flags & FLAG.truncated) !== 0;
  const negative = rcode === RCODE.nxDomain || !answered;
  const keepable = !truncated && (rcode === RCODE.noError || rcode === RCODE.nxDomain);
  let lifeSeconds = negative ? Math.min(least, denial ?? 0) : least;
  if (!keepable) lifeSeconds = 0;
  return { rcode, truncated, questionEnd, ttlOffsets, negative, lifeSeconds };
}

/** The TTL at an offset that a scan gave. */
export function ttlAt(bytes: Buffer, offset: number): number {
  const ttl = bytes.readUInt32BE(offset);
  return ttl > LARGEST_TTL ? 0 : ttl;
}

/** Last number of an SOA whose data fill the range exactly. */
function soaMinimum(bytes: Buffer, start: number, end: number): number | undefined {
  const mailbox = nameEnd(bytes, start);
  const numbers = mailbox === undefined ? undefined : nameEnd(bytes, mailbox);
  if (numbers === undefined || numbers + SOA_NUMBERS_BYTES !== end) return undefined;
  return ttlAt(bytes, end - 4);
}

/** Offset behind the name at `offset`; nothing when it, or where it points, is no name. */
function nameEnd(bytes: Buffer, offset: number): number | undefined {
  let end: number | undefined;
  let at = offset;
  // A pointer must lead before where its part of the name began: so it ends.
  let start = offset;
  let length = 1;
  for (;;) {
    const octet = bytes[at];
    if (octet === undefined) return undefined;
    if (octet === 0) return end ?? at + 1;
    if (octet <= LABEL_BYTES) {
      length += octet + 1;
      at += octet + 1;
      if (length > NAME_BYTES || at >= bytes.length) return undefined;
      continue;
    }
    const low = bytes[at + 1];
    if (octet < 0xc0 || low === undefined) return undefined;
    const target = ((octet & 0x3f) << 8) | low;
    if (target < HEADER_BYTES || target >= start) return undefined;
    end ??= at + 2;
    start = target;
    at = target;
  }
}
