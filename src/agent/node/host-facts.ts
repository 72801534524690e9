/** What a host says of itself in its Node object: its system, its size, its addresses. */
import { readFileSync } from 'node:fs';
import { availableParallelism, networkInterfaces, release, totalmem } from 'node:os';
import { weftVersion } from '../weft-command.ts';
import { type HostFacts, OWN_MARK } from './node-record.ts';

/** The Kubernetes whose kubelet our agent stands for. */
const KUBELET = 'v1.30.0';
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', ia32: '386' };

export function hostFacts(name: string, given: readonly string[], nodePort: number): HostFacts {
  const version = weftVersion();
  return {
    name,
    addresses: given,
    addressesAreGiven: given.length > 0,
    nodePort,
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    info: {
      machineID: read('/etc/machine-id'),
      systemUUID: '',
      bootID: read('/proc/sys/kernel/random/boot_id'),
      kernelVersion: release(),
      osImage: /^PRETTY_NAME="?(.*?)"?$/m.exec(read('/etc/os-release'))?.[1] ?? 'Linux',
      containerRuntimeVersion: `weft://${version}`,
      kubeletVersion: `${KUBELET}${OWN_MARK}${version}`,
      kubeProxyVersion: `${KUBELET}${OWN_MARK}${version}`,
      operatingSystem: 'linux',
      architecture: ARCHITECTURES[process.arch] ?? process.arch,
    },
  };
}

/**
 * The host's own address on the way to the API server, with one of the other family from the same device; where the
 * server is on this very host, those of the first device.
 */
export function addressesToward(localAddress: string | undefined, interfaces = networkInterfaces()): string[] {
  const devices = Object.entries(interfaces)
    .filter(([device]) => !device.startsWith('weft'))
    .map(([, addresses = []]) => addresses.filter(({ internal, scopeid }) => !internal && !scopeid));
  const plain = localAddress?.replace(/^::ffff:(?=\d+\.)/, '');
  const device =
    devices.find((all) => all.some(({ address }) => address === plain)) ?? devices.find((all) => all.length > 0) ?? [];
  const first = device.find(({ address }) => address === plain) ?? device[0];
  if (!first) return [];
  const other = device.find(({ family }) => family !== first.family);
  return other ? [first.address, other.address] : [first.address];
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}
