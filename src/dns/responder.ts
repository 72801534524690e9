/**
 * A message's whole way through the server, without the sockets:
 *
 *   bytes -> readQuery -> answerQuestion (the zone) ---------------------> encodeReply -> bytes
 *                              `-> not ours: Resolver (cache) -> Forwarder -> the upstream's bytes, under the asker's id
 *                              `-> not there, asked by a pod: completeName, along its search path
 *
 * Never rejects: what goes wrong is SERVFAIL, and counted.
 */
import { parseAddress, type Words } from '../wire/address.ts';
import type { Prefix } from '../wire/prefix.ts';
import { answerQuestion, failure, isMetaType } from './answer.ts';
import { type CompletionStep, completable, completeName } from './autopath.ts';
import type { ClusterRecords } from './cluster-records.ts';
import { CLASS_IN, FLAG, PLAIN_UDP_BYTES, RCODE, rcodeName, TCP_BYTES, TYPE, typeName, UDP_BYTES } from './codes.ts';
import { countReason, type DnsCounters } from './counters.ts';
import { encodeHeaderOnly, encodeReply, type Reply } from './encode.ts';
import { type Explanation, explainName } from './explain.ts';
import type { Forwarder } from './forwarder.ts';
import { followAlias, isAddressType } from './lookup.ts';
import type { PodNames } from './pod-records.ts';
import { type Query, readQuery } from './query.ts';
import { describeAnswer, type QueryLog } from './query-log.ts';
import type { ReadyAnswers } from './ready-answers.ts';
import type { AnswerSource, Resolver } from './resolver.ts';
import { type PodPath, PodPaths, stepOf } from './search-path.ts';
import { mayTransfer, transferZone } from './transfer.ts';
import { buildZone, type Zone } from './zone.ts';
import { zoneChange } from './zone-change.ts';

const SYNC_WAIT_MS = 5000;
const SYNC_LOOK_MS = 50;
const MOST_WAITING = 256;

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
  otherAddresses?: readonly string[];
  /** The same object for as long as nothing changed; undefined until the cluster is known: SERVFAIL until then. */
  records: () => ClusterRecords | undefined;
  forwarder: Forwarder;
  resolver: Resolver;
  counters: DnsCounters;
  /** Text of the host's resolv.conf, from which pods inherit. */
  hostResolvConf?: () => string;
  /** Whether names are completed along the pod's search path; true by default. */
  autopath?: boolean;
  queryLog?: QueryLog;
  /** Learns the answers that need no server the next time. */
  ready?: ReadyAnswers;
  /** How long a question waits for the cluster to be known. */
  syncWaitMs?: number;
  /** Of the cluster's own records. */
  ttlSeconds?: number;
  podNames?: PodNames;
  /** Who may fetch whole zones; nobody by default. */
  transferTo?: readonly Prefix[];
  log?: DnsLog;
}

/** What is noted of a question on its way. */
interface Trace {
  client: Client;
  source: AnswerSource | '';
  steps: readonly CompletionStep[];
}

export class Responder {
  readonly #options: ResponderOptions;
  readonly #counters: DnsCounters;
  readonly #addressTexts: readonly string[];
  readonly #address: Words;
  readonly #otherAddresses: readonly Words[];
  #indexed: ClusterRecords | undefined;
  #zone: Zone | undefined;
  #paths: PodPaths | undefined;
  #serial = Math.floor(Date.now() / 1000);
  /** Questions that wait for the cluster to be known. */
  #waiting = 0;

  /** @throws RangeError when an address is none. */
  constructor(options: ResponderOptions) {
    this.#addressTexts = [options.address, ...(options.otherAddresses ?? [])];
    this.#address = requireAddress(options.address);
    this.#otherAddresses = (options.otherAddresses ?? []).map(requireAddress);
    this.#options = options;
    this.#counters = options.counters;
  }

  /** The cluster's records may be other ones now. */
  recordsChanged(): void {
    this.#currentZone();
  }

