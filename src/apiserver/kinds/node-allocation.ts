/** What a Node has alone: the ranges of its pods. Who gives them to nodes without is the node-ranges controller. */
import { parseBlock } from '../../control/address-block.ts';
import type { Node } from '../../kube/objects.ts';
import type { ApiObject } from '../api-object.ts';
import type { Allocation, Claim } from './allocation.ts';

export const nodeAllocation: Allocation = {
  claims(object) {
    const { spec } = object as unknown as Node;
    const claims = new Map<string, Claim>();
    const add = (text: string | undefined, path: Claim['path']) => {
      const block = text === undefined ? undefined : parseBlock(text);
      if (!block) return;
      const name = rangeName(block.text);
      if (!claims.has(name)) claims.set(name, { name, path, refusal: `${block.text} is already allocated` });
    };
    (spec?.podCIDRs ?? []).forEach((text, i) => {
      add(text, ['spec', 'podCIDRs', i]);
    });
    add(spec?.podCIDR, ['spec', 'podCIDR']);
    return [...claims.values()];
  },
};

/** What was given to a node stays, where an update leaves it out: an agent does not know it when it registers. */
export function inheritNode(object: ApiObject, old: ApiObject): void {
  const before = (old as unknown as Node).spec;
  const spec = { ...object.spec };
  if (!before?.podCIDR || spec.podCIDR || spec.podCIDRs) return;
  object.spec = { ...spec, podCIDR: before.podCIDR, ...(before.podCIDRs ? { podCIDRs: before.podCIDRs } : {}) };
}

function rangeName(text: string): string {
  return `podcidrs/${text}`;
}
