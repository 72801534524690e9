/** A list as JSON in blocks, made while it is sent: a long one is never one string, and others have their turn between. */
import type { CachedObject } from '../watch/cached-object.ts';

const BLOCK_BYTES = 64 * 1024;
const COMMA = Buffer.from(',');
const END = Buffer.from(']}\n');

/** `head`: the list's fields beside its items. */
export function* listBlocks(head: Record<string, unknown>, items: Iterable<CachedObject>): Generator<Buffer> {
  let pieces: Buffer[] = [Buffer.from(`${JSON.stringify(head).slice(0, -1)},"items":[`)];
  let bytes = 0;
  let first = true;
  for (const { item } of items) {
    if (!first) pieces.push(COMMA);
    first = false;
    pieces.push(...item);
    bytes += item[1].length;
    if (bytes < BLOCK_BYTES) continue;
    yield Buffer.concat(pieces);
    pieces = [];
    bytes = 0;
  }
  pieces.push(END);
  yield Buffer.concat(pieces);
}
