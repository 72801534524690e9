/**
 * What was last applied to an object, kept in an annotation of the object itself, as kubectl keeps it: whoever applies
 * next, kubectl or we, knows by it what to take away.
 */

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
  const text = `${JSON.stringify(plain)}\n`;
  if (text.length > MOST_CHARACTERS) return plain;
  return { ...plain, metadata: { ...plain.metadata, annotations: { ...annotations, [LAST_APPLIED]: text } } };
}

/** Empty where nobody applied it, or nobody can read what. */
export function lastApplied({ metadata }: Annotated): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(metadata.annotations?.[LAST_APPLIED] ?? '{}');
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
