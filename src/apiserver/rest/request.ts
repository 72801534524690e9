/** A request as the handlers see it, and what they answer with; the server turns both into HTTP. */

import type { Duplex, Readable } from 'node:stream';
import { parse as parseYaml } from 'yaml';
import { ApiError } from '../api-error.ts';
import type { ApiObject } from '../api-object.ts';
import { checkShape } from './body-shape.ts';
import { PROTOBUF_TYPE, readProtobuf } from './protobuf-body.ts';

/** YAML takes a hundred times as long to read as JSON, which clients send. */
const MOST_YAML_BYTES = 256 * 1024;

export interface User {
  name: string;
  groups: readonly string[];
}

export interface ApiRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  accept: string | undefined;
  /** The client takes answers that are compressed. */
  gzip?: boolean;
  contentType: string;
  user: User;
  /** Of a request to change protocols: what it says of that. */
  upgrade?: Readonly<Record<string, string | string[]>>;
  /** All of it, bounded. Throws ApiError RequestEntityTooLarge. */
  body(): Promise<Buffer>;
}

/** Where a stream's lines go. */
export interface LineSink {
  /** False: the client is behind; `drained` says when it takes more. */
  write(lines: Buffer): boolean;
  /** What was written may still arrive, for a while. */
  end(): void;
}

/** A stream of JSON values, one a line, until either side ends it. */
export interface LineStream {
  /** Called once. */
  start(sink: LineSink): void;
  drained(): void;
  close(): void;
}

/** An answer that is whole. */
export type PlainAnswer =
  | { code: number; json: unknown; warnings?: readonly string[] }
  | { code: number; text: string; contentType?: string }
  | { code: number; bytes: Buffer; contentType: string; encoding?: 'gzip' };

/** JSON in blocks that are made as the client takes them. */
export interface BlockAnswer {
  code: number;
  blocks: Iterable<Buffer>;
}

/** Another server's end of a connection that changed protocols. */
export interface Upgraded {
  socket: Duplex;
  /** What came behind its answer. */
  head: Buffer;
  /** Of its answer, names and values in turn. */
  rawHeaders: readonly string[];
}

export type ApiAnswer =
  | PlainAnswer
  | BlockAnswer
  | { code: number; lines: LineStream }
  | { code: number; stream: Readable; contentType: string }
  | { code: 101; upgraded: Upgraded };

/** A body that is one value in JSON, YAML or protobuf, by its content type. Throws ApiError. */
export async function readValue(request: ApiRequest, allowEmpty = false): Promise<unknown> {
  const bytes = await request.body();
  if (bytes.length === 0 && allowEmpty) return undefined;
  const value = parseBody(bytes, request.contentType.split(';')[0]?.trim() ?? '');
  checkShape(value);
  return value;
}

function parseBody(bytes: Buffer, type: string): unknown {
  if (type === PROTOBUF_TYPE) return readProtobuf(bytes);
  const text = bytes.toString('utf8');
  try {
    if (type === 'application/yaml' || type === 'application/apply-patch+yaml') {
      if (bytes.length > MOST_YAML_BYTES) throw new Error(`YAML has at most ${MOST_YAML_BYTES} bytes here: send JSON`);
      // What it would warn of is printed by the process, whoever sent it.
      return parseYaml(text, { maxAliasCount: 100, prettyErrors: false, logLevel: 'error' });
    }
    if (type === '' || type === 'application/json' || type.endsWith('+json')) return JSON.parse(text);
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new ApiError('BadRequest', `the body cannot be read: ${said.slice(0, 300)}`);
  }
  throw new ApiError(
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - ${type}: send application/json`,
  );
}

/** The same where it has to be an object. */
export async function readObject(request: ApiRequest): Promise<ApiObject> {
  const value = await readValue(request);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ApiError('BadRequest', 'the body of the request is not an object');
  }
  const { metadata } = value as ApiObject;
  if (metadata !== undefined && (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata))) {
    throw new ApiError('BadRequest', 'metadata: is not an object');
  }
  return value as ApiObject;
}

/** `more`: what the body says of it. Throws ApiError BadRequest. */
export function isDryRun({ query }: ApiRequest, more: unknown = []): boolean {
  const values = [query.getAll('dryRun'), more].flat();
  const odd = values.find((value) => value !== 'All');
  if (odd !== undefined) throw new ApiError('BadRequest', `dryRun: must be All, not ${String(odd).slice(0, 40)}`);
  return values.length > 0;
}

export function isTrue(text: string | null): boolean {
  return text === 'true' || text === '1';
}

/** A whole number from the query, undefined where it is not there. Throws ApiError BadRequest. */
export function numberOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new ApiError('BadRequest', `${name}: is not a whole number: ${text.slice(0, 40)}`);
}
