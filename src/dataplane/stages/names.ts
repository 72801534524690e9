/**
 * Between local and flow: DNS questions of pods to the cluster's DNS address (RFC 1035) that the table of names has an
 * answer for are answered on the spot, without a connection and without a socket. All else goes on to the server as if
 * this were not here: what is not in the table, what is no plain question of one name, what would not fit the asker.
 *
 *   IP, UDP, id | flags, counts | question | OPT       the question, as it came
 *   IP, UDP, id | flags, counts | question | records | OPT      the answer, in bytes of its own
 */
import { PACKET_FLAG } from '../../io/vector.ts';
import { findName, isServer, NAME_SLOT, type NameTable } from '../../tables/names.ts';
import { PORT, PORT_WORDS } from '../../tables/ports.ts';
import { setU16 } from '../../wire/bytes.ts';
import { fold, pseudoSum4, pseudoSum6 } from '../../wire/checksum.ts';
import * as dns from '../../wire/dns.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import * as udp from '../../wire/udp.ts';
import { FORWARDED, KIND, PENDING } from '../batch.ts';
import type { Context } from '../context.ts';
import { GAUGE } from '../counters.ts';
import { checksumHolds } from '../transport-checksum.ts';

const HOP_LIMIT = 64;
/** What an asker takes without EDNS, and never less with it (RFC 1035 section 4.2.1, RFC 6891 section 6.2.3). */
const LEAST_UDP_BYTES = 512;

export function names(c: Context, table: NameTable, from: number, to: number): void {
  const { batch, vector } = c;
  for (let i = from; i < to; i++) {
    if (batch.verdict[i] !== PENDING || (batch.ports[i] & 0xffff) !== dns.PORT) continue;
    if (batch.protocol[i] !== ipv4.PROTOCOL.udp || batch.kind[i] !== KIND.plain || batch.fromPeer[i] >= 0) continue;
    if (vector.gsoSize[i] !== 0 || vector.inPort[i] < 0 || c.attached[vector.inPort[i]] !== 1) continue;
    if (isServer(table, batch.destination0[i], batch.destination1[i], batch.destination2[i], batch.destination3[i])) {
      answer(c, table, i);
    }
  }
}

