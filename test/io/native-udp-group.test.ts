/** Sockets that share an address: which of them gets which VXLAN packet, and that nobody else may join. On loopback. */
import t, { type Test } from 'tap';
import { loadNativeAddon } from '../../src/io/native-addon.ts';
import { Bench, ENCAP_BYTES, encapsulated, UDP } from './native-packets.ts';

const addon = loadNativeAddon();
const udp = { address: '127.0.0.1', port: 0, receiveBufferBytes: 1 << 20, sendBufferBytes: 1 << 20 };
const none = { ...udp, gso: false, gro: false };
const GATEWAY = 0x0a_f4_01_01;
/** Its last 32 bits. */
const GATEWAY6 = 1;

/** As many engines as sockets, each reading one. */
function group(t: Test, count: number): { port: number; readers: Bench[] } {
  const socket = addon.openUdp({
    ...none,
    gro: true,
    sockets: count,
    firstSocketsIp4: GATEWAY,
    firstSocketsIp6: GATEWAY6,
  });
  t.equal(socket.fds.length, count);
  t.equal(socket.fd, socket.fds[0]);
  const readers = socket.fds.map((fd) => {
    const bench = new Bench();
    bench.own(fd);
    bench.io.attach({ id: 1, kind: 'udp', encapBytes: ENCAP_BYTES, mtu: 1450, fd });
    t.teardown(() => bench.close());
    return bench;
  });
  return { port: socket.port, readers };
}

function packetTo(last16: number, ipv6 = false): Buffer {
  const bytes = encapsulated({ protocol: UDP, payload: Buffer.alloc(10), ipv6 });
  bytes.writeUInt16BE(last16, ENCAP_BYTES + (ipv6 ? 38 : 18));
  return bytes;
}

for (const count of [2, 3, 4]) {
  t.test(`${count} sockets: by the inner destination`, async (t) => {
    const { port, readers } = group(t, count);
    const sender = new Bench();
    t.teardown(() => sender.close());
    sender.udp({ gso: false });
    const wanted = readers.map(() => 0);
    const send = (bytes: Buffer, to: number) => {
      sender.queue(bytes, port);
      wanted[to]!++;
    };
    for (let n = 0; n < 24; n++) {
      send(packetTo(0x0100 + n * 7), (0x0100 + n * 7) % count);
      send(packetTo(0xff00 + n, true), (0xff00 + n) % count);
    }
    const gateway = packetTo(0);
    gateway.writeUInt32BE(GATEWAY, ENCAP_BYTES + 16);
    for (let n = 0; n < 5; n++) send(gateway, 0);
    const gateway6 = packetTo(GATEWAY6, true);
    gateway6.writeUInt16BE(0, ENCAP_BYTES + 36);
    for (let n = 0; n < 5; n++) send(gateway6, 0);
    const arp = packetTo(1);
    arp.writeUInt16BE(0x0806, ENCAP_BYTES - 2);
    send(arp, 0);
    send(packetTo(1).subarray(0, ENCAP_BYTES + 19), 0);
    sender.io.exchange(sender.vector, 0);
    t.same(
      readers.map((reader) => reader.receive(20).length),
      wanted,
    );
  });
}

t.test('the port is taken, for another socket and for another group', async (t) => {
  const { port } = group(t, 2);
  const taken = { code: 'EADDRINUSE', syscall: 'bind' };
  t.throws(() => addon.openUdp({ ...none, port }), taken);
  t.throws(() => addon.openUdp({ ...none, port, sockets: 2 }), taken);
  const single = addon.openUdp(none);
  t.throws(() => addon.openUdp({ ...none, port: single.port, sockets: 2 }), taken);
  addon.closeFd(single.fd);
  const again = addon.openUdp({ ...none, port: single.port, sockets: 2 });
  for (const fd of again.fds) addon.closeFd(fd);
  t.throws(() => addon.openUdp({ ...none, sockets: 65 }), { message: /sockets/ });
});

t.test('a port that is only sent to is not read', async (t) => {
  const reader = new Bench();
  t.teardown(() => reader.close());
  const port = reader.udp({ sendOnly: true });
  const sender = new Bench();
  t.teardown(() => sender.close());
  sender.udp({ gso: false });
  sender.queue(packetTo(1), port);
  sender.io.exchange(sender.vector, 0);
  t.same(reader.receive(20), []);
});
