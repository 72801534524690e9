/**
 * TUN and TAP devices in network namespaces that this test makes: packets to and from the kernel with and without
 * offloads, TCP through two devices, tunnel segmentation, a device that goes away, a worker that ends. The parts that
 * need namespaces say so when they cannot run.
 */
import { execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { loadNativeAddon, type TunDevice } from '../../src/io/native-addon.ts';
import { FIELD, GSO_TCPV4, GSO_TCPV6, PACKET_FLAG } from '../../src/io/vector.ts';
import { missingDevices } from './missing-devices.ts';
import { Bench, ENCAP_BYTES, encapsulated, naiveSum, randomBytes, TCP } from './native-packets.ts';

const addon = loadNativeAddon();
const ip = (...words: string[]) => execFileSync('ip', words, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();
let made = 0;

const skip = missingDevices();

function namespace(t: Test): string {
  const name = `weft-io-${process.pid}-${made++}`;
  ip('netns', 'add', name);
  t.teardown(() => ip('netns', 'del', name));
  ip('-n', name, 'link', 'set', 'lo', 'up');
  return name;
}

/** A TUN device `eth0` with an address and the default route, attached to the bench as port `id`. */
function pod(
  bench: Bench,
  netns: string,
  address: string,
  id: number,
  offloads: boolean,
  mergeBytes = 0,
  mergeBytes6 = 0,
): TunDevice {
  const tun = addon.openTun({ name: 'eth0', netns: `/run/netns/${netns}`, kind: 'tun', offloads });
  bench.own(tun.fd);
  bench.io.attach({ id, kind: 'tun', fd: tun.fd, vnetHeaderBytes: tun.vnetHeaderBytes, mergeBytes, mergeBytes6 });
  const six = address.includes(':');
  ip('-n', netns, 'addr', 'add', `${address}/${six ? 128 : 32}`, 'dev', 'eth0');
  ip('-n', netns, 'link', 'set', 'eth0', 'mtu', '1450', 'up');
  ip('-n', netns, ...(six ? ['-6'] : []), 'route', 'add', 'default', 'dev', 'eth0');
  return tun;
}

t.test('probe tells what there is and leaves no device behind', async (t) => {
  const found = addon.probe();
  for (const key of ['tunnelGso', 'udpSegment', 'udpGro', 'uso'] as const) t.type(found[key], 'boolean');
  t.match(found.checksum, /^(avx2|sse2|scalar)$/);
  t.notMatch(ip('link', 'show'), /weftprobe/);
});

t.test('a device appears in the namespace it was asked for, and goes with its descriptor', { skip }, async (t) => {
  const netns = namespace(t);
  const path = `/run/netns/${netns}`;
  const tun = addon.openTun({ name: 'pod%d', netns: path, kind: 'tun', offloads: true });
  t.match(tun, { name: 'pod0', vnetHeaderBytes: 10 });
  t.equal(tun.offloads & 7, 7, 'checksums and TCP segmentation');
  t.match(ip('-n', netns, 'link', 'show'), /pod0/);
  t.notMatch(ip('link', 'show'), /pod0/);
  t.throws(() => addon.openTun({ name: 'pod0', netns: path, kind: 'tun', offloads: true }), {
    code: 'EBUSY',
    syscall: 'ioctl(TUNSETIFF)',
    message: /pod0/,
  });
  addon.closeFd(tun.fd);
  t.notMatch(ip('-n', netns, 'link', 'show'), /pod0/);
  const kept = addon.openTun({ name: 'kept', netns: path, kind: 'tun', offloads: false, persist: true });
  addon.closeFd(kept.fd);
  t.match(ip('-n', netns, 'link', 'show'), /kept/);
  const again = addon.openTun({ name: 'kept', netns: path, kind: 'tun', offloads: false });
  t.equal(again.vnetHeaderBytes, 0);
  addon.closeFd(again.fd);
  t.notMatch(ip('-n', netns, 'link', 'show'), /kept/, 'no longer persistent');
});

for (const offloads of [true, false]) {
  t.test(`a pod's kernel answers an echo, ${offloads ? 'with' : 'without'} offloads`, { skip }, async (t) => {
    const netns = namespace(t);
    const bench = new Bench();
    t.teardown(() => bench.close());
    pod(bench, netns, '10.244.7.2', 16, offloads);
    const echo = Buffer.alloc(84);
    echo[0] = 0x45;
    echo.writeUInt16BE(84, 2);
    echo[8] = 64;
    echo[9] = 1;
    Buffer.from([10, 244, 7, 1, 10, 244, 7, 2]).copy(echo, 12);
    echo.writeUInt16BE(~naiveSum(echo.subarray(0, 20)) & 0xffff, 10);
    echo[20] = 8;
    randomBytes(56, 3).copy(echo, 28);
    echo.writeUInt16BE(~naiveSum(echo.subarray(20)) & 0xffff, 22);
    const i = bench.queue(echo, 0);
    bench.vector.l3Offset[i] = 0;
    bench.vector.outPort[i] = 16;
    bench.io.exchange(bench.vector, 0);
    const answer = bench.receive().find((packet) => packet.bytes[9] === 1 && packet.bytes[20] === 0);
    t.ok(answer, 'an echo reply');
    t.equal(answer?.inPort, 16);
    t.same(answer?.bytes.subarray(28), echo.subarray(28));
  });
}

/** TCP, and not what a kernel says to its neighbours by itself. */
function isOurs(arena: Uint8Array, o: number): boolean {
  return arena[o]! >> 4 === 4 ? arena[o + 9] === TCP : arena[o + 6] === TCP;
}

const SERVER = `
  const hash = require('crypto').createHash('sha1');
  require('net').createServer((s) => {
    s.on('data', (d) => hash.update(d)).on('end', () => { console.log(hash.digest('hex')); process.exit(); });
  }).listen(5000, '::', () => console.log('ready'));`;
const CLIENT = `
  const c = require('crypto');
  const s = require('net').connect(5000, process.argv[1]);
  const bytes = c.createHash('sha512').update('weft').digest();
  s.end(Buffer.concat(Array(200_000).fill(bytes)));`;

const { bigTcp, bigTcp6 } = addon.probe();

for (const [family, from, to, mergeBytes] of [
  [4, true, true, 0],
  [4, true, true, 64_000],
  [4, true, true, bigTcp ? 262_144 : 64_000],
  [4, true, false, 262_144],
  [4, false, true, 0],
  [6, true, true, 0],
  [6, true, true, 64_000],
  [6, true, true, bigTcp6 ? 262_144 : 64_000],
  [6, true, false, 262_144],
  [6, false, true, 0],
] as const) {
  t.test(
    `TCP over IPv${family} between pods, offloads ${from} to ${to}, merged to ${mergeBytes} bytes`,
    { skip, timeout: 25_000 },
    async (t) => {
      const bench = new Bench();
      t.teardown(() => bench.close());
      const [one, two] = [namespace(t), namespace(t)];
      const [client4, server4] = ['10.244.7.2', '10.244.7.3'];
      const server = family === 4 ? server4 : 'fd00:10:244:7::3';
      pod(bench, one, family === 4 ? client4 : 'fd00:10:244:7::2', 16, from);
      pod(bench, two, server, 17, to, family === 4 ? mergeBytes : 0, family === 6 ? mergeBytes : 0);
      const run = (netns: string, code: string) =>
        spawn('ip', ['netns', 'exec', netns, process.execPath, '-e', code, server], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
      const listener = run(two, SERVER);
      t.teardown(() => listener.kill());
      let output = '';
      let client: ReturnType<typeof run> | undefined;
      listener.stdout?.on('data', (data: Buffer) => {
        output += data.toString();
        client ??= run(one, CLIENT);
      });
      t.teardown(() => client?.kill());
      const { vector } = bench;
      while (listener.exitCode === null || !/[0-9a-f]{40}/.test(output)) {
        bench.io.exchange(vector, 2);
        for (let i = 0; i < vector.count; i++) {
          if (isOurs(vector.arena, vector.offset[i]!)) vector.outPort[i] = vector.inPort[i] === 16 ? 17 : 16;
        }
        await turn();
      }
      const { createHash } = await import('node:crypto');
      const bytes = createHash('sha512').update('weft').digest();
      t.match(
        output,
        createHash('sha1')
          .update(Buffer.concat(Array<Buffer>(200_000).fill(bytes)))
          .digest('hex'),
      );
      const counters = execFileSync('ip', ['netns', 'exec', two, 'cat', '/proc/net/snmp']).toString();
      const [names, values] = counters
        .split('\n')
        .filter((line) => line.startsWith('Tcp:'))
        .map((line) => line.split(' '));
      t.equal(values?.[names?.indexOf('InCsumErrors') ?? -1], '0', 'no checksum error');
      t.equal(bench.stat('segments') > 0, from && !to, 'segments are made where the device takes no super-packets');
      if (mergeBytes > 65_535 && to)
        t.ok(bench.stat('mergedPackets') > 0, 'super-packets that came together left as one');
      else if (mergeBytes === 0 || !to) t.equal(bench.stat('mergedPackets'), 0);
    },
  );
}

t.test('super-packets that continue each other leave in one write', { skip }, async (t) => {
  const bench = new Bench();
  t.teardown(() => bench.close());
  pod(bench, namespace(t), '10.244.2.9', 16, true, 20_000, 20_000);
  const size = 2800;
  const packet = (seq: number, more: Partial<Parameters<typeof encapsulated>[0]> = {}, gso = true) => {
    const payload = randomBytes(size, seq + 1);
    const bytes = encapsulated({ protocol: TCP, payload, seq: 1000 + seq * size, partial: true, ...more });
    const i = bench.queue(bytes.subarray(ENCAP_BYTES), 0);
    const { vector } = bench;
    vector.outPort[i] = 16;
    vector.l3Offset[i] = 0;
    vector.flags[i] = PACKET_FLAG.checksumPartial;
    vector.checksumStart[i] = more.ipv6 ? 40 : 20;
    vector.checksumOffset[i] = 16;
    if (!gso) return;
    vector.gsoType[i] = more.ipv6 ? GSO_TCPV6 : GSO_TCPV4;
    vector.gsoSize[i] = 1400;
  };
  const writes = (queue: () => void): number => {
    const before = bench.stat('syscallsWrite');
    queue();
    bench.io.exchange(bench.vector, 0);
    bench.receive(0);
    return bench.stat('syscallsWrite') - before;
  };
  const cases: [string, number, () => void][] = [
    ['three in a row', 1, () => [0, 1, 2].forEach((k) => packet(k))],
    ['pushed ones too', 1, () => [0, 1, 2].forEach((k) => packet(k, { tcpFlags: 0x18 }))],
    ['around another connection', 2, () => [packet(0), packet(0, { sourcePort: 4 }), packet(1)]],
    ['two connections', 2, () => [0, 1].forEach((k) => [40000, 4].forEach((p) => packet(k, { sourcePort: p })))],
    ['as much as the port takes', 2, () => [0, 1, 2, 3, 4, 5, 6, 7].forEach((k) => packet(k))],
    ['not over a gap', 2, () => [0, 2].forEach((k) => packet(k))],
    ['not what was sent again', 2, () => [1, 0].forEach((k) => packet(k))],
    ['not with another acknowledgement', 2, () => [packet(0), packet(1, { ack: 78 })]],
    ['not with another window', 2, () => [packet(0), packet(1, { window: 511 })]],
    ['not with another TTL', 2, () => [packet(0), packet(1, { ttl: 62 })]],
    ['not a FIN', 2, () => [packet(0), packet(1, { tcpFlags: 0x11 })]],
    ['not past a FIN', 2, () => [packet(0, { tcpFlags: 0x11 }), packet(1)]],
    ['nothing overtakes a packet of its own connection', 3, () => [packet(0), packet(1, {}, false), packet(2)]],
    ['nor IPv6 with IPv4', 2, () => [packet(0), packet(1, { ipv6: true })]],
    ['IPv6', 1, () => [0, 1, 2].forEach((k) => packet(k, { ipv6: true }))],
    ['not with another hop limit', 2, () => [packet(0, { ipv6: true }), packet(1, { ipv6: true, ttl: 62 })]],
  ];
  for (const [name, expected, queue] of cases) t.equal(writes(queue), expected, name);
});

t.test('a device that goes away is counted and not polled any more', { skip }, async (t) => {
  const netns = namespace(t);
  const bench = new Bench();
  t.teardown(() => bench.close());
  pod(bench, netns, '10.244.7.2', 16, true);
  ip('-n', netns, 'link', 'del', 'eth0');
  bench.receive();
  t.equal(bench.stat('portGone'), 1);
  const start = performance.now();
  t.equal(bench.io.exchange(bench.vector, 60), 0);
  t.ok(performance.now() - start > 40, 'it waits instead of spinning');
  const i = bench.queue(encapsulated({ protocol: TCP, payload: randomBytes(9, 1) }).subarray(ENCAP_BYTES), 0);
  bench.vector.l3Offset[i] = 0;
  bench.vector.outPort[i] = 16;
  bench.io.exchange(bench.vector, 0);
  t.equal(bench.stat('txErrors'), 1, 'what is sent to it is counted too');
  bench.io.detach(16);
});

/** Ethernet, IPv6 and UDP in front of what `encapsulated` makes, as it goes into a TAP. */
function outerFrame6(mac: string, inner: Buffer): Buffer {
  const frame = Buffer.alloc(62);
  Buffer.from(mac.replaceAll(':', ''), 'hex').copy(frame);
  Buffer.from('0a0000000009', 'hex').copy(frame, 6);
  frame.writeUInt16BE(0x86dd, 12);
  frame[14] = 0x60;
  frame.writeUInt16BE(8 + inner.length, 18);
  frame[20] = 17;
  frame[21] = 64;
  for (const [at, last] of [
    [22, 1],
    [38, 2],
  ] as const) {
    frame.writeUInt32BE(0xfd000192, at);
    frame[at + 15] = last;
  }
  frame.writeUInt16BE(50_000, 54);
  frame.writeUInt16BE(4789, 56);
  frame.writeUInt16BE(8 + inner.length, 58);
  return Buffer.concat([frame, inner]);
}

/** The same over IPv4. */
function outerFrame(mac: string, inner: Buffer): Buffer {
  const frame = Buffer.alloc(42);
  Buffer.from(mac.replaceAll(':', ''), 'hex').copy(frame);
  Buffer.from('0a0000000009', 'hex').copy(frame, 6);
  frame.writeUInt16BE(0x0800, 12);
  frame[14] = 0x45;
  frame.writeUInt16BE(28 + inner.length, 16);
  frame[22] = 64;
  frame[23] = 17;
  Buffer.from([192, 168, 99, 1, 192, 168, 99, 2]).copy(frame, 26);
  frame.writeUInt16BE(~naiveSum(frame.subarray(14, 34)) & 0xffff, 24);
  frame.writeUInt16BE(50_000, 34);
  frame.writeUInt16BE(4789, 36);
  frame.writeUInt16BE(8 + inner.length, 38);
  return Buffer.concat([frame, inner]);
}

const noTunnel = skip || (!addon.probe().tunnelGso && 'this kernel has no UDP tunnel segmentation on TAP (6.17)');

for (const [outer, inner6, cut] of [
  [4, false, false],
  [4, true, false],
  [6, false, false],
  [6, true, false],
  [4, true, true],
  [6, false, true],
  [6, true, true],
] as const) {
  const how = `IPv${inner6 ? 6 : 4} in IPv${outer}${cut ? ', cut by the kernel' : ''}`;
  t.test(`a super-packet leaves through a TAP with its outer headers: ${how}`, { skip: noTunnel }, async (t) => {
    const bench = new Bench();
    t.teardown(() => bench.close());
    const [one, two] = [namespace(t), namespace(t)];
    ip('link', 'add', 'under', 'netns', one, 'type', 'veth', 'peer', 'name', 'under', 'netns', two);
    for (const [n, netns] of [one, two].entries()) {
      ip('-n', netns, 'addr', 'add', `192.168.99.${n + 1}/24`, 'dev', 'under');
      ip('-n', netns, 'addr', 'add', `fd00:192::${n + 1}/64`, 'dev', 'under', 'nodad');
      ip('-n', netns, 'link', 'set', 'under', 'up');
    }
    if (outer === 6) ip('netns', 'exec', one, 'ping', '-6', '-c', '1', '-w', '3', 'fd00:192::2');
    // A device that cannot segment: the kernel does, and makes all checksums.
    const off = ['tso', 'gso', 'gro', 'tx', 'rx', 'tx-udp_tnl-segmentation', 'tx-udp_tnl-csum-segmentation'];
    const ethtool = ['-K', 'under', ...off.flatMap((feature) => [feature, 'off'])];
    if (cut) for (const netns of [one, two]) ip('netns', 'exec', netns, 'ethtool', ...ethtool);
    const tap = addon.openTun({
      name: 'tap0',
      netns: `/run/netns/${one}`,
      kind: 'tap',
      offloads: true,
      tunnelGso: true,
    });
    bench.own(tap.fd);
    t.equal(tap.vnetHeaderBytes, 24);
    ip('-n', one, 'link', 'set', 'tap0', 'address', '0a:00:00:00:00:01', 'up');
    const settings = ['ip_forward=1', 'conf.tap0.rp_filter=0', 'conf.all.rp_filter=0', 'conf.tap0.accept_local=1'];
    const sysctls = [...settings.map((s) => `net.ipv4.${s}`), 'net.ipv6.conf.all.forwarding=1'];
    execFileSync('ip', ['netns', 'exec', one, 'sysctl', '-qw', ...sysctls]);
    const socket = addon.openUdp({
      address: outer === 4 ? '192.168.99.2' : 'fd00:192::2',
      port: 4789,
      netns: `/run/netns/${two}`,
      receiveBufferBytes: 4 << 20,
      sendBufferBytes: 4 << 20,
      gso: true,
      gro: true,
    });
    bench.own(socket.fd);
    const trustPartial = !cut;
    bench.io.attach({ id: 1, kind: 'udp', fd: socket.fd, encapBytes: ENCAP_BYTES, mtu: 1430, trustPartial });
    bench.io.attach({ id: 2, kind: 'tap', fd: tap.fd, vnetHeaderBytes: 24 });

    const sent = encapsulated({ protocol: TCP, payload: randomBytes(30_000, 5), partial: true, ipv6: inner6 });
    const whole = encapsulated({ protocol: TCP, payload: randomBytes(101, 6), ipv6: inner6 });
    const [prefix, ipBytes] = [outer === 4 ? 42 : 62, inner6 ? 40 : 20];
    const gsoType = inner6 ? GSO_TCPV6 : GSO_TCPV4;
    const gsoSize = 1430 - ipBytes - 32;
    for (const inner of [sent, whole]) {
      const frame = (outer === 4 ? outerFrame : outerFrame6)('0a:00:00:00:00:01', inner);
      const i = bench.queue(frame, 0);
      bench.vector.outPort[i] = 2;
      bench.vector.l3Offset[i] = prefix + ENCAP_BYTES;
      if (inner === whole) continue;
      bench.vector.gsoType[i] = gsoType;
      bench.vector.gsoSize[i] = gsoSize;
      bench.vector.flags[i] = PACKET_FLAG.checksumPartial;
      bench.vector.checksumStart[i] = prefix + ENCAP_BYTES + ipBytes;
      bench.vector.checksumOffset[i] = 16;
    }
    bench.io.exchange(bench.vector, 0);
    const got = bench.receive();
    const last = got.at(-1);
    t.same(last?.bytes, whole, 'the small one comes last');
    const payload = Buffer.concat(got.slice(0, -1).map((packet) => packet.bytes.subarray(ENCAP_BYTES + ipBytes + 32)));
    t.ok(payload.equals(sent.subarray(ENCAP_BYTES + ipBytes + 32)), 'every byte, in order');
    const counters = execFileSync('ip', ['netns', 'exec', two, 'cat', '/proc/net/snmp', '/proc/net/snmp6']).toString();
    t.notMatch(counters, /Udp6InCsumErrors\s+[1-9]/, 'with outer checksums that the kernel believes');
    t.equal(bench.stat('checksumBad'), 0, 'and inner ones that are true');
    if (cut) return;
    t.equal(got.length, 2, 'whole, because nothing on the way had to cut it');
    t.same(got[0]?.bytes, sent);
    t.match(got[0], { gsoType, gsoSize, flags: PACKET_FLAG.checksumPartial, peerPort: 50_000 });
  });
}

// Plain JavaScript, which a worker takes however this test was started; it waits as the dataplane does.
const WAITER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { Engine } = require(workerData.addon);
  const engine = new Engine({
    ...workerData.options,
    arena: new Uint8Array(1 << 20),
    descriptors: new Int32Array(18 * 64),
    stats: new Float64Array(64),
  });
  parentPort.postMessage('waiting');
  engine.txrx(0, -1);
  if (workerData.tidy) engine.close();`;

for (const tidy of [true, false]) {
  t.test(`a waiting worker ends at once when woken, ${tidy ? 'closing' : 'leaving'} its engine`, async (t) => {
    const waker = addon.openWaker();
    t.teardown(() => addon.closeFd(waker));
    const options = { fields: FIELD, waker, receiveBytes: 1 << 20, packets: 64, sparePackets: 1, headroomBytes: 128 };
    const file = join(process.cwd(), 'native-bindings/build/Release/weft_native.node');
    const worker = new Worker(WAITER, { eval: true, workerData: { addon: file, options, tidy } });
    await new Promise((resolve) => worker.once('message', resolve));
    const start = performance.now();
    addon.wake(waker);
    t.equal(await new Promise((resolve) => worker.once('exit', resolve)), 0);
    const took = performance.now() - start;
    t.ok(took < 500, `without being terminated: ${took.toFixed(0)} ms`);
  });
}
