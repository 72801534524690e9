/**
 * Bodies in Kubernetes' protobuf form, as `kubectl create` of 1.32 and later and other Go clients send them: four
 * bytes of magic, an envelope with kind and version, the object (k8s.io/apimachinery/pkg/runtime/serializer/protobuf).
 * They become what the same client would have sent as JSON. Answers are JSON always, which these clients take.
 */
import protobuf from 'protobufjs/minimal.js';
import { ApiError } from '../api-error.ts';
import { MESSAGES, type MessageField } from './protobuf-messages.ts';

export const PROTOBUF_TYPE = 'application/vnd.kubernetes.protobuf';

const MAGIC = Buffer.from('k8s\0', 'latin1');
/** How deep messages may stand in each other; those of the table do not reach it. */
const DEEPEST = 32;
/** Wire types of the encoding. */
const VARINT = 0;
const BYTES = 2;

type Json = Record<string, unknown>;
/** What the reader gives for 64 bits where the package `long` is there. */
type Long = { toNumber(): number };

/** Throws ApiError BadRequest or UnsupportedMediaType. */
export function readProtobuf(bytes: Buffer): Json {
  try {
    // Once through JSON, so that a client's keys are plain keys, whatever they are called.
    return JSON.parse(JSON.stringify(readEnvelope(bytes))) as Json;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    const said = error instanceof Error ? error.message : String(error);
    throw new ApiError('BadRequest', `the body cannot be read as protobuf: ${said.slice(0, 300)}`);
  }
}

function readEnvelope(bytes: Buffer): Json {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error('it does not begin with k8s and a zero byte');
  const reader = protobuf.Reader.create(bytes.subarray(MAGIC.length));
  const names: Record<number, string> = {};
  let raw = new Uint8Array();
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const number = tag >>> 3;
    if (number === 1) {
      const end = reader.uint32() + reader.pos;
      while (reader.pos < end) names[reader.uint32() >>> 3] = reader.string();
    } else if (number === 2) raw = Uint8Array.from(reader.bytes());
    else reader.skipType(tag & 7);
  }
  const [apiVersion = '', kind = ''] = [names[1], names[2]];
  if (!MESSAGES.has(kind)) throw unsupported(`${apiVersion} ${kind} is read as JSON only`);
  return { apiVersion, kind, ...readMessage(protobuf.Reader.create(raw), kind, 0) };
}

function readMessage(reader: protobuf.Reader, message: string, depth: number): Json {
  const fields = MESSAGES.get(message);
  if (!fields || depth > DEEPEST) throw unsupported(`${message} is read as JSON only`);
  const out: Json = {};
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const field = fields.get(tag >>> 3);
    if (!field) throw unsupported(`field ${tag >>> 3} of ${message} is read as JSON only`);
    expectType(tag & 7, field, message);
    if (field.map) {
      const [key, value] = readEntry(reader, field, depth);
      const map = (out[field.name] ??= Object.create(null)) as Json;
      map[key] = value;
      continue;
    }
    const value = readValue(reader, field, depth);
    if (field.inline) Object.assign(out, value);
    else if (field.list) {
      out[field.name] ??= [];
      (out[field.name] as unknown[]).push(value);
    } else if (field.pointer || !isEmpty(value)) out[field.name] = value;
  }
  return out;
}

function readEntry(reader: protobuf.Reader, field: MessageField, depth: number): [string, unknown] {
  const end = reader.uint32() + reader.pos;
  let key = '';
  let value: unknown = field.type === 'string' || field.type === 'Quantity' ? '' : undefined;
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) key = reader.string();
    else if (tag >>> 3 === 2) value = readValue(reader, field, depth);
    else reader.skipType(tag & 7);
  }
  return [key, value];
}

function expectType(wire: number, field: MessageField, message: string): void {
  const wanted = !field.map && (field.type === 'int' || field.type === 'bool') ? VARINT : BYTES;
  if (wire !== wanted) throw new Error(`${message}.${field.name}: is of wire type ${wire}, not ${wanted}`);
}

function readValue(reader: protobuf.Reader, { type }: MessageField, depth: number): unknown {
  switch (type) {
    case 'string':
      return reader.string();
    case 'int': {
      const number: unknown = reader.int64();
      return typeof number === 'number' ? number : (number as Long).toNumber();
    }
    case 'bool':
      return reader.bool();
    case 'bytes':
      return Buffer.from(reader.bytes()).toString('base64');
  }
  const inner = readMessage(protobuf.Reader.create(reader.bytes()), type, depth + 1);
  switch (type) {
    case 'IntOrString':
      // Type 0 is the number.
      return inner.type ? (inner.strVal ?? '') : (inner.intVal ?? 0);
    case 'Quantity':
      return inner.string ?? '';
    case 'Time':
      return inner.seconds === undefined ? '' : new Date(Number(inner.seconds) * 1000).toISOString();
    default:
      return inner;
  }
}

/** What Go's JSON leaves out (omitempty), and structs of nothing but that. */
function isEmpty(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return value === '' || value === 0 || value === false;
}

function unsupported(message: string): ApiError {
  return new ApiError('UnsupportedMediaType', `the body is protobuf, and ${message}: send application/json`);
}
