/**
 * End to end, in network namespaces: datagrams larger than a packet through services, in order and out of it, and what
 * clients of a service learn of the way to its endpoints.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { ipv6Obstacle } from '../../src/agent/host/host-ipv6.ts';
import { checksumErrors } from '../../src/lab/checksum-errors.ts';
import { targetEntry } from '../../src/lab/exec.ts';
import { run } from '../../src/lab/run.ts';
import { endpointsOf } from './manifests.ts';
import { noLab, ownHome, TestLab, until, without } from './test-lab.ts';

const skip = noLab();
/** One here; fragments-workers.slow.test.ts has the same with two. */
const workers = (process.env.WEFT_WORKERS ??= '1');
const script = (name: string) => fileURLToPath(new URL(`./${name}.js`, import.meta.url));

interface Load {
  good: number;
  damaged: number;
  lost: number;
}

/** Sends a datagram's fragments in any order, as no kernel does but networks may, and waits for its echo. */
const SHUFFLED = `
import random, socket, struct, sys
source, target, port, size, rounds = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
random.seed(791)
family = socket.AF_INET6 if ':' in source else socket.AF_INET
ends = socket.inet_pton(family, source) + socket.inet_pton(family, target)
raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
ear = socket.socket(family, socket.SOCK_DGRAM)
ear.bind((source, 0))
ear.settimeout(5)
def header(id, length, more, at):
    if family == socket.AF_INET6:
        fragment = struct.pack('!BBHI', 17, 0, at | more, id)
        return struct.pack('!IHBB', 6 << 28, 8 + length, 44, 64) + ends + fragment
    return struct.pack('!BBHHHBBH', 0x45, 0, 20 + length, id, more << 13 | at // 8, 64, 17, 0) + ends
def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff or 0xffff
good = 0
for n in range(rounds):
    text = b'echo ' + bytes(random.choices(b'abcdefghijklmnop', k=size - 5))
    ports = struct.pack('!HHH', ear.getsockname()[1], port, size + 8)
    check = checksum(ends + struct.pack('!II', size + 8, 17) + ports + b'\\0\\0' + text)
    data = ports + struct.pack('!H', check) + text
    parts = [header(1000 + n, len(data[at:at + 1360]), int(at + 1360 < len(data)), at) + data[at:at + 1360]
             for at in range(0, len(data), 1360)]
    random.shuffle(parts)
    for part in parts:
        raw.sendto(part, (target, 0))
    try:
        good += ear.recv(65535) == text[5:]
    except socket.timeout:
        pass
print(good)
`;

/** The servers of the default service, in IPv6. */
const WEB6 = `apiVersion: v1
kind: Service
metadata: {name: web6}
spec:
  ipFamilies: [IPv6]
  selector: {app: web}
  ports:
    - {name: http, port: 80, targetPort: http}
    - {name: udp, protocol: UDP, port: 8081}
`;

const LARGE = (address: string) => `apiVersion: v1
kind: Service
metadata: {name: large}
spec:
  ports: [{port: 53, protocol: UDP}]
---
apiVersion: v1
kind: Endpoints
metadata: {name: large}
subsets:
  - addresses: [{ip: ${address}}]
    ports: [{port: 5353, protocol: UDP}]
`;

t.test(`${workers} workers`, { skip, timeout: 300_000 }, async (t) => {
  ownHome();
  const lab = await TestLab.up({ name: 'frag' });
  const names = ipv6Obstacle(1280) ? ['web'] : ['web', 'web6'];
  if (names.length > 1) lab.manifest('web6.yaml', WEB6);
  for (const name of names) {
    await until(`${name} is there`, 5000, async () => (await lab.serviceAddress(name)) !== '');
    await ofOneFamily(t, lab, name);
  }
  await ofBothFamilies(t, lab);
});

