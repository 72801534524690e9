/** Each header, read from and rebuilt as the bytes that Linux sent. */
import t from 'tap';
import { formatAddress, formatAddress4, formatMac, parseAddress, parseAddress4 } from '../../src/wire/address.ts';
import * as arp from '../../src/wire/arp.ts';
import { u32 } from '../../src/wire/bytes.ts';
import { finish, fold, partialAdjust32, pseudoSum4, pseudoSum6, sum } from '../../src/wire/checksum.ts';
import * as ethernet from '../../src/wire/ethernet.ts';
import * as icmp from '../../src/wire/icmp.ts';
import * as icmpv6 from '../../src/wire/icmpv6.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as tcp from '../../src/wire/tcp.ts';
import * as udp from '../../src/wire/udp.ts';
import * as vxlan from '../../src/wire/vxlan.ts';
import * as c from './captures.ts';

const HOST_1 = parseAddress4('10.244.1.0') as number;
const HOST_2 = parseAddress4('10.244.2.0') as number;
const MAC_LOW_1 = 0xc0000201;
const MAC_LOW_2 = 0xc0000202;

/** A copy with the bytes of [from, to) overwritten by junk, for a builder to restore. */
function junked(b: Uint8Array, from: number, to: number): Uint8Array {
  const copy = b.slice();
  copy.fill(0xa5, from, to);
  return copy;
}

t.test('outer headers of every frame', async (t) => {
  for (const [name, b] of Object.entries(c.captures)) {
    t.equal(ethernet.etherType(b, 0), ethernet.ETHERTYPE.ipv4, name);
    t.ok(ipv4.check(b, c.OUTER_IP, b.length), name);
    t.ok(ipv4.checksumValid(b, c.OUTER_IP), name);
    t.equal(ipv4.protocol(b, c.OUTER_IP), ipv4.PROTOCOL.udp);
    t.ok(udp.check(b, c.OUTER_UDP, b.length));
    t.equal(udp.destinationPort(b, c.OUTER_UDP), vxlan.PORT);
    t.equal(udp.lengthBytes(b, c.OUTER_UDP), b.length - c.OUTER_UDP);
    t.ok(vxlan.check(b, c.VXLAN, b.length) && vxlan.flagsValid(b, c.VXLAN));
    t.equal(vxlan.vni(b, c.VXLAN), 1);
    const rebuilt = junked(b, c.VXLAN, c.INNER_ETHERNET);
    vxlan.writeHeader(rebuilt, c.VXLAN, 1);
    t.same(rebuilt, b);
  }
});

t.test('VXLAN', async (t) => {
  const b = new Uint8Array(8);
  vxlan.writeHeader(b, 0, 0xfedcba);
  t.equal(vxlan.vni(b, 0), 0xfedcba);
  t.ok(vxlan.flagsValid(b, 0));
  b[0] = 0xf7;
  t.notOk(vxlan.flagsValid(b, 0), 'every flag but I');
  b[0] = 0xff;
  t.ok(vxlan.flagsValid(b, 0), 'reserved flags are ignored');
});

t.test('Ethernet', async (t) => {
  const b = c.arpRequest;
  t.ok(ethernet.check(b, c.INNER_ETHERNET, b.length));
  t.equal(formatMac(b, c.INNER_ETHERNET), 'ff:ff:ff:ff:ff:ff');
  t.equal(ethernet.destinationHigh(b, c.INNER_ETHERNET), ethernet.BROADCAST_HIGH);
  t.equal(ethernet.destinationLow(b, c.INNER_ETHERNET), ethernet.BROADCAST_LOW);
  t.ok(ethernet.isGroup(b, c.INNER_ETHERNET));
  t.notOk(ethernet.isGroup(c.arpReply, c.INNER_ETHERNET));
  t.equal(ethernet.sourceHigh(b, c.INNER_ETHERNET), 0x0a58);
  t.equal(ethernet.sourceLow(b, c.INNER_ETHERNET), MAC_LOW_1);
  t.equal(ethernet.etherType(b, c.INNER_ETHERNET), ethernet.ETHERTYPE.arp);
  t.equal(ethernet.etherType(c.echoRequest6, c.INNER_ETHERNET), ethernet.ETHERTYPE.ipv6);
  const rebuilt = junked(b, c.INNER_ETHERNET, c.INNER_L3);
  ethernet.writeHeader(rebuilt, c.INNER_ETHERNET, 0xffff, 0xffffffff, 0x0a58, MAC_LOW_1, ethernet.ETHERTYPE.arp);
  t.same(rebuilt, b);
});

