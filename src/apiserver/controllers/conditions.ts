/** Conditions in an object's status: what holds, since when, and why. */

export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason?: string;
  message?: string;
}

type Stored = Condition & { lastTransitionTime?: string } & Record<string, unknown>;

/** The status with a condition set; its time is that of the last change between True, False and Unknown. */
export function withCondition(
  status: Record<string, unknown> | undefined,
  condition: Condition,
  now: string,
): Record<string, unknown> {
  const conditions = conditionsOf(status);
  const before = conditions.find(({ type }) => type === condition.type);
  const same = before?.status === condition.status && before.lastTransitionTime !== undefined;
  const next: Stored = { ...condition, lastTransitionTime: same ? before.lastTransitionTime : now } as Stored;
  return {
    ...status,
    conditions: before ? conditions.map((c) => (c === before ? next : c)) : [...conditions, next],
  };
}

export function withoutCondition(
  status: Record<string, unknown> | undefined,
  type: string,
): Record<string, unknown> | undefined {
  const conditions = conditionsOf(status);
  const left = conditions.filter((c) => c.type !== type);
  return left.length === conditions.length ? status : { ...status, conditions: left };
}

export function conditionOf(status: unknown, type: string): Stored | undefined {
  return conditionsOf(status).find((c) => c.type === type);
}

function conditionsOf(status: unknown): Stored[] {
  const value = (status as { conditions?: unknown } | undefined)?.conditions;
  // Anybody may have written them.
  return Array.isArray(value) ? value.filter((c): c is Stored => typeof c === 'object' && c !== null) : [];
}
