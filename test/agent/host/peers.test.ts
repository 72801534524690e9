/** Probing: the packets of it, what is concluded from answers, and the real thing on the loopback device. */
import t from 'tap';
import { AgentError } from '../../../src/agent/agent-error.ts';
import { ECHO_6, echoRequest, parseEchoReply } from '../../../src/agent/host/echo-socket.ts';
import { ipv6Obstacle } from '../../../src/agent/host/host-ipv6.ts';
import { IcmpProber } from '../../../src/agent/host/icmp-prober.ts';
import { PeerProbes, peerProblems } from '../../../src/agent/host/peers.ts';
import type { ProbeResult } from '../../../src/agent/status.ts';

const PEER = { node: 'hostb', address: '172.31.0.12' };
const CONTEXT = { neededMtu: 1500, overlayBytes: 50, udpPort: 4789 };
const result = (reachable: boolean, pathMtu?: number, address = '10.244.2.1'): ProbeResult => ({
  address,
  reachable,
  sent: 1,
  received: reachable ? 1 : 0,
  rttMs: undefined,
  pathMtu,
});

t.test('an echo request has a true checksum, also of odd length', async (t) => {
  for (const bytes of [8, 9, 48, 1480, 65515]) {
    const message = echoRequest(0xbeef, 0xffff, bytes);
    let sum = 0;
    for (let i = 0; i < bytes; i++) sum += (message[i] as number) << (i & 1 ? 0 : 8);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    t.equal(sum, 0xffff, `${bytes} bytes`);
  }
});

t.test('replies are told from everything else a raw socket sees', async (t) => {
  const packet = (icmp: Buffer, header = Buffer.from([0x45, ...new Array(19).fill(0)])) =>
    Buffer.concat([header, icmp]);
  const reply = echoRequest(7, 9, 8);
  reply[0] = 0;
  t.same(parseEchoReply(packet(reply)), { id: 7, sequence: 9 });
  t.same(parseEchoReply(packet(reply, Buffer.from([0x46, ...new Array(23).fill(0)]))), { id: 7, sequence: 9 });
  t.equal(parseEchoReply(packet(echoRequest(7, 9, 8))), undefined, 'a request');
  t.equal(parseEchoReply(packet(reply).subarray(0, 27)), undefined, 'cut short');
  t.equal(parseEchoReply(Buffer.alloc(0)), undefined);
  const six = echoRequest(7, 9, 8, ECHO_6);
  t.equal(parseEchoReply(six, ECHO_6), undefined, 'a request');
  six[0] = 129;
  t.same(parseEchoReply(six, ECHO_6), { id: 7, sequence: 9 }, 'in ICMPv6 there is no IP header');
  t.equal(parseEchoReply(six.subarray(0, 7), ECHO_6), undefined, 'cut short');
});

t.test('what stands in the way is named with what to do', async (t) => {
  t.same(peerProblems(PEER, result(true, 1500), [result(true)], CONTEXT), []);
  t.match(peerProblems(PEER, result(false), [result(false)], CONTEXT), [
    /^Node hostb \(172\.31\.0\.12\) does not answer: /,
  ]);
  t.match(peerProblems(PEER, result(true, 1400), [result(true)], CONTEXT), [
    /takes packets of 1400 bytes, full packets of pods need 1500: raise the MTU on the way, or start every agent with --mtu 1350/,
  ]);
  t.match(peerProblems(PEER, result(true, 1500), [result(false)], CONTEXT), [
    /gateway 10\.244\.2\.1 does not through the overlay: .*UDP port 4789/,
  ]);
  const six = result(false, undefined, 'fd00:10:244:2::1');
  t.match(peerProblems(PEER, result(true), [result(true), six], CONTEXT), [
    /gateway fd00:10:244:2::1 does not through/,
  ]);
  t.match(peerProblems(PEER, result(false), [result(false), six], CONTEXT), [/^Node hostb .* does not answer: /]);
  t.same(
    peerProblems(PEER, result(false), [result(true)], CONTEXT),
    [],
    'ICMP may be filtered where the overlay works',
  );
});

t.test('the loopback device answers, and its MTU is found', async (t) => {
  let prober: IcmpProber;
  try {
    prober = IcmpProber.open();
  } catch (error) {
    t.type(error, AgentError);
    return t.comment(`no raw socket here: ${(error as AgentError).sentence}`);
  }
  const found = await prober.probe('127.0.0.1', { count: 2, timeoutMs: 500, wantedMtu: 9000 });
  t.match(found, { reachable: true, sent: 2, received: 2, pathMtu: 9000 });
  t.ok((found.rttMs?.median as number) < 500);
  if (!ipv6Obstacle(1280)) {
    t.match(await prober.probe('::1', { count: 1, timeoutMs: 500, wantedMtu: 9000 }), {
      reachable: true,
      pathMtu: 9000,
    });
  }
  const nothing = await prober.probe('not an address', { count: 1, timeoutMs: 50 });
  t.match(nothing, { reachable: false, received: 0 });
  prober.close();

  const probes = new PeerProbes(() => {});
  const here = { node: 'me', address: '127.0.0.1', gateways: ['127.0.0.2'], podCidr: '' };
  probes.update([here], { neededMtu: 1500, overlayBytes: 50, udpPort: 4789 });
  const [status] = await probes.probe('me');
  t.match(status, {
    node: 'me',
    underlay: { reachable: true, pathMtu: 1500 },
    overlay: { reachable: true },
    problems: [],
  });
  t.same(await probes.probe('somebody'), []);
  probes.close();

  let changes = 0;
  const small = new PeerProbes(() => changes++);
  small.update([here], { neededMtu: 70_000, overlayBytes: 50, udpPort: 4789 });
  await small.probe('me');
  t.same([...small.pathMtus()], [], 'once may be an accident');
  await small.probe('me');
  t.same([...small.pathMtus()], [['me', 65_535]], 'twice is a small path');
  t.equal(changes, 1, 'which is told');
  small.close();
});