t.test('ARP', async (t) => {
  const b = c.arpRequest;
  t.ok(arp.check(b, c.INNER_L3, b.length));
  t.equal(arp.operation(b, c.INNER_L3), arp.OPERATION.request);
  t.equal(arp.senderHigh(b, c.INNER_L3), 0x0a58);
  t.equal(arp.senderLow(b, c.INNER_L3), MAC_LOW_1);
  t.equal(formatAddress4(arp.senderAddress(b, c.INNER_L3)), '10.244.1.0');
  t.equal(formatAddress4(arp.targetAddress(b, c.INNER_L3)), '10.244.2.0');
  const request = junked(b, c.INNER_L3, b.length);
  arp.writeRequest(request, c.INNER_L3, 0x0a58, MAC_LOW_1, HOST_1, HOST_2);
  t.same(request, b);

  const reply = junked(c.arpReply, c.INNER_L3, b.length);
  arp.writeReply(reply, c.INNER_L3, 0x0a58, MAC_LOW_2, HOST_2, 0x0a58, MAC_LOW_1, HOST_1);
  t.same(reply, c.arpReply);
  t.equal(arp.targetHigh(reply, c.INNER_L3), 0x0a58);
  t.equal(arp.targetLow(reply, c.INNER_L3), MAC_LOW_1);

  for (const at of [0, 2, 4, 5]) {
    const other = b.slice();
    other[c.INNER_L3 + at] = 7;
    t.notOk(arp.check(other, c.INNER_L3, other.length), `not Ethernet and IPv4: byte ${at}`);
  }
});

t.test('IPv4', async (t) => {
  const b = c.echoRequest;
  const o = c.INNER_L3;
  t.ok(ipv4.check(b, o, b.length) && ipv4.checksumValid(b, o));
  t.equal(ipv4.headerBytes(b, o), 20);
  t.notOk(ipv4.hasOptions(b, o));
  t.equal(ipv4.totalBytes(b, o), 44);
  t.equal(ipv4.identification(b, o), 36352);
  t.ok(ipv4.dontFragment(b, o));
  t.notOk(ipv4.isFragment(b, o), "don't fragment is no fragment");
  t.equal(ipv4.ttl(b, o), 64);
  t.equal(ipv4.headerChecksum(b, o), 0x93e9);
  t.equal(formatAddress4(ipv4.source(b, o)), '10.244.1.0');
  t.equal(formatAddress4(ipv4.destination(b, o)), '10.244.2.0');
  t.equal(ipv4.tos(c.portUnreachable, o), 0xc0);

  const rebuilt = junked(b, o, o + 20);
  const fields = { totalBytes: 44, protocol: 1, source: HOST_1, destination: HOST_2 };
  ipv4.writeHeader(rebuilt, o, { ...fields, identification: 36352, dontFragment: true });
  t.same(rebuilt, b);
  const tossed = junked(c.portUnreachable, o, o + 20);
  const back = { totalBytes: 61, protocol: 1, source: HOST_2, destination: HOST_1 };
  ipv4.writeHeader(tossed, o, { ...back, tos: 0xc0, identification: 54134, ttl: 64 });
  t.same(tossed, c.portUnreachable);
  const plain = junked(b, o, o + 20);
  ipv4.writePlainHeader(plain, o, 44, 1, HOST_1, HOST_2, 3);
  t.ok(ipv4.check(plain, o, plain.length) && ipv4.checksumValid(plain, o));
  t.equal(ipv4.ttl(plain, o), 3);
  t.notOk(ipv4.dontFragment(plain, o));
});

