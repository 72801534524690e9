/**
 * The last stage of an answer: from records to bytes, with names compressed (RFC 1035 section 4.1.4) and the
 * message kept within what its receiver can take (RFC 2181 section 9). The question is echoed as it came; because
 * owners that equal it are written as a pointer to it, answers keep the question's case.
 */
import { isV4, word4 } from '../wire/address.ts';
import { CLASS_IN, FLAG, HEADER_BYTES, TYPE, UDP_BYTES } from './codes.ts';
import { isWritableName } from './name.ts';
import type { Edns, Query } from './query.ts';
import type { DnsRecord } from './record.ts';

export interface Reply {
  rcode: number;
  authoritative: boolean;
  answers: readonly DnsRecord[];
  authorities: readonly DnsRecord[];
  additionals: readonly DnsRecord[];
}

const OPT_BYTES = 11;
const DNSSEC_OK = 0x8000;
const MAX_POINTER = 0x3fff;

/** The whole message, at most `limitBytes`; records that do not fit are left out and the TC bit says so. */
export function encodeReply(query: Query, reply: Reply, limitBytes: number): Buffer {
  const writer = new MessageWriter(limitBytes - (query.edns ? OPT_BYTES : 0));
  writer.question(query);
  let complete = true;
  const counts = [0, 0, 0];
  for (const [section, records] of [reply.answers, reply.authorities, reply.additionals].entries()) {
    for (const record of records) {
      if (!complete) break;
      if (writer.record(record)) counts[section] = (counts[section] ?? 0) + 1;
      else complete = false;
    }
  }
  // Additional records are a courtesy: their absence is no truncation (RFC 2181 section 9).
  const truncated = counts[0] !== reply.answers.length || counts[1] !== reply.authorities.length;
  const flags =
    FLAG.response |
    FLAG.recursionAvailable |
    (query.flags & (FLAG.recursionDesired | FLAG.checkingDisabled)) |
    (reply.authoritative ? FLAG.authoritative : 0) |
    (truncated ? FLAG.truncated : 0) |
    (reply.rcode & 15);
  const body = writer.finish();
  const message = query.edns ? Buffer.concat([body, encodeOpt(query.edns, UDP_BYTES, reply.rcode >> 4)]) : body;
  message.writeUInt16BE(query.id, 0);
  message.writeUInt16BE(flags, 2);
  message.writeUInt16BE(1, 4);
  message.writeUInt16BE(counts[0] ?? 0, 6);
  message.writeUInt16BE(counts[1] ?? 0, 8);
  message.writeUInt16BE((counts[2] ?? 0) + (query.edns ? 1 : 0), 10);
  return message;
}

/** A header alone: the answer to what has no question that could be echoed. */
export function encodeHeaderOnly(id: number, flags: number, rcode: number): Buffer {
  const message = Buffer.alloc(HEADER_BYTES);
  message.writeUInt16BE(id, 0);
  message.writeUInt16BE(FLAG.response | (flags & (0x7800 | FLAG.recursionDesired)) | rcode, 2);
  return message;
}

/** A query to an upstream: the same question under another id; no options of the asker travel on. */
export function encodeForward(query: Query, id: number): Buffer {
  const message = Buffer.alloc(HEADER_BYTES + query.question.length + (query.edns ? OPT_BYTES : 0));
  const kept = FLAG.recursionDesired | FLAG.checkingDisabled | FLAG.authenticData;
  message.writeUInt16BE(id, 0);
  message.writeUInt16BE(query.flags & kept, 2);
  message.writeUInt16BE(1, 4);
  message.writeUInt16BE(query.edns ? 1 : 0, 10);
  message.set(query.question, HEADER_BYTES);
  if (query.edns) {
    const opt = encodeOpt(query.edns, Math.min(query.edns.udpBytes, UDP_BYTES), 0);
    message.set(opt, HEADER_BYTES + query.question.length);
  }
  return message;
}

/** The question's bytes of a name and type. Precondition: the name is writable. */
export function encodeQuestion(name: string, type: number): Uint8Array {
  const labels = name === '' ? [] : name.split('.');
  const parts = labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')]));
  return Buffer.concat([...parts, Buffer.from([0, type >> 8, type & 0xff, 0, CLASS_IN])]);
}

