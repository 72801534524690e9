/**
 * How the LMDB store writes its records. All numbers big-endian, so that LMDB's order is theirs.
 *
 *   record    0 create revision (8)   8 mod revision (8)   16 version (8)   24 lease (8, 0: none)   32 value
 *             a record whose version is 0 says that the key was deleted by its mod revision
 *   version   key, one byte 0, mod revision (8)  → record      every value that a key had and has
 *   log       revision (8), place in the commit (4) → key      what each commit changed
 *   leased    lease (8), key → nothing
 */
import type { StoredValue } from './store.ts';

const HEADER_BYTES = 32;

export function encodeRecord(value: Omit<StoredValue, 'key'>): Buffer {
  const out = Buffer.allocUnsafe(HEADER_BYTES + value.value.length);
  writeNumber(out, 0, value.createRevision);
  writeNumber(out, 8, value.modRevision);
  writeNumber(out, 16, value.version);
  writeNumber(out, 24, value.lease === '' ? 0 : Number(value.lease));
  out.set(value.value, HEADER_BYTES);
  return out;
}

/** Copies the value: the memory that LMDB hands out lives only until the next write. */
export function decodeRecord(key: string, record: Buffer): StoredValue {
  const lease = readNumber(record, 24);
  return {
    key,
    createRevision: readNumber(record, 0),
    modRevision: readNumber(record, 8),
    version: readNumber(record, 16),
    lease: lease === 0 ? '' : String(lease),
    value: Uint8Array.prototype.slice.call(record, HEADER_BYTES),
  };
}

export function isDeleted(record: StoredValue): boolean {
  return record.version === 0;
}

/** Where a key's version of that revision stands; with 0 the place below all of them. */
export function versionKey(key: string, revision: number): Buffer {
  const bytes = Buffer.byteLength(key);
  const out = Buffer.alloc(bytes + 9);
  out.write(key, 0, 'utf8');
  writeNumber(out, bytes + 1, revision);
  return out;
}

export function keyOfVersion(versionKey: Buffer): string {
  return versionKey.toString('utf8', 0, versionKey.length - 9);
}

export function logKey(revision: number, place: number): Buffer {
  const out = Buffer.alloc(12);
  writeNumber(out, 0, revision);
  out.writeUInt32BE(place, 8);
  return out;
}

export function leasedKey(lease: number, key: string): Buffer {
  const bytes = Buffer.byteLength(key);
  const out = Buffer.alloc(8 + bytes);
  writeNumber(out, 0, lease);
  out.write(key, 8, 'utf8');
  return out;
}

export function encodeNumber(value: number): Buffer {
  const out = Buffer.alloc(8);
  writeNumber(out, 0, value);
  return out;
}

/** Revisions are whole numbers below 2 ** 53. */
export function readNumber(bytes: Buffer, offset: number): number {
  return bytes.readUInt32BE(offset) * 0x1_0000_0000 + bytes.readUInt32BE(offset + 4);
}

function writeNumber(bytes: Buffer, offset: number, value: number): void {
  bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), offset);
  bytes.writeUInt32BE(value % 0x1_0000_0000, offset + 4);
}

/** The order of the keys' bytes. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
