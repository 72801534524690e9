/**
 * A pod's /etc/hosts as the kubelet makes it: loopback and multicast lines, the pod's own addresses under its host name
 * (and its full name where it has a subdomain), then hostAliases. Pure.
 */
import { isIP } from 'node:net';
import type { HostAlias } from 'kubernetes-types/core/v1.js';

export interface PodEtcHostsInput {
  /** One of each family that the pod has. */
  addresses: readonly string[];
  hostname: string;
  /** `web-0.web.default.svc.cluster.local`, for pods with a subdomain. */
  fqdn?: string;
  hostAliases: readonly HostAlias[];
}

export function podEtcHosts(input: PodEtcHostsInput): string {
  const lines = [
    '# Kubernetes-managed hosts file.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
    ...input.addresses.map((address) => [address, ...(input.fqdn ? [input.fqdn] : []), input.hostname].join('\t')),
  ];
  return lines.map((line) => `${line}\n`).join('') + aliasLines(input.hostAliases);
}

/** For a pod in the host's network: the host's file, then hostAliases. */
export function hostNetworkEtcHosts(hostEtcHosts: string, hostAliases: readonly HostAlias[]): string {
  const end = hostEtcHosts === '' || hostEtcHosts.endsWith('\n') ? '' : '\n';
  return `# Kubernetes-managed hosts file (host network).\n${hostEtcHosts}${end}${aliasLines(hostAliases)}`;
}

/** An alias that is no address and names, each one word, would be another line of somebody's making: left out. */
function aliasLines(aliases: readonly HostAlias[]): string {
  const lines = aliases.flatMap(({ ip = '', hostnames = [] }) => {
    const names = hostnames.filter((name) => /^[^\s#]+$/.test(name));
    return isIP(ip) !== 0 && names.length > 0 ? [`${[ip, ...names].join('\t')}\n`] : [];
  });
  return lines.length > 0 ? `\n# Entries added by HostAliases.\n${lines.join('')}` : '';
}
