/**
 * Who a request is to be done for, where that is not its sender: `kubectl --as`, by the headers Impersonate-User and
 * Impersonate-Group (k8s.io/apiserver pkg/endpoints/filters/impersonation.go). A server that took no notice would do
 * with all rights what somebody wanted to be tried with few.
 */
import type { IncomingMessage } from 'node:http';
import { ApiError } from '../api-error.ts';
import type { User } from '../rest/request.ts';

const PREFIX = 'impersonate-';

/** Undefined: it is done for its sender. Whether they may ask so is not looked at. Throws ApiError BadRequest. */
export function impersonatedUser({ headers, headersDistinct }: IncomingMessage): User | undefined {
  if (!Object.keys(headers).some((name) => name.startsWith(PREFIX))) return undefined;
  const name = headers[`${PREFIX}user`];
  if (typeof name === 'string' && name !== '') return { name, groups: headersDistinct[`${PREFIX}group`] ?? [] };
  throw new ApiError('BadRequest', 'Impersonate-User: is required where another Impersonate header stands');
}