async function ofOneFamily(t: Test, lab: TestLab, name: string): Promise<void> {
  const service = await lab.serviceAddress(name);
  const six = service.includes(':');
  const load = async (from: string, bytes: number, count: number): Promise<Load> =>
    JSON.parse(await lab.must(from, ['node', script('datagram-load'), service, '8081', `${bytes}`, `${count}`]));

  const addressOf = async (pod: string): Promise<string> => {
    const pods = (await lab.status()).hosts.flatMap((host) => host.status?.pods ?? []);
    return pods.find((each) => each.name === pod)?.addresses.find((each) => each.includes(':') === six) ?? '';
  };

  t.test(`${name}: datagrams of any size, one by one and many at once`, async (t) => {
    for (const bytes of [1400, 1500, 20_000, 60_000, 65_507]) {
      // Endpoints take turns: some are on the client's own host, some are not.
      for (let turn = 0; turn < 3; turn++) t.same(await load('client-0', bytes, 1), { good: 1, damaged: 0, lost: 0 });
    }
    // As many as fit into the servers' receive buffers.
    const many = await Promise.all(['client-0', 'client-1', 'client-2'].map((from) => load(from, 12_000, 6)));
    t.same(many, Array(3).fill({ good: 6, damaged: 0, lost: 0 }));
    t.same(await load('web-0', 20_000, 6), { good: 6, damaged: 0, lost: 0 }, 'a server its own service, itself too');
    t.same(await load('hosta', 20_000, 6), { good: 6, damaged: 0, lost: 0 }, 'a process of a host');
    for (const target of ['web-0', 'web-1', 'web-2', 'client-0']) {
      t.same(await checksumErrors(targetEntry(lab.lab, target)), {}, `${target} has seen no wrong checksum`);
    }
  });

  t.test(`${name}: fragments in any order`, { skip: without('python3') }, async (t) => {
    for (const bytes of [3000, 20_000, 60_000]) {
      const words = [await addressOf('client-1'), service, '8081', `${bytes}`, '12'];
      t.equal((await lab.must('client-1', ['python3', '-c', SHUFFLED, ...words])).trim(), '12', `${bytes} bytes`);
    }
  });

  t.test(`${name}: traceroute to a service`, { skip: without('traceroute') }, async (t) => {
    const trace = async (...how: string[]): Promise<string[]> => {
      const output = await lab.must('client-0', ['traceroute', '-n', '-q', '1', '-w', '3', '-m', '6', ...how, service]);
      return output.split('\n').flatMap((line) => /^ *\d+ +([\da-f.:]+)/.exec(line)?.[1] ?? []);
    };
    t.same(await trace('-I'), [service], 'the service is next door, by ping');
    t.same(await trace('-U'), [service], 'and where it has no port');
    // Each probe is a connection of its own, to an endpoint on one host or another.
    for (let turn = 0; turn < 3; turn++) {
      const hops = await trace('-T', '-p', '80');
      t.equal(hops[0], six ? 'fd00:10:244:1::1' : '10.244.1.1', 'its own host');
      t.equal(hops.at(-1), service, 'the service answers');
      t.ok(hops.length <= 3, `${hops}`);
    }
  });
}

async function ofBothFamilies(t: Test, lab: TestLab): Promise<void> {
  t.test('pings and DNS answers that are larger than a packet', { skip: without('ping', 'dig') }, async (t) => {
    const ping = await lab.run('client-0', [
      'ping',
      '-n',
      '-c',
      '3',
      '-i',
      '0.2',
      '-s',
      '8000',
      await lab.address('web-1'),
    ]);
    t.match(ping.stdout, / 0% packet loss/);
    const address = await lab.address('client-1');
    lab.manifest('large.yaml', LARGE(address));
    await until('the service is there', 5000, async () => (await lab.serviceAddress('large')) !== '');
    const server = lab.run('client-1', ['node', script('large-answers'), address, '5353'], { timeoutMs: 40_000 });
    const dig = ['dig', `@${await lab.serviceAddress('large')}`, '+bufsize=4096', '+notcp', '+ignore', 'x.', 'TXT'];
    await until('it answers', 10_000, async () => (await lab.run('client-0', dig)).stdout.includes('NOERROR'));
    const { stdout } = await lab.run('client-0', dig);
    t.match(stdout, /ANSWER: 15/);
    t.match(stdout, /MSG SIZE +rcvd: 3[3-9]\d\d/);
    lab.manifest('large.yaml', undefined);
    await server;
  });

  const { hosts } = await lab.status();
  for (const { name, status } of hosts) {
    const fragments = Object.keys(status?.counters.drops ?? {}).filter((reason) => reason.startsWith('fragment'));
    t.same(fragments, [], `${name} has dropped none`);
  }
}

