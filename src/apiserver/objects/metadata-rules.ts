/** What metadata must be, of any kind: its owners and its finalizers have a form that others rely on. */
import { TEXT_FORMATS } from '../../kube/text-formats.ts';
import type { Violation } from '../../kube/violation.ts';
import type { ObjectMeta } from '../api-object.ts';

/** More of them is a mistake, and would be looked at with every change. */
const MOST = 100;
const REFERENCE_FIELDS = ['apiVersion', 'kind', 'name', 'uid'] as const;

/** `before`: the finalizers of a deleted object; no new ones may come. */
export function metadataViolations(metadata: ObjectMeta, before: readonly string[] | undefined): Violation[] {
  return [...ownerViolations(metadata.ownerReferences), ...finalizerViolations(metadata.finalizers, before)];
}

function ownerViolations(references: unknown): Violation[] {
  const path = ['metadata', 'ownerReferences'];
  if (references === undefined || references === null) return [];
  if (!Array.isArray(references)) return [{ path, message: 'must be a list' }];
  if (references.length > MOST) return [{ path, message: `must have at most ${MOST} entries` }];
  const out: Violation[] = [];
  references.forEach((reference: unknown, i) => {
    if (typeof reference !== 'object' || reference === null) {
      out.push({ path: [...path, i], message: 'must be an object' });
      return;
    }
    const fields = reference as Record<string, unknown>;
    for (const field of REFERENCE_FIELDS) {
      const value = fields[field];
      if (typeof value !== 'string' || value === '') {
        out.push({ path: [...path, i, field], message: 'must not be empty' });
      }
    }
  });
  const controllers = references.filter((reference) => (reference as { controller?: unknown })?.controller === true);
  if (controllers.length > 1) out.push({ path, message: 'only one reference can have controller set to true' });
  return out;
}

function finalizerViolations(finalizers: unknown, before: readonly string[] | undefined): Violation[] {
  const path = ['metadata', 'finalizers'];
  if (finalizers === undefined || finalizers === null) return [];
  if (!Array.isArray(finalizers)) return [{ path, message: 'must be a list' }];
  if (finalizers.length > MOST) return [{ path, message: `must have at most ${MOST} entries` }];
  const out: Violation[] = [];
  finalizers.forEach((finalizer: unknown, i) => {
    const format = TEXT_FORMATS['label-key'];
    if (typeof finalizer === 'string' && format?.matches(finalizer)) return;
    out.push({ path: [...path, i], message: 'must be a name such as example.org/finalizer' });
  });
  const added = before && finalizers.filter((f) => !before.includes(f as string));
  if (added && added.length > 0) {
    const message = `no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`;
    out.push({ path, message });
  }
  return out;
}