function answer(c: Context, table: NameTable, i: number): void {
  const { batch, vector } = c;
  const b = vector.arena;
  const l4 = batch.l4[i];
  const o = l4 + udp.HEADER_BYTES;
  const end = l4 + udp.lengthBytes(b, l4);
  if (batch.ports[i] >>> 16 === 0 || !dns.check(o, end) || !dns.isPlainQuery(b, o)) return;
  const question = o + dns.HEADER_BYTES;
  const nameEnd = dns.nameEnd(b, question, end);
  const questionEnd = nameEnd + dns.TYPE_AND_CLASS_BYTES;
  if (nameEnd < 0 || questionEnd > end) return;
  const hasOpt = dns.additionals(b, o) === 1;
  if (hasOpt ? !dns.isPlainOpt(b, questionEnd, end) : questionEnd !== end) return;
  const questionBytes = questionEnd - question;
  const slot = findName(table, b, question, questionBytes);
  // What a stack would have thrown away is its to throw away.
  if (slot < 0 || !checksumHolds(c, i, end - l4)) return;

  const lengths = table.slots[slot + NAME_SLOT.lengths];
  const recordBytes = lengths & 0xffff;
  const optBytes = hasOpt ? dns.OPT_BYTES : 0;
  const messageBytes = dns.HEADER_BYTES + questionBytes + recordBytes + optBytes;
  const asked = hasOpt ? dns.optUdpBytes(b, questionEnd) : 0;
  const limit = Math.max(LEAST_UDP_BYTES, Math.min(asked, table.udpBytes));
  const v6 = b[batch.l3[i]] >>> 4 === 6;
  const ipBytes = v6 ? ipv6.HEADER_BYTES : ipv4.HEADER_BYTES;
  const total = ipBytes + udp.HEADER_BYTES + messageBytes;
  const port = vector.inPort[i];
  if (messageBytes > limit || total > c.tables.ports[port * PORT_WORDS + PORT.mtu]) return;
  const start = vector.reserve(total);
  if (start < 0) return;

  const header = start + ipBytes;
  const message = header + udp.HEADER_BYTES;
  b.copyWithin(message, o, questionEnd);
  const counts = table.slots[slot + NAME_SLOT.counts];
  const kept = dns.flags(b, o) & (dns.FLAG.recursionDesired | dns.FLAG.checkingDisabled);
  const flags = dns.FLAG.response | dns.FLAG.authoritative | dns.FLAG.recursionAvailable | kept;
  dns.writeHeader(b, message, flags, counts >>> 20, (counts >>> 10) & 0x3ff, (counts & 0x3ff) + (hasOpt ? 1 : 0));
  const records = message + dns.HEADER_BYTES + questionBytes;
  const known = table.slots[slot + NAME_SLOT.offset] - 1 + questionBytes;
  for (let n = 0; n < recordBytes; n++) b[records + n] = table.bytes[known + n];
  if (hasOpt) dns.writeOpt(b, records + recordBytes, table.udpBytes, dns.optFlags(b, questionEnd) & dns.DNSSEC_OK);

  udp.writeHeader(b, header, dns.PORT, batch.ports[i] >>> 16, udp.HEADER_BYTES + messageBytes);
  if (v6) writeIpv6(c, i, start, udp.HEADER_BYTES + messageBytes);
  else writeIpv4(c, i, start, total);
  // The device completes the checksum, or hands it on as good: of what is left to it, the pseudo-header's sum.
  vector.flags[i] = PACKET_FLAG.checksumPartial;
  vector.checksumStart[i] = ipBytes;
  vector.checksumOffset[i] = udp.CHECKSUM_OFFSET;
  vector.offset[i] = start;
  vector.length[i] = total;
  vector.l3Offset[i] = 0;
  vector.stride[i] = 0;
  vector.headerBytes[i] = 0;
  vector.outPort[i] = port;
  batch.verdict[i] = FORWARDED;
  c.counters.sent(port, 1, total);
  c.counters.gauges[GAUGE.namesAnswered]++;
}

function writeIpv4(c: Context, i: number, o: number, total: number): void {
  const { batch, vector } = c;
  const b = vector.arena;
  const source = batch.destination3[i];
  const destination = batch.source3[i];
  ipv4.writePlainHeader(b, o, total, ipv4.PROTOCOL.udp, source, destination, HOP_LIMIT);
  const bytes = total - ipv4.HEADER_BYTES;
  const pseudo = pseudoSum4(source, destination, ipv4.PROTOCOL.udp, bytes);
  setU16(b, o + ipv4.HEADER_BYTES + udp.CHECKSUM_OFFSET, fold(pseudo));
}

function writeIpv6(c: Context, i: number, o: number, bytes: number): void {
  const { batch, vector } = c;
  const b = vector.arena;
  b[o] = 0x60;
  b[o + 1] = 0;
  setU16(b, o + 2, 0);
  ipv6.setPayloadBytes(b, o, bytes);
  b[o + 6] = ipv4.PROTOCOL.udp;
  ipv6.setHopLimit(b, o, HOP_LIMIT);
  ipv6.setSourceWord(b, o, 0, batch.destination0[i]);
  ipv6.setSourceWord(b, o, 1, batch.destination1[i]);
  ipv6.setSourceWord(b, o, 2, batch.destination2[i]);
  ipv6.setSourceWord(b, o, 3, batch.destination3[i]);
  ipv6.setDestinationWord(b, o, 0, batch.source0[i]);
  ipv6.setDestinationWord(b, o, 1, batch.source1[i]);
  ipv6.setDestinationWord(b, o, 2, batch.source2[i]);
  ipv6.setDestinationWord(b, o, 3, batch.source3[i]);
  setU16(b, o + ipv6.HEADER_BYTES + udp.CHECKSUM_OFFSET, fold(pseudoSum6(b, o, ipv4.PROTOCOL.udp, bytes)));
}
