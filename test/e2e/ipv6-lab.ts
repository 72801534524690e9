/** What end-to-end tests of IPv6 ask of a lab: addresses, streams, and a host of the kernel's own beside it. */
import type { Test } from 'tap';
import type { ProbeResult } from '../../src/agent/status.ts';
import { checksumErrors } from '../../src/lab/checksum-errors.ts';
import { waitForPeers } from '../../src/lab/demo-lab.ts';
import type { Entry } from '../../src/lab/exec.ts';
import type { HttpLoadResult } from '../../src/lab/http-load.ts';
import {
  addKernelHost,
  announceKernelHost,
  type KernelHost,
  kernelHost,
  kernelHostEntry,
  kernelPodEntry,
  weftPeer,
} from '../../src/lab/kernel-host.ts';
import { mustRun } from '../../src/lab/run.ts';
import { weftCommand } from '../../src/lab/weft-command.ts';
import { type TestLab, until } from './test-lab.ts';

/** IPv6 addresses of the lab's pods, by name. */
export async function addresses6(lab: TestLab): Promise<(pod: string) => string> {
  const { hosts } = await lab.status();
  const pods = hosts.flatMap((host) => host.status?.pods ?? []);
  return (name) => {
    const address = pods.find((pod) => pod.name === name)?.addresses[1];
    if (address === undefined) throw new Error(`pod ${name} has no IPv6 address`);
    return address;
  };
}

/** Bytes that a stream of one second brings. */
export async function stream(lab: TestLab, from: string, to: string, address: string, more: readonly string[]) {
  const server = lab.must(to, ['iperf3', '-s', '-1', '-p', '5306'], { timeoutMs: 20_000 });
  await until('it listens', 5000, async () => /:5306 /.test(await lab.must(to, ['ss', '-ltnH'])));
  const output = await lab.must(from, ['iperf3', '-c', address, '-p', '5306', '-t', '1', '-J', ...more]);
  await server;
  return (JSON.parse(output) as { end: { sum_received: { bytes: number } } }).end.sum_received.bytes;
}

/** A kernel host on the underlay in IPv6, known to the lab's agents, and they to it. */
export async function kernelPeer(lab: TestLab, index: number, fixed: boolean): Promise<KernelHost> {
  const host = kernelHost(lab.topology, index, 6);
  await addKernelHost(
    lab.lab,
    lab.topology,
    host,
    lab.topology.hosts.map((each) => weftPeer(each, fixed, 6)),
  );
  announceKernelHost(lab.lab, host, fixed ? host.mac : 'learn');
  await waitForPeers(lab.lab, [host.name], 5000);
  return host;
}

/** Ping and HTTP both ways in both families, every checksum right. */
export async function interop(t: Test, lab: TestLab, host: KernelHost): Promise<void> {
  const six = await addresses6(lab);
  const pod: Entry = kernelPodEntry(lab.lab, host);
  const tool = async <T>(words: string[]): Promise<T> =>
    JSON.parse((await mustRun(pod, [...weftCommand(), 'tool', ...words])).trim().split('\n').at(-1) ?? '') as T;
  for (const probe of await lab.tool<ProbeResult[]>('client-0', ['ping', host.pod, host.pod6 ?? '', '--count', '5'])) {
    t.ok(probe.received >= 4, `a pod of ours reaches ${probe.address} (${probe.received} of 5)`);
  }
  const ours = [await lab.address('web-0'), await lab.address('web-1'), six('web-0'), six('web-1'), six('client-2')];
  for (const probe of await tool<ProbeResult[]>(['ping', ...ours, '--count', '5'])) {
    t.ok(probe.received >= 4, `${host.name} reaches ${probe.address} (${probe.received} of 5)`);
  }
  const page = await tool<HttpLoadResult>(['http-load', `http://[${six('web-1')}]/clientip`, '--requests', '30']);
  t.equal(page.failed, 0);
  t.ok(
    Object.keys(page.answers).every((answer) => answer.startsWith(`[${host.pod6}]:`)),
    'source addresses are kept',
  );
  t.same(await checksumErrors(pod), {});
  t.same(await checksumErrors(kernelHostEntry(lab.lab, host)), {});
}