t.test('IPv4: TTL, fragments, options', async (t) => {
  for (const original of Object.values(c.captures)) {
    const b = original.slice();
    for (let left = 63; left >= 0; left--) {
      ipv4.decrementTtl(b, c.OUTER_IP);
      if (ipv4.ttl(b, c.OUTER_IP) !== left || !ipv4.checksumValid(b, c.OUTER_IP)) t.fail(`TTL ${left}`);
    }
    t.equal(ipv4.ttl(b, c.OUTER_IP), 0);
  }
  const b = c.echoRequest.slice(c.INNER_L3);
  ipv4.setFragmentField(b, 0, false, true, 1480);
  t.equal(ipv4.fragmentOffsetBytes(b, 0), 1480);
  t.ok(ipv4.moreFragments(b, 0) && ipv4.isFragment(b, 0) && !ipv4.dontFragment(b, 0));
  ipv4.setFragmentField(b, 0, false, false, 65528);
  t.equal(ipv4.fragmentOffsetBytes(b, 0), 65528);
  t.ok(!ipv4.moreFragments(b, 0) && ipv4.isFragment(b, 0), 'the last fragment is one');
  b[0] = 0x46;
  t.ok(ipv4.check(b, 0, b.length) && ipv4.hasOptions(b, 0));
  t.equal(ipv4.headerBytes(b, 0), 24);
  ipv4.fillChecksum(b, 0);
  t.ok(ipv4.checksumValid(b, 0), 'options are in the checksum');
  b[23] = 0x55;
  t.notOk(ipv4.checksumValid(b, 0));
  b[0] = 0x44;
  t.notOk(ipv4.check(b, 0, b.length), 'IHL below 5');
  b[0] = 0x65;
  t.notOk(ipv4.check(b, 0, b.length), 'version 6');
  b[0] = 0x4f;
  ipv4.setTotalBytes(b, 0, 44);
  t.notOk(ipv4.check(b, 0, b.length), 'header longer than the packet');
  b[0] = 0x45;
  ipv4.setTotalBytes(b, 0, 19);
  t.notOk(ipv4.check(b, 0, b.length), 'total length below the header');
});

t.test('IPv6 and ICMPv6', async (t) => {
  const b = c.echoRequest6;
  const o = c.INNER_L3;
  t.ok(ipv6.check(b, o, b.length));
  t.equal(ipv6.payloadBytes(b, o), 25);
  t.equal(ipv6.nextHeader(b, o), ipv4.PROTOCOL.icmpv6);
  t.equal(ipv6.hopLimit(b, o), 64);
  t.equal(ipv6.trafficClass(b, o), 0);
  const word = (i: number) => ipv6.sourceWord(b, o, i);
  t.equal(formatAddress([word(0), word(1), word(2), word(3)]), 'fd00:10:244:1::1');
  const to = (i: number) => ipv6.destinationWord(b, o, i);
  t.equal(formatAddress([to(0), to(1), to(2), to(3)]), 'fd00:10:244:2::1');

  const l4 = c.INNER_L4_V6;
  t.ok(icmpv6.check(b, l4, b.length));
  t.equal(icmpv6.type(b, l4), icmpv6.TYPE.echoRequest);
  t.equal(icmpv6.code(b, l4), 0);
  t.equal(icmpv6.identifier(b, l4), 7052);
  t.equal(icmpv6.sequence(b, l4), 1);
  t.equal(icmpv6.checksum(b, l4), 0xa298);
  t.equal(fold(sum(b, l4, 25, pseudoSum6(b, o, 58, 25))), 0xffff, 'odd length, pseudo-header of words');
  t.notOk(icmpv6.isError(icmpv6.TYPE.echoRequest));
  t.ok(icmpv6.isError(icmpv6.TYPE.packetTooBig));

  const from6 = parseAddress('fd00:10:244:1::1');
  const to6 = parseAddress('fd00:10:244:2::1');
  if (!from6 || !to6) throw new Error('addresses do not parse');
  const rebuilt = junked(b, o, l4 + 8);
  ipv6.writeHeader(rebuilt, o, 25, 58, 64, from6, to6);
  icmpv6.writeHeader(rebuilt, l4, icmpv6.TYPE.echoRequest, 0, (7052 << 16) | 1);
  icmpv6.setChecksum(rebuilt, l4, finish(sum(rebuilt, l4, 25, pseudoSum6(rebuilt, o, 58, 25))));
  // Of the original only the flow label is not rebuilt.
  rebuilt.set(b.subarray(o, o + 4), o);
  t.same(rebuilt, b);
});

