/**
 * Endpoints into slices of a hundred, with as few writes as can be (k8s.io/endpointslice, reconciler.go): an endpoint
 * stays in the slice that it is in; slices that have to be written anyway are filled first; what is left over goes
 * into one slice that has room for all of it, or into new ones. Slices are not emptied into each other: that would be
 * more writes, each of which every node is told.
 */
import type { Endpoint, EndpointPort } from 'kubernetes-types/discovery/v1.js';
import type { EndpointSlice } from '../../kube/objects.ts';

/** As many as Kubernetes puts into one. */
export const SLICE_ENDPOINTS = 100;

/** Endpoints of one family that are open on the same ports: one slice can have them. */
export interface EndpointGroup {
  addressType: 'IPv4' | 'IPv6';
  ports: readonly EndpointPort[];
  /** None: an empty slice shall say so. */
  endpoints: readonly Endpoint[];
}

export interface SlicePlan {
  create: EndpointGroup[];
  update: { slice: EndpointSlice; to: EndpointGroup }[];
  delete: EndpointSlice[];
}

/** `existing`: all slices of one writer for one service. */
export function packSlices(existing: readonly EndpointSlice[], groups: readonly EndpointGroup[]): SlicePlan {
  const plan: SlicePlan = { create: [], update: [], delete: [] };
  const byGroup = new Map<string, EndpointSlice[]>();
  for (const slice of [...existing].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))) {
    const key = groupKey(slice.addressType, slice.ports ?? []);
    const same = byGroup.get(key);
    if (same) same.push(slice);
    else byGroup.set(key, [slice]);
  }
  for (const group of groups) {
    const key = groupKey(group.addressType, group.ports);
    packGroup(byGroup.get(key) ?? [], group, plan);
    byGroup.delete(key);
  }
  plan.delete.push(...[...byGroup.values()].flat());
  reuse(plan);
  return plan;
}

/** Ports are a set: they are written in order of name. */
export function sortedPorts(ports: readonly EndpointPort[]): EndpointPort[] {
  const key = (p: EndpointPort) => `${p.name ?? ''} ${p.protocol ?? ''} ${p.port ?? ''}`;
  return [...ports].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}

interface Draft {
  slice: EndpointSlice;
  endpoints: Endpoint[];
  changed: boolean;
}

function packGroup(slices: readonly EndpointSlice[], group: EndpointGroup, plan: SlicePlan): void {
  const { addressType, ports } = group;
  const wanted = new Map(group.endpoints.map((endpoint) => [endpointKey(endpoint), endpoint]));
  const drafts = slices.map((slice): Draft => {
    const old = slice.endpoints ?? [];
    const endpoints: Endpoint[] = [];
    let changed = false;
    for (const endpoint of old) {
      const key = endpointKey(endpoint);
      const now = wanted.get(key);
      // One that stands in two slices is taken out of the second.
      wanted.delete(key);
      if (now) endpoints.push(now);
      if (!now || text(now) !== text(endpoint)) changed = true;
    }
    return { slice, endpoints, changed };
  });
  const rest = [...wanted.values()];
  const room = ({ endpoints }: Draft) => SLICE_ENDPOINTS - endpoints.length;
  for (const draft of drafts.filter(({ changed }) => changed).sort((a, b) => room(a) - room(b))) {
    // One that is to go takes part only where it saves another.
    if (draft.endpoints.length > 0) draft.endpoints.push(...rest.splice(0, room(draft)));
  }
  while (rest.length > 0) {
    const fits = drafts.filter((draft) => room(draft) >= rest.length).sort((a, b) => room(a) - room(b))[0];
    if (!fits) {
      plan.create.push({ addressType, ports, endpoints: rest.splice(0, SLICE_ENDPOINTS) });
      continue;
    }
    fits.endpoints.push(...rest.splice(0));
    fits.changed = true;
  }
  const empty = group.endpoints.length === 0;
  if (empty && drafts.length === 0) plan.create.push(group);
  drafts.forEach(({ slice, endpoints, changed }, i) => {
    if (endpoints.length === 0 && !(empty && i === 0)) plan.delete.push(slice);
    else if (changed) plan.update.push({ slice, to: { addressType, ports, endpoints } });
  });
}

/** A slice that would go becomes one that would come: one write for two, and no moment without endpoints. */
function reuse(plan: SlicePlan): void {
  for (const group of plan.create.splice(0)) {
    const i = plan.delete.findIndex(({ addressType }) => addressType === group.addressType);
    const [slice] = i < 0 ? [] : plan.delete.splice(i, 1);
    if (slice) plan.update.push({ slice, to: group });
    else plan.create.push(group);
  }
}

function groupKey(addressType: string, ports: readonly EndpointPort[]): string {
  return `${addressType} ${JSON.stringify(sortedPorts(ports).map(portTuple))}`;
}

function portTuple({ name = '', protocol = 'TCP', port, appProtocol }: EndpointPort): unknown[] {
  return [name, protocol, port, appProtocol];
}

/** Whose it is: of a pod, or an address that somebody wrote. */
function endpointKey({ addresses, hostname = '', targetRef }: Endpoint): string {
  return `${targetRef?.uid ?? targetRef?.name ?? ''} ${hostname} ${addresses.join()}`;
}

function text({ addresses, conditions, hostname, nodeName, targetRef, zone }: Endpoint): string {
  const { ready, serving, terminating } = conditions ?? {};
  const { kind, namespace, name, uid } = targetRef ?? {};
  return JSON.stringify([
    addresses,
    [ready, serving, terminating],
    [hostname, nodeName, zone],
    [kind, namespace, name, uid],
  ]);
}
