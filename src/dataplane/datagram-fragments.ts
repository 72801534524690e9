/**
 * Virtual reassembly: only the first fragment of a datagram has its ports, and without them it belongs to no connection
 * and no service. The gather stage asks here what they are. Nothing is put together: each fragment goes its own way as
 * soon as its ports are known, and those that come before the first one wait for it here.
 *
 *   datagram   found by source, destination, protocol, identification (RFC 791, 3.2; RFC 8200, 4.5) and who brought it;
 *              forgotten when all of it has passed, or nothing of it has come for a while
 *   blocks     of a datagram, one bit for 8 bytes that have passed: what would pass twice does not (RFC 5722, RFC 3128)
 *
 * Everything is bounded, for all and for each port. Where there is no room, a fragment has no ports: it passes to where
 * none are needed, and no further. TCP and UDP only: all else has no ports.
 */
import { PORT, PORT_KIND, PORT_LIMIT, PORT_WORDS } from '../tables/ports.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as extension from '../wire/ipv6-extension.ts';
import * as tcp from '../wire/tcp.ts';
import * as udp from '../wire/udp.ts';
import { FORWARDED, isIpv6, PENDING } from './batch.ts';
import type { Context } from './context.ts';
import { DROP } from './drop-reasons.ts';
import { MOST_SLOTS, WaitingFragments } from './waiting-fragments.ts';

/** From one fragment of a datagram to the next: longer than any network that is not broken takes. */
export const PATIENCE_MS = 2000;
const SMALLEST = 64;
/** Of datagrams under way, and of room to wait, a pod may have one in eight, the host and the overlay half. */
const MOST_DATAGRAMS = 2048;
const POD_SHARE = 8;
const SHARE = 2;
/** Fragments of one datagram that wait: of 64 KB in the smallest MTU that IPv4 hosts must take (576). */
const MOST_WAITING = 128;
/** Payload of the longest datagram. */
const MOST_BYTES = 0xffff;
/** Bits for its blocks. */
const BLOCK_WORDS = 256;
const BUCKETS = 4096;

/** Words of a datagram: 0..3 source, 4..7 destination. */
const D = {
  identification: 8,
  protocol: 9,
  ports: 10,
  state: 11,
  /** Bytes of the whole payload, 0 while the last fragment has not passed. */
  total: 12,
  /** End of what has passed, and blocks of it. */
  end: 13,
  blocks: 14,
  /** First and last of the waiting fragments, and how many and how long they are. */
  first: 15,
  last: 16,
  waiting: 17,
  waitingBytes: 18,
  port: 19,
  peer: 20,
  /** Datagram + 1: in the bucket, and in the order in which they were last heard of. Free ones are linked by next. */
  next: 21,
  older: 22,
  newer: 23,
  bucket: 24,
  /** What it is known by where we send it. */
  ownId: 25,
} as const;
const D_WORDS = 32;
const STATE = { known: 1, givenUp: 2 } as const;

export class DatagramFragments {
  /** Parse has met a fragment in this vector. */
  met = false;
  /** Datagrams under way. */
  size = 0;
  readonly waiting = new WaitingFragments();
  #words = new Int32Array(SMALLEST * D_WORDS);
  #seen = new Int32Array(SMALLEST * BLOCK_WORDS);
  #heardMs = new Float64Array(SMALLEST);
  #free = 0;
  readonly #buckets = new Int32Array(BUCKETS);
  #oldest = 0;
  #newest = 0;
  /** Datagrams by port. */
  readonly #datagramsOf = new Int32Array(PORT_LIMIT);
  /** Identifications that this worker gives: each its own, modulo their number. */
  readonly #worker: number;
  readonly #workers: number;
  #ids = 0;

  constructor(worker: number, workers: number) {
    this.#worker = worker;
    this.#workers = workers;
    this.#link(0, SMALLEST);
  }

