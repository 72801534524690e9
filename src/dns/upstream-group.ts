/**
 * The name servers that answer for one part of the name space, in order of preference. A question goes to the first
 * that is well; when it is silent for a moment, the second is asked too, and the first good answer counts. One that
 * failed twice is out: asked last, and probed until it answers.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { FLAG, RCODE, TYPE } from './codes.ts';
import type { DnsCounters, UpstreamCounts } from './counters.ts';
import { encodeForward, encodeQuestion } from './encode.ts';
import type { Query } from './query.ts';
import { scanReply } from './reply-scan.ts';
import { askByTcp, askByUdp, type Exchange, parseUpstream, type Upstream, upstreamText } from './upstream.ts';

export interface GroupOptions {
  /** The domain, where it is not the host's; tells its counts from those of others. */
  label: string;
  counters: DnsCounters;
  /** For one upstream. */
  timeoutMs: number;
  /** For one question, all upstreams together. */
  deadlineMs: number;
  /** Silence after which the next upstream is asked as well. */
  hedgeMs: number;
  /** Between probes of one that is out. */
  probeMs: number;
  /** Whether to find out if an upstream asks us back. */
  detectLoops: boolean;
  onLoop: (upstream: string) => void;
}

const FAILURES_UNTIL_OUT = 2;
/** As CoreDNS has it. */
const UPSTREAM_LIMIT = 15;
/** Exchanges that go on after their question was answered by another upstream: each holds a socket. */
const LINGERING_LIMIT = 32;

interface Member extends Upstream {
  readonly text: string;
  readonly counts: UpstreamCounts;
  failures: number;
  timer: NodeJS.Timeout | undefined;
  /** What we ask it to see whether that comes back to us; '' where we do not. */
  token: string;
  looping: boolean;
  retired: boolean;
}

export class UpstreamGroup {
  readonly #members: readonly Member[];
  readonly #options: GroupOptions;
  readonly #exchanges = new Set<Exchange>();
  #lingering = 0;
  #closed = false;

  /** What parseUpstream cannot read, and `own`, the server's own place, are left out. */
  constructor(upstreams: readonly string[], own: Upstream, options: GroupOptions) {
    this.#options = options;
    const texts = new Set(
      upstreams.flatMap((text) => {
        const upstream = parseUpstream(text);
        if (!upstream || (upstream.address === own.address && upstream.port === own.port)) return [];
        return [upstreamText(upstream)];
      }),
    );
    this.#members = [...texts].slice(0, UPSTREAM_LIMIT).map((text) => this.#member(text));
    if (options.detectLoops) for (const member of this.#members) this.#sendToken(member);
  }

  /** As `address:port`, loops left out. */
  get upstreams(): readonly string[] {
    return this.#members.filter((member) => !member.looping).map((member) => member.text);
  }

  /** Whether any upstream answered when it was asked last. */
  get isWell(): boolean {
    return this.#members.some((member) => !member.looping && member.counts.out === 0);
  }

  /** True when the name is one by which an upstream was to be caught asking us: it is not asked any more. */
  catchLoop(key: string): boolean {
    const member = this.#members.find(({ token }) => token !== '' && token === key);
    if (!member) return false;
    if (!member.looping) {
      member.looping = true;
      clearTimeout(member.timer);
      this.#options.onLoop(member.text);
    }
    return true;
  }

  /** A good answer; else the first one that says "I cannot"; else nothing. */
  ask(query: Query): Promise<Buffer | undefined> {
    const waiting = this.#inTurn();
    const { deadlineMs, hedgeMs } = this.#options;
    return new Promise((resolve) => {
      let asked = 0;
      let failure: Buffer | undefined;
      let done = false;
      const open = new Set<Exchange>();
      let hedge: NodeJS.Timeout | undefined;
      const finish = (reply: Buffer | undefined): void => {
        if (done) return;
        done = true;
        clearTimeout(deadline);
        clearTimeout(hedge);
        this.#leave(open);
        resolve(reply);
      };
      const deadline = setTimeout(() => finish(failure), deadlineMs);
      const next = (): void => {
        clearTimeout(hedge);
        const member = waiting.shift();
        if (this.#closed || (!member && asked === 0)) return finish(failure);
        if (!member) return;
        asked++;
        // Two at once at most.
        if (waiting.length > 0 && asked === 1) hedge = setTimeout(next, hedgeMs);
        void this.#askOne(member, query, open).then((reply) => {
          asked--;
          const rcode = reply && reply.readUInt16BE(2) & 15;
          if (rcode === RCODE.noError || rcode === RCODE.nxDomain) return finish(reply);
          failure ??= reply;
          if (done) return;
          next();
        });
      };
      next();
    });
  }

