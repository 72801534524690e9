/** The segment size that SYNs announce, lowered to what the ways through a host carry. */
import t from 'tap';
import { setU16, u16 } from '../../src/wire/bytes.ts';
import * as tcp from '../../src/wire/tcp.ts';
import { cluster, settle, type TestHost } from './host.ts';
import { ipBytes, read, tcpOffload, tcpPacket } from './packets.ts';

const SYN = 2;
const ACK = 16;
const CLIENT = '10.244.1.10';
const WEB = '10.96.0.80';
/** What fits 1300 bytes. */
const MOST = 1300 - ipBytes() - 20;
const MSS_1460 = [2, 4, 0x05, 0xb4];

function announced(packet: Uint8Array): number {
  const at = tcp.segmentSizeAt(packet, ipBytes());
  return at === 0 ? 0 : u16(packet, at);
}

function arrived(host: TestHost, pod: number): Uint8Array {
  return host.io.sent(16 + pod)[0]!.bytes;
}

t.test('both directions of a connection to a peer are held to the smaller way', async (t) => {
  const service = { address: WEB, port: 80, endpoints: ['10.244.2.10:80'] };
  const hosts = cluster(2, { services: [service], peerMtu: 1300 });
  const [a, b] = hosts as [TestHost, TestHost];
  const out = { from: CLIENT, to: WEB, fromPort: 1000, toPort: 80 };
  for (const options of [MSS_1460, [1, 2, 4, 0x05, 0xb4, 1, 1, 1], [1, 3, 3, 7, 2, 4, 0x05, 0xb4]]) {
    out.fromPort++;
    a.send(0, tcpPacket({ ...out, flags: SYN, options }));
    settle(hosts);
    const syn = arrived(b, 0);
    t.equal(announced(syn), MOST);
    t.ok(read(syn).valid, `checksum of options ${options}`);
    const back = { from: '10.244.2.10', to: CLIENT, fromPort: 80, toPort: out.fromPort };
    b.send(0, tcpPacket({ ...back, flags: SYN | ACK, options }));
    settle(hosts);
    const answer = arrived(a, 0);
    t.equal(announced(answer), MOST);
    t.ok(read(answer).valid);
  }
});

t.test('what is announced within the limit, not at all, or not by a SYN stays as it is', async (t) => {
  const hosts = cluster(2);
  const [a, b] = hosts as [TestHost, TestHost];
  const to = '10.244.2.10';
  const cases: [string, number, number[], number][] = [
    ['smaller', SYN, [2, 4, 0x05, 0x00], 0x500],
    ['none', SYN, [], 0],
    ['behind the end of options', SYN, [0, 2, 4, 0xff, 0xff, 0, 0, 0], 0],
    ['of another length', SYN, [2, 3, 0xff, 1], 0],
    ['running out of the header', SYN, [1, 1, 2, 4], 0],
    ['no SYN', ACK, [2, 4, 0xff, 0xff], 0xffff],
  ];
  let fromPort = 1;
  for (const [name, flags, options, expected] of cases) {
    const sent = tcpPacket({ from: CLIENT, to, fromPort: fromPort++, toPort: 80, flags, options });
    a.send(0, sent);
    settle(hosts);
    const seen = arrived(b, 0);
    t.equal(announced(seen), expected, name);
    t.same(seen.subarray(ipBytes()), sent.subarray(ipBytes()), `${name}: nothing but the hops changed`);
  }
});

t.test('a checksum that is left to the device counts the option later', async (t) => {
  const hosts = cluster(2, { peerMtu: 1400 });
  const [a] = hosts as [TestHost, TestHost];
  const partial = tcpPacket({ from: CLIENT, to: '10.244.3.9', fromPort: 1, toPort: 2, flags: SYN, options: MSS_1460 });
  setU16(partial, ipBytes() + 16, 0x1234);
  a.publish({ hosts: 3 });
  a.io.inject(16, partial, tcpOffload(0));
  settle(hosts);
  const [out] = a.io.sent(1);
  const inner = out!.bytes.subarray(22);
  t.equal(announced(inner), 1400 - ipBytes() - 20);
  t.equal(u16(inner, ipBytes() + 16), 0x1234);
});
