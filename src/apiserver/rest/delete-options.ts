/**
 * What a DELETE says beside its path (meta/v1 DeleteOptions, in the body or in the query). One that cannot be read as it
 * was meant deletes nothing: a dry run that is misspelled is no order.
 */
import { ApiError } from '../api-error.ts';
import type { DeleteOptions } from '../objects/deletion.ts';
import type { Preconditions } from '../objects/object-errors.ts';
import type { ChangeOptions } from '../objects/object-store.ts';
import { type ApiRequest, isDryRun, isTrue, numberOf, readValue } from './request.ts';

type Policy = NonNullable<DeleteOptions['propagationPolicy']>;

const POLICIES: readonly unknown[] = ['Orphan', 'Background', 'Foreground'] satisfies Policy[];

/** Throws ApiError BadRequest. */
export async function deleteOptions(request: ApiRequest): Promise<DeleteOptions & ChangeOptions> {
  const { query } = request;
  const body = mapOf((await readValue(request, true)) ?? {}, 'the body of the request');
  const grace = body.gracePeriodSeconds ?? numberOf(query, 'gracePeriodSeconds');
  if (grace !== undefined && !(Number.isInteger(grace) && (grace as number) >= 0)) {
    throw new ApiError('BadRequest', `gracePeriodSeconds: must be a whole number of seconds, not ${grace}`);
  }
  const policy = policyOf(body, query);
  const preconditions = body.preconditions == null ? undefined : preconditionsOf(body.preconditions);
  return {
    dryRun: isDryRun(request, body.dryRun ?? []),
    ...(grace === undefined ? {} : { gracePeriodSeconds: grace as number }),
    ...(policy === undefined ? {} : { propagationPolicy: policy }),
    ...(preconditions ? { preconditions } : {}),
  };
}

function policyOf(body: Record<string, unknown>, query: URLSearchParams): Policy | undefined {
  const policy = body.propagationPolicy ?? query.get('propagationPolicy') ?? undefined;
  // Its older name, of clients that have no other.
  const orphans =
    body.orphanDependents ?? (query.has('orphanDependents') ? isTrue(query.get('orphanDependents')) : undefined);
  if (policy === undefined) return orphans === undefined ? undefined : orphans === true ? 'Orphan' : 'Background';
  if (orphans !== undefined) {
    throw new ApiError('BadRequest', 'propagationPolicy: cannot stand beside orphanDependents');
  }
  if (POLICIES.includes(policy)) return policy as Policy;
  throw new ApiError('BadRequest', `propagationPolicy: must be one of ${POLICIES.join(', ')}, not ${policy}`);
}

function preconditionsOf(value: unknown): Preconditions {
  const wanted = mapOf(value, 'preconditions');
  const found: Preconditions = {};
  for (const field of ['uid', 'resourceVersion'] as const) {
    const text = wanted[field] ?? undefined;
    if (text === undefined) continue;
    if (typeof text !== 'string') throw new ApiError('BadRequest', `preconditions.${field}: must be a string`);
    found[field] = text;
  }
  return found;
}

function mapOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ApiError('BadRequest', `${what}: is not an object`);
}