  /**
   * Fragment `i`, as parse left it: gives it its datagram's ports where they are known. Its verdict: PENDING, FORWARDED
   * while it waits here, or why it is dropped. `front` bytes before its offset belong to it too.
   */
  take(c: Context, i: number, front: number): number {
    const { batch, vector } = c;
    const b = vector.arena;
    const l3 = batch.l3[i];
    const payload = vector.length[i] - (batch.l4[i] - l3);
    // IPv6's fragment header is the last one before what it carries.
    const header = batch.l4[i] - extension.FRAGMENT_BYTES;
    const six = isIpv6(c, i);
    const offset = six ? extension.fragmentOffsetBytes(b, header) : ipv4.fragmentOffsetBytes(b, l3);
    const more = six ? extension.moreFragments(b, header) : ipv4.moreFragments(b, l3);
    if (payload <= 0 || (more && (payload & 7) !== 0) || offset + payload > MOST_BYTES) return DROP['fragment-header'];
    const protocol = batch.protocol[i];
    if (protocol !== ipv4.PROTOCOL.tcp && protocol !== ipv4.PROTOCOL.udp) return PENDING;
    const d = this.#datagramOf(c, i);
    if (d < 0) return PENDING;
    const w = this.#words;
    const o = d * D_WORDS;
    if ((w[o + D.state] & STATE.givenUp) !== 0) return DROP['fragment-overlap'];
    this.#hear(d, c.nowMs);
    if ((w[o + D.state] & STATE.known) === 0) {
      if (offset !== 0) return this.#wait(c, i, d, payload, front);
      if (!this.#begin(c, i, o)) {
        this.#giveUp(c, d);
        return DROP['fragment-header'];
      }
    }
    if (offset === 0 && protocol === ipv4.PROTOCOL.tcp) batch.tcpFlags[i] = tcp.flags(b, batch.l4[i]);
    batch.ports[i] = w[o + D.ports];
    batch.fragmentId[i] = w[o + D.ownId];
    return this.#pass(c, d, offset, payload, more);
  }

  /** Forgets datagrams of which nothing has come for a while, and what waits for their first fragment. */
  expire(c: Context): void {
    while (this.#oldest !== 0 && c.nowMs - this.#heardMs[this.#oldest - 1] >= PATIENCE_MS) {
      const d = this.#oldest - 1;
      c.counters.drops[DROP['fragment-unfinished']] += this.#words[d * D_WORDS + D.waiting];
      this.#drop(d);
      this.#close(d);
    }
  }

