/**
 * A message's whole way through the server, without the sockets:
 *
 *   bytes -> readQuery -> answerQuestion (the zone) ---------------------> encodeReply -> bytes
 *                              `-> not ours: Resolver (cache) -> Forwarder -> the upstream's bytes, under the asker's id
 *
 * Never rejects: what goes wrong is SERVFAIL, and counted.
 */
import { parseAddress, type Words } from '../wire/address.ts';
import type { Prefix } from '../wire/prefix.ts';
import { answerQuestion, failure, isMetaType } from './answer.ts';
import type { ClusterRecords } from './cluster-records.ts';
import { CLASS_IN, FLAG, PLAIN_UDP_BYTES, RCODE, rcodeName, TCP_BYTES, TYPE, UDP_BYTES } from './codes.ts';
import { countReason, type DnsCounters } from './counters.ts';
import { encodeHeaderOnly, encodeReply, type Reply } from './encode.ts';
import type { Forwarder } from './forwarder.ts';
import { type Query, readQuery } from './query.ts';
import type { Resolver } from './resolver.ts';
import { mayTransfer, transferZone } from './transfer.ts';
import { buildZone, type Zone } from './zone.ts';

export interface Client {
  transport: 'udp' | 'tcp';
  /** As text; undefined where nobody knows. */
  address?: string | undefined;
}

/** pino's shape. */
export interface DnsLog {
  warn(detail: object, message: string): void;
}

export interface ResponderOptions {
  domain: string;
  /** The server's address as text: the A record of the zone's name server. */
  address: string;
  /** The same object for as long as nothing changed; undefined until the cluster is known: SERVFAIL until then. */
  records: () => ClusterRecords | undefined;
  forwarder: Forwarder;
  resolver: Resolver;
  counters: DnsCounters;
  /** Who may fetch whole zones; nobody by default. */
  transferTo?: readonly Prefix[];
  log?: DnsLog;
}

export class Responder {
  readonly #options: ResponderOptions;
  readonly #counters: DnsCounters;
  readonly #address: Words;
  #indexed: ClusterRecords | undefined;
  #zone: Zone | undefined;
  #serial = Math.floor(Date.now() / 1000);

  /** @throws RangeError when the address is none. */
  constructor(options: ResponderOptions) {
    const address = parseAddress(options.address);
    if (!address) throw new RangeError(`not an address: ${JSON.stringify(options.address)}`);
    this.#options = options;
    this.#counters = options.counters;
    this.#address = address;
  }

