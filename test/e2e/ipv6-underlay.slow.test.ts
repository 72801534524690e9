/** End to end, in network namespaces: both families of pods over an underlay of IPv6 alone, with the programs that people use. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { hasIpv6 } from '../../src/agent/host/host-ipv6.ts';
import type { ProbeResult } from '../../src/agent/status.ts';
import { checksumErrors } from '../../src/lab/checksum-errors.ts';
import { targetEntry } from '../../src/lab/exec.ts';
import type { HttpLoadResult } from '../../src/lab/http-load.ts';
import { addresses6, interop, kernelPeer, stream } from './ipv6-lab.ts';
import { noLab, ownHome, TestLab, without } from './test-lab.ts';

const skip = noLab() || (hasIpv6() ? false : 'the kernel has no IPv6');

t.test('an underlay of IPv6 alone', { skip, timeout: 300_000 }, async (t) => {
  const home = ownHome();
  const file = join(home, 'six.yaml');
  writeFileSync(file, 'name: six\nunderlay: {family: ipv6}\n');
  const lab = await TestLab.up({ file });
  const six = await addresses6(lab);
  const { hosts } = await lab.status();
  t.same(hosts[0]?.status?.underlay.addresses, ['fd00:172:31::11']);
  t.equal(hosts[0]?.status?.podMtu, 1430, 'the larger outer header');
  const both = [await lab.address('web-1'), six('web-1')];
  for (const probe of await lab.tool<ProbeResult[]>('client-0', ['ping', ...both])) {
    t.equal(probe.received, probe.sent, `${probe.address} answers`);
  }
  const load = await lab.tool<HttpLoadResult>('client-0', ['http-load', 'http://web/hostname', '--requests', '300']);
  t.equal(load.failed, 0, 'a service of IPv4 over it');
  for (const [index, fixed] of [
    [1, true],
    [2, false],
  ] as const) {
    t.test(`a kernel VXLAN device, ${fixed ? 'fixed' : 'learned'} neighbours`, async (t) => {
      await interop(t, lab, await kernelPeer(lab, index, fixed));
    });
  }
  t.test('streams', { skip: without('iperf3') }, async (t) => {
    for (const address of both) {
      const bytes = await stream(lab, 'client-0', 'web-1', address, []);
      t.ok(bytes > 10e6, `${(bytes / 1e6).toFixed(0)} MB in a second to ${address}`);
    }
    for (const pod of ['client-0', 'web-1', 'hosta', 'hostb']) {
      t.same(await checksumErrors(targetEntry(lab.lab, pod)), {}, `${pod}: no checksum error`);
    }
  });
  t.test('the probe', async (t) => {
    const { stdout, code } = await lab.run('hosta', ['weft', 'ping', 'hostb']);
    t.equal(code, 0, stdout);
    t.match(stdout, /hostb +underlay +fd00:172:31::12 +3\/3 .* 1500/);
  });
});
