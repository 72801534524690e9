/** A capture replayed through ports, and what happened recorded into another that replays the same. */
import t from 'tap';
import { type CapturePacket, CaptureWriter, LINK_TYPE, readCapture } from '../../src/io/pcapng.ts';
import { type CapturePort, PcapngIo } from '../../src/io/pcapng-io.ts';
import { GSO_TCPV4, PacketVector } from '../../src/io/vector.ts';
import { formatAddress, wordsFrom4 } from '../../src/wire/address.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as udp from '../../src/wire/udp.ts';
import * as c from '../wire/captures.ts';

const POD: CapturePort = { id: 16, interfaceName: 'eth0', kind: 'tun' };
const OVERLAY: CapturePort = { id: 1, interfaceName: 'v0', kind: 'udp', address: wordsFrom4(0xc0000202) };
const TAP: CapturePort = { id: 2, interfaceName: 'tap0', kind: 'tap' };
const MS = 1_000_000n;

interface Given extends Partial<CapturePacket> {
  bytes: Uint8Array;
  at: number;
}

/** Interfaces eth0 (raw), v0 (Ethernet), tap0 (Ethernet), other (raw); times in milliseconds. */
function capture(packets: readonly Given[]): Uint8Array {
  const blocks: Uint8Array[] = [];
  const w = new CaptureWriter((block) => blocks.push(block));
  w.addInterface({ name: 'eth0', linkType: LINK_TYPE.raw });
  w.addInterface({ name: 'v0', linkType: LINK_TYPE.ethernet });
  w.addInterface({ name: 'tap0', linkType: LINK_TYPE.ethernet });
  w.addInterface({ name: 'other', linkType: LINK_TYPE.raw });
  for (const { at, ...p } of packets) {
    const timeNs = 1_700_000_000_000_000_000n + BigInt(at) * MS;
    w.packet({ interfaceId: 0, timeNs, originalBytes: p.bytes.length, comments: [], ...p });
  }
  return Uint8Array.from(Buffer.concat(blocks));
}

function bytesOf(vector: PacketVector, i: number): Uint8Array {
  const o = vector.offset[i] ?? 0;
  return vector.arena.slice(o, o + (vector.length[i] ?? 0));
}

const ping = c.echoRequest.subarray(c.INNER_L3);

t.test('packets arrive on their ports, at their times', async (t) => {
  const replay = capture([
    { at: 0, bytes: ping },
    { at: 40, bytes: c.tcpSyn, interfaceId: 1 },
    { at: 40, bytes: c.arpRequest, interfaceId: 2 },
    { at: 20, bytes: c.udp.subarray(c.INNER_L3) },
  ]);
  const io = new PcapngIo({ replay, ports: [POD, OVERLAY, TAP] });
  const vector = new PacketVector();
  t.equal(io.exchange(vector, 0), 1, 'the first begins the clock');
  t.equal(io.nowMs, 0);
  t.same([vector.inPort[0], bytesOf(vector, 0)], [16, ping]);

  t.equal(io.exchange(vector, 0), 0);
  t.equal(io.exchange(vector, 15), 0, 'the next one is 20 ms later');
  t.equal(io.nowMs, 15);
  t.equal(io.exchange(vector, 100), 1);
  t.equal(io.nowMs, 20, 'the wait ended with the packet');
  t.same(bytesOf(vector, 0), c.udp.subarray(c.INNER_L3));

  t.notOk(io.done);
  t.equal(io.exchange(vector, -1), 2, 'an unlimited wait goes to the next packet');
  t.equal(io.nowMs, 40);
  t.ok(io.done);
  t.equal(vector.inPort[0], 1);
  t.same(bytesOf(vector, 0), c.tcpSyn.subarray(c.VXLAN), 'the overlay port is given the UDP payload');
  t.same([vector.l3Offset[0], vector.peerPort[0]], [22, 60833]);
  t.same([vector.peer2[0], (vector.peer3[0] ?? 0) >>> 0], [0xffff, 0xc0000201]);
  t.same([vector.inPort[1], bytesOf(vector, 1)], [2, c.arpRequest], 'a TAP is given the whole frame');
  t.equal(io.exchange(vector, -1), 0);
  t.equal(io.skipped, 0);
});

t.test('what no port takes is counted', async (t) => {
  const fragment = c.tcpSyn.slice();
  ipv4.setFragmentField(fragment, c.OUTER_IP, false, true, 0);
  const otherPort = c.tcpSyn.slice();
  udp.setDestinationPort(otherPort, c.OUTER_UDP, 8472);
  const refused: Given[] = [
    { at: 0, bytes: ping, interfaceId: 3 },
    { at: 0, bytes: ping, direction: 'out' },
    { at: 0, bytes: ping, originalBytes: 2000 },
    { at: 0, bytes: c.tcpReset, interfaceId: 1 },
    { at: 0, bytes: fragment, interfaceId: 1 },
    { at: 0, bytes: otherPort, interfaceId: 1 },
    { at: 0, bytes: c.tcpSyn.subarray(0, 50), interfaceId: 1 },
    { at: 0, bytes: new Uint8Array(5), interfaceId: 1 },
    { at: 0, bytes: new Uint8Array(70000) },
  ];
  const io = new PcapngIo({ replay: capture([...refused, { at: 1, bytes: ping }]), ports: [POD, OVERLAY] });
  t.equal(io.skipped, refused.length);
  const vector = new PacketVector();
  t.equal(io.exchange(vector, -1), 1);
});

