/**
 * What was last applied to an object, kept in an annotation of the object itself, as kubectl keeps it: whoever applies
 * next, kubectl or we, knows by it what to take away.
 */
import { isJsonObject } from './json-value.ts';

export const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
/** An annotation has to leave room for others (256 KiB in all); without one nothing is ever taken out of the object. */
const MOST_CHARACTERS = 200_000;

interface Annotated {
  metadata: { annotations?: Record<string, string> };
}

/** A copy that carries itself. */
export function withLastApplied<T extends Annotated>(wanted: T): T {
  const { [LAST_APPLIED]: _, ...annotations } = wanted.metadata.annotations ?? {};
  const plain = { ...wanted, metadata: { ...wanted.metadata, annotations } };
  const text = `${goJson(plain)}\n`;
  if (text.length > MOST_CHARACTERS) return plain;
  return { ...plain, metadata: { ...plain.metadata, annotations: { ...annotations, [LAST_APPLIED]: text } } };
}

/** As Go's encoding/json has it: whoever applies the same next, kubectl or we, finds nothing to change. */
function goJson(value: unknown): string {
  const text = JSON.stringify(value, (_, part: unknown) =>
    isJsonObject(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part,
  );
  return text.replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Empty where nobody applied it, or nobody can read what. */
export function lastApplied({ metadata }: Annotated): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(metadata.annotations?.[LAST_APPLIED] ?? '{}');
    return isJsonObject(value) ? value : {};
  } catch {
    return {};
  }
}
