/** What a host's kernel gets of each address family, from its Node and the cluster's ranges. Pure. */
import type { ClusterRanges } from '../../control/cluster-settings.ts';
import type { ClusterNode } from '../../control/model.ts';
import { formatAddress, isV4, type Words, wordsFrom4 } from '../../wire/address.ts';
import { formatPrefix, type Prefix } from '../../wire/prefix.ts';
import type { HostFamily } from './host-network.ts';

/** IPv4, then IPv6 where the node has a range and `withIpv6` says that the host can have it. */
export function hostFamilies(node: ClusterNode, ranges: ClusterRanges, withIpv6: boolean): HostFamily[] {
  const four = familyOf(true, wordsFrom4(node.gateway4), node.podCidr, ranges);
  const { gateway6, podCidr6 } = node;
  const six = withIpv6 && gateway6 && podCidr6 && familyOf(false, gateway6, podCidr6, ranges);
  return [four, six].filter((family) => family !== undefined && family !== false);
}

function familyOf(v4: boolean, gateway: Words, podCidr: Prefix, ranges: ClusterRanges): HostFamily | undefined {
  const cluster = ranges.cluster.find((block) => block.isV4 === v4);
  const service = ranges.service.find((block) => block.isV4 === v4);
  const dns = ranges.dns.find((address) => isV4(address) === v4);
  if (!cluster || !service) return undefined;
  return {
    isV4: v4,
    gateway: formatAddress(gateway),
    podCidr: formatPrefix(podCidr),
    clusterCidr: cluster.text,
    serviceCidr: service.text,
    clusterDns: dns ? formatAddress(dns) : '',
  };
}