  /** The answer's bytes, or nothing when the message deserves none. */
  async respond(bytes: Buffer, client: Client): Promise<Buffer | undefined> {
    const { transport } = client;
    this.#counters.queries[transport]++;
    const result = readQuery(bytes);
    switch (result.kind) {
      case 'drop':
        countReason(this.#counters.dropped, result.reason);
        return undefined;
      case 'fault':
        countReason(this.#counters.malformed, result.reason);
        return this.#count(encodeHeaderOnly(result.id, result.flags, RCODE.formErr), RCODE.formErr);
      case 'opcode':
        return this.#count(encodeHeaderOnly(result.id, result.flags, RCODE.notImp), RCODE.notImp);
      case 'query':
        break;
    }
    const limit = limitBytes(result.query, transport);
    try {
      return await this.#answer(result.query, limit, transport);
    } catch (error) {
      this.#counters.errors++;
      this.#options.log?.warn({ err: error, name: result.query.name.text }, 'DNS question could not be answered');
      return this.#encode(result.query, failure(RCODE.servFail), limit);
    }
  }

  /**
   * The messages of a zone transfer, for a client over TCP that asks for one and may; nothing for all else, which
   * respond() answers.
   */
  transfer(bytes: Buffer, client: Client): Iterable<Buffer> | undefined {
    const result = readQuery(bytes);
    if (result.kind !== 'query' || result.query.type !== TYPE.axfr || result.query.class !== CLASS_IN) return undefined;
    const { query } = result;
    const { transferTo = [] } = this.#options;
    const zone = this.#currentZone();
    if (client.transport !== 'tcp' || !zone || !mayTransfer(transferTo, parseAddress(client.address ?? ''))) {
      return undefined;
    }
    this.#counters.queries[client.transport]++;
    const messages = transferZone(zone, query);
    if (typeof messages === 'number') return [this.#encode(query, failure(messages), TCP_BYTES)];
    this.#counters.transfers++;
    countReason(this.#counters.answers, rcodeName(RCODE.noError));
    return messages;
  }

  async #answer(query: Query, limit: number, transport: Client['transport']): Promise<Buffer> {
    if (query.edns && query.edns.version !== 0) return this.#encode(query, failure(RCODE.badVers), limit);
    if (query.class !== CLASS_IN || isMetaType(query.type)) return this.#encode(query, failure(RCODE.refused), limit);
    const zone = this.#currentZone();
    if (!zone) return this.#encode(query, failure(RCODE.servFail), limit);
    const answer = answerQuestion(zone, query.name.key, query.type);
    if (!answer) return await this.#forward(query, limit, transport);
    const { outside } = answer;
    if (outside === undefined || (query.type !== TYPE.a && query.type !== TYPE.aaaa)) {
      return this.#encode(query, answer, limit);
    }
    const tail = await this.#options.resolver.addresses(outside, query.type);
    const known = tail && (tail.rcode === RCODE.noError || tail.rcode === RCODE.nxDomain);
    const reply = { ...answer, rcode: known ? tail.rcode : RCODE.servFail };
    return this.#encode(query, { ...reply, answers: [...answer.answers, ...(tail?.records ?? [])] }, limit);
  }

  async #forward(query: Query, limit: number, transport: Client['transport']): Promise<Buffer> {
    if (query.type === TYPE.hinfo && this.#options.forwarder.catchLoop(query.name.key)) {
      return this.#encode(query, failure(RCODE.refused), limit);
    }
    const resolved = await this.#options.resolver.resolve(query);
    if (!resolved) return this.#encode(query, failure(RCODE.servFail), limit);
    const { message } = resolved;
    const flags = message.readUInt16BE(2);
    const rcode = flags & 15;
    const truncated = (flags & FLAG.truncated) !== 0;
    // Not to be had whole, which is of no use to who came over TCP for it.
    if (truncated && transport === 'tcp') return this.#encode(query, failure(RCODE.servFail), limit);
    if (message.length <= limit) {
      if (truncated) this.#counters.truncated++;
      return this.#count(message, rcode);
    }
    // Too long for this asker: the question alone with TC, so that it comes back over TCP.
    const empty = this.#encode(query, failure(rcode), limit);
    empty.writeUInt16BE(empty.readUInt16BE(2) | FLAG.truncated, 2);
    this.#counters.truncated++;
    return empty;
  }

  #currentZone(): Zone | undefined {
    const records = this.#options.records();
    if (records && records !== this.#indexed) {
      const { domain, log } = this.#options;
      this.#zone = buildZone(records, { domain, address: this.#address, serial: this.#serial++ });
      this.#indexed = records;
      const { unwritable } = this.#zone;
      if (unwritable.length > 0) log?.warn({ names: unwritable.slice(0, 10) }, 'not domain names, left out of DNS');
    }
    return this.#zone;
  }

  #encode(query: Query, reply: Reply, limit: number): Buffer {
    const message = encodeReply(query, reply, limit);
    if (message.readUInt16BE(2) & FLAG.truncated) this.#counters.truncated++;
    return this.#count(message, reply.rcode);
  }

  #count(message: Buffer, rcode: number): Buffer {
    countReason(this.#counters.answers, rcodeName(rcode));
    return message;
  }
}

function limitBytes(query: Query, transport: Client['transport']): number {
  if (transport === 'tcp') return TCP_BYTES;
  return query.edns ? Math.min(query.edns.udpBytes, UDP_BYTES) : PLAIN_UDP_BYTES;
}