t.test(
  'the way becomes smaller under a connection',
  { skip: skip || without('iperf3', 'ip', 'nft'), timeout: 200_000 },
  async (t) => {
    const lab = await TestLab.up({ name: 'path', hosts: 2 });
    // A world behind the hosts' router.
    const [world, outside] = ['203.0.113.1', '203.0.113.2'];
    await lab.inside([
      ...['sh', '-e', '-c'],
      `ip netns add path
     ip link add far type veth peer name eth0 netns path
     ip addr add ${world}/24 dev far
     ip link set far up
     ip -n path addr add ${outside}/24 dev eth0
     ip -n path link set eth0 up
     ip -n path link set lo up
     ip -n path route add 172.31.0.0/24 via ${world}`,
    ]);
    lab.background(['nsenter', '--net=/run/netns/path', '--', 'iperf3', '-s', '-1', '-p', '5301']);
    const client1 = await lab.address('client-1');
    const other = lab.run('client-1', ['iperf3', '-s', '-1', '-p', '5301'], { timeoutMs: 60_000 });
    lab.manifest('far.yaml', endpointsOf('far', 5301, [outside]));
    lab.manifest('near.yaml', endpointsOf('near', 5301, [client1]));
    await until('the services are there', 5000, async () => (await lab.serviceAddress('near')) !== '');

    /** Bytes of each second of a stream under which something happens, and the MTU that the client believes in then. */
    const stream = async (name: string, seconds: number, happens: () => Promise<unknown>) => {
      const service = await lab.serviceAddress(name);
      const command = ['iperf3', '-c', service, '-p', '5301', '-t', `${seconds}`, '-J'];
      const running = lab.must('client-0', command, { timeoutMs: 60_000 });
      await sleep(2000);
      await happens();
      const { intervals } = JSON.parse(await running) as { intervals: { sum: { bytes: number } }[] };
      const route = await lab.must('client-0', ['ip', 'route', 'get', service]);
      return { bytes: intervals.map(({ sum }) => sum.bytes), mtu: Number(/ mtu (\d+)/.exec(route)?.[1]) };
    };

    t.test('behind a router that says so', async (t) => {
      const { bytes, mtu } = await stream('far', 5, () => lab.inside(['ip', 'link', 'set', 'far', 'mtu', '1000']));
      t.equal(mtu, 1000, "the service's client has heard it, of the service's address");
      t.ok((bytes.at(-1) ?? 0) > 100_000, `and goes on: ${bytes}`);
    });

    t.test('between two hosts, as probes find out', async (t) => {
      const shrink = async () => {
        // The bridge's port to hostb.
        await lab.inside(['ip', 'link', 'set', 'u1', 'mtu', '1400']);
        for (let n = 0; n < 2; n++) await run(targetEntry(lab.lab, 'hosta'), ['weft', 'ping', 'hostb']);
        await sleep(1000);
      };
      const { bytes, mtu } = await stream('near', 15, shrink);
      t.equal(mtu, 1350, 'what is left beside the tunnel');
      t.ok((bytes.at(-1) ?? 0) > 100_000, `and goes on: ${bytes}`);
      t.equal((await other).code, 0);
      const full = await lab.must('client-0', ['ping', '-n', '-c', '1', '-M', 'do', '-s', '1322', client1]);
      t.match(full, / 0% packet loss/, 'packets of that size pass');
    });
  },
);
