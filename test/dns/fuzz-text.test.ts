/** Mutated files, options and streams through the parsers of text and of TCP's framing: no exception, no loop. */

import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { readName } from '../../src/dns/name.ts';
import { parseResolvConf, podResolvConf } from '../../src/dns/resolv-conf.ts';
import { reverseOrigin } from '../../src/dns/reverse.ts';
import { candidatesOf, searchedName, searchPathOf, stepOf } from '../../src/dns/search-path.ts';
import { serveTcpSession } from '../../src/dns/tcp-session.ts';
import { parseUpstream, upstreamText } from '../../src/dns/upstream.ts';
import { mutated, randomFrom } from './mutate.ts';
import { prefix } from './sample-cluster.ts';
import { framed } from './socket-client.ts';

const ROUNDS = 5000;
const FILE = `# made by a machine
domain old.example
search default.svc.cluster.local svc.cluster.local . corp.example.
nameserver 10.96.0.10
nameserver fd00::10%eth0
options ndots:5 edns0 timeout:1
`;

t.test('resolv.conf: what a pod gets is always one that reads the same again', async (t) => {
  const random = randomFrom(0xd00d);
  const wrong: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const text = mutated(Buffer.from(FILE), random).toString('latin1');
    const dnsPolicy = ['ClusterFirst', 'Default', 'None'][random(3)] ?? '';
    const base = { namespace: 'default', domain: 'cluster.local', clusterDns: ['10.96.0.10'], hostNetwork: false };
    const token = text.slice(random(text.length), random(text.length));
    const dnsConfig = { searches: [token], nameservers: [token], options: [{ name: token, value: token }] };
    const pod = podResolvConf({ ...base, dnsPolicy, hostResolvConf: text, dnsConfig }).text;
    const conf = parseResolvConf(pod);
    const lines = pod.split('\n').filter((line) => line !== '');
    const expected = conf.nameservers.length + (conf.search.length > 0 ? 1 : 0) + (conf.options.length > 0 ? 1 : 0);
    if (lines.length !== expected || conf.nameservers.length > 3 || conf.search.length > 32) wrong.push(text);
    const path = searchPathOf(pod);
    if (!(path.ndots >= 0 && path.ndots <= 15)) wrong.push(text);
    for (const { name } of candidatesOf('web', path)) {
      const searched = searchedName(name, path);
      if (searched !== undefined && `${searched}.${path.search[0]}` !== name) wrong.push(name);
      const step = stepOf(name, path);
      if (step && `${step.name}.${path.search[step.step - 1]}` !== name) wrong.push(name);
    }
  }
  t.strictSame(wrong, []);
});

t.test('upstreams: what is read is an address and a port, and reads the same again', async (t) => {
  const random = randomFrom(0xbeef);
  const seeds = ['10.0.0.1', '10.0.0.1:5353', 'fd00::1', '[fd00::1]:5353', 'fe80::1%eth0', '::ffff:10.0.0.1'];
  let read = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const text = mutated(Buffer.from(seeds[random(seeds.length)] ?? ''), random).toString('latin1');
    const upstream = parseUpstream(text);
    if (!upstream) continue;
    read++;
    const again = parseUpstream(upstreamText(upstream));
    if (upstream.port < 1 || upstream.port > 65535) t.fail(text);
    if (again?.address !== upstream.address || again.port !== upstream.port) t.fail(text);
  }
  t.ok(read > 100, `${read} were read`);
});

t.test('names: what is read ends where it says, and is 255 octets at most', async (t) => {
  const random = randomFrom(0xabba);
  const prefixes = [prefix('10.244.0.0/16'), prefix('fd00:10::/32'), prefix('10.96.0.0/12')];
  const wire = (text: string) =>
    Buffer.concat([
      ...text.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
      Buffer.from([0]),
    ]);
  const seeds = [wire('web.default.svc.cluster.local'), wire('7.1.244.10.in-addr.arpa'), wire(`d.f.ip6.arpa`)];
  let read = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = mutated(seeds[random(seeds.length)] ?? wire('a'), random);
    const name = readName(bytes, 0);
    if (!name) continue;
    read++;
    if (name.end > bytes.length || name.end > 255 || bytes[name.end - 1] !== 0) t.fail(bytes.toString('hex'));
    for (const each of prefixes) reverseOrigin(name.key, each);
  }
  t.ok(read > ROUNDS / 20, `${read} were read`);
});

/** A socket whose other end is the test. */
class FakeSocket extends Duplex {
  readonly sent: Buffer[] = [];
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.sent.push(chunk);
    done();
  }
}

t.test('TCP: however the stream is cut, each whole message is answered once, and nothing else', async (t) => {
  const random = randomFrom(0x7c9);
  for (let round = 0; round < 200; round++) {
    const messages = Array.from({ length: 1 + random(60) }, () => Buffer.alloc(random(300), random(256)));
    const tail = Buffer.from([0xff, 0xff, 1, 2, 3]).subarray(0, random(6));
    const stream = Buffer.concat([...messages.map(framed), tail]);
    const socket = new FakeSocket({ allowHalfOpen: true });
    serveTcpSession(socket as unknown as Socket, {
      // Its length, so that answers can be told apart from what was asked.
      respond: async (message) => {
        if (random(2) === 0) await Promise.resolve();
        return Buffer.from([message.length >> 8, message.length & 255]);
      },
      transfer: () => undefined,
      idleMs: 10_000,
      onIdle: () => t.fail('idle'),
    });
    for (let at = 0; at < stream.length; ) {
      const end = at + 1 + random(500);
      socket.push(stream.subarray(at, end));
      at = end;
      if (random(3) === 0) await pause(0);
    }
    socket.push(null);
    for (let i = 0; !socket.writableFinished && i < 200; i++) await pause(1);
    const answers = Buffer.concat(socket.sent);
    const lengths = Array.from({ length: answers.length / 4 }, (_, i) => answers.readUInt16BE(4 * i + 2));
    const expected = messages.map((message) => message.length);
    const sorted = (values: number[]) => values.sort((a, b) => a - b).join();
    if (sorted(lengths) !== sorted(expected)) t.fail(`round ${round}: ${lengths.length} of ${expected.length}`);
    socket.destroy();
  }
  t.pass('200 streams');
});