  /** The host's resolv.conf is another one now. */
  hostChanged(): void {
    this.#options.resolver.upstreamsChanged();
    if (this.#indexed) this.#indexPaths(this.#indexed);
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
    const { query } = result;
    const limit = limitBytes(query, transport);
    const trace: Trace = { client, source: '', steps: [] };
    const began = performance.now();
    const message = await this.#answer(query, limit, trace).catch((error: unknown) => {
      this.#counters.errors++;
      this.#options.log?.warn({ err: error, name: query.name.text }, 'DNS question could not be answered');
      return this.#encode(query, failure(RCODE.servFail), limit);
    });
    if (this.#options.queryLog?.isOn) this.#logQuery(query, message, trace, performance.now() - began);
    return message;
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

  /** What happens when a pod looks the name up; nothing when there is no such pod, or no cluster yet. */
  async explain(pod: string, name: string): Promise<Explanation | undefined> {
    const zone = this.#currentZone();
    const path = this.#paths?.named(pod);
    if (!zone || !path) return undefined;
    const { resolver, forwarder } = this.#options;
    return explainName({ zone, resolver, forwarder, clusterDns: this.#addressTexts }, path, name);
  }

  async #answer(query: Query, limit: number, trace: Trace): Promise<Buffer> {
    if (query.edns && query.edns.version !== 0) return this.#encode(query, failure(RCODE.badVers), limit);
    if (query.class !== CLASS_IN || isMetaType(query.type)) return this.#encode(query, failure(RCODE.refused), limit);
    const zone = this.#currentZone() ?? (await this.#awaitZone());
    if (!zone) return this.#encode(query, failure(RCODE.servFail), limit);
    const answer = answerQuestion(zone, query.name.key, query.type);
    if (!answer) return await this.#forward(query, limit, trace);
    trace.source = 'zone';
    if (answer.rcode === RCODE.nxDomain && answer.answers.length === 0) {
      const completed = await this.#complete(zone, query, trace);
      if (completed) return this.#encode(query, completed, limit);
    }
    if (answer.outside === undefined || !isAddressType(query.type)) {
      const message = this.#encode(query, answer, limit);
      // A denial says which state of the cluster it is of.
      const source = answer.authorities.length > 0 ? '' : zone.sourceOf(query.name.key);
      this.#options.ready?.learn(query, answer, message, source);
      return message;
    }
    const { reply, source } = await followAlias(this.#options.resolver, answer, query.type);
    trace.source = source;
    return this.#encode(query, reply, limit);
  }

  async #complete(zone: Zone, query: Query, trace: Trace): Promise<Reply | undefined> {
    const { resolver, forwarder, autopath = true } = this.#options;
    const path = autopath ? this.#pathOf(trace.client) : undefined;
    const { key } = query.name;
    const name = path && completable(zone, path, key, query.type);
    if (!path || name === undefined) return undefined;
    const { found, steps } = await completeName({ zone, resolver, forwarder }, path, key, name, query.type);
    trace.steps = steps;
    if (found) trace.source = found.source;
    this.#counters.autopath[found ? 'completed' : 'failed']++;
    return found?.reply;
  }

  async #forward(query: Query, limit: number, trace: Trace): Promise<Buffer> {
    if (query.type === TYPE.hinfo && this.#options.forwarder.catchLoop(query.name.key)) {
      return this.#encode(query, failure(RCODE.refused), limit);
    }
    const resolved = await this.#options.resolver.resolve(query);
    if (!resolved) return this.#encode(query, failure(RCODE.servFail), limit);
    const { message, source } = resolved;
    trace.source = source;
    const flags = message.readUInt16BE(2);
    const rcode = flags & 15;
    const truncated = (flags & FLAG.truncated) !== 0;
    // Not to be had whole, which is of no use to who came over TCP for it.
    if (truncated && trace.client.transport === 'tcp') return this.#encode(query, failure(RCODE.servFail), limit);
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

  #pathOf({ address }: Client): PodPath | undefined {
    return address === undefined ? undefined : this.#paths?.of(address);
  }

  #logQuery(query: Query, message: Buffer, trace: Trace, ms: number): void {
    const { client, source, steps } = trace;
    const path = this.#pathOf(client);
    const search = path && stepOf(query.name.key, path);
    this.#options.queryLog?.add({
      at: new Date().toISOString(),
      client: client.address ?? '',
      pod: path?.pod ?? '',
      transport: client.transport,
      name: query.name.text,
      type: typeName(query.type),
      source,
      ms,
      ...describeAnswer(message),
      ...(search ? { search } : {}),
      ...(steps.length > 0 ? { completion: steps } : {}),
    });
  }

  #currentZone(): Zone | undefined {
    const records = this.#options.records();
    if (records && records !== this.#indexed) {
      const { domain, log, ready, ttlSeconds, podNames } = this.#options;
      const before = this.#zone;
      const zone = buildZone(records, {
        domain,
        address: this.#address,
        otherAddresses: this.#otherAddresses,
        serial: this.#serial,
        ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
        ...(podNames === undefined ? {} : { podNames }),
      });
      this.#indexed = records;
      this.#indexPaths(records);
      const change = before ? zoneChange(before, zone) : () => true;
      // Secondary servers are told by the serial alone: it grows when there is something new, and only then.
      if (!change) return before;
      this.#serial++;
      this.#zone = zone;
      ready?.forget(change);
      const { unwritable } = zone;
      if (unwritable.length > 0) log?.warn({ names: unwritable.slice(0, 10) }, 'not domain names, left out of DNS');
    }
    return this.#zone;
  }

  /** While an agent starts: an answer a moment later is better than a failure, which resolvers remember. */
  async #awaitZone(): Promise<Zone | undefined> {
    const { syncWaitMs = SYNC_WAIT_MS } = this.#options;
    if (this.#waiting >= MOST_WAITING) return undefined;
    this.#waiting++;
    const deadline = performance.now() + syncWaitMs;
    let zone: Zone | undefined;
    while (!zone && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, SYNC_LOOK_MS));
      zone = this.#currentZone();
    }
    this.#waiting--;
    return zone;
  }

  #indexPaths(records: ClusterRecords): void {
    const { domain, hostResolvConf } = this.#options;
    const clusterDns = this.#addressTexts;
    this.#paths = new PodPaths(records, { domain, clusterDns, hostResolvConf: hostResolvConf?.() ?? '' });
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

function requireAddress(text: string): Words {
  const address = parseAddress(text);
  if (!address) throw new RangeError(`not an address: ${JSON.stringify(text)}`);
  return address;
}

function limitBytes(query: Query, transport: Client['transport']): number {
  if (transport === 'tcp') return TCP_BYTES;
  return query.edns ? Math.min(query.edns.udpBytes, UDP_BYTES) : PLAIN_UDP_BYTES;
}