  /** Milliseconds until something here is due, -1: never. */
  waitMs(nowMs: number): number {
    if (this.waiting.anyReleased) return 0;
    if (this.#oldest === 0) return -1;
    return Math.max(0, Math.ceil(this.#heardMs[this.#oldest - 1] + PATIENCE_MS - nowMs));
  }

  /** The next identification of our own, 32 bits; its lower 16 are our own too. */
  nextId(): number {
    this.#ids = (this.#ids + 1) | 0;
    const span = Math.floor(0x10000 / this.#workers);
    return ((this.#ids & 0x7fff0000) | (((this.#ids & 0xffff) % span) * this.#workers + this.#worker)) >>> 0;
  }

  /** The datagram of fragment `i`, a new one if need be, or -1 where there is no room. */
  #datagramOf(c: Context, i: number): number {
    const { batch: b, vector: v } = c;
    const header = b.l4[i] - extension.FRAGMENT_BYTES;
    const id = isIpv6(c, i) ? extension.identification(v.arena, header) | 0 : ipv4.identification(v.arena, b.l3[i]);
    const port = v.inPort[i];
    const peer =
      b.fromPeer[i] < 0 ? 0 : v.peer3[i] ^ Math.imul(v.peer2[i] ^ Math.imul(v.peer1[i] ^ v.peer0[i], 31), 31);
    const hash = c.flows.hash(
      b.source0[i],
      b.source1[i],
      b.source2[i],
      b.source3[i],
      b.destination0[i],
      b.destination1[i],
      b.destination2[i],
      b.destination3[i],
      id,
      b.protocol[i],
    );
    const bucket = hash & (BUCKETS - 1);
    for (let n = this.#buckets[bucket]; n !== 0; n = this.#words[(n - 1) * D_WORDS + D.next]) {
      const w = this.#words;
      const o = (n - 1) * D_WORDS;
      if (
        w[o + 3] === b.source3[i] &&
        w[o + 7] === b.destination3[i] &&
        w[o + D.identification] === id &&
        w[o + D.protocol] === b.protocol[i] &&
        w[o + D.port] === port &&
        w[o + D.peer] === peer &&
        w[o] === b.source0[i] &&
        w[o + 1] === b.source1[i] &&
        w[o + 2] === b.source2[i] &&
        w[o + 4] === b.destination0[i] &&
        w[o + 5] === b.destination1[i] &&
        w[o + 6] === b.destination2[i]
      ) {
        return n - 1;
      }
    }
    if (this.#datagramsOf[port] >= MOST_DATAGRAMS / shareOf(c, port)) return -1;
    if (this.#free === 0 && !this.#grow()) return -1;
    const d = this.#free - 1;
    const w = this.#words;
    const o = d * D_WORDS;
    this.#free = w[o + D.next];
    w.fill(0, o, o + D_WORDS);
    this.#seen.fill(0, d * BLOCK_WORDS, (d + 1) * BLOCK_WORDS);
    w[o] = b.source0[i];
    w[o + 1] = b.source1[i];
    w[o + 2] = b.source2[i];
    w[o + 3] = b.source3[i];
    w[o + 4] = b.destination0[i];
    w[o + 5] = b.destination1[i];
    w[o + 6] = b.destination2[i];
    w[o + 7] = b.destination3[i];
    w[o + D.identification] = id;
    w[o + D.protocol] = b.protocol[i];
    w[o + D.port] = port;
    w[o + D.peer] = peer;
    w[o + D.bucket] = bucket;
    w[o + D.next] = this.#buckets[bucket];
    this.#buckets[bucket] = d + 1;
    this.#append(d);
    this.#datagramsOf[port]++;
    this.size++;
    return d;
  }

  /** The first fragment tells the ports. False where it is too short for its own header (RFC 1858). */
  #begin(c: Context, i: number, o: number): boolean {
    const { batch, vector } = c;
    const b = vector.arena;
    const l4 = batch.l4[i];
    const end = batch.l3[i] + vector.length[i];
    const isTcp = batch.protocol[i] === ipv4.PROTOCOL.tcp;
    if (isTcp ? !tcp.check(b, l4, end) : end - l4 < udp.HEADER_BYTES) return false;
    const w = this.#words;
    w[o + D.ports] = (udp.sourcePort(b, l4) << 16) | udp.destinationPort(b, l4);
    w[o + D.ownId] = this.nextId();
    w[o + D.state] |= STATE.known;
    if (w[o + D.first] === 0) return true;
    this.waiting.release(w[o + D.first], w[o + D.last]);
    this.#forgetWaiting(o);
    return true;
  }

  /** A fragment of a known datagram passes if none of its bytes have; the last one to pass ends the datagram. */
  #pass(c: Context, d: number, offset: number, payload: number, more: boolean): number {
    const w = this.#words;
    const o = d * D_WORDS;
    const end = offset + payload;
    const total = w[o + D.total];
    const from = offset >>> 3;
    const to = (end + 7) >>> 3;
    const before = this.#count(d, from, to);
    // The same once more, as networks do.
    if (before === to - from) return DROP['fragment-overlap'];
    const contradicts = more ? total !== 0 && end > total : (total !== 0 && end !== total) || end < w[o + D.end];
    if (before > 0 || contradicts) {
      this.#giveUp(c, d);
      return DROP['fragment-overlap'];
    }
    if (!more) w[o + D.total] = end;
    if (end > w[o + D.end]) w[o + D.end] = end;
    w[o + D.blocks] += to - from;
    this.#mark(d, from, to);
    if (w[o + D.total] !== 0 && w[o + D.blocks] === (w[o + D.total] + 7) >>> 3) this.#close(d);
    return PENDING;
  }

  /** How many of blocks from..to-1 have passed. */
  #count(d: number, from: number, to: number): number {
    const base = d * BLOCK_WORDS;
    let count = 0;
    for (let word = from >>> 5; word << 5 < to; word++) {
      let bits = this.#seen[base + word] & maskOf(word, from, to);
      for (; bits !== 0; bits &= bits - 1) count++;
    }
    return count;
  }

  #mark(d: number, from: number, to: number): void {
    const base = d * BLOCK_WORDS;
    for (let word = from >>> 5; word << 5 < to; word++) this.#seen[base + word] |= maskOf(word, from, to);
  }

  /** Keeps a copy of a fragment that came before its first one. */
  #wait(c: Context, i: number, d: number, payload: number, front: number): number {
    const w = this.#words;
    const o = d * D_WORDS;
    if (w[o + D.waiting] >= MOST_WAITING || w[o + D.waitingBytes] + payload > MOST_BYTES) return PENDING;
    const most = MOST_SLOTS / shareOf(c, w[o + D.port]);
    const place = this.waiting.keep(c.vector, i, front, w[o + D.last], most);
    if (place === 0) return PENDING;
    if (w[o + D.first] === 0) w[o + D.first] = place;
    w[o + D.last] = place;
    w[o + D.waiting]++;
    w[o + D.waitingBytes] += payload;
    return FORWARDED;
  }

  /** Nothing of a datagram that contradicts itself passes any more (RFC 5722, 4). */
  #giveUp(c: Context, d: number): void {
    const o = d * D_WORDS;
    c.counters.drops[DROP['fragment-overlap']] += this.#words[o + D.waiting];
    this.#drop(d);
    this.#words[o + D.state] |= STATE.givenUp;
  }

  /** Drops what waits for a datagram's first fragment. */
  #drop(d: number): void {
    const o = d * D_WORDS;
    this.waiting.drop(this.#words[o + D.first]);
    this.#forgetWaiting(o);
  }

  #forgetWaiting(o: number): void {
    const w = this.#words;
    w[o + D.first] = 0;
    w[o + D.last] = 0;
    w[o + D.waiting] = 0;
    w[o + D.waitingBytes] = 0;
  }

