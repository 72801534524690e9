/**
 * End to end, in network namespaces: IPv6 beside IPv4, with the programs that people use. A lab of both families,
 * and one without a tunnel.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { hasIpv6 } from '../../src/agent/host/host-ipv6.ts';
import type { ProbeResult } from '../../src/agent/status.ts';
import { checksumErrors } from '../../src/lab/checksum-errors.ts';
import { targetEntry } from '../../src/lab/exec.ts';
import type { HttpLoadResult } from '../../src/lab/http-load.ts';
import type { Hop } from '../../src/lab/icmp-trace.ts';
import { weftCommand } from '../../src/lab/weft-command.ts';
import { addresses6, interop, kernelPeer, stream } from './ipv6-lab.ts';
import { HEADLESS } from './manifests.ts';
import { noLab, ownHome, TestLab, until, without } from './test-lab.ts';

const skip = noLab() || (hasIpv6() ? false : 'the kernel has no IPv6');
const OUTSIDE = '2001:db8:99::2';
const ping = (address: string, ...more: string[]) => {
  return ['ping', '-6', '-n', '-c', '2', '-i', '0.2', '-W', '2', ...more, address];
};
const curl = (url: string, ...more: string[]) => ['curl', '-sS', '-m', '10', ...more, url];
const DUAL_SERVICE = `apiVersion: v1
kind: Service
metadata: {name: both}
spec:
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{name: http, port: 80}]
`;

t.test('IPv6', { skip, timeout: 400_000 }, async (t) => {
  const home = ownHome();

  t.test('a lab of both families', async (t) => {
    const lab = await TestLab.up({ name: 'dual' });
    const six = await addresses6(lab);
    const [client0, web0, web1] = [six('client-0'), six('web-0'), six('web-1')];
    lab.manifest(
      'more.yaml',
      [HEADLESS.replace('spec:\n', 'spec:\n  ipFamilyPolicy: RequireDualStack\n'), DUAL_SERVICE].join('---\n'),
    );
    await until('the services that were added are there', 5000, async () => (await lab.serviceAddress('both')) !== '');

    t.test('ping', { skip: without('ping') }, async (t) => {
      for (const [from, to, what] of [
        ['client-0', web1, 'a pod of another host'],
        ['client-0', web0, 'a pod of the same host'],
        ['client-0', 'fd00:10:244:1::1', 'its own gateway'],
        ['client-0', 'fd00:10:244:2::1', 'the gateway of another host'],
        ['client-0', 'fd00:172:31::11', 'its host by its underlay address'],
        ['client-0', 'fd00:172:31::12', 'another host by its underlay address'],
        ['hosta', client0, 'its own pod'],
        ['hosta', web1, 'a pod of another host'],
      ] as const) {
        const { code, stdout } = await lab.run(from, ping(to));
        t.equal(code, 0, `${from} reaches ${what}`);
        t.match(stdout, / 0% packet loss/, `${from} to ${what}: nothing lost`);
      }
      t.equal((await lab.run('client-0', ping(web1, '-M', 'do', '-s', `${1450 - 48}`))).code, 0, 'whole MTUs');
      t.equal((await lab.run('client-0', ping(web1, '-s', '6000'))).code, 0, 'larger ones pass in fragments');
      const nobody = await lab.run('client-0', ping('fd00:10:244:2::fd'));
      t.match(nobody.stdout, /Address unreachable/, 'an address that no pod has is unreachable, and said so');
      const foreign = await lab.run('client-0', [
        'sh',
        '-c',
        `ip addr add ${web0}/128 dev lo nodad && ${ping(web1, '-I', web0).join(' ')}; code=$?; ip addr del ${web0}/128 dev lo; exit $code`,
      ]);
      t.not(foreign.code, 0, "a pod cannot send from another's address");
    });

    t.test('traceroute shows each host', { skip: without('traceroute') }, async (t) => {
      const wanted = ['fd00:10:244:1::1', 'fd00:10:244:2::1', web1];
      for (const how of [['-I'], ['-U'], ['-T', '-p', '80']]) {
        const output = await lab.must('client-0', ['traceroute', '-6', '-n', '-q', '1', '-w', '3', ...how, web1]);
        const hops = output.split('\n').flatMap((line) => /^ *\d+ +([\da-f:]+)/.exec(line)?.[1] ?? []);
        t.same(hops, wanted, `traceroute ${how.join(' ')}`);
      }
      const own = await lab.tool<Hop[]>('client-0', ['trace', web1]);
      t.same(
        own.map((hop) => hop.address),
        wanted,
        'our own tracer',
      );
    });

    t.test('HTTP, by address, by a service of both families, from a host', { skip: without('curl') }, async (t) => {
      t.equal(await lab.must('client-0', curl(`http://[${web1}]/hostname`)), 'web-1');
      t.match(
        await lab.must('client-1', curl(`http://[${web0}]/clientip`)),
        `[${six('client-1')}]:`,
        'the client is seen',
      );
      t.equal(await lab.must('hosta', curl(`http://[${web1}]/hostname`)), 'web-1');
      for (const family of ['-4', '-6']) {
        t.match(await lab.must('client-0', curl('http://both/hostname', family)), /^web-\d$/, `curl ${family}`);
      }
      const service = await serviceAddress6(lab, 'both');
      const load = await lab.tool<HttpLoadResult>('client-0', [
        ...['http-load', `http://[${service}]/hostname`, '--requests', '300', '--concurrency', '4'],
      ]);
      t.equal(load.failed, 0);
      t.ok(
        Object.values(load.answers).every((count) => count > 80),
        `evenly: ${JSON.stringify(load.answers)}`,
      );
      t.match(await lab.must('hosta', curl(`http://[${service}]/hostname`)), /^web-\d$/, 'hosts reach it, too');
      t.equal(
        (await lab.run('client-0', curl(`http://[${service}]:81/`))).code,
        7,
        'a port that it has not is refused',
      );
    });

    t.test('names', { skip: without('dig', 'getent') }, async (t) => {
      const dig = async (...words: string[]) =>
        (await lab.must('client-0', ['dig', '+short', '+time=2', ...words])).trim().split('\n').sort();
      const service = await serviceAddress6(lab, 'both');
      const zone = 'default.svc.cluster.local';
      t.same(await dig(`both.${zone}`, 'AAAA'), [service]);
      t.same(await dig('@fd00:10:96::a', `both.${zone}`, 'AAAA'), [service], 'asked over IPv6');
      t.same(await dig('@fd00:10:96::a', '+tcp', `both.${zone}`, 'AAAA'), [service], 'and over TCP');
      t.same(await dig(`peers.${zone}`, 'AAAA'), ['web-0', 'web-1', 'web-2'].map(six).sort(), 'a headless service');
      t.same(await dig('-x', service), [`both.${zone}.`]);
      t.match(await dig('-x', web1), [new RegExp(`${web1.replaceAll(':', '-')}\\.(both|peers|web)\\.${zone}\\.`)]);
      const dashed = client0.replaceAll(':', '-');
      t.same(await dig(`${dashed}.default.pod.cluster.local`, 'AAAA'), [client0]);
      t.same(await dig('-x', client0), [`${dashed}.default.pod.cluster.local.`]);
      const found = await lab.must('client-0', ['getent', 'ahosts', 'both']);
      t.match(found, service);
      t.match(found, await lab.serviceAddress('both'));
      const resolvConf = await lab.must('client-0', ['cat', '/etc/resolv.conf']);
      t.match(resolvConf, 'nameserver 10.96.0.10\nnameserver fd00:10:96::a\n');
      t.match(await lab.must('client-0', ['cat', '/etc/hosts']), `${client0}\tclient-0`);
    });

    t.test('streams', { skip: without('iperf3') }, async (t) => {
      for (const reverse of [[], ['-R']]) {
        const bytes = await stream(lab, 'client-0', 'web-1', web1, reverse);
        t.ok(bytes > 10e6, `${(bytes / 1e6).toFixed(0)} MB in a second ${reverse.join('')}`);
      }
      for (const pod of ['client-0', 'web-1', 'hosta', 'hostb']) {
        t.same(await checksumErrors(targetEntry(lab.lab, pod)), {}, `${pod}: no checksum error`);
      }
    });

    t.test('50 MB through TLS arrive as they left', { skip: without('openssl', 'sha256sum') }, async (t) => {
      await transfers(t, lab, home, { IPv4: await lab.address('web-1'), IPv6: web1 });
    });

    t.test('the outside world, behind the host', { skip: without('nft', 'curl') }, async (t) => {
      await lab.inside([
        ...['sh', '-e', '-c'],
        `ip netns add outside
       ip link add world type veth peer name eth0 netns outside
       ip addr add 2001:db8:99::1/64 dev world nodad
       ip link set world up
       ip -n outside addr add ${OUTSIDE}/64 dev eth0 nodad
       ip -n outside link set eth0 up
       ip -n outside link set lo up
       ip -n outside route add fd00:172:31::/64 via 2001:db8:99::1`,
      ]);
      lab.background([
        ...['nsenter', '--net=/run/netns/outside', '--', ...weftCommand()],
        ...['netexec', '--http-port', '80', '--address', OUTSIDE],
      ]);
      const ask = () => lab.run('client-0', curl(`http://[${OUTSIDE}]/clientip`));
      await until('the server listens', 10_000, async () => (await ask()).code === 0);
      t.match((await ask()).stdout, /^\[fd00:172:31::11\]:/, 'a pod comes from the address of its host');
    });

    t.test('a kernel VXLAN device whose underlay is IPv6, among hosts of both', async (t) => {
      const host = await kernelPeer(lab, 1, true);
      await interop(t, lab, host);
      // Its tunnel takes 20 bytes more than the others' off a packet.
      const { stdout } = await lab.run('client-0', ping(host.pod6 ?? '', '-M', 'do', '-s', `${1450 - 48}`));
      t.match(stdout, /Packet too big: mtu=1430/, 'what does not fit is answered with what does');
      t.match((await lab.run('client-0', ['ip', '-6', 'route', 'get', host.pod6 ?? ''])).stdout, 'mtu 1430');
      const load = await lab.tool<HttpLoadResult>('client-0', ['http-load', `http://[${web1}]/hostname`]);
      t.equal(load.failed, 0);
    });
  });

  t.test('a host that refuses to forward IPv6 says so once, and IPv4 goes on', async (t) => {
    const file = join(home, 'stubborn.yaml');
    writeFileSync(file, 'name: stubborn\nhosts: [{name: a}, {name: b}]\n');
    const lab = await TestLab.up({ file });
    const b = async () => (await lab.status()).hosts[1];
    const pid = (await b())?.agentPid;
    await lab.must('b', [
      ...['sh', '-e', '-c'],
      `echo 0 > /run/refused
       mount --bind /run/refused /proc/sys/net/ipv6/conf/all/forwarding
       mount -o remount,ro,bind /proc/sys/net/ipv6/conf/all/forwarding`,
    ]);
    await lab.inside(['kill', '-9', `${pid}`]);
    await until('the agent is back', 20_000, async () => {
      const now = await b();
      return now?.agentPid !== pid && now?.status?.ready === true;
    });
    const said = (await b())?.status?.problems.filter(({ message }) => message.includes('no IPv6')) ?? [];
    t.equal(said.length, 1);
    t.match(said[0]?.message, /^this host has no IPv6 for its pods, IPv4 goes on: .*forwarding cannot be set to 1/);
    t.notMatch(await lab.must('b', ['ip', '-6', 'addr', 'show', 'dev', 'weft0']), 'fd00');
    const web1 = await lab.address('web-1');
    t.equal((await lab.tool<ProbeResult[]>('client-0', ['ping', web1]))[0]?.received, 3);
    const found = await lab.tool<{ address: string }[]>('client-1', ['resolve', 'web']);
    t.same(
      found.map(({ address }) => address),
      [await lab.serviceAddress('web')],
      'names are answered',
    );
  });

  t.test('host-gw', { skip: without('traceroute', 'curl') }, async (t) => {
    const file = join(home, 'gw.yaml');
    writeFileSync(file, 'name: gw\nbackend: host-gw\nhosts: [{name: a}, {name: b}]\n');
    const lab = await TestLab.up({ file });
    const six = await addresses6(lab);
    t.match(await lab.must('a', ['ip', '-6', 'route']), /fd00:10:244:2::\/64 via fd00:172:31::12 dev eth0/);
    t.equal(await lab.must('client-0', curl(`http://[${six('web-1')}]/hostname`)), 'web-1');
    t.match(await lab.must('client-0', curl(`http://[${six('web-1')}]/clientip`)), `[${six('client-0')}]:`);
  });
});

async function serviceAddress6(lab: TestLab, name: string): Promise<string> {
  const { hosts } = await lab.status();
  const service = hosts[0]?.status?.services.find((each) => each.name === name);
  return service?.clusterIps.find((address) => address.includes(':')) ?? '';
}

/** A file of 50 MB through TLS in each family; hexadecimal digits, for openssl takes some letters for commands. */
async function transfers(t: Test, lab: TestLab, home: string, targets: Record<string, string>): Promise<void> {
  const file = join(home, 'fifty');
  const certificate = join(home, 'cert.pem');
  const key = join(home, 'key.pem');
  await lab.must('hosta', ['sh', '-c', `head -c 25000000 /dev/urandom | od -An -v -tx1 | tr -d ' \\n' > ${file}`]);
  await lab.must('hosta', [
    ...['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=web-1'],
    ...['-keyout', key, '-out', certificate],
  ]);
  const sum = async (path: string) => (await lab.must('hosta', ['sha256sum', path])).split(' ')[0];
  for (const [family, address] of Object.entries(targets)) {
    const port = family === 'IPv4' ? '5443' : '5446';
    const host = family === 'IPv4' ? address : `[${address}]`;
    const got = join(home, `got-${family}`);
    // Its own input must stay open, or it would end the connection.
    const serve =
      `mkfifo ${got}.in; exec 3<>${got}.in; exec timeout 60 openssl s_server -quiet -naccept 1 ` +
      `-accept ${host}:${port} -cert ${certificate} -key ${key} <&3 > ${got}`;
    const server = lab.run('web-1', ['sh', '-c', serve], { timeoutMs: 70_000 });
    await until('it listens', 5000, async () => (await lab.must('web-1', ['ss', '-ltnH'])).includes(`:${port} `));
    const send = `timeout 60 openssl s_client -quiet -no_ign_eof -connect ${host}:${port} < ${file}`;
    await lab.run('client-0', ['sh', '-c', send], { timeoutMs: 70_000 });
    await server;
    t.equal(await sum(got), await sum(file), `${family}: the same checksum`);
  }
}
