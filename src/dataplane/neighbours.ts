/**
 * Neighbours on the overlay: who of our peers has which MAC, by ARP (RFC 826) and by neighbour discovery (RFC 4861,
 * section 7.2). Kernel VXLAN devices ask for ours; where the tables name none for a peer, we ask for its.
 */
import { ADJACENCY, ADJACENCY_WORDS } from '../tables/adjacency.ts';
import * as arp from '../wire/arp.ts';
import * as ethernet from '../wire/ethernet.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import { PROTOCOL } from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as ndp from '../wire/ndp.ts';
import { beginAnswer6, isOurs6 } from './answers-ipv6.ts';
import type { Context } from './context.ts';
import { DROP } from './drop-reasons.ts';
import { appendAnswer } from './send-back.ts';
import { encapsulateFrame } from './stages/encap.ts';

/** The first word of ff02::/16, the last ones of ff02::1 and of solicited nodes, and what their MACs begin with. */
const LINK_MULTICAST = 0xff020000;
const ALL_NODES = 1;
const SOLICITED_NODE = 0xff000000;
const MULTICAST_MAC = 0x3333;

/**
 * Answers ARP request `i` from a peer for our gateway's or VTEP's address; learns from a reply. What another worker has
 * answered already is only learned from.
 */
export function answerArp(c: Context, i: number): number {
  const { batch, vector } = c;
  const { local } = c.tables;
  const b = vector.arena;
  const o = batch.l3[i];
  const peer = batch.fromPeer[i];
  const high = arp.senderHigh(b, o);
  const low = arp.senderLow(b, o);
  const sender = arp.senderAddress(b, o);
  learnMac(c, peer, high, low);
  if (arp.operation(b, o) === arp.OPERATION.reply || i >= c.received) return DROP.consumed;
  const target = arp.targetAddress(b, o);
  if (target === 0 || (target !== local.gateway4 && target !== local.vtepAddress4)) return DROP.arp;
  arp.writeReply(b, o, local.macHigh, local.macLow, target, high, low, sender);
  vector.length[i] = arp.PACKET_BYTES;
  return encapsulateFrame(c, i, peer, high, low, ethernet.ETHERTYPE.arp);
}

/** The same for neighbour solicitation or advertisement `i`. */
export function answerNeighbour(c: Context, i: number): number {
  const { batch, vector } = c;
  const { local } = c.tables;
  const b = vector.arena;
  const l3 = batch.l3[i];
  const o = batch.l4[i];
  const peer = batch.fromPeer[i];
  const solicited = icmpv6.type(b, o) === icmpv6.TYPE.neighbourSolicitation;
  const mac = ndp.macAt(b, o, l3 + vector.length[i], solicited ? ndp.OPTION.sourceMac : ndp.OPTION.targetMac);
  if (mac >= 0) learnMac(c, peer, ndp.macHigh(b, mac), ndp.macLow(b, mac));
  if (!solicited || i >= c.received) return DROP.consumed;
  const t0 = ndp.targetWord(b, o, 0) | 0;
  const t1 = ndp.targetWord(b, o, 1) | 0;
  const t2 = ndp.targetWord(b, o, 2) | 0;
  const t3 = ndp.targetWord(b, o, 3) | 0;
  if (!isOurs6(c, t0, t1, t2, t3)) return DROP['neighbour-discovery'];
  const n = beginAnswer6(c, i, ndp.MESSAGE_BYTES, PROTOCOL.icmpv6);
  if (n < 0) return DROP['vector-full'];
  const answer = batch.l3[n];
  ipv6.setHopLimit(b, answer, ndp.HOP_LIMIT);
  ipv6.setSource(b, answer, t0, t1, t2, t3);
  // Who has no address yet asks whether he may have ours: all are told, him too (RFC 4861, 7.2.4).
  const nameless = (batch.source0[i] | batch.source1[i]) === 0;
  if (nameless) ipv6.setDestination(b, answer, LINK_MULTICAST, 0, 0, ALL_NODES);
  const flags = ndp.FLAG.router | ndp.FLAG.override | (nameless ? 0 : ndp.FLAG.solicited);
  ndp.writeAdvertisement(b, batch.l4[n], flags, t0, t1, t2, t3, local.macHigh, local.macLow);
  icmpv6.fillChecksum(b, answer, batch.l4[n], ndp.MESSAGE_BYTES);
  const frame = l3 - ethernet.HEADER_BYTES;
  const high = nameless ? MULTICAST_MAC : mac < 0 ? ethernet.sourceHigh(b, frame) : ndp.macHigh(b, mac);
  const low = nameless ? ALL_NODES : mac < 0 ? ethernet.sourceLow(b, frame) : ndp.macLow(b, mac);
  batch.verdict[n] = encapsulateFrame(c, n, peer, high, low, ethernet.ETHERTYPE.ipv6);
  return DROP.consumed;
}

