/**
 * Why a packet went no further, as data: an identifier for machines and a sentence for people. A verdict is an index
 * into this table; dropping only counts it. New reasons are appended where they belong; identifiers never change.
 */
const REASONS = [
  ['none', 'The packet was not dropped.'],
  ['consumed', 'The dataplane used the packet itself (an answer to its own question, a connection it moved on).'],
  // parse
  ['unknown-port', 'It came from a port that the tables do not know (yet).'],
  ['truncated', 'It ended before its own headers did.'],
  ['ip-version', 'Its IP version is neither 4 nor 6, or not what the frame around it says.'],
  ['ip-header-length', 'Its IP header length or total length contradicts its size.'],
  ['ip-checksum', 'Its IP header checksum is wrong.'],
  ['ip-options', 'It carries a source route, which is not followed.'],
  ['link-local', 'What IPv6 kernels tell their neighbours by themselves; it never leaves its link.'],
  ['ip-source', 'Its source address can be no sender (zero, loopback, multicast, broadcast).'],
  ['ip-destination', 'Its destination is multicast, broadcast or loopback, which is not forwarded.'],
  ['l4-header', 'Its TCP, UDP or ICMP header is truncated or contradicts its length.'],
  ['source-spoofed', "A pod sent from an address that is not its own, or somebody else from a local pod's address."],
  // overlay
  ['vtep-unknown', 'It came over the overlay from an address that is no known host.'],
  ['vxlan-header', 'Its VXLAN header is truncated or has no valid VNI flag.'],
  ['vxlan-vni', 'It belongs to another VXLAN network.'],
  ['ethernet-type', 'The frame inside VXLAN is neither IPv4, IPv6 nor ARP.'],
  ['ethernet-destination', 'The frame inside VXLAN is addressed to another MAC.'],
  ['arp', 'A malformed ARP frame, or one that asks for an address that is not ours.'],
  ['neighbour-discovery', 'A malformed neighbour solicitation, or one for an address that is not ours.'],
  ['peer-source', 'A host sent from an address that is routed to another host.'],
  ['peer-transit', 'A host sent to an address that is not on this host: nothing is forwarded onwards.'],
  // gather
  ['fragment-header', 'A fragment whose length or place is wrong, or a first one that ends before its own header.'],
  ['fragment-overlap', 'A fragment that repeats or contradicts others of its datagram.'],
  ['fragment-unfinished', 'A fragment whose first one did not come in time.'],
  ['fragment-limit', 'A fragment to a service, with no room to wait for the first one of its datagram.'],
  // flow, home, service
  ['flow-table-full', 'The flow table is full of connections that are all in use.'],
  ['flow-invalid', 'An error or a reset that belongs to no connection of a service.'],
  ['worker-busy', 'The worker that keeps its connection had no room for it.'],
  ['service-no-endpoint', 'The service has no endpoint: refused.'],
  ['service-no-local-endpoint', 'Its traffic policy wants an endpoint on this host, and there is none.'],
  ['service-no-port', 'No service stands at this port of a service address: refused.'],
  ['service-no-connection', 'A packet in the middle of a connection that is not known (any more): reset.'],
  ['service-protocol', 'Services carry TCP and UDP; this is something else.'],
  ['service-all-failed', 'No endpoint answered: the client was refused.'],
  ['service-endpoint-gone', 'Its endpoint left the service: reset, at once if its pod is gone, or after 15 minutes.'],
  // route
  ['no-route', 'No route leads to the destination.'],
  ['host-unreachable', "The address belongs to this host's range, but no pod has it."],
  ['ttl-expired', 'Its time to live ran out here.'],
  ['too-big', 'It is larger than the next hop carries and may not be fragmented.'],
  ['neighbour-unresolved', "The peer's MAC address is not known yet; it was asked for."],
  ['port-gone', 'Its way out is a port that is not attached.'],
  ['vector-full', 'There was no room left in the vector for one more packet.'],
] as const;

export type DropReasonId = (typeof REASONS)[number][0];

export interface DropReason {
  id: DropReasonId;
  sentence: string;
}

export const DROP_REASONS: readonly DropReason[] = REASONS.map(([id, sentence]) => ({ id, sentence }));

/** Reason numbers by identifier. */
export const DROP = Object.fromEntries(REASONS.map(([id], i) => [id, i])) as Readonly<Record<DropReasonId, number>>;