t.test('ICMP', async (t) => {
  const o = c.INNER_L4;
  const b = c.echoRequest;
  t.ok(icmp.check(b, o, b.length) && icmp.checksumValid(b, o, 24));
  t.equal(icmp.type(b, o), icmp.TYPE.echoRequest);
  t.equal(icmp.identifier(b, o), 7051);
  t.equal(icmp.sequence(b, o), 1);
  t.notOk(icmp.isError(icmp.type(b, o)));
  const reply = junked(c.echoReply, o, o + 8);
  icmp.writeHeader(reply, o, icmp.TYPE.echoReply, 0, (7051 << 16) | 1);
  icmp.fillChecksum(reply, o, 24);
  t.same(reply, c.echoReply);

  const e = c.portUnreachable;
  t.equal(icmp.type(e, o), icmp.TYPE.destinationUnreachable);
  t.equal(icmp.code(e, o), icmp.UNREACHABLE.port);
  t.ok(icmp.isError(icmp.type(e, o)) && icmp.checksumValid(e, o, 41));
  t.same(e.subarray(icmp.quotedOffset(e, o)), c.udp.subarray(c.INNER_L3), 'quotes the datagram whole');
  icmp.writeHeader(reply, o, icmp.TYPE.destinationUnreachable, icmp.UNREACHABLE.fragmentationNeeded, 1450);
  t.equal(icmp.nextHopMtu(reply, o), 1450);
});

t.test('UDP, with its checksum left to the device', async (t) => {
  const b = c.udp;
  const o = c.INNER_L4;
  t.ok(udp.check(b, o, b.length));
  t.equal(udp.sourcePort(b, o), 49910);
  t.equal(udp.destinationPort(b, o), 9);
  t.equal(udp.lengthBytes(b, o), 13);
  t.equal(udp.checksum(b, o), fold(pseudoSum4(HOST_1, HOST_2, 17, 13)), 'the field is the pseudo-header sum');
  const rebuilt = junked(b, o, o + 8);
  udp.writeHeader(rebuilt, o, 49910, 9, 13);
  udp.setChecksum(rebuilt, o, 0x1906);
  t.same(rebuilt, b);
  udp.setComputedChecksum(rebuilt, o, 0);
  t.equal(udp.checksum(rebuilt, o), 0xffff);
});

t.test('TCP', async (t) => {
  const o = c.INNER_L4;
  const b = c.tcpSyn;
  t.ok(tcp.check(b, o, b.length));
  t.equal(tcp.sourcePort(b, o), 54198);
  t.equal(tcp.destinationPort(b, o), 80);
  t.equal(tcp.seq(b, o), 2426643260);
  t.equal(tcp.ack(b, o), 0);
  t.equal(tcp.dataOffsetBytes(b, o), 40);
  t.equal(tcp.flags(b, o), tcp.FLAG.syn);
  t.equal(tcp.window(b, o), 64860);

  t.equal(tcp.checksum(b, o), fold(pseudoSum4(HOST_1, HOST_2, 6, 40)), 'the field is the pseudo-header sum');
  t.equal(finish(sum(b, o, 40)), c.TCP_SYN_TRUE_CHECKSUM, 'summing over that field finishes the checksum');
  const moved = b.slice();
  const other = parseAddress4('10.244.3.7') as number;
  ipv4.setDestination(moved, c.INNER_L3, other);
  tcp.setChecksum(moved, o, partialAdjust32(tcp.checksum(b, o), HOST_2, other));
  t.equal(tcp.checksum(moved, o), fold(pseudoSum4(HOST_1, other, 6, 40)));

  const reset = junked(c.tcpReset, o, o + 20);
  tcp.writeHeader(reset, o, 80, 54198, 0, 2426643261, tcp.FLAG.rst | tcp.FLAG.ack, 0);
  tcp.setChecksum(reset, o, finish(sum(reset, o, 20, pseudoSum4(HOST_2, HOST_1, 6, 20))));
  t.same(reset, c.tcpReset);
  tcp.setSourcePort(reset, o, 65535);
  tcp.setDestinationPort(reset, o, 1);
  tcp.setSeq(reset, o, 0xfffffffe);
  tcp.setAck(reset, o, 0x80000000);
  tcp.setFlags(reset, o, tcp.FLAG.fin);
  tcp.setWindow(reset, o, 0x8001);
  t.equal(u32(reset, o), 0xffff0001);
  t.same(
    [tcp.seq(reset, o), tcp.ack(reset, o), tcp.flags(reset, o), tcp.window(reset, o)],
    [0xfffffffe, 0x80000000, tcp.FLAG.fin, 0x8001],
  );
});