/** Remembers a peer's MAC where the tables name none. */
function learnMac(c: Context, peer: number, high: number, low: number): void {
  if (c.learns[peer] === 0 || (high & 0x0100) !== 0 || (high | low) === 0) return;
  c.macs[peer * 2] = high;
  c.macs[peer * 2 + 1] = low;
}

/** Asks a peer for its MAC (at most once a second), by either family's address: needed to send it anything. */
export function askMac(c: Context, peer: number): void {
  const { adjacencies } = c.tables;
  const a = peer * ADJACENCY_WORDS;
  if (c.nowMs - c.askedAtMs[peer] < 1000) return;
  c.askedAtMs[peer] = c.nowMs;
  if (adjacencies[a + ADJACENCY.nextHop4] !== 0) askByArp(c, peer, adjacencies[a + ADJACENCY.nextHop4] >>> 0);
  if (adjacencies[a + ADJACENCY.nextHop6] !== 0) solicit(c, peer, a + ADJACENCY.nextHop6);
}

function askByArp(c: Context, peer: number, target: number): void {
  const { batch, vector } = c;
  const { local } = c.tables;
  const i = vector.append(arp.PACKET_BYTES);
  if (i < 0) return;
  batch.l3[i] = vector.offset[i];
  batch.fromPeer[i] = -1;
  batch.protocol[i] = 0;
  arp.writeRequest(vector.arena, vector.offset[i], local.macHigh, local.macLow, local.vtepAddress4, target);
  batch.verdict[i] = encapsulateFrame(c, i, peer, 0xffff, 0xffffffff | 0, ethernet.ETHERTYPE.arp);
}

/** Asks by a neighbour solicitation for the address whose words stand at `target` in the adjacencies. */
function solicit(c: Context, peer: number, target: number): void {
  const { batch, vector } = c;
  const { adjacencies, local } = c.tables;
  const b = vector.arena;
  const i = appendAnswer(c, ipv6.HEADER_BYTES + ndp.MESSAGE_BYTES, ipv6.HEADER_BYTES, PROTOCOL.icmpv6);
  if (i < 0) return;
  const l3 = batch.l3[i];
  const o = batch.l4[i];
  const from = local.vtepAddress6;
  const last = adjacencies[target + 3];
  const group = SOLICITED_NODE | (last & 0xffffff);
  ipv6.writePlainHeader(b, l3, ndp.MESSAGE_BYTES, PROTOCOL.icmpv6, ndp.HOP_LIMIT);
  ipv6.setSource(b, l3, from[0], from[1], from[2], from[3]);
  ipv6.setDestination(b, l3, LINK_MULTICAST, 0, 1, group);
  ndp.writeSolicitation(
    b,
    o,
    adjacencies[target],
    adjacencies[target + 1],
    adjacencies[target + 2],
    last,
    local.macHigh,
    local.macLow,
  );
  icmpv6.fillChecksum(b, l3, o, ndp.MESSAGE_BYTES);
  batch.verdict[i] = encapsulateFrame(c, i, peer, MULTICAST_MAC, group, ethernet.ETHERTYPE.ipv6);
}