  #close(d: number): void {
    const w = this.#words;
    const o = d * D_WORDS;
    this.#unlink(d);
    const bucket = w[o + D.bucket];
    if (this.#buckets[bucket] === d + 1) {
      this.#buckets[bucket] = w[o + D.next];
    } else {
      let before = this.#buckets[bucket] - 1;
      while (w[before * D_WORDS + D.next] !== d + 1) before = w[before * D_WORDS + D.next] - 1;
      w[before * D_WORDS + D.next] = w[o + D.next];
    }
    this.#datagramsOf[w[o + D.port]]--;
    w[o + D.next] = this.#free;
    this.#free = d + 1;
    this.size--;
  }

  #hear(d: number, nowMs: number): void {
    this.#heardMs[d] = nowMs;
    if (this.#newest === d + 1) return;
    this.#unlink(d);
    this.#append(d);
    this.#heardMs[d] = nowMs;
  }

  #append(d: number): void {
    const w = this.#words;
    w[d * D_WORDS + D.older] = this.#newest;
    w[d * D_WORDS + D.newer] = 0;
    if (this.#newest === 0) this.#oldest = d + 1;
    else w[(this.#newest - 1) * D_WORDS + D.newer] = d + 1;
    this.#newest = d + 1;
  }

  #unlink(d: number): void {
    const w = this.#words;
    const older = w[d * D_WORDS + D.older];
    const newer = w[d * D_WORDS + D.newer];
    if (older === 0) this.#oldest = newer;
    else w[(older - 1) * D_WORDS + D.newer] = newer;
    if (newer === 0) this.#newest = older;
    else w[(newer - 1) * D_WORDS + D.older] = older;
  }

  #grow(): boolean {
    const capacity = this.#heardMs.length;
    if (capacity >= MOST_DATAGRAMS) return false;
    const words = new Int32Array(capacity * 2 * D_WORDS);
    words.set(this.#words);
    this.#words = words;
    const seen = new Int32Array(capacity * 2 * BLOCK_WORDS);
    seen.set(this.#seen);
    this.#seen = seen;
    const heard = new Float64Array(capacity * 2);
    heard.set(this.#heardMs);
    this.#heardMs = heard;
    this.#link(capacity, capacity * 2);
    return true;
  }

  #link(from: number, to: number): void {
    for (let d = to - 1; d >= from; d--) {
      this.#words[d * D_WORDS + D.next] = this.#free;
      this.#free = d + 1;
    }
  }
}

/** Of all there is, what a port may have is one part in so many. */
function shareOf(c: Context, port: number): number {
  return c.tables.ports[port * PORT_WORDS + PORT.kind] === PORT_KIND.pod ? POD_SHARE : SHARE;
}

/** The bits of blocks from..to-1 that stand in a word. */
function maskOf(word: number, from: number, to: number): number {
  const first = from - (word << 5);
  const end = to - (word << 5);
  const low = first <= 0 ? -1 : -1 << first;
  return end >= 32 ? low : low & ~(-1 << end);
}