  /** No probes any more; calls back when the last of what is under way has ended. */
  retire(onIdle: () => void): void {
    for (const member of this.#members) {
      clearTimeout(member.timer);
      member.retired = true;
      delete this.#options.counters.upstreams[this.#countsKey(member.text)];
    }
    void Promise.allSettled([...this.#exchanges].map((exchange) => exchange.reply)).then(onIdle);
  }

  close(): void {
    this.#closed = true;
    for (const member of this.#members) clearTimeout(member.timer);
    for (const exchange of this.#exchanges) exchange.cancel();
  }

  #member(text: string): Member {
    const counts = { asked: 0, answered: 0, failed: 0, out: 0 };
    this.#options.counters.upstreams[this.#countsKey(text)] = counts;
    const upstream = parseUpstream(text) as Upstream;
    return { ...upstream, text, counts, failures: 0, timer: undefined, token: '', looping: false, retired: false };
  }

  #countsKey(text: string): string {
    return this.#options.label === '' ? text : `${text} for ${this.#options.label}`;
  }

  #inTurn(): Member[] {
    const usable = this.#members.filter((member) => !member.looping);
    const isOut = (member: Member): boolean => member.counts.out === 1;
    return [...usable.filter((member) => !isOut(member)), ...usable.filter(isOut)];
  }

  /** Those that were not needed in the end go on, so that a silent upstream is found out; not too many of them. */
  #leave(open: ReadonlySet<Exchange>): void {
    for (const exchange of open) {
      if (this.#lingering >= LINGERING_LIMIT) {
        exchange.cancel();
        continue;
      }
      this.#lingering++;
      void exchange.reply.then(() => this.#lingering--);
    }
  }

  async #askOne(member: Member, query: Query, open: Set<Exchange>): Promise<Buffer | undefined> {
    const counts = this.#options.counters.forward;
    const { timeoutMs } = this.#options;
    member.counts.asked++;
    const message = encodeForward(query, randomInt(0x10000));
    const datagram = await this.#track(
      askByUdp(member, message, timeoutMs, () => counts.mismatches++),
      open,
    );
    let reply = datagram.reply;
    let { cancelled } = datagram;
    if (reply && reply.readUInt16BE(2) & FLAG.truncated) {
      counts.tcpRetries++;
      const stream = await this.#track(askByTcp(member, message, timeoutMs), open);
      if (stream.reply && scanReply(stream.reply)) reply = stream.reply;
      cancelled = stream.cancelled;
    } else if (reply && !isErrorAlone(reply) && !scanReply(reply)) {
      counts.unreadable++;
      reply = undefined;
    }
    if (!cancelled) this.#rate(member, reply !== undefined);
    return reply;
  }

  async #track(exchange: Exchange, open: Set<Exchange>): Promise<{ reply: Buffer | undefined; cancelled: boolean }> {
    this.#exchanges.add(exchange);
    open.add(exchange);
    if (this.#closed) exchange.cancel();
    const reply = await exchange.reply;
    this.#exchanges.delete(exchange);
    open.delete(exchange);
    return { reply, cancelled: exchange.cancelled };
  }

  #rate(member: Member, answered: boolean): void {
    const { counts } = member;
    if (answered) {
      counts.answered++;
      this.#well(member);
      return;
    }
    counts.failed++;
    this.#options.counters.forward.tryFailures++;
    if (++member.failures < FAILURES_UNTIL_OUT || counts.out === 1) return;
    counts.out = 1;
    this.#probeLater(member);
  }

  #well(member: Member): void {
    const wasOut = member.counts.out === 1;
    member.failures = 0;
    member.counts.out = 0;
    clearTimeout(member.timer);
    if (wasOut && this.#options.detectLoops && !member.retired) this.#sendToken(member);
  }

  #probeLater(member: Member): void {
    const { probeMs, timeoutMs } = this.#options;
    if (this.#closed || member.retired) return;
    member.timer = setTimeout(async () => {
      // The root's name servers: whoever resolves names knows them, and any answer is a sign of life.
      const probe = encodeForward(plainQuery('', TYPE.ns), randomInt(0x10000));
      const { reply } = await this.#track(
        askByUdp(member, probe, timeoutMs, () => {}),
        new Set(),
      );
      if (this.#closed || member.counts.out === 0 || member.looping) return;
      if (reply) this.#well(member);
      else this.#probeLater(member);
    }, probeMs);
    member.timer.unref();
  }

  /** A name that nobody else knows: should this very server be asked for it, the upstream leads back to us. */
  #sendToken(member: Member): void {
    member.token = `${randomBytes(8).toString('hex')}.${randomBytes(8).toString('hex')}`;
    const message = encodeForward(plainQuery(member.token, TYPE.hinfo), randomInt(0x10000));
    void this.#track(
      askByUdp(member, message, this.#options.timeoutMs, () => {}),
      new Set(),
    );
  }
}

/** A header with an rcode: all that some servers send to what they do not understand. */
function isErrorAlone(reply: Buffer): boolean {
  return reply.readUInt16BE(4) === 0 && (reply.readUInt16BE(2) & 15) !== 0;
}

function plainQuery(name: string, type: number): Query {
  const question = encodeQuestion(name, type);
  return {
    id: 0,
    flags: FLAG.recursionDesired,
    name: { text: name, key: name, end: question.length },
    type,
    class: 1,
    question,
  };
}