/** RFC 6891 section 6.1.2. */
function encodeOpt(edns: Edns, udpBytes: number, extendedRcode: number): Buffer {
  const opt = Buffer.alloc(OPT_BYTES);
  opt.writeUInt16BE(TYPE.opt, 1);
  opt.writeUInt16BE(udpBytes, 3);
  opt.writeUInt8(extendedRcode, 5);
  opt.writeUInt16BE(edns.dnssecOk ? DNSSEC_OK : 0, 7);
  return opt;
}

class MessageWriter {
  readonly #bytes: Buffer;
  #at = HEADER_BYTES;
  /** Where each name, and each name above it, was written: key to offset. */
  readonly #written = new Map<string, number>();
  /** Keys of the record in the making, forgotten with it when it does not fit. */
  #fresh: string[] = [];

  constructor(limitBytes: number) {
    // A record is written past the limit before it is taken back: room for the longest (SOA, two names).
    this.#bytes = Buffer.alloc(limitBytes + 1024);
    this.#limit = limitBytes;
  }
  readonly #limit: number;

  question(query: Query): void {
    this.#bytes.set(query.question, this.#at);
    let offset = this.#at;
    let key = query.name.key;
    // Escaped octets make a key longer than its wire form; our own names never match those, so they need no entry.
    while (key !== '' && !key.includes('\\')) {
      this.#written.set(key, offset);
      const dot = key.indexOf('.');
      offset += (dot < 0 ? key.length : dot) + 1;
      key = dot < 0 ? '' : key.slice(dot + 1);
    }
    this.#at += query.question.length;
  }

  /** False, and nothing written, when the record does not fit. */
  record(record: DnsRecord): boolean {
    const start = this.#at;
    this.#fresh = [];
    this.#name(record.owner, true);
    this.#u16(record.type);
    this.#u16(CLASS_IN);
    this.#u32(record.ttlSeconds);
    const lengthAt = this.#at;
    this.#at += 2;
    this.#data(record);
    this.#bytes.writeUInt16BE(this.#at - lengthAt - 2, lengthAt);
    if (this.#at <= this.#limit) return true;
    this.#at = start;
    for (const key of this.#fresh) this.#written.delete(key);
    return false;
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  #data(record: DnsRecord): void {
    switch (record.type) {
      case TYPE.a:
      case TYPE.aaaa:
        if (isV4(record.address)) this.#u32(word4(record.address));
        else for (const word of record.address) this.#u32(word);
        return;
      case TYPE.cname:
      case TYPE.ns:
      case TYPE.ptr:
        this.#name(record.target, true);
        return;
      case TYPE.srv:
        this.#u16(0);
        this.#u16(record.weight);
        this.#u16(record.port);
        // RFC 2782: "name compression is not to be used for this field"; later names may still point into it.
        this.#name(record.target, false);
        return;
      case TYPE.txt:
        this.#label(record.text);
        return;
      case TYPE.soa:
        this.#name(record.server, true);
        this.#name(record.mailbox, true);
        this.#u32(record.serial);
        // Refresh, retry and expire steer secondary servers, of which there are none: CoreDNS's values.
        this.#u32(7200);
        this.#u32(1800);
        this.#u32(86400);
        this.#u32(record.negativeTtlSeconds);
        return;
    }
  }

  #name(key: string, compress: boolean): void {
    if (!isWritableName(key)) throw new RangeError(`not a domain name: ${JSON.stringify(key)}`);
    let rest = key;
    while (rest !== '') {
      const earlier = this.#written.get(rest);
      if (earlier !== undefined && compress) {
        this.#u16(0xc000 | earlier);
        return;
      }
      if (earlier === undefined && this.#at <= MAX_POINTER) {
        this.#written.set(rest, this.#at);
        this.#fresh.push(rest);
      }
      const dot = rest.indexOf('.');
      this.#label(dot < 0 ? rest : rest.slice(0, dot));
      rest = dot < 0 ? '' : rest.slice(dot + 1);
    }
    this.#bytes[this.#at++] = 0;
  }

  #label(text: string): void {
    this.#bytes[this.#at] = text.length;
    this.#at += 1 + this.#bytes.write(text, this.#at + 1, 'latin1');
  }

  #u16(value: number): void {
    this.#at = this.#bytes.writeUInt16BE(value, this.#at);
  }

  #u32(value: number): void {
    this.#at = this.#bytes.writeUInt32BE(value >>> 0, this.#at);
  }
}