t.test('a recording holds both ways, decodes by its outer headers, and replays the same', async (t) => {
  const replay = capture([
    { at: 0, bytes: ping },
    { at: 10, bytes: c.tcpSyn, interfaceId: 1 },
  ]);
  const blocks: Uint8Array[] = [];
  const io = new PcapngIo({ replay, ports: [POD, OVERLAY], record: (block) => blocks.push(block) });
  const vector = new PacketVector();
  io.exchange(vector, -1);
  // The pod's packet goes to a peer, as a super-packet with its checksum left to the device.
  vector.outPort[0] = 1;
  vector.peer2[0] = 0xffff;
  vector.peer3[0] = 0xc0000201;
  vector.peerPort[0] = 4789;
  vector.flags[0] = 1;
  vector.gsoType[0] = GSO_TCPV4;
  vector.gsoSize[0] = 1410;
  vector.checksumStart[0] = 20;
  vector.checksumOffset[0] = 16;
  io.exchange(vector, -1);
  vector.outPort[0] = 16;
  io.exchange(vector, 0);

  const recording = Uint8Array.from(Buffer.concat(blocks));
  const { interfaces, packets } = readCapture(recording);
  t.same(interfaces, [
    { name: 'eth0', linkType: LINK_TYPE.raw },
    { name: 'v0', linkType: LINK_TYPE.raw },
  ]);
  const at = (p: CapturePacket) => Number(p.timeNs / MS - 1_700_000_000_000n);
  t.same(
    packets.map((p) => [interfaces[p.interfaceId]?.name, p.direction, at(p)]),
    [
      ['eth0', 'in', 0],
      ['v0', 'out', 0],
      ['v0', 'in', 10],
      ['eth0', 'out', 10],
    ],
  );
  const [, sent, received] = packets;
  if (!sent || !received) throw new Error('not recorded');
  t.ok(ipv4.check(sent.bytes, 0, sent.bytes.length) && ipv4.checksumValid(sent.bytes, 0));
  t.equal(formatAddress(wordsFrom4(ipv4.source(sent.bytes, 0))), '192.0.2.2');
  t.equal(formatAddress(wordsFrom4(ipv4.destination(sent.bytes, 0))), '192.0.2.1');
  t.equal(udp.destinationPort(sent.bytes, 20), 4789);
  t.same(sent.bytes.subarray(28), ping);
  t.same(sent.comments, ['weft flags=1 gso=1/1410 checksum=20+16']);
  t.equal(udp.sourcePort(received.bytes, 20), 60833);
  t.same(received.bytes.subarray(28), c.tcpSyn.subarray(c.VXLAN));

  const again: Uint8Array[] = [];
  const second = new PcapngIo({ replay: recording, ports: [POD, OVERLAY], record: (block) => again.push(block) });
  t.equal(second.skipped, 2, 'what went out is not received again');
  while (!second.done) second.exchange(vector, -1);
  t.same(bytesOf(vector, 0), c.tcpSyn.subarray(c.VXLAN));
  const inbound = (list: CapturePacket[]) => list.filter((p) => p.direction === 'in');
  t.same(inbound(readCapture(Buffer.concat(again)).packets), inbound(packets));
});

t.test('the far end of a recorded super-packet receives it as one', async (t) => {
  const comments = (text: string) => ({ at: 0, bytes: ping, comments: ['by hand', text] });
  const replay = capture([
    comments('weft flags=1 gso=1/10 checksum=20+16'),
    comments('weft flags=1 gso=1/10 checksum=43+16'),
    comments('weft flags=1 gso=9/10 checksum=20+16'),
    comments('weft flags=1 gso=1/0 checksum=20+16'),
  ]);
  const io = new PcapngIo({ replay, ports: [POD] });
  const vector = new PacketVector();
  t.equal(io.exchange(vector, 0), 4);
  const fields = [vector.flags, vector.gsoType, vector.gsoSize, vector.checksumStart, vector.checksumOffset];
  t.same(
    fields.map((f) => f[0]),
    [1, 1, 10, 20, 16],
  );
  for (const i of [1, 2, 3]) {
    t.same(
      fields.map((f) => f[i]),
      [0, 0, 0, 0, 0],
      'what no device could have said is not believed',
    );
  }
});

t.test('a super-packet too long for its outer header is recorded cut, and says so', async (t) => {
  const blocks: Uint8Array[] = [];
  const io = new PcapngIo({ ports: [OVERLAY], record: (block) => blocks.push(block) });
  const vector = new PacketVector();
  const i = vector.append(65557);
  vector.outPort[i] = 1;
  t.equal(io.exchange(vector, 30), 0);
  t.equal(io.nowMs, 30, 'without a capture, waiting is all there is');
  const [p] = readCapture(Buffer.concat(blocks)).packets;
  t.same([p?.bytes.length, p?.originalBytes], [65535, 65585]);
  io.close();
  t.ok(io.done);
});
